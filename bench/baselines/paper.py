"""The paper's way to unique SIDs (arXiv 2509.16446) as one would write it in PyTorch, on the CPU.

From the description: quantise in batches, then loop over the items whose nearest SID is taken; each
takes its first free candidate within the first tier, those left over within the second. Whoever is
left after that stays on a shared SID: the paper's method has no completion. Items that are not in
conflict cost nothing beyond the batched quantisation, and a set holds the SIDs given out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from bench.data import Problem

Sid: TypeAlias = tuple[int, ...]

BATCH = 16_384


@dataclass(frozen=True)
class Quantised:
    """SIDs of all items on their greedy paths, and the residuals before each level."""

    books: list[torch.Tensor]
    sids: torch.Tensor
    residuals: list[torch.Tensor]


def nearest_tokens(residual: torch.Tensor, book: torch.Tensor) -> torch.Tensor:
    """Argmin of ‖c‖² - 2 r·c: one matrix product, far quicker than `cdist` and then argmin."""
    return torch.addmm(book.square().sum(1), residual, book.T, alpha=-2).argmin(1)


def nearest_sids(vectors: torch.Tensor, books: list[torch.Tensor]) -> torch.Tensor:
    """Greedy residual quantisation, batch by batch."""
    with torch.inference_mode():
        batches = []
        for start in range(0, len(vectors), BATCH):
            residual = vectors[start : start + BATCH]
            columns = []
            for book in books:
                columns.append(nearest_tokens(residual, book))
                residual = residual - book[columns[-1]]
            batches.append(torch.stack(columns, dim=1))
        return torch.cat(batches)


def quantise(vectors: torch.Tensor, books: list[torch.Tensor]) -> Quantised:
    """The nearest SIDs, and the residuals that ECM takes its distances from."""
    sids = nearest_sids(vectors, books)
    residuals = [vectors]
    for level, book in enumerate(books[:-1]):
        residuals.append(residuals[level] - book[sids[:, level]])
    return Quantised(books, sids, residuals)


def ecm_candidates(quantised: Quantised, row: int, widths: tuple[int, ...]) -> Iterator[Sid]:
    """All tuples of the nearest tokens of each level, cheapest sum of distances first."""
    costs = torch.zeros(1, dtype=torch.float64)
    tokens: list[list[int]] = []
    for residuals, book, width in zip(quantised.residuals, quantised.books, widths, strict=True):
        distances = torch.cdist(residuals[row : row + 1], book)[0]
        best = distances.topk(min(width, len(book)), largest=False)
        costs = (costs[:, None] + best.values).flatten()
        tokens.append(best.indices.tolist())
    for place in costs.argsort(stable=True).tolist():
        sid: Sid = ()
        for choices in reversed(tokens):
            place, rank = divmod(place, len(choices))
            sid = (choices[rank], *sid)
        yield sid


def rrs_candidates(quantised: Quantised, row: int, widths: tuple[int, ...]) -> Iterator[Sid]:
    """Depth first, at each node the nearest tokens to the residual of the path taken."""
    books = quantised.books

    def walk(residual: torch.Tensor, prefix: Sid) -> Iterator[Sid]:
        level = len(prefix)
        distances = torch.cdist(residual[None], books[level])[0]
        width = min(widths[level], len(books[level]))
        for token in distances.topk(width, largest=False).indices.tolist():
            if level + 1 == len(books):
                yield (*prefix, token)
            else:
                yield from walk(residual - books[level][token], (*prefix, token))

    return walk(quantised.residuals[0][row], ())


def default_tiers(levels: int) -> tuple[tuple[int, ...], ...]:
    """The two tiers of the paper's code: (1, …, 1, 10), then (5, …, 5, 20)."""
    return (1,) * (levels - 1) + (10,), (5,) * (levels - 1) + (20,)


def unique_sids(
    vectors: torch.Tensor, books: list[torch.Tensor], method: Literal["ecm", "rrs"]
) -> list[Sid]:
    """One SID for each item, in row order; an item that finds none free keeps its nearest one."""
    enumerate_candidates = ecm_candidates if method == "ecm" else rrs_candidates
    threads = torch.get_num_threads()
    with torch.inference_mode():
        quantised = quantise(vectors, books)
        # One item's tensors are too small to share out: a second thread only spins, and on a busy
        # machine it makes the loop ten times slower, which would flatter whatever it is beside.
        torch.set_num_threads(1)
        sids: list[Sid] = list(map(tuple, quantised.sids.tolist()))
        taken: set[Sid] = set()
        left = []
        for row, sid in enumerate(sids):
            if sid in taken:
                left.append(row)
            taken.add(sid)
        for widths in default_tiers(len(books)):
            still = []
            for row in left:
                for sid in enumerate_candidates(quantised, row, widths):
                    if sid not in taken:
                        taken.add(sid)
                        sids[row] = sid
                        break
                else:
                    still.append(row)
            left = still
    torch.set_num_threads(threads)
    return sids


def tensors(problem: Problem) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The problem as tensors; also holds torch to the problem's threads."""
    torch.set_num_threads(problem.threads)
    # A tensor over a read-only array warns, and codebooks are read-only: they are small, so copied.
    return torch.from_numpy(problem.vectors), [
        torch.tensor(book) for book in problem.codebooks.levels
    ]
