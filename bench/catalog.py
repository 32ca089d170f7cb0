"""`python -m bench.catalog`: what a catalogue costs to open, to append to and to ask.

Each size in a folder of its own, each measurement in a process of its own, with text keys of 16
bytes. An append of 10,000 items is beside building the catalogue, in one run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import puresid
from bench.fresh import in_fresh_process
from bench.memory import resident
from puresid.catalog import PrefixLoadWarning

DIM = 32
SIZES = (256, 256, 256, 256)
ADDED = 10_000
ASKED = 10_000
ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    """Seconds, and bytes an item."""

    open: float
    append: float
    lookup: float
    resolve: float
    indexed: float
    held: float


def _codebooks() -> puresid.Codebooks:
    rng = np.random.default_rng(0)
    levels = [
        rng.standard_normal((size, DIM), dtype=np.float32) / (1 + level)
        for level, size in enumerate(SIZES)
    ]
    return puresid.Codebooks(levels)


def _keys(numbers: range | np.ndarray) -> list[str]:
    return [f"item-{number:011d}" for number in numbers]


def build(folder: Path, items: int, threads: int) -> float:
    """Make a catalogue; return the seconds that it took, without making the vectors."""
    warnings.simplefilter("ignore", PrefixLoadWarning)
    vectors = np.random.default_rng(1).standard_normal((items, DIM), dtype=np.float32)
    keys = _keys(range(items))
    start = time.perf_counter()
    catalog = puresid.Catalog.create(folder, _codebooks())
    catalog.add(keys, vectors, threads=threads)
    return time.perf_counter() - start


def cost(folder: Path, items: int, number: int, threads: int) -> Cost:
    """Open a catalogue, append to it and ask it."""
    warnings.simplefilter("ignore", PrefixLoadWarning)
    rng = np.random.default_rng(2 + number)
    vectors = rng.standard_normal((ADDED, DIM), dtype=np.float32)
    new = _keys(range(items + number * ADDED, items + (number + 1) * ADDED))
    asked = _keys(rng.integers(0, items, ASKED))
    before = resident("RssAnon")
    times = [time.perf_counter()]
    catalog = puresid.Catalog.open(folder)
    times.append(time.perf_counter())
    catalog.add(new, vectors, threads=threads)
    times.append(time.perf_counter())
    sids = catalog.lookup(asked)
    times.append(time.perf_counter())
    found = catalog.resolve(sids)
    times.append(time.perf_counter())
    if [keys[0] for keys in found] != asked:
        raise RuntimeError("a key is not that of its SID")
    held = (resident("RssAnon") - before) / items
    parts = catalog._state.parts
    indexed = sum(
        part.segment.nbytes - part.segment.digests.nbytes - part.segment.stages.nbytes
        for part in parts
    ) / sum(len(part.segment) for part in parts)
    opened, appended, looked, resolved = np.diff(times).tolist()
    return Cost(opened, appended, looked, resolved, indexed, held)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.catalog", description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(
        "| items | build, s | open, s | append 10,000, s | build ÷ (open + append) "
        "| 10,000 look-ups by key, ms | by SID, ms | bytes an item, indexed | in memory |"
    )
    print("| --: " * 9 + "|")
    for items in options.items:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "catalogue"
            built = in_fresh_process(options.threads, build, place, items, options.threads)
            costs = [
                in_fresh_process(options.threads, cost, place, items, number, options.threads)
                for number in range(ROUNDS)
            ]
        rows = np.array([[c.open, c.append, c.lookup, c.resolve] for c in costs])
        middle, low, high = np.median(rows, axis=0), rows.min(axis=0), rows.max(axis=0)
        shown = [
            f"{m * unit:.{digits}f} [{a * unit:.{digits}f}..{b * unit:.{digits}f}]"
            for m, a, b, unit, digits in zip(
                middle, low, high, (1, 1, 1e3, 1e3), (3, 2, 1, 1), strict=True
            )
        ]
        print(
            f"| {items:,} | {built:.2f} | {shown[0]} | {shown[1]} "
            f"| {built / (middle[0] + middle[1]):.1f} | {shown[2]} | {shown[3]} "
            f"| {costs[0].indexed:.1f} | {costs[0].held:.1f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
