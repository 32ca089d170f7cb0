"""Residual k-means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from puresid import _core
from puresid.arrays import SidsArray
from puresid.checks import integer
from puresid.codebooks import Codebooks
from puresid.config import progress_bar, simd, thread_count
from puresid.quantizers.base import Quantizer, codebook_sizes, seed, training_rows
from puresid.quantizers.minibatch import train_in_batches
from puresid.sources import vectors_or_source


class RQKMeans(Quantizer):
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
        Iterations per level at most; a level stops when no row changes its codeword. With
        `batch_size`, passes over the vectors.
    batch_size : int, optional
        Mini-batch k-means: so many rows are read at a time and none are kept but a sample of
        ``max(batch_size, 16 K)`` rows. Each level starts from k-means on that sample; each batch
        then moves every codeword towards the mean of its rows by their share of all the rows it
        has had, where rows count a quarter as much with each pass that follows. A level stops when
        a pass lowers the mean squared distance by less than 0.1 %. How a source cuts its batches
        changes nothing.
    balanced : bool
        Whether each level's clusters have nearly equal size: in every iteration, and at the end,
        floor(N / K) or ceil(N / K) rows, at nearly the least sum of squared distances for that
        (within 0.5 %; an auction of the clusters' places). The next level is trained on what this
        assignment leaves. `encode` gives nearest SIDs, whose loads differ; those of the balanced
        assignment are in `training_sids`. Needs memory for N x K float32.
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
        each iteration and at the end. With `batch_size`: of each pass, each batch measured before
        it moves codewords.

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If a number is out of range, or `batch_size` and `balanced` are given together.

    References
    ----------
    Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007. Mini-batches:
    Sculley, "Web-scale k-means clustering", WWW 2010; forgetting as in Spark's streaming k-means.
    Balanced: Bertsekas & Castañon, "The auction algorithm for the transportation problem", Annals
    of Operations Research 20, 1989; balanced residual k-means makes the SIDs of OneRec (Deng et
    al., arXiv 2502.18965).

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> model = RQKMeans(n_levels=2, codebook_size=2).fit(vectors)
    >>> sids = model.encode(vectors)
    >>> len(np.unique(sids, axis=0)), model.decode(sids).ravel().tolist()
    (4, [0.0, 1.0, 10.0, 11.0])
    """

    def __init__(
        self,
        n_levels: int = 3,
        codebook_size: int | Sequence[int] = 256,
        *,
        n_iter: int = 25,
        batch_size: int | None = None,
        balanced: bool = False,
        random_state: int = 0,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        self.n_levels = integer(n_levels, "n_levels", 1)
        self._sizes = codebook_sizes(self.n_levels, codebook_size)
        self.codebook_size = codebook_size
        self.n_iter = integer(n_iter, "n_iter", 1)
        self.batch_size = None if batch_size is None else integer(batch_size, "batch_size", 1)
        self.balanced = bool(balanced)
        if self.balanced and self.batch_size is not None:
            raise ValueError(
                f"batch_size is {self.batch_size} and balanced is True; clusters of equal size "
                "need all rows at once"
            )
        self.random_state = seed(random_state)
        self.threads = threads
        self.progress = progress
        self._training_sids: SidsArray | None = None

    def fit(self, vectors: Any) -> RQKMeans:
        """Train on vectors.

        Parameters
        ----------
        vectors : array_like or VectorSource, shape (N, D)
            Real numbers or a torch tensor; converted to float32. N must be at least the largest
            codebook size. A source needs `batch_size`.

        Returns
        -------
        RQKMeans
            Itself.

        Raises
        ------
        TypeError
            If the vectors are not real numbers, or are a source and `batch_size` is None.
        ValueError
            If there are fewer vectors than codewords, or a value is not finite or too large (naming
            the row).
        """
        self._codebooks = self._history = self._training_sids = None
        if self.batch_size is not None:
            return self._fit_in_batches(vectors, self.batch_size)
        rows = training_rows(vectors, max(self._sizes), self.n_levels)
        with progress_bar(self.progress) as report:
            levels = _core.train_residual_kmeans(
                rows,
                sizes=self._sizes,
                n_iter=self.n_iter,
                seed=self.random_state,
                balanced=self.balanced,
                threads=thread_count(self.threads),
                simd=simd(),
                progress=report,
            )
        self._codebooks = Codebooks([codewords for codewords, _, _ in levels])
        self._history = tuple(tuple(distances) for _, distances, _ in levels)
        kind = np.uint16 if max(self._sizes) <= 1 << 16 else np.uint32
        self._training_sids = np.stack([tokens for _, _, tokens in levels], axis=1).astype(kind)
        return self

    def _fit_in_batches(self, vectors: Any, batch_size: int) -> RQKMeans:
        with progress_bar(self.progress) as report:
            levels = train_in_batches(
                vectors_or_source(vectors),
                self._sizes,
                n_iter=self.n_iter,
                batch_size=batch_size,
                seed=self.random_state,
                threads=thread_count(self.threads),
                progress=report,
            )
        self._codebooks = Codebooks([codewords for codewords, _ in levels])
        self._history = tuple(history for _, history in levels)
        return self

    @property
    def training_sids(self) -> SidsArray:
        """The SIDs that the rows of `fit` ended with: (N, L), balanced where `balanced`.

        Raises
        ------
        AttributeError
            Before `fit`, with `batch_size`, and after `load`, which a file does not keep them for.
        """
        if self._training_sids is None:
            raise AttributeError(
                "this RQKMeans has no training_sids: fit(vectors) keeps them, except with "
                "batch_size, and files do not"
            )
        return self._training_sids
