"""Hierarchical k-means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid.checks import integer
from puresid.codebooks import Codebooks
from puresid.config import Progress, progress_bar, simd, thread_count
from puresid.quantizers.base import Quantizer, seed, training_rows

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]


class HierarchicalKMeans(Quantizer):
    """Hierarchical k-means: the vectors are clustered, then those of each cluster, and so on.

    Each node of the tree is k-means as in `RQKMeans`, on the vectors themselves, not on residuals.
    Every node has all its codewords, so the capacity is the product of the sizes. A node with no
    more different rows than codewords has those rows as its first codewords, in the order in which
    they come, and its own centre (the codeword it hangs from; at the root, the mean) as all others:
    room for `assign` to give every item a SID of its own. The same bytes at any number of threads.

    Parameters
    ----------
    sizes : sequence of int
        Codewords of a node, for each level; the paper's setting is the default. The codewords
        need ``4 D sizes[0] … sizes[l]`` bytes at level l.
    n_iter : int
        Iterations per node at most; a node stops when no row changes its codeword.
    random_state : int
        Seed of the start, from 0 to 2**64 - 1.
    threads : int or None
        None for as many as the process may use.
    progress : bool
        Whether to draw bars on stderr.

    Attributes
    ----------
    codebooks : Codebooks
        After `fit`; ``space="tree"``.
    history : tuple of tuple of float
        After `fit`: per level, the mean squared distance of all rows to their codewords, before
        each iteration and at the end. A node that stopped early counts with its last.

    Raises
    ------
    TypeError
        If a number is not an integer, or `sizes` is not a sequence.
    ValueError
        If a number is out of range, or there is no level.

    References
    ----------
    Zhang, Li, McAuley & Hou, arXiv 2509.16446 (256 and 96 codewords); Tay et al., "Transformer
    memory as a differentiable search index", NeurIPS 2022.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.array([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> model = HierarchicalKMeans((2, 3)).fit(vectors)
    >>> model.codebooks.capacity, model.codebooks[1].shape
    (6, (2, 3, 1))
    """

    def __init__(
        self,
        sizes: Sequence[int] = (256, 96),
        *,
        n_iter: int = 25,
        random_state: int = 0,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        if isinstance(sizes, str | bytes) or not isinstance(sizes, Sequence):
            raise TypeError(f"sizes is {sizes!r}; one integer per level is needed, as in (256, 96)")
        if len(sizes) == 0:
            raise ValueError("sizes is empty; at least one level is needed")
        self._sizes = [integer(size, f"sizes[{i}]", 1) for i, size in enumerate(sizes)]
        self.sizes = sizes
        self.n_iter = integer(n_iter, "n_iter", 1)
        self.random_state = seed(random_state)
        self.threads = threads
        self.progress = progress

    def fit(self, vectors: Any) -> HierarchicalKMeans:
        """Train on vectors.

        Parameters
        ----------
        vectors : array_like, shape (N, D)
            Real numbers or a torch tensor; converted to float32. At least one row.

        Returns
        -------
        HierarchicalKMeans
            Itself.

        Raises
        ------
        TypeError
            If the vectors are not real numbers.
        ValueError
            If there is no vector, or a value is not finite or too large (naming the row).
        """
        self._codebooks = self._history = None
        rows = training_rows(vectors, 1, len(self._sizes))
        levels: list[Floats] = []
        history: list[tuple[float, ...]] = []
        nodes = np.zeros(len(rows), dtype=np.int64)
        centres = rows.mean(axis=0, dtype=np.float64).astype(np.float32)[None]
        with progress_bar(self.progress) as report:
            for number, size in enumerate(self._sizes):
                codewords, nodes, distances = self._train_level(
                    rows, nodes, centres, number, report
                )
                levels.append(codewords.reshape(*self._sizes[: number + 1], rows.shape[1]))
                history.append(distances)
                centres = codewords.reshape(len(centres) * size, rows.shape[1])
        self._codebooks = Codebooks(levels, space="tree")
        self._history = tuple(history)
        return self

    def _train_level(
        self, rows: Floats, nodes: Tokens, centres: Floats, number: int, report: Progress | None
    ) -> tuple[Floats, Tokens, tuple[float, ...]]:
        """Return the codewords below each node, each row's node below, and the mean distances."""
        size = self._sizes[number]
        codewords = np.repeat(centres[:, None], size, axis=1)  # nodes without rows stay so
        below = np.empty_like(nodes)
        order = np.argsort(nodes, kind="stable")
        used, first = np.unique(nodes[order], return_index=True)
        sums: list[float] = []
        ended = 0.0
        for done, (node, members) in enumerate(
            zip(used, np.split(order, first[1:]), strict=True), start=1
        ):
            found, distances, tokens = self._train_node(
                rows[members], centres[node], size, number, int(node)
            )
            codewords[node] = found
            below[members] = node * size + tokens
            sums += [ended] * (len(distances) - len(sums))
            padded = distances + [distances[-1]] * (len(sums) - len(distances))
            sums = [sum_ + len(members) * value for sum_, value in zip(sums, padded, strict=True)]
            ended += len(members) * distances[-1]
            if report is not None:
                report(f"level {number}", done, len(used))
        return codewords, below, tuple(total / len(rows) for total in sums)

    def _train_node(
        self, rows: Floats, centre: Floats, size: int, number: int, node: int
    ) -> tuple[Floats, list[float], npt.NDArray[Any]]:
        if len(rows) > size:
            found = _core.train_residual_kmeans(
                rows,
                sizes=[size],
                n_iter=self.n_iter,
                seed=_seed_of(self.random_state, number, node),
                threads=thread_count(self.threads),
                simd=simd(),
                progress=None,
            )
            codewords, distances, tokens = found[0]
            if distances[-1] > 0:
                return codewords, distances, tokens
        _, places, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        if len(places) > size:  # they differ by so little that squared distances are 0
            return codewords, distances, tokens
        # Each row is its codeword: there are no more different rows than codewords.
        rank = np.empty_like(places)
        rank[np.argsort(places, kind="stable")] = np.arange(len(places))
        codewords = np.repeat(centre[None], size, axis=0)
        codewords[: len(places)] = rows[np.sort(places)]
        return codewords, [0.0], rank[which.reshape(-1)]


def _seed_of(random_state: int, number: int, node: int) -> int:
    """Return a seed for each node; the root's is `random_state`."""
    return (random_state + number * 0x9E3779B97F4A7C15 + node * 0xBF58476D1CE4E5B9) % 2**64
