"""The contract of `assign` as naive Python, to hold the library against, bit for bit.

Two twins that share only the distances and the priority order. `assign` does what the contract
says, in the order in which it says it. `violations` does nothing: it takes a finished answer and
lists every place where the contract does not hold, from the full product of all tokens; an
answer without violations is the only one. The first is for bulk, the second for tiny instances.

Exact on integer lattices only, where every squared distance is a small whole number.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Sid = tuple[int, ...]
Books = Sequence[np.ndarray]
Tiers = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Expected:
    sids: np.ndarray
    stages: np.ndarray
    distortion: np.ndarray


class Answer(Protocol):
    @property
    def sids(self) -> np.ndarray: ...
    @property
    def stages(self) -> np.ndarray: ...
    @property
    def distortion(self) -> np.ndarray: ...


def same(a: Answer, b: Answer) -> bool:
    """Whether two answers agree to the last bit."""
    return (
        np.array_equal(a.sids, b.sids)
        and np.array_equal(a.stages, b.stages)
        and np.array_equal(a.distortion, b.distortion)
    )


def default_tiers(n_levels: int) -> Tiers:
    head = n_levels - 1
    return ((1,) * head + (10,), (5,) * head + (20,))


def squared_distances(residual: np.ndarray, book: np.ndarray) -> np.ndarray:
    """From one residual to each codeword; exact on a lattice, so the precision does not matter."""
    difference = book.astype(np.float64) - residual.astype(np.float64)
    return (difference * difference).sum(axis=1)


def nearest_first(distances: np.ndarray) -> np.ndarray:
    """Tokens, nearest first; equal distances go to the lower token."""
    return np.lexsort((np.arange(len(distances)), distances))


def greedy_path(vector: np.ndarray, books: Books) -> tuple[Sid, list[np.ndarray]]:
    """The nearest SID, and each level's distances to the residual on that path."""
    residual = vector.astype(np.float64)
    sid: list[int] = []
    distances = []
    for book in books:
        distances.append(squared_distances(residual, book))
        sid.append(int(nearest_first(distances[-1])[0]))
        residual = residual - book[sid[-1]]
    return tuple(sid), distances


def distortion_of(vector: np.ndarray, sid: Sequence[int], books: Books) -> float:
    rest = vector.astype(np.float64)
    for token, book in zip(sid, books, strict=False):
        rest = rest - book[int(token)]
    return float(rest @ rest)


def priority_order(n: int, priority: Sequence[float] | np.ndarray | None) -> list[int]:
    """Rows, highest priority first, then in row order. Python numbers: exact at any size."""
    if priority is None:
        return list(range(n))
    values = np.asarray(priority).tolist()
    return sorted(range(n), key=lambda row: (-values[row], row))


def ecm_candidates(vector: np.ndarray, books: Books, widths: Sequence[int]) -> Iterator[Sid]:
    _, distances = greedy_path(vector, books)
    ranked = [nearest_first(d)[:k] for d, k in zip(distances, widths, strict=True)]
    cost = np.zeros(())
    for d, tokens in zip(distances, ranked, strict=True):
        norms = np.sqrt(d[tokens].astype(np.float32)).astype(np.float64)
        cost = cost[..., np.newaxis] + norms
    # A stable sort of the ravelled product leaves equal costs in lexicographic order of ranks.
    ranks = np.unravel_index(np.argsort(cost, axis=None, kind="stable"), cost.shape)
    by_level = [tokens[r].tolist() for tokens, r in zip(ranked, ranks, strict=True)]
    yield from zip(*by_level, strict=True)


def rrs_candidates(vector: np.ndarray, books: Books, widths: Sequence[int]) -> Iterator[Sid]:
    if not books:
        yield ()
        return
    for token in nearest_first(squared_distances(vector, books[0]))[: widths[0]]:
        for rest in rrs_candidates(vector - books[0][token], books[1:], widths[1:]):
            yield (int(token), *rest)


def partial_distances(vector: np.ndarray, books: Books, prefix: Sid) -> np.ndarray:
    """Of each token after a prefix: how far the vector is from what both make of it."""
    rest = vector - sum(book[token] for book, token in zip(books, prefix, strict=False))
    return squared_distances(rest, books[len(prefix)])


