"""Residual k-means."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from puresid import _core
from puresid.arrays import float_matrix
from puresid.codebooks import Codebooks
from puresid.config import progress_bar, simd, thread_count


def _integer(value: Any, name: str, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; an integer is needed") from None
    if number < least:
        raise ValueError(f"{name} is {number}; at least {least} is needed")
    return number


class RQKMeans:
    """Residual k-means: each level clusters what the levels before left over.

    Lloyd's iteration from a greedy k-means++ start; clusters that lose all rows are refilled with
    the rows that are worst served. The same bytes at any number of threads.

    Parameters
    ----------
    n_levels : int
        Number of levels, L.
    codebook_size : int or sequence of int
        Codewords per level; a sequence gives one size for each of the `n_levels`.
    n_iter : int
        Iterations per level at most; a level stops when no row changes its codeword.
    random_state : int
        Seed of the start, from 0 to 2**64 - 1.
    threads : int or None
        None for as many as the process may use.
    progress : bool
        Whether to draw bars on stderr.

    Attributes
    ----------
    codebooks : Codebooks
        After `fit`.
    history : tuple of tuple of float
        After `fit`: per level, the mean squared distance of the rows to their codewords, before
        each iteration and at the end.

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If a number is out of range.

    References
    ----------
    Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """

    def __init__(
        self,
        n_levels: int = 3,
        codebook_size: int | Sequence[int] = 256,
        *,
        n_iter: int = 25,
        random_state: int = 0,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        self.n_levels = _integer(n_levels, "n_levels", 1)
        if isinstance(codebook_size, Sequence):
            sizes = [
                _integer(size, f"codebook_size[{i}]", 1) for i, size in enumerate(codebook_size)
            ]
            if len(sizes) != self.n_levels:
                raise ValueError(
                    f"codebook_size has {len(sizes)} entries; n_levels is {self.n_levels}"
                )
        else:
            sizes = [_integer(codebook_size, "codebook_size", 1)] * self.n_levels
        self.codebook_size = codebook_size
        self.n_iter = _integer(n_iter, "n_iter", 1)
        self.random_state = _integer(random_state, "random_state", 0)
        if self.random_state >= 2**64:
            raise ValueError(f"random_state is {self.random_state}; it must be below 2**64")
        self.threads = threads
        self.progress = progress
        self._sizes = sizes
        self._codebooks: Codebooks | None = None
        self._history: tuple[tuple[float, ...], ...] | None = None

    def fit(self, vectors: Any) -> RQKMeans:
        """Train on vectors.

        Parameters
        ----------
        vectors : array_like, shape (N, D)
            Real numbers or a torch tensor; converted to float32. N must be at least the largest
            codebook size.

        Returns
        -------
        RQKMeans
            Itself.

        Raises
        ------
        TypeError
            If the vectors are not real numbers.
        ValueError
            If there are fewer vectors than codewords, or a value is not finite or too large (naming
            the row).
        """
        rows = float_matrix(vectors, "vectors")
        with progress_bar(self.progress) as report:
            levels = _core.train_residual_kmeans(
                rows,
                sizes=self._sizes,
                n_iter=self.n_iter,
                seed=self.random_state,
                threads=thread_count(self.threads),
                simd=simd(),
                progress=report,
            )
        self._codebooks = Codebooks([codewords for codewords, _ in levels])
        self._history = tuple(tuple(distortion) for _, distortion in levels)
        return self

    @property
    def codebooks(self) -> Codebooks:
        """The trained codebooks."""
        if self._codebooks is None:
            raise AttributeError("this RQKMeans has no codebooks yet; call fit(vectors) first")
        return self._codebooks

    @property
    def history(self) -> tuple[tuple[float, ...], ...]:
        """Mean squared distances per level and iteration."""
        if self._history is None:
            raise AttributeError("this RQKMeans has no history yet; call fit(vectors) first")
        return self._history

    def __repr__(self) -> str:
        return f"RQKMeans(n_levels={self.n_levels}, codebook_size={self.codebook_size})"
