"""K-means in the slices of vectors, and the rotation that suits it best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid.config import Progress, simd
from puresid.encoder import apply_linear

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Level = tuple[Floats, list[float], npt.NDArray[np.uint32]]

FIRST_ITERATIONS = 10
LEAST_GAIN = 1e-4
BLOCK = 4096

HELD_BACK = 1e-5
"""How much of the rotation before stays in a step: it decides where the rows say nothing."""

LIFTS = 12
CORRECTIONS = 40
ORTHOGONAL = 1e-5


@dataclass(frozen=True)
class Slices:
    """The slices that `dim` columns are cut into, one for each of `sizes`, and their k-means."""

    dim: int
    sizes: Sequence[int]
    seed: int
    threads: int

    @property
    def bounds(self) -> list[int]:
        """Where each slice begins, and `dim`; the first ``dim mod L`` are one column wider."""
        levels = len(self.sizes)
        narrow, wider = divmod(self.dim, levels)
        return [level * narrow + min(level, wider) for level in range(levels + 1)]

    def train(
        self,
        rows: Floats,
        n_iter: int,
        start: list[Floats] | None,
        progress: Progress | None,
    ) -> list[Level]:
        """Return each slice's codewords, mean squared distances and the rows' tokens."""
        bounds, levels = self.bounds, []
        for number, size in enumerate(self.sizes):
            found = _core.train_residual_kmeans(
                np.ascontiguousarray(rows[:, bounds[number] : bounds[number + 1]]),
                sizes=[size],
                n_iter=n_iter,
                seed=(self.seed + number) % 2**64,
                start=None if start is None else [start[number]],
                threads=self.threads,
                simd=simd(),
                progress=None,
            )
            levels += found
            if progress is not None:
                progress("slices", number + 1, len(self.sizes))
        return levels


def optimise_rotation(
    rows: Floats, slices: Slices, n_iter: int, progress: Progress | None
) -> tuple[Floats, list[Floats], list[float]]:
    """Return the rotation of least distortion that was met, its codewords, and the way to it.

    Parameters
    ----------
    rows : ndarray, shape (N, D)
    slices : Slices
        Of D columns.
    n_iter : int
        Alternations from each start at most.
    progress : callable, optional
        Told of each alternation.

    Returns
    -------
    rotation : ndarray, shape (D, D), float32
    codewords : list of ndarray, shape (K_l, D_l)
    distances : list of float
        Mean squared distance after each alternation.
    """
    runs = [
        _alternate(rows, start, slices, n_iter, progress) for start in _starts(rows, slices.bounds)
    ]
    return min(runs, key=lambda run: run[2][-1])


def _alternate(
    rows: Floats, rotation: Floats, slices: Slices, n_iter: int, progress: Progress | None
) -> tuple[Floats, list[Floats], list[float]]:
    best, codewords, before = rotation, None, None
    distances: list[float] = []
    while True:
        turned = apply_linear(rows, rotation, threads=slices.threads)
        steps = FIRST_ITERATIONS if codewords is None else 1
        levels = slices.train(turned, steps, codewords, None)
        distance = sum(history[-1] for _, history, _ in levels)
        gain = distances[-1] - distance if distances else math.inf
        if codewords is None or gain > 0:
            best, codewords = rotation, [found for found, _, _ in levels]
            distances.append(distance)
        if progress is not None:
            progress("rotation", len(distances), n_iter)
        if len(distances) == n_iter or gain <= LEAST_GAIN * distance:
            return best, codewords, distances
        found = _procrustes(rows, levels, rotation, slices.threads)
        # The turn from the rotation before to this one, once more.
        rotation = found if before is None else _product(_product(found, before.T), found)
        before = found


def _procrustes(rows: Floats, levels: list[Level], previous: Floats, threads: int) -> Floats:
    """Return the rotation that takes rows nearest to their codewords."""
    products = [
        apply_linear(
            np.ascontiguousarray(codewords.T),
            np.ascontiguousarray(_shares(rows, tokens, len(codewords)).T),
            threads=threads,
        )
        for codewords, _, tokens in levels
    ]
    return nearest_rotation(np.concatenate(products), previous, threads)


def nearest_rotation(matrix: Floats, previous: Floats, threads: int) -> Floats:
    """Return the orthogonal matrix nearest to `matrix`; where that is 0, nearest to `previous`.

    Newton-Schulz iterations, matrix products alone: NumPy's svd gives other digits with other
    numbers of BLAS threads, and takes many times as long where these wait for a core. First those
    of a polynomial that lifts small singular values quickly to between 0.7 and 1.2 (Jordan et al.,
    "Muon", 2024), then those that converge to 1.
    """
    exact = matrix.astype(np.float64)
    length = float(np.sqrt((exact * exact).sum()))
    share = HELD_BACK if length > 0 else 1.0
    found = ((exact / (length or 1.0)) * (1 - share) + share * previous).astype(np.float32)
    for _ in range(LIFTS):
        square = _product(found, found.T, threads)
        found = np.float32(3.4445) * found + _product(
            np.float32(2.0315) * _product(square, square, threads) - np.float32(4.775) * square,
            found,
            threads,
        )
    for _ in range(CORRECTIONS):
        square = _product(found, found.T, threads)
        if np.abs(square - np.eye(len(square), dtype=np.float32)).max() < ORTHOGONAL:
            break
        found = np.float32(1.5) * found - np.float32(0.5) * _product(square, found, threads)
    return found


def _shares(rows: Floats, tokens: npt.NDArray[np.uint32], size: int) -> Floats:
    """Return the sum of each token's rows over the number of all rows, (size, D)."""
    sums = np.zeros((size, rows.shape[1]))
    order = np.argsort(tokens, kind="stable")
    met, first = np.unique(tokens[order], return_index=True)
    sums[met] = np.add.reduceat(rows[order], first, axis=0, dtype=np.float64)
    return (sums / len(rows)).astype(np.float32)


