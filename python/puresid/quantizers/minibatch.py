"""Residual k-means on vectors that are read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid.arrays import float_matrix
from puresid.assignment import assign
from puresid.codebooks import Codebooks
from puresid.config import Progress, simd
from puresid.quantizers.base import check_count, check_values
from puresid.sources import VectorSource, _read

Floats = npt.NDArray[np.float32]

SAMPLE_PER_CODEWORD = 16
SAMPLE_ITERATIONS = 10
KEPT_FROM_PASS_TO_PASS = 0.25
LEAST_GAIN = 1e-3


def train_in_batches(
    vectors: npt.NDArray[Any] | VectorSource,
    sizes: Sequence[int],
    *,
    start: Codebooks | None,
    n_iter: int,
    batch_size: int,
    seed: int,
    threads: int,
    progress: Progress | None,
) -> list[tuple[Floats, tuple[float, ...]]]:
    """Return each level's codewords and the mean squared distance of each pass.

    Parameters
    ----------
    vectors : ndarray or VectorSource, shape (N, D)
        Read once for a sample, and then once a pass and level.
    sizes : sequence of int
        Codewords per level.
    start, n_iter, batch_size, seed, threads, progress
        As for `RQKMeans`, checked.

    Raises
    ------
    TypeError, ValueError
        If there are fewer rows than codewords, a value is not finite (naming the row), or a source
        does not give the rows that it announces.
    """
    items = vectors.shape[0]
    check_count(items, max(sizes))
    wanted = min(items, max(batch_size, SAMPLE_PER_CODEWORD * max(sizes)))
    rest = _sample(vectors, wanted, batch_size, seed, len(sizes))
    levels: list[Floats] = []
    histories: list[tuple[float, ...]] = []
    for number, size in enumerate(sizes):
        begin = None if start is None else start[number]
        level = _Level(rest, size, (seed + number) % 2**64, threads, begin)
        history: list[float] = []
        for done in range(n_iter):
            distance = 0.0
            read = 0
            for batch in _batches(vectors, batch_size):
                distance += level.take(batch, levels)
                read += len(batch)
                if progress is not None:
                    progress(f"level {number}, pass {done + 1}", read, items)
            history.append(distance / items)
            level.end_pass(rest)
            if done > 0 and history[-2] - history[-1] < LEAST_GAIN * history[-2]:
                break
        levels.append(level.codewords)
        histories.append(tuple(history))
        tokens = assign(rest, [level.codewords], "nearest", threads=threads).sids[:, 0]
        rest = rest - level.codewords[tokens]
    return list(zip(levels, histories, strict=True))


class _Level:
    """A level's codewords, and how many rows each has had."""

    def __init__(
        self, sample: Floats, size: int, seed: int, threads: int, start: Floats | None = None
    ) -> None:
        self.threads = threads
        found = _core.train_residual_kmeans(
            sample,
            sizes=[size],
            n_iter=SAMPLE_ITERATIONS,
            seed=seed,
            start=None if start is None else [start],
            threads=threads,
            simd=simd(),
            progress=None,
        )
        self.codewords, _, tokens = found[0]
        self._exact = self.codewords.astype(np.float64)
        self._counts = np.bincount(tokens, minlength=size).astype(np.float64)
        self._met = np.zeros(size, dtype=bool)

    def take(self, batch: Floats, before: list[Floats]) -> float:
        """Move codewords towards the rows of a batch; return the rows' squared distances."""
        found = assign(batch, [*before, self.codewords], "nearest", threads=self.threads)
        rest = batch
        for number, codewords in enumerate(before):
            rest = rest - codewords[found.sids[:, number]]
        tokens = found.sids[:, -1]
        order = np.argsort(tokens, kind="stable")
        met, first, counts = np.unique(tokens[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(rest[order].astype(np.float64), first, axis=0)
        self._counts[met] += counts
        means = sums / counts[:, None]
        self._exact[met] += (means - self._exact[met]) * (counts / self._counts[met])[:, None]
        self.codewords[met] = self._exact[met]
        self._met[met] = True
        return float(found.distortion.sum(dtype=np.float64))

    def end_pass(self, sample: Floats) -> None:
        """Forget a part of what was, and give codewords without rows the worst served ones."""
        empty = np.flatnonzero(~self._met)
        if len(empty):
            distances = assign(sample, [self.codewords], "nearest", threads=self.threads).distortion
            worst = np.argsort(-distances, kind="stable")[: 4 * len(empty)]
            worst = worst[distances[worst] > 0]
            _, first = np.unique(sample[worst], axis=0, return_index=True)
            chosen = worst[np.sort(first)][: len(empty)]
            empty = empty[: len(chosen)]
            self._exact[empty] = self.codewords[empty] = sample[chosen]
            self._counts[empty] = 1.0
        self._counts *= KEPT_FROM_PASS_TO_PASS
        self._met[:] = False


def _sample(
    vectors: npt.NDArray[Any] | VectorSource, wanted: int, batch_size: int, seed: int, n_levels: int
) -> Floats:
    """Return one row from each of `wanted` equal parts; look at every row on the way."""
    items, dim = vectors.shape
    bounds = np.arange(wanted + 1) * items // wanted
    places = np.random.Generator(np.random.PCG64(seed)).random(wanted)
    chosen = bounds[:-1] + (places * np.diff(bounds)).astype(np.int64)
    sample = np.empty((wanted, dim), dtype=np.float32)
    first = 0
    for batch in _batches(vectors, batch_size):
        check_values(batch, first, n_levels)
        low, high = np.searchsorted(chosen, [first, first + len(batch)])
        sample[low:high] = batch[chosen[low:high] - first]
        first += len(batch)
    return sample


def _batches(vectors: npt.NDArray[Any] | VectorSource, batch_size: int) -> Iterator[Floats]:
    """Yield all rows as float32, `batch_size` at a time, however they come."""
    if isinstance(vectors, np.ndarray):
        for first in range(0, len(vectors), batch_size):
            yield float_matrix(vectors[first : first + batch_size], "vectors")
        return
    batch = np.empty((batch_size, vectors.shape[1]), dtype=np.float32)
    filled = 0
    items, read = vectors.shape[0], 0
    for array in _read(vectors):
        piece = float_matrix(array, "vectors")
        read += len(piece)
        if read > items:
            raise ValueError(f"vectors has more rows than the {items} that shape announces")
        while len(piece):
            count = min(batch_size - filled, len(piece))
            batch[filled : filled + count] = piece[:count]
            piece = piece[count:]
            filled += count
            if filled == batch_size:
                yield batch
                filled = 0
    if read != items:
        raise ValueError(f"vectors has {read} rows; shape announces {items}")
    if filled:
        yield batch[:filled]
