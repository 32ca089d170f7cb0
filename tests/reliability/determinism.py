"""One SHA-256 over threads, batches and instruction sets.

A hash is that of every method's whole answer, so one that differs anywhere shows. Each
combination is a call of its own on the same catalogue, which comes in batches of so many rows.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .running import Run

THREADS = (1, 2, 3, 8)
BATCHES = (1, 7, 64, 4096, None)
"""Rows of a batch; None for all at once."""
METHODS = ("ecm", "rrs", "nearest", "suffix")
SPACES = ("residual", "tree", "product")


@dataclass(frozen=True)
class Catalogue:
    """Vectors, codebooks of each space, and a priority."""

    vectors: np.ndarray
    codebooks: dict[str, Any]
    priority: np.ndarray


def catalogue(rows: int) -> Catalogue:
    """Make one: clustered, with runs of equal vectors, as full as to need every stage."""
    from puresid import Codebooks

    rng = np.random.default_rng(0)
    centres = rng.standard_normal((rows // 10, 24), dtype=np.float32)
    places = (rng.random(rows) ** 2 * len(centres)).astype(int)
    vectors = centres[places] + 0.3 * rng.standard_normal((rows, 24), dtype=np.float32)
    copies = rng.permutation(rows)[: rows // 20]
    vectors[copies] = vectors[copies[rng.integers(0, 9, len(copies))]]

    def words(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    size = int(np.ceil((rows / 0.95) ** (1 / 3)))  # nearly full: completion has to help
    tree = [words(*(size,) * (level + 1), 24) for level in range(3)]
    books = {
        "residual": Codebooks([words(size, 24) / (1 + level) for level in range(3)]),
        "tree": Codebooks(tree, space="tree"),
        "product": Codebooks([words(size, 8) for _ in range(3)], space="product"),
    }
    return Catalogue(vectors, books, rng.integers(0, 5, rows))


def batched(vectors: np.ndarray, rows: int | None) -> Any:
    """Return the vectors as a source of batches of so many rows, or as they are."""
    from puresid import Batches

    if rows is None:
        return vectors
    starts = range(0, len(vectors), rows)
    return Batches(lambda: (vectors[at : at + rows] for at in starts), vectors.shape)


def answer(given: Catalogue, *, threads: int, batch: int | None) -> tuple[str, set[int]]:
    """Return the hash of all answers, and the stages that are in them."""
    import puresid

    found = hashlib.sha256()
    stages: set[int] = set()
    for space, method in itertools.product(given.codebooks, METHODS):
        result = puresid.assign(
            batched(given.vectors, batch),
            given.codebooks[space],
            method,
            priority=given.priority,
            threads=threads,
        )
        # Little-endian, so that it can be compared across platforms.
        found.update(result.sids.astype("<u4").tobytes())
        found.update(result.stages.tobytes())
        found.update(result.distortion.astype("<f4").tobytes())
        stages |= set(result.stages.tolist())
    return found.hexdigest(), stages


def hashes(
    rows: int, *, threads: tuple[int, ...] = THREADS, batches: tuple[int | None, ...] = BATCHES
) -> Iterator[tuple[str, int, int | None, str, set[int]]]:
    """Yield instruction set, threads, batch, hash and stages of every combination."""
    import puresid

    given = catalogue(rows)
    before = os.environ.get("PURESID_SIMD")
    try:
        for simd in puresid.build_config()["simd_available"]:
            os.environ["PURESID_SIMD"] = simd
            for count, batch in itertools.product(threads, batches):
                yield (simd, count, batch, *answer(given, threads=count, batch=batch))
    finally:
        os.environ.pop("PURESID_SIMD", None)
        if before is not None:
            os.environ["PURESID_SIMD"] = before


def determinism(run: Run) -> None:
    """Hash every combination."""
    rows = run.options.rows
    title = f"Determinism: {rows} items, {len(SPACES)} spaces, {len(METHODS)} methods"
    run.head(title, "instruction set", "threads", "batches", "calls", "SHA-256")
    found: dict[str, list[tuple[str, int, int | None]]] = {}
    every: set[int] = set()
    by_set: dict[str, set[str]] = {}
    for simd, threads, batch, sha, stages in hashes(rows):
        found.setdefault(sha, []).append((simd, threads, batch))
        by_set.setdefault(simd, set()).add(sha)
        every |= stages
        if run.over:
            break
    calls = sum(map(len, found.values())) * len(SPACES) * len(METHODS)
    batches = ", ".join("all" if batch is None else str(batch) for batch in BATCHES)
    for simd, hashed in by_set.items():
        run.say(simd, ", ".join(map(str, THREADS)), batches, "", ", ".join(sorted(hashed)))
    combinations = sum(map(len, found.values()))
    run.say(f"{combinations} combinations", "", "", calls, f"{len(found)} different")
    if len(found) != 1:
        shown = "; ".join(f"{sha[:12]}: {places[:4]}" for sha, places in found.items())
        run.problems.append(f"determinism: {len(found)} hashes in place of one: {shown}")
    # Of a stage that is not in it, a hash says nothing.
    if not every >= {0, 1, 2, 3}:
        run.problems.append(f"determinism: only the stages {sorted(every)} are in the answers")
