"""The contract of `assign` in trees and product spaces, for the twin in `oracles`.

What both need to know of a space: the squared distances of the tokens that may follow a prefix, and
how far a vector is from what a SID stands for. Books are as `Codebooks` takes them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from oracles import Books, Rules, Sid, beam_of, nearest_first, squared_distances

Distances = Callable[[np.ndarray, Books, Sid], np.ndarray]


def tree_distances(vector: np.ndarray, books: Books, prefix: Sid) -> np.ndarray:
    return squared_distances(vector, books[len(prefix)][prefix])


def tree_distortion(vector: np.ndarray, sid: Sequence[int], books: Books) -> float:
    return float(((vector - books[-1][tuple(sid)]).astype(np.float64) ** 2).sum())


def product_distances(vector: np.ndarray, books: Books, prefix: Sid) -> np.ndarray:
    first = sum(book.shape[1] for book in books[: len(prefix)])
    book = books[len(prefix)]
    return squared_distances(vector[first : first + book.shape[1]], book)


def product_distortion(vector: np.ndarray, sid: Sequence[int], books: Books) -> float:
    decoded = np.concatenate([book[t] for book, t in zip(books, sid, strict=True)])
    return float(((vector - decoded).astype(np.float64) ** 2).sum())


def rules_of(distances: Distances, distortion: Callable[..., float]) -> Rules:
    def greedy_path(vector: np.ndarray, books: Books) -> tuple[Sid, list[np.ndarray]]:
        sid: Sid = ()
        met = []
        for _ in books:
            met.append(distances(vector, books, sid))
            sid = (*sid, int(nearest_first(met[-1])[0]))
        return sid, met

    def walk(
        vector: np.ndarray, books: Books, widths: Sequence[int], prefix: Sid = ()
    ) -> Iterator[tuple[Sid, Sid]]:
        """Depth first: each candidate's ranks and SID."""
        if len(prefix) == len(books):
            yield (), prefix
            return
        ranked = nearest_first(distances(vector, books, prefix))[: widths[len(prefix)]].tolist()
        for rank, token in enumerate(ranked):
            for ranks, sid in walk(vector, books, widths, (*prefix, token)):
                yield (rank, *ranks), sid

    def cost_of(vector: np.ndarray, books: Books, sid: Sid) -> float:
        """The norms added level by level, from the first."""
        cost = 0.0
        for level, token in enumerate(sid):
            cost += float(np.sqrt(np.float32(distances(vector, books, sid[:level])[token])))
        return cost

    def ecm(vector: np.ndarray, books: Books, widths: Sequence[int]) -> Iterator[Sid]:
        leaves = [
            (cost_of(vector, books, sid), ranks, sid) for ranks, sid in walk(vector, books, widths)
        ]
        yield from (sid for _, _, sid in sorted(leaves))

    def rrs(vector: np.ndarray, books: Books, widths: Sequence[int]) -> Iterator[Sid]:
        yield from (sid for _, sid in walk(vector, books, widths))

    def completion_walk(vector: np.ndarray, books: Books, used: Counter[Sid]) -> Sid:
        sizes = [book.shape[-2] for book in books]
        prefix: Sid = ()
        for level in range(len(books)):
            room = int(np.prod(sizes[level + 1 :], dtype=object))
            ranked = nearest_first(distances(vector, books, prefix)).tolist()
            prefix = (*prefix, next(t for t in ranked if used[(*prefix, t)] < room))
        return prefix

    def partial(vector: np.ndarray, books: Books, prefix: Sid) -> np.ndarray:
        """Of a tree a prefix is as far as its last codeword; of a product its columns add up."""
        met = distances(vector, books, prefix)
        if books[0].ndim == books[-1].ndim:
            for level, token in enumerate(prefix):
                met = met + distances(vector, books, prefix[:level])[token]
        return met

    return Rules(greedy_path, ecm, rrs, beam_of(partial), completion_walk, distortion)


TREE = rules_of(tree_distances, tree_distortion)
PRODUCT = rules_of(product_distances, product_distortion)


def lattice_levels(
    rng: np.random.Generator, space: str, sizes: Sequence[int], dim: int, spread: int
) -> list[np.ndarray]:
    """Whole numbers; a product's level has from 1 to `dim` columns."""
    levels = []
    for level, size in enumerate(sizes):
        shape = tuple(itertools.chain(sizes[:level], (size, dim)))
        if space == "product":
            shape = (size, int(rng.integers(1, dim + 1)))
        levels.append(rng.integers(-spread, spread + 1, shape).astype(np.float32))
    return levels