def _product(left: Floats, right: Floats, threads: int = 1) -> Floats:
    """Return the matrix product, the same bits at any number of threads."""
    right_rows = np.ascontiguousarray(right.T)
    return apply_linear(np.ascontiguousarray(left), right_rows, threads=threads)


def _starts(rows: Floats, bounds: Sequence[int]) -> list[Floats]:
    """Return rotations to begin with: eigenvectors of the covariance, in two orders.

    In the first the greatest eigenvalue that is left goes to the slice with the least product of
    eigenvalues that has room, which is best for normally distributed rows. In the second they come
    greatest first, which is better where few directions hold nearly everything.
    """
    values, vectors = np.linalg.eigh(_covariance(rows))
    order = np.argsort(-values, kind="stable")
    logs = np.log(np.maximum(values, 1e-12 * max(float(values[-1]), np.finfo(np.float64).tiny)))
    logs -= logs.min()  # so that each further eigenvector makes a product greater
    widths = np.diff(bounds)
    members: list[list[int]] = [[] for _ in widths]
    products = np.zeros(len(widths))
    for place in order:
        room = [level for level, chosen in enumerate(members) if len(chosen) < widths[level]]
        level = min(room, key=lambda number: (products[number], number))
        members[level].append(int(place))
        products[level] += logs[place]
    return [
        np.ascontiguousarray(vectors.T[chosen], dtype=np.float32)
        for chosen in (np.concatenate(members), order)
    ]


def _covariance(rows: Floats) -> Doubles:
    dim = rows.shape[1]
    mean = rows.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((dim, dim))
    for first in range(0, len(rows), BLOCK):
        block = np.ascontiguousarray((rows[first : first + BLOCK] - mean).astype(np.float32).T)
        covariance += apply_linear(block, block, threads=1)
    return covariance / max(1, len(rows))
