"""`python -m bench.planner`: what the planner predicts from a fifth of a catalogue, and what is so.

Needs the real catalogues that PURESID_DATA names; `--made` takes made ones instead. Measured:
`RQKMeans` fitted to all items, mean of three seeds. Predicted: `plan` on a fifth of the items, five
samples.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

import puresid

CATALOGUES = {
    "Beauty, SASRec 32d": "beauty/sasrec_32d.npy",
    "Beauty, S3-Rec 64d": "beauty/s3rec_64d.npy",
    "Office, MiniLM 384d": "office/minilm_384d.npy",
}
MADE_ITEMS = 20_000
SIZES = (16, 32, 64, 128, 256, 512, 1024)
LEVELS = (2, 3, 4)
SHARE = 0.2
NEAR = 0.2
OFTEN = 0.05


def made() -> dict[str, np.ndarray]:
    """Catalogues of items around centres of unequal weight, and without any."""
    rng = np.random.default_rng(11)

    def normal(dim: int, decay: float) -> np.ndarray:
        scales = np.arange(1, dim + 1) ** -decay
        return (rng.standard_normal((MADE_ITEMS, dim)) * scales).astype(np.float32)

    def mixture(centres: int, noise: float, skew: float, dim: int = 32) -> np.ndarray:
        weights = np.arange(1, centres + 1) ** -skew
        chosen = rng.choice(centres, MADE_ITEMS, p=weights / weights.sum())
        middle = rng.standard_normal((centres, dim))[chosen]
        return (middle + noise * rng.standard_normal((MADE_ITEMS, dim))).astype(np.float32)

    return {
        "normal, 48d, decay 0.5": normal(48, 0.5),
        "normal, 48d, decay 1": normal(48, 1.0),
        "500 centres, 32d, skew 0.8, noise 0.5": mixture(500, 0.5, 0.8),
        "3,000 centres, 32d, skew 0.5, noise 0.4": mixture(3000, 0.4, 0.5),
    }


def real() -> dict[str, np.ndarray]:
    """The catalogues of the folder that PURESID_DATA names; none where it is unset."""
    folder = os.environ.get("PURESID_DATA")
    if not folder:
        return {}
    return {name: np.load(Path(folder) / path) for name, path in CATALOGUES.items()}


def measure(vectors: np.ndarray, seeds: int) -> dict[tuple[int, int], tuple[float, ...]]:
    """Conflict rate per (levels, size) and seed, and the distortion ratio last."""
    found: dict[tuple[int, int], tuple[float, ...]] = {}
    for seed in range(seeds):
        measured = puresid.plan(
            vectors, sizes=SIZES, levels=LEVELS, sample=1.0, random_state=seed
        ).settings
        for one in measured:
            before = found.get((one.levels, one.size), (0.0,))[:-1]
            rates = (*before, one.conflict_rate.value, one.distortion_ratio)
            found[one.levels, one.size] = rates
    return found


def report(name: str, vectors: np.ndarray, samples: int, seeds: int) -> list[str]:
    """One table, and a line that counts."""
    truth = measure(vectors, seeds)
    plans = [
        puresid.plan(vectors, sizes=SIZES, levels=LEVELS, sample=SHARE, random_state=seed)
        for seed in range(samples)
    ]
    lines = [
        f"### {name}: {len(vectors):,} items, from {plans[0].sample:,}",
        "",
        "| levels x size | measured (seeds) | predicted (sample 0) | 95 % interval "
        "| predicted / measured, each sample | within 20 % | in the interval | distortion, "
        "measured | predicted |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    hits = {"0": 0, "median": 0, "often": 0, "all": 0, "often all": 0, "inside": 0}
    for place, one in enumerate(plans[0].settings):
        *rates, ratio = truth[one.levels, one.size]
        mean = float(np.mean(rates))
        others = [plan.settings[place].conflict_rate for plan in plans]
        ratios = [other.value / max(mean, 1e-9) for other in others]
        near = sum(abs(value - 1) <= NEAR for value in ratios)
        inside = sum(other.low <= mean <= other.high for other in others)
        hits["0"] += abs(ratios[0] - 1) <= NEAR
        hits["median"] += abs(float(np.median(ratios)) - 1) <= NEAR
        hits["all"] += near
        hits["inside"] += inside
        hits["often"] += samples * (mean > OFTEN)
        hits["often all"] += near * (mean > OFTEN)
        lines.append(
            f"| {one.levels} x {one.size} | {mean:.2%} ({min(rates):.2%} to {max(rates):.2%}) "
            f"| {others[0].value:.2%} | {others[0].low:.2%} to {others[0].high:.2%} "
            f"| {' '.join(f'{value:.2f}' for value in ratios)} | {near} of {samples} "
            f"| {inside} of {samples} | {ratio:.3f} | {one.distortion_ratio:.3f} |"
        )
    count = len(plans[0].settings)
    lines += [
        "",
        f"Within 20 %: {hits['0']} of {count} settings from sample 0, {hits['median']} by the "
        f"median of the samples; {hits['all']} of {count * samples} predictions, "
        f"{hits['often all']} of {hits['often']} where more than {OFTEN:.0%} are in conflict. "
        f"In the interval: {hits['inside']} of {count * samples}.",
        "",
    ]
    return lines


def main(argv: list[str] | None = None) -> int:
    """Prints Markdown; 1 without the data."""
    parser = argparse.ArgumentParser(prog="python -m bench.planner", description=__doc__)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--made", action="store_true", help="made catalogues, not real ones")
    options = parser.parse_args(argv)
    catalogues = made() if options.made else real()
    if not catalogues:
        print("PURESID_DATA is unset: it names the folder of real catalogues", file=sys.stderr)
        return 1
    for name, vectors in catalogues.items():
        print("\n".join(report(name, vectors, options.samples, options.seeds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