def beam_of(partial: Callable[..., np.ndarray]) -> Callable[..., Iterator[Sid]]:
    """Candidates by distortion below the `width` best prefixes; exact, so groups do not matter."""

    def beam(vector: np.ndarray, books: Books, width: int) -> Iterator[Sid]:
        prefixes: list[Sid] = [()]
        for _ in books:
            longer = [
                (distance, (*prefix, token))
                for prefix in prefixes[:width]
                for token, distance in enumerate(partial(vector, books, prefix).tolist())
            ]
            prefixes = [sid for _, sid in sorted(longer)]
        yield from prefixes[: 16 * width]

    return beam


beam_candidates = beam_of(partial_distances)


def completion_walk(vector: np.ndarray, books: Books, used: Counter[Sid]) -> Sid:
    """One walk down: at each level the nearest codeword under which a free SID remains."""
    prefix: Sid = ()
    residual = vector.astype(np.float64)
    for level, book in enumerate(books):
        room = int(np.prod([len(b) for b in books[level + 1 :]], dtype=object))
        ranked = (int(token) for token in nearest_first(squared_distances(residual, book)))
        token = next(t for t in ranked if used[(*prefix, t)] < room)
        prefix = (*prefix, token)
        residual = residual - book[token]
    return prefix


@dataclass(frozen=True)
class Rules:
    """How vectors become SIDs in a space: functions of a vector, the books and more."""

    greedy_path: Callable[..., tuple[Sid, list[np.ndarray]]]
    ecm: Callable[..., Iterator[Sid]]
    rrs: Callable[..., Iterator[Sid]]
    beam: Callable[..., Iterator[Sid]]
    completion_walk: Callable[..., Sid]
    distortion_of: Callable[..., float]


RESIDUAL = Rules(
    greedy_path, ecm_candidates, rrs_candidates, beam_candidates, completion_walk, distortion_of
)


def count_prefixes(sids: set[Sid]) -> Counter[Sid]:
    return Counter(sid[:stop] for sid in sids for stop in range(1, len(sid) + 1))


def assign(
    vectors: np.ndarray,
    books: Books,
    method: str = "ecm",
    *,
    tiers: Tiers | None = None,
    width: int = 64,
    complete: bool = True,
    priority: Sequence[float] | np.ndarray | None = None,
    taken: np.ndarray | None = None,
    max_distortion: float | None = None,
    rules: Rules = RESIDUAL,
) -> Expected:
    n, n_levels = len(vectors), len(books)
    wide: Sequence[Any] = default_tiers(n_levels) if tiers is None else tiers
    wide = [width] if method == "beam" else wide
    limit = np.inf if max_distortion is None else max_distortion
    used = set() if taken is None else {tuple(int(t) for t in sid) for sid in taken}
    sids = [rules.greedy_path(vector, books)[0] for vector in vectors]
    candidates = {"ecm": rules.ecm, "rrs": rules.rrs, "beam": rules.beam}
    stages = [-1] * n
    left = []
    for row in priority_order(n, priority):
        if sids[row] in used:
            left.append(row)
        else:
            stages[row] = 0
            used.add(sids[row])

    for stage, widths in enumerate(wide if method in candidates else (), start=1):
        for row in left:
            for sid in candidates[method](vectors[row], books, widths):
                if sid not in used and rules.distortion_of(vectors[row], sid, books) <= limit:
                    sids[row], stages[row] = sid, stage
                    used.add(sid)
                    break
        left = [row for row in left if stages[row] == -1]

    if complete and method in candidates:
        counts = count_prefixes(used)
        for row in left:
            sids[row] = rules.completion_walk(vectors[row], books, counts)
            stages[row] = len(wide) + 1
            counts.update(count_prefixes({sids[row]}))
    return _expected(vectors, books, sids, stages, rules)


def suffixed(
    vectors: np.ndarray, books: Books, priority: Sequence[float] | np.ndarray | None = None
) -> Expected:
    """The nearest SIDs with a counter appended within each group, in priority order."""
    nearest = assign(vectors, books, "nearest")
    counter = np.zeros((len(vectors), 1), dtype=np.int64)
    met: Counter[Sid] = Counter()
    for row in priority_order(len(vectors), priority):
        sid = tuple(nearest.sids[row].tolist())
        counter[row] = met[sid]
        met[sid] += 1
    return Expected(
        np.hstack([nearest.sids, counter]), np.zeros(len(vectors), np.int8), nearest.distortion
    )


