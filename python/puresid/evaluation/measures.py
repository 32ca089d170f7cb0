"""How well ranked SIDs answer queries: figures per query, counted in items.

A language model ranks SIDs. Where several items share one, a list of items has no order inside the
group, so what is reported is the expected figure over a random order in each group; a string that
stands for ten items is not ten hits, nor one hit for each of them. The figures themselves are those
of ir-measures (trec_eval): true ideals, gains as they are, discount ``1 / log2(1 + rank)``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puresid.arrays import to_numpy
from puresid.checks import integer
from puresid.evaluation.extras import extra
from puresid.evaluation.task import Queries

__all__ = ["METRICS", "SidGroups", "measure"]

METRICS = ("R@1", "R@5", "R@10", "R@20", "nDCG@5", "nDCG@10", "nDCG@20", "RR")
"""What is measured by default, by the names of ir-measures."""

MAX_ROTATIONS = 720
"""Joint rotations of several groups that are averaged at most; 1 to 6, 8, 9 and 10 divide it."""

_MAX_GROUP = 1_000_000

_PATTERN = re.compile(r"(?:R|nDCG)@([1-9]\d{0,5})|RR")
_PAIRS_AT_ONCE = 1 << 22
_LISTS_AT_ONCE = 1 << 14

Rows = NDArray[np.int64]
Figures = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class SidGroups:
    """Which items stand behind each of G SIDs: one each where SIDs are unique.

    Attributes
    ----------
    offsets : ndarray, shape (G + 1,), int64
        The items of SID g are ``items[offsets[g]:offsets[g + 1]]``.
    items : ndarray, shape (N,), int64
        Rows of the catalogue, each once.

    Raises
    ------
    TypeError
        Not integers.
    ValueError
        A SID without items, offsets that do not cover the items, or items that are not the rows
        0 to N - 1, each once.
    """

    offsets: Rows
    items: Rows

    def __post_init__(self) -> None:
        offsets, items = _integers(self.offsets, "offsets", 1), _integers(self.items, "items", 1)
        if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(items):
            ends = (offsets[:1].tolist(), offsets[-1:].tolist())
            raise ValueError(
                f"offsets run from {ends[0]} to {ends[1]}; they must run from 0 to the number of "
                f"items, {len(items)}, for at least one SID"
            )
        steps = np.diff(offsets)
        if steps.min() < 1:
            raise ValueError(f"SID {int(steps.argmin())} has {int(steps.min())} items; 1 or more")
        wrong = np.flatnonzero(np.sort(items) != np.arange(len(items)))
        if wrong.size:
            raise ValueError(
                f"items must hold each row from 0 to {len(items) - 1} once; row {int(wrong[0])} is "
                "missing or another comes twice"
            )
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "items", items)

    @classmethod
    def from_sids(cls, sids: Any) -> SidGroups:
        """Group items by SID; SIDs are numbered in lexicographic order.

        Parameters
        ----------
        sids : array_like, shape (N, L), integers
        """
        array = _integers(sids, "sids", 2)
        if len(array) == 0:
            raise ValueError("sids has no rows; at least one item is needed")
        _, number, counts = np.unique(array, axis=0, return_inverse=True, return_counts=True)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return cls(offsets, np.argsort(number.reshape(-1), kind="stable"))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Rows:
        """How many items each SID has, shape (G,)."""
        return np.diff(self.offsets)

    @property
    def of_items(self) -> Rows:
        """The SID of each item, shape (N,)."""
        found = np.empty(len(self.items), np.int64)
        found[self.items] = np.repeat(np.arange(len(self)), self.sizes)
        return found


def measure(
    queries: Queries,
    ranked: NDArray[np.int64],
    groups: SidGroups,
    *,
    metrics: Sequence[str] = METRICS,
    seed: int = 0,
) -> Figures:
    """Measure ranked SIDs, query by query.

    The list of items of a query is that of its SIDs, each replaced by its items; it ends after the
    larger of B and the deepest cutoff, so that RR looks at the same number of items for shared
    and for unique SIDs.

    Items of a shared SID have no order. Each group with a wanted item is shuffled by a seeded
    permutation, and the library's figures are averaged over joint rotations of these groups. If
    their number is a common multiple of the groups' sizes, every item is equally often at each
    place of its group, so recall and nDCG, which are sums over wanted items, are exact. So it is
    done where one group is concerned (of up to a million items), and where the least common
    multiple is at most 720; above that, 720 seeded random orders are averaged. RR depends on the
    first hit alone: it is exact too where the first group with a wanted item has one of them, and
    otherwise an unbiased estimate.

    Parameters
    ----------
    queries : Queries
        Q of them. Gains must be whole numbers of at least 1, as the library has no others.
    ranked : ndarray, shape (Q, B), integers
        Numbers of SIDs (see `groups`), best first; -1 where there is nothing, after all others.
    groups : SidGroups
    metrics : sequence of str
        ``R@k``, ``nDCG@k`` and ``RR``, as ir-measures reads them.
    seed : int
        Of the orders inside groups.

    Returns
    -------
    dict of str to ndarray, shape (Q,), float64
        By metric, from 0 to 1. A query without any result has 0; none is left out.

    Raises
    ------
    ImportError
        ir-measures is not installed.
    TypeError
        Values of the wrong type.
    ValueError
        An unknown metric, a SID that does not exist or comes twice in a row, a result after -1, a
        wanted item that no SID has, or gains that are not whole.
    """
    names, cutoff = _checked_metrics(metrics)
    seed = integer(seed, "seed", 0)
    lists = _checked_ranked(ranked, len(queries), groups)
    gains = _checked_gains(queries)
    _check_wanted(queries, len(groups.items))
    depth = max(cutoff, lists.shape[1])
    figures = {name: np.zeros(len(queries)) for name in names}
    numbers: dict[_Outcome, int] = {}
    found: list[tuple[int, int, float]] = []
    places = _places(queries, lists, groups, depth)
    for query, (starts, sizes, sids) in enumerate(places):
        worth = None if gains is None else gains[query]
        for outcome, weight in _outcomes(starts, sizes, sids, depth, worth, (seed, query)):
            found.append((query, numbers.setdefault(outcome, len(numbers)), weight))
    if not found:
        return figures
    table = _library_figures(list(numbers), names, depth)
    rows = np.array([row for row, _, _ in found])
    column = np.array([number for _, number, _ in found])
    weights = np.array([weight for _, _, weight in found])
    for place, name in enumerate(names):
        weighted = weights * table[column, place]
        figures[name] = np.bincount(rows, weighted, minlength=len(queries)).astype(np.float64)
    return figures


_Outcome = tuple[tuple[int, ...], tuple[int, ...]]
"""Ranks of the wanted items, from 0 (the depth: not in the list), and their gains.

