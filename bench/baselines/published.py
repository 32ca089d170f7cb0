"""The paper's method step by step as its authors published it, on the CPU, in PyTorch.

The same outcome as `paper.py`, without the savings that one would make: the first item of each SID
is looked up SID by SID with a mask over all items; ECM scores the whole product of a tier's ranks
in a dict and sorts it; RRS ranks tokens for one residual at a time and visits every leaf by a call;
results are written back row by row. This is what a user of the published method runs today.
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import torch

from bench.baselines.paper import Sid, default_tiers


def ranked(residual: torch.Tensor, book: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k nearest tokens of each row, (k, rows), and what each leaves over, (k, rows, dim)."""
    squared = residual.square().sum(1, keepdim=True) + book.square().sum(1)
    distances = squared - 2 * residual @ book.T
    tokens = distances.topk(min(k, len(book)), dim=1, largest=False).indices
    return tokens.T, torch.stack([residual - book[column] for column in tokens.T])


class Search:
    """SIDs so far: one row per item, which of them are settled, and those given out."""

    def __init__(self, vectors: torch.Tensor, books: list[torch.Tensor], lists: bool) -> None:
        self.vectors, self.books = vectors, books
        tiers = default_tiers(len(books))
        self.tokens: list[torch.Tensor] = []
        self.left_over: list[torch.Tensor] = []
        residual = vectors
        for book, k in zip(books, tiers[-1], strict=True):
            tokens, left_over = ranked(residual, book, k if lists else 1)
            self.tokens.append(tokens)
            self.left_over.append(left_over)
            residual = left_over[0]
        self.sids = torch.stack([tokens[0] for tokens in self.tokens], dim=1)
        self.settled = torch.zeros(len(vectors), dtype=torch.bool)
        self.taken: set[Sid] = set()
        self._settle_first_items()

    def _settle_first_items(self) -> None:
        distinct, group = torch.unique(self.sids, dim=0, return_inverse=True)
        for number in range(len(distinct)):
            first = (group == number).nonzero(as_tuple=True)[0][0]
            self.settled[first] = True
            self.taken.add(tuple(distinct[number].numpy()))

    def give(self, row: torch.Tensor, sid: Sid) -> None:
        """Write an item's SID back."""
        self.taken.add(sid)
        self.settled[row] = True
        self.sids[row] = torch.tensor(sid)

    def ecm(self, row: torch.Tensor, widths: tuple[int, ...]) -> Sid | None:
        """The cheapest free candidate of one item, all candidates scored."""
        norms = [left_over[:, row].norm(dim=1).numpy() for left_over in self.left_over]
        tokens = [level[:, row].numpy() for level in self.tokens]
        scores = {}
        for ranks in product(
            *(range(min(k, len(level))) for k, level in zip(widths, tokens, strict=True))
        ):
            sid = tuple(level[rank] for level, rank in zip(tokens, ranks, strict=True))
            scores[sid] = sum(level[rank] for level, rank in zip(norms, ranks, strict=True))
        for sid, _ in sorted(scores.items(), key=lambda entry: entry[1]):
            if sid not in self.taken:
                return sid
        return None

    def rrs(self, residual: torch.Tensor, prefix: Sid, widths: tuple[int, ...]) -> Sid | None:
        """The first free leaf of a depth-first walk from one residual, of shape (1, dim)."""
        level = len(prefix)
        if level == len(self.books):
            return None if prefix in self.taken else prefix
        tokens, left_over = ranked(residual, self.books[level], widths[level])
        for rank in range(len(tokens)):
            found = self.rrs(left_over[rank], (*prefix, int(tokens[rank].item())), widths)
            if found is not None:
                return found
        return None


def unique_sids(
    vectors: torch.Tensor, books: list[torch.Tensor], method: Literal["ecm", "rrs"]
) -> torch.Tensor:
    """One SID for each item, in row order; an item that finds none free keeps its nearest one."""
    threads = torch.get_num_threads()
    with torch.inference_mode():
        search = Search(vectors, books, lists=method == "ecm")
        torch.set_num_threads(1)  # as in `paper.py`: tensors of one row gain nothing from a second
        for widths in default_tiers(len(books)):
            for row in torch.where(~search.settled)[0]:
                if method == "ecm":
                    sid = search.ecm(row, widths)
                else:
                    sid = search.rrs(vectors[row : row + 1], (), widths)
                if sid is not None:
                    search.give(row, sid)
    torch.set_num_threads(threads)
    return search.sids