def _expected(
    vectors: np.ndarray, books: Books, sids: list[Sid], stages: list[int], rules: Rules
) -> Expected:
    distortion = [rules.distortion_of(v, sid, books) for v, sid in zip(vectors, sids, strict=True)]
    return Expected(
        np.array(sids, dtype=np.int64).reshape(len(sids), len(books)),
        np.array(stages, dtype=np.int8),
        np.array(distortion, dtype=np.float32),
    )


def preferences(vector: np.ndarray, books: Books, method: str, widths: Sequence[int]) -> list[Sid]:
    """The candidates of one item, found by sorting every SID there is by what the contract orders.

    ECM: by cost, then by the ranks. RRS: by the ranks alone, where a rank depends on the path; the
    leaves of a depth-first walk come in lexicographic order of their ranks. Beam: by distortion,
    then by the tokens, which is all where it is so wide that it loses none.
    """
    keyed: list[tuple[Any, Sid]] = []
    if method == "beam":
        every = itertools.product(*(range(len(book)) for book in books))
        return sorted(every, key=lambda sid: (distortion_of(vector, sid, books), sid))
    for sid in itertools.product(*(range(len(book)) for book in books)):
        path = greedy_path(vector, books)[0] if method == "ecm" else sid
        residual = [int(x) for x in vector]
        cost, ranks = 0.0, []
        for token, step, book in zip(sid, path, books, strict=True):
            d = [
                sum((int(c) - r) ** 2 for c, r in zip(word, residual, strict=True)) for word in book
            ]
            ranks.append(sum((d[t], t) < (d[token], token) for t in range(len(book))))
            cost += float(np.sqrt(np.float32(d[token])))
            residual = [r - int(c) for r, c in zip(residual, book[step], strict=True)]
        if all(rank < width for rank, width in zip(ranks, widths, strict=True)):
            keyed.append(((cost if method == "ecm" else 0.0, ranks), sid))
    return [sid for _, sid in sorted(keyed)]


def violations(
    vectors: np.ndarray,
    books: Books,
    method: str,
    sids: np.ndarray,
    stages: np.ndarray,
    *,
    tiers: Tiers | None = None,
    complete: bool = True,
    priority: Sequence[float] | np.ndarray | None = None,
    taken: np.ndarray | None = None,
    max_distortion: float | None = None,
) -> list[str]:
    """Where a finished answer breaks the contract; empty for the one answer that does not."""
    tiers = default_tiers(len(books)) if tiers is None else tiers
    tiers = tiers if method != "beam" else [[]]  # one, of all that there is
    limit = np.inf if max_distortion is None else max_distortion
    sizes = [len(book) for book in books]
    answer = [tuple(sid) for sid in np.asarray(sids).tolist()]
    stage_of = [int(stage) for stage in stages]
    place = {row: rank for rank, row in enumerate(priority_order(len(answer), priority))}
    owned = [sid for sid, stage in zip(answer, stage_of, strict=True) if stage >= 0]
    published = set() if taken is None else {tuple(sid) for sid in np.asarray(taken).tolist()}
    owned_at = {
        answer[row]: (stage_of[row], place[row]) for row in place if stage_of[row] >= 0
    } | dict.fromkeys(published, (-1, -1))
    found = [] if len(set(owned)) == len(owned) else ["a SID has two owners"]
    found += ["a published SID was given out"] * bool(published & set(owned))
    last = len(tiers) + bool(complete)
    for row, (sid, own) in enumerate(zip(answer, stage_of, strict=True)):
        nearest = greedy_path(vectors[row], books)[0]
        for stage in range(last + 1):
            if stage == 0:
                wanted = [nearest]
            elif stage <= len(tiers):
                wanted = preferences(vectors[row], books, method, tiers[stage - 1])
                wanted = [c for c in wanted if distortion_of(vectors[row], c, books) <= limit]
            else:
                wanted = preferences(vectors[row], books, "rrs", sizes)
            now = (stage, place[row])
            free = [c for c in wanted if owned_at.get(c, (last + 1, 0)) >= now]
            if stage == own:
                found += [f"row {row}: not its first choice"] * (free[:1] != [sid])
                break
            found += [f"row {row}: a choice was free at stage {stage}"] * bool(free)
        else:
            found += [f"row {row}: left, but not with its nearest SID"] * (
                own != -1 or sid != nearest
            )
    return found