Figures depend on nothing else, so the library is asked once for each.
"""


def _places(
    queries: Queries, lists: Rows, groups: SidGroups, depth: int
) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Yield per query, for each wanted item: where its group starts, its size, its SID."""
    of_items, sizes = groups.of_items, groups.sizes
    counts = np.array([len(rows) for rows in queries.relevant], np.int64)
    ends = np.cumsum(counts)
    width = max(lists.shape[1], 1)
    start = 0
    while start < len(queries):
        before = int(ends[start] - counts[start])
        stop = int(np.searchsorted(ends, before + max(_PAIRS_AT_ONCE // width, 1), side="right"))
        stop = max(stop, start + 1)
        block = lists[start:stop]
        lengths = np.where(block < 0, 0, sizes[block])
        firsts = np.cumsum(lengths, axis=1) - lengths
        wanted = np.concatenate(queries.relevant[start:stop])
        owner = np.repeat(np.arange(stop - start), counts[start:stop])
        sid = of_items[wanted]
        same = block[owner] == sid[:, None]
        hit = same.any(axis=1)
        place = np.where(hit, firsts[owner, same.argmax(axis=1)] if same.size else 0, depth)
        cuts = ends[start : stop - 1] - before
        yield from zip(
            np.split(np.minimum(place, depth), cuts),
            np.split(sizes[sid], cuts),
            np.split(sid, cuts),
            strict=True,
        )
        start = stop


def _outcomes(
    starts: Rows,
    sizes: Rows,
    sids: Rows,
    depth: int,
    gains: tuple[int, ...] | None,
    key: tuple[int, int],
) -> Iterator[tuple[_Outcome, float]]:
    """Yield what one query's list may come out as, each with its probability."""
    loose = (starts < depth) & (sizes > 1)
    if not loose.any():
        yield _outcome(starts, depth, gains), 1.0
        return
    orders = _orders(starts, sizes, sids, loose, key)
    ranks = np.minimum(orders, depth)
    if gains is None:
        ranks.sort(axis=1)
    distinct, counts = np.unique(ranks, axis=0, return_counts=True)
    for row, count in zip(distinct, counts.tolist(), strict=True):
        yield _outcome(row, depth, gains), count / len(ranks)


def _outcome(ranks: Rows, depth: int, gains: tuple[int, ...] | None) -> _Outcome:
    if gains is None:
        return tuple(sorted(ranks.tolist())), (1,) * len(ranks)
    return tuple(ranks.tolist()), gains


def _orders(
    starts: Rows, sizes: Rows, sids: Rows, loose: NDArray[np.bool_], key: tuple[int, int]
) -> Rows:
    """Return ranks of the wanted items, one row per order of the groups, shape (orders, wanted)."""
    rng = np.random.default_rng(key)
    shared, first = np.unique(sids[loose], return_index=True)
    group_sizes = sizes[loose][first].tolist()
    rotations = math.lcm(*group_sizes)
    rotated = rotations <= (_MAX_GROUP if len(shared) == 1 else MAX_ROTATIONS)
    ranks = np.repeat(starts[None], rotations if rotated else MAX_ROTATIONS, axis=0)
    for sid, size in zip(shared.tolist(), group_sizes, strict=True):
        members = np.flatnonzero(loose & (sids == sid))
        if rotated:
            inside = rng.permutation(size)[: len(members)] + np.arange(len(ranks))[:, None]
            ranks[:, members] += inside % size
        else:
            for order in range(len(ranks)):
                ranks[order, members] += rng.choice(size, len(members), replace=False)
    return ranks


def _library_figures(
    outcomes: Sequence[_Outcome], names: Sequence[str], depth: int
) -> NDArray[np.float64]:
    """Ask ir-measures for the figures of each outcome, shape (outcomes, metrics).

    A document is called by its rank, so all outcomes share one list, and what is wanted says which
    of its documents count.
    """
    library: Any = extra("ir_measures")
    extra("pytrec_eval")
    wanted = [library.parse_measure(name) for name in names]
    column = {asked: place for place, asked in enumerate(wanted)}
    ranking = {str(rank): float(-rank) for rank in range(depth)}
    table = np.full((len(outcomes), len(names)), np.nan)
    for start in range(0, len(outcomes), _LISTS_AT_ONCE):
        block = outcomes[start : start + _LISTS_AT_ONCE]
        judged = {
            str(number): {
                (str(rank) if rank < depth else f"missed-{place}"): gain
                for place, (rank, gain) in enumerate(zip(*outcome, strict=True))
            }
            for number, outcome in enumerate(block, start)
        }
        runs = dict.fromkeys(judged, ranking)
        evaluator = library.pytrec_eval.evaluator(wanted, judged)
        for figure in evaluator.iter_calc(runs):
            table[int(figure.query_id), column[figure.measure]] = figure.value
    return table


def _checked_metrics(metrics: Sequence[str]) -> tuple[tuple[str, ...], int]:
    if isinstance(metrics, str):
        raise TypeError(f"metrics is {metrics!r}; a sequence of names is needed")
    names = tuple(metrics)
    if not names:
        raise ValueError("metrics is empty; at least one name is needed")
    cutoff = 0
    for place, name in enumerate(names):
        match = _PATTERN.fullmatch(name) if isinstance(name, str) else None
        if match is None:
            raise ValueError(f"metrics[{place}] is {name!r}; R@k, nDCG@k and RR are known")
        if name in names[:place]:
            raise ValueError(f"metrics[{place}] is {name!r}, which comes twice")
        cutoff = max(cutoff, int(match[1] or 0))
    return names, cutoff


def _checked_ranked(values: Any, queries: int, groups: SidGroups) -> Rows:
    ranked = _integers(values, "ranked", 2)
    if ranked.shape[1] == 0:
        ranked = np.full((len(ranked), 1), -1)
    if len(ranked) != queries:
        raise ValueError(f"ranked has {len(ranked)} rows; there are {queries} queries")
    wrong = np.argwhere((ranked < -1) | (ranked >= len(groups)))
    if wrong.size:
        row, column = wrong[0].tolist()
        raise ValueError(
            f"ranked[{row}, {column}] is {int(ranked[row, column])}; SIDs run from 0 to "
            f"{len(groups) - 1}, and -1 stands for nothing"
        )
    late = np.argwhere((ranked[:, :-1] < 0) & (ranked[:, 1:] >= 0))
    if late.size:
        row, column = late[0].tolist()
        raise ValueError(f"ranked[{row}] has a SID after -1, in column {column + 1}")
    order = np.sort(ranked, axis=1)
    twice = np.argwhere((order[:, 1:] == order[:, :-1]) & (order[:, 1:] >= 0))
    if twice.size:
        row, column = twice[0].tolist()
        raise ValueError(f"ranked[{row}] has SID {int(order[row, column])} twice")
    return ranked


def _check_wanted(queries: Queries, items: int) -> None:
    for query, rows in enumerate(queries.relevant):
        if rows.max() >= items:
            raise ValueError(
                f"relevant[{query}] has row {int(rows.max())}; groups have {items} items"
            )


def _checked_gains(queries: Queries) -> list[tuple[int, ...]] | None:
    if queries.gains is None:
        return None
    checked = []
    for query, values in enumerate(queries.gains):
        if (values != np.round(values)).any() or values.min() < 1 or values.max() >= 2**31:
            raise ValueError(
                f"gains[{query}] is {values.tolist()}; whole numbers from 1 are needed (nDCG stays "
                "the same if all gains are multiplied by one number)"
            )
        checked.append(tuple(values.astype(np.int64).tolist()))
    return checked


def _integers(values: Any, name: str, dimensions: int) -> Rows:
    array = np.asarray(to_numpy(values))
    if array.ndim != dimensions:
        raise ValueError(f"{name} has {array.ndim} dimensions; {dimensions} needed")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}; integers are needed")
    return array.astype(np.int64)
