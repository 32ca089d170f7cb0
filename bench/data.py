"""Catalogues and codebooks of the cases: synthetic ones from a seed, real ones from `PURESID_DATA`.

A block of rows depends on the seed and on its own number alone, so a catalogue too large for memory
can be written block by block and is still the same catalogue.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import puresid
from bench.cases import Case

Floats: TypeAlias = NDArray[np.float32]
Tokens: TypeAlias = NDArray[np.integer[Any]]

BLOCK = 65_536
SAMPLE = 50_000
DATA_VARIABLE = "PURESID_DATA"


@dataclass(frozen=True)
class Problem:
    """What every method is handed: the same vectors, the same codebooks, the same threads."""

    case: Case
    vectors: Floats
    codebooks: puresid.Codebooks
    threads: int


def clustered(
    items: int,
    dim: int,
    *,
    clusters: int,
    concentration: float,
    noise: float,
    decay: float,
    seed: int,
) -> Floats:
    """Vectors about random centres; cluster r (from 1) has a weight of r^-concentration."""
    clusters = min(clusters, items)
    centres = np.random.default_rng((seed, 0)).standard_normal((clusters, dim), dtype=np.float32)
    scale = np.arange(1, dim + 1, dtype=np.float32) ** np.float32(-decay)
    heights = np.cumsum(np.arange(1, clusters + 1, dtype=np.float64) ** -concentration)
    heights /= heights[-1]
    vectors = np.empty((items, dim), dtype=np.float32)
    for block, start in enumerate(range(0, items, BLOCK)):
        rng = np.random.default_rng((seed, 1, block))
        rows = vectors[start : start + BLOCK]
        cluster = np.searchsorted(heights, rng.random(len(rows)), side="right")
        rng.standard_normal(dtype=np.float32, out=rows)
        rows *= np.float32(noise)
        rows += centres[cluster]
        rows *= scale
    return vectors


def missing(case: Case) -> str | None:
    """Why the case cannot be run here, or None where it can."""
    if case.file is None:
        return None
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        return f"{DATA_VARIABLE} is not set; it names the folder with {case.file}"
    return None if (Path(folder) / case.file).is_file() else f"{DATA_VARIABLE} has no {case.file}"


def _real(case: Case, file: str) -> Floats:
    vectors = np.load(Path(os.environ[DATA_VARIABLE]) / file)
    if vectors.ndim != 2 or len(vectors) < case.items or vectors.shape[1] != case.dim:
        raise ValueError(f"{file} has shape {vectors.shape}; the case says {case.shape}")
    return np.ascontiguousarray(vectors[: case.items], dtype=np.float32)


def vectors_of(case: Case) -> Floats:
    """The case's catalogue."""
    if case.file is not None:
        return _real(case, case.file)
    return clustered(
        case.items,
        case.dim,
        clusters=case.clusters,
        concentration=case.concentration,
        noise=case.noise,
        decay=case.decay,
        seed=case.seed,
    )


def load(case: Case, threads: int) -> Problem:
    """The catalogue, and codebooks trained on at most `SAMPLE` rows spread evenly over it."""
    vectors = vectors_of(case)
    sample = np.ascontiguousarray(vectors[:: -(-case.items // SAMPLE)])
    quantizer = puresid.RQKMeans(
        len(case.sizes), case.sizes, random_state=case.seed, threads=threads
    )
    return Problem(case, vectors, quantizer.fit(sample).codebooks, threads)
