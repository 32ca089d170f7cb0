"""Residual k-means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from puresid import _core
from puresid.arrays import SidsArray
from puresid.checks import integer
from puresid.codebooks import Codebooks, as_codebooks
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
    start : Codebooks or sequence of array_like, optional
        Codewords that k-means begins at instead of drawn ones, balanced or in mini-batches too:
        residual codebooks, Euclidean, or one (K_l, D) array per level, of the sizes that `n_levels`
        and `codebook_size` say. This is for a new epoch of a catalogue: codebooks that are fitted
        again to vectors that have moved a little, from those of the epoch before, stay near them,
        and most items keep most of their tokens; from drawn codewords token 5 would be another
        cluster each time. Fewer iterations keep more.
    random_state : int
        Seed of what is drawn, from 0 to 2**64 - 1: the first codewords and, with `batch_size`, the
        sample. With a `start` and without `batch_size` nothing is drawn, and it changes nothing.
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
        If a number is out of range, `batch_size` and `balanced` are given together, or `start` has
        other sizes than those asked for, or is not of Euclidean residual codebooks.

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
        start: Codebooks | Sequence[Any] | None = None,
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
        self.start = start
        self._start = None if start is None else _read_start(start, tuple(self._sizes))
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
            If there are fewer vectors than codewords, a value is not finite or too large (naming
            the row), or the dimension is not that of `start`.
        """
        self._codebooks = self._history = self._training_sids = None
        if self.batch_size is not None:
            return self._fit_in_batches(vectors, self.batch_size)
        rows = training_rows(vectors, max(self._sizes), self.n_levels)
        self._check_dimension(rows.shape[1])
        with progress_bar(self.progress) as report:
            levels = _core.train_residual_kmeans(
                rows,
                sizes=self._sizes,
                n_iter=self.n_iter,
                seed=self.random_state,
                balanced=self.balanced,
                start=None if self._start is None else list(self._start),
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
        rows = vectors_or_source(vectors)
        self._check_dimension(rows.shape[1])
        with progress_bar(self.progress) as report:
            levels = train_in_batches(
                rows,
                self._sizes,
                start=self._start,
                n_iter=self.n_iter,
                batch_size=batch_size,
                seed=self.random_state,
                threads=thread_count(self.threads),
                progress=report,
            )
        self._codebooks = Codebooks([codewords for codewords, _ in levels])
        self._history = tuple(history for _, history in levels)
        return self

    def _check_dimension(self, dim: int) -> None:
        if self._start is not None and self._start.dim != dim:
            raise ValueError(
                f"start has codewords of dimension {self._start.dim}; vectors have dimension {dim}"
            )

    def _described_parameters(self) -> dict[str, Any]:
        return self.get_params() | {"start": None}  # which the file holds as tensors

    def _described_start(self) -> Codebooks | None:
        return self._start

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


def _read_start(start: Any, sizes: tuple[int, ...]) -> Codebooks:
    """Return what k-means begins from, checked. TypeError, ValueError."""
    if isinstance(start, (str, bytes)) or not hasattr(start, "__iter__"):
        raise TypeError(f"start is {start!r}; Codebooks or one (K_l, D) array per level are needed")
    try:
        books = as_codebooks(start)
    except (TypeError, ValueError) as error:
        raise type(error)(f"start: {error}") from error
    if books.space != "residual" or books.metric != "euclidean" or books.normalize_residuals:
        raise ValueError(
            f"start has space={books.space!r}, metric={books.metric!r} and "
            f"normalize_residuals={books.normalize_residuals}; residual k-means begins from "
            "residual codebooks, Euclidean and of residuals as they are"
        )
    if books.rotation is not None or books.encoder is not None:
        raise ValueError(
            "start has a rotation or an encoder, so that its codewords lie elsewhere than the "
            "vectors; fit start.transform(vectors) from start.latent"
        )
    if books.sizes != sizes:
        raise ValueError(
            f"start has codebooks of the sizes {books.sizes}; n_levels and codebook_size ask for "
            f"{sizes}"
        )
    return books
