"""`python -m bench.unique`: what unique SIDs cost with each method, on two real catalogues.

Distortion beyond that of the nearest SIDs, how far the best assignment is proved to be from the
least there is, how many neighbours by vector are neighbours by SID, and the time of one thread.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import puresid

BEAUTY = ("Beauty", "beauty/s3rec_64d.npy")
OFFICE = ("Office", "office/minilm_384d.npy")
CASES = (
    *((BEAUTY, (size,) * 3) for size in (32, 64, 128, 256)),
    (BEAUTY, (256, 256)),
    *((OFFICE, (size,) * 3) for size in (32, 64, 128, 256)),
)
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "nearest": ("nearest", {}),
    "counter": ("suffix", {}),
    "ECM": ("ecm", {}),
    "RRS": ("rrs", {}),
    "beam": ("beam", {}),
    "conflicts": ("optimal", {"search": "conflicts"}),
    "optimal": ("optimal", {"search": "all"}),
}
ROUNDS = 3
TIMES = "\N{MULTIPLICATION SIGN}"
MOST = {"beam": 0.85, "optimal": 0.55}
"""Of ECM's excess."""


@dataclass(frozen=True)
class Found:
    """Of one method on one catalogue; the last two of `optimal` only."""

    excess: float
    recall: float
    seconds: float
    gap: float
    bound_over: str


@dataclass(frozen=True)
class Row:
    """One catalogue with one set of codebooks."""

    name: str
    conflicts: float
    found: dict[str, Found]

    def ratio(self, way: str) -> float:
        """The excess beside ECM's."""
        return self.found[way].excess / self.found["ECM"].excess


def measure(vectors: np.ndarray, codebooks: puresid.Codebooks, way: str) -> Found:
    """Assign several times; the least time counts."""
    method, options = WAYS[way]
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        result = puresid.assign(vectors, codebooks, method, threads=1, **options)
        seconds.append(time.process_time() - start)
    neighbours = puresid.evaluate_sids(vectors, result.sids, codebooks, threads=1).neighbours
    if neighbours is None:
        raise RuntimeError("a catalogue has neighbours")
    return Found(
        excess=result.summary().distortion_ratio - 1,
        recall=neighbours.recall.value,
        seconds=min(seconds),
        gap=1 - result.lower_bound / float(result.distortion.sum(dtype=np.float64)),
        bound_over=result.bound_over,
    )


def run_case(name: str, vectors: np.ndarray, sizes: tuple[int, ...]) -> Row:
    """Fit codebooks and try every method with them."""
    codebooks = puresid.RQKMeans(len(sizes), sizes, threads=1).fit(vectors).codebooks
    nearest = puresid.assign(vectors, codebooks, "nearest", threads=1)
    return Row(
        name=f"{name} {len(sizes)} {TIMES} {sizes[0]}",
        conflicts=float((nearest.stages == -1).mean()),
        found={way: measure(vectors, codebooks, way) for way in WAYS},
    )


def _table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, [":--", *["--:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def excess_table(rows: list[Row]) -> str:
    """Distortion beyond nearest, beside ECM's, and how far it may be from the least."""
    others = ["beam", "conflicts", "optimal"]
    head = [
        *("catalogue", "in conflict", "excess: ECM", "RRS", *others),
        *(f"{way} ÷ ECM" for way in others),
        *("gap: conflicts", "over", "optimal", "over"),
    ]
    body = []
    for row in rows:
        cells = [row.name, f"{100 * row.conflicts:.1f} %"]
        cells += [f"{100 * row.found[way].excess:+.2f} %" for way in ("ECM", "RRS", *others)]
        cells += [f"{row.ratio(way):.2f}" for way in others]
        for way in ("conflicts", "optimal"):
            found = row.found[way]
            cells += [f"{100 * found.gap:.3f} %", found.bound_over]
        body.append(cells)
    return _table(head, body)


def recall_table(rows: list[Row]) -> str:
    """Recall of neighbours, and milliseconds."""
    recalled = [way for way in WAYS if way != "nearest"]  # a counter decodes to the same
    timed = [way for way in WAYS if way != "counter"]
    head = ["catalogue", *recalled, *timed]
    head[1] = "recall: nearest, counter"
    head[1 + len(recalled)] = "ms: nearest"
    body = []
    for row in rows:
        cells = [f"{row.found[way].recall:.3f}".removeprefix("0") for way in recalled]
        cells += [f"{1000 * row.found[way].seconds:,.0f}" for way in timed]
        body.append([row.name, *cells])
    return _table(head, body)


def faults(rows: list[Row]) -> list[str]:
    """Where a method costs more beside ECM than it should."""
    return [
        f"{row.name}: {way} has {row.ratio(way):.3f} of ECM's excess; {most} is the most"
        for row in rows
        for way, most in MOST.items()
        if row.ratio(way) > most
    ]


def main() -> int:
    """Print both tables."""
    argparse.ArgumentParser(prog="python -m bench.unique", description=__doc__).parse_args()
    data = os.environ.get("PURESID_DATA")
    if not data:
        print("PURESID_DATA is unset: it names the folder of real catalogues", file=sys.stderr)
        return 2
    rows = []
    for (name, file), sizes in CASES:
        vectors = np.load(Path(data) / file).astype(np.float32, copy=False)
        rows.append(run_case(name, vectors, sizes))
        print(f"{rows[-1].name} is done", file=sys.stderr)
    print(excess_table(rows), recall_table(rows), sep="\n\n")
    found = faults(rows)
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
