"""Tokens and prefixes of each level, and the distortion that each level leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from puresid.codebooks import Codebooks
from puresid.judging.results import LevelEvaluation

Tokens = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Prefixes:
    """The distinct prefixes of a length.

    Attributes
    ----------
    of_item : ndarray, shape (N,), int64
        A number below `len(counts)` per item; equal for equal prefixes.
    counts : ndarray, int64
        Items of each prefix.
    first : ndarray, int64
        A row that has it.
    """

    of_item: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]


def find_prefixes(sids: Tokens) -> list[Prefixes]:
    """Return the distinct prefixes of 1, 2, … tokens. Costs a sort of the items per level."""
    found = []
    group: npt.NDArray[np.int64] = np.zeros(len(sids), dtype=np.int64)
    for tokens in sids.T:
        # A prefix has a number below N, so that one more token always fits in 64 bits.
        keys = group.astype(np.uint64) << np.uint64(32) | tokens.astype(np.uint64)
        _, first, inverse, counts = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        group = inverse.reshape(-1).astype(np.int64)
        found.append(Prefixes(group, counts.astype(np.int64), first.astype(np.int64)))
    return found


def _walk(latent: Codebooks, vectors: Floats, sids: Tokens) -> Iterator[tuple[Wide, Wide]]:
    """Yield per level of normalised residuals what each codeword is times, and what it leaves."""
    rest = vectors.astype(np.float64)
    scale = np.ones(len(rest))
    for number, level in enumerate(latent.levels):
        lengths = np.sqrt(np.square(rest).sum(axis=1))
        scale = scale * lengths
        rest = rest / np.where(lengths > 0, lengths, 1)[:, None] - level[sids[:, number]]
        yield scale, rest


def plain_codebooks(codebooks: Codebooks, vectors: Floats, sids: Tokens) -> Codebooks:
    """Return codebooks without encoder and rotation whose SIDs stand for vectors.

    With normalised residuals a SID does not say how long they were: each level's codewords are then
    scaled by the mean length of what they quantised.

    Parameters
    ----------
    codebooks : Codebooks
    vectors : ndarray, shape (n, D), float32
        Some vectors that the codebooks quantise.
    sids : ndarray, shape (n, L), uint32
        Their SIDs.
    """
    latent = codebooks.latent
    if not latent.normalize_residuals:
        return latent
    scales = [np.float32(scale.mean()) for scale, _ in _walk(latent, vectors, sids)]
    return Codebooks([level * scale for level, scale in zip(latent.levels, scales, strict=True)])


def decode(latent: Codebooks, sids: Tokens, level: int) -> Wide | None:
    """Return what levels 0 to `level` stand for, None where they stand for no vector.

    In float64: sums of float32 would tell equal distances between SIDs apart by their rounding.
    """
    vectors: Wide
    last = level == latent.n_levels - 1
    if latent.space == "product":
        parts = [codewords[sids[:, number]] for number, codewords in enumerate(latent.levels)]
        return np.concatenate(parts, axis=1, dtype=np.float64) if last else None
    if latent.space == "tree":
        vectors = latent.levels[level][tuple(sids[:, : level + 1].T)].astype(np.float64)
        return vectors
    vectors = latent.levels[0][sids[:, 0]].astype(np.float64)
    for number in range(1, level + 1):
        vectors += latent.levels[number][sids[:, number]]
    return vectors


class LevelDistortions:
    """Adds up, block by block, what each level leaves of the vectors.

    Parameters
    ----------
    latent : Codebooks
        Without encoder and rotation. Where residuals are normalised, each item's own lengths count.
    """

    def __init__(self, latent: Codebooks) -> None:
        self._latent = latent
        self._sums = np.zeros(latent.n_levels)
        self._mean = np.zeros(latent.dim)
        self._squares = 0.0
        self._rows = 0

    def add(self, vectors: Floats, sids: Tokens) -> None:
        """Count a block: vectors (n, D) that the codebooks quantise, SIDs (n, L)."""
        if self._latent.normalize_residuals:
            for level, (scale, rest) in enumerate(_walk(self._latent, vectors, sids)):
                self._sums[level] += float(np.square(rest * scale[:, None]).sum())
        for level in range(0 if self._latent.normalize_residuals else self._latent.n_levels):
            decoded = decode(self._latent, sids, level)
            if decoded is None:
                self._sums[level] = math.nan
            else:
                rest = vectors.astype(np.float64) - decoded
                self._sums[level] += float(np.square(rest).sum())
        # Means of blocks are joined as Chan, Golub & LeVeque 1983 do: nothing cancels.
        wide = vectors.astype(np.float64)
        mean = wide.mean(axis=0)
        apart = mean - self._mean
        total = self._rows + len(wide)
        self._squares += float(np.square(wide - mean).sum())
        self._squares += float(apart @ apart) * self._rows * len(wide) / total
        self._mean += apart * (len(wide) / total)
        self._rows = total

    @property
    def distortion(self) -> list[float]:
        """Mean squared distance per level."""
        found: list[float] = (self._sums / self._rows).tolist()
        return found

    @property
    def variance(self) -> float:
        """Mean squared distance of the vectors to their mean."""
        return self._squares / self._rows


def evaluate_level(
    level: int, size: int, tokens: npt.NDArray[np.uint32], prefixes: Prefixes, distortion: float
) -> LevelEvaluation:
    """Count over the items of one column."""
    items = len(tokens)
    frequency = np.unique(tokens, return_counts=True)[1]
    share = frequency / items
    entropy = max(0.0, float(-(share * np.log2(share)).sum()))
    counts = prefixes.counts
    return LevelEvaluation(
        level=level,
        size=size,
        used=len(frequency),
        utilisation=len(frequency) / size,
        dead=size - len(frequency),
        entropy=entropy,
        perplexity=2.0**entropy,
        conflict_rate=(items - len(counts)) / items,
        shared_rate=int(counts[counts > 1].sum()) / items,
        prefixes=len(counts),
        largest_prefix=int(counts.max()),
        mean_load=items / len(counts),
        load_quantiles=tuple(np.quantile(counts, QUANTILES).tolist()),
        distortion=distortion,
    )
