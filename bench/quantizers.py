"""`python -m bench.quantizers`: what training costs and leaves, beside scikit-learn and faiss.

Every method is given the same vectors, levels, sizes, iterations and threads; seed by seed, each in
turn, so that a slow spell of the machine meets them all. All codebooks are judged by the same
`puresid.assign(…, "nearest")`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.fresh import hold_threads, in_fresh_process

if TYPE_CHECKING:
    import puresid
    from bench.data import Floats

    Method = Callable[[Floats, Sequence[int], int, int, int], puresid.Codebooks]

DATA_VARIABLE = "PURESID_DATA"
CATALOGUES = ("beauty/sasrec_32d", "beauty/s3rec_64d", "office/minilm_384d")
N_ITER = 25
BATCH = 2048


@dataclass(frozen=True)
class Group:
    """Methods that make the same kind of codebooks; the first is what the others are beside."""

    name: str
    sizes: tuple[int, ...]
    methods: tuple[str, ...]


GROUPS = (
    Group(
        "residual",
        (256, 256, 256),
        ("RQKMeans", "scikit-learn", "faiss", "RQKMeans, mini-batch", "RQKMeans, balanced"),
    ),
    Group("product", (256, 256, 256, 256), ("ProductQuantizer", "faiss OPQ", "without rotation")),
    Group("tree", (256, 96), ("HierarchicalKMeans",)),
)


@dataclass
class Row:
    """One method on one catalogue."""

    group: str
    method: str
    missing: str | None = None
    seconds: list[float] = field(default_factory=list)
    distortion: list[float] = field(default_factory=list)
    conflicts: float = 0.0
    """Items whose nearest SID another item owns, in the mean."""
    unique: bool = True
    """Whether `assign` gave every item a SID of its own, with each seed."""


def _methods() -> dict[str, Method]:
    import puresid
    from bench.baselines import clusterings

    def residual(batch_size: int | None = None, *, balanced: bool = False) -> Method:
        return lambda vectors, sizes, n_iter, seed, threads: (
            puresid.RQKMeans(
                len(sizes),
                sizes,
                n_iter=n_iter,
                batch_size=batch_size,
                balanced=balanced,
                random_state=seed,
                threads=threads,
            )
            .fit(vectors)
            .codebooks
        )

    def product(rotation: str) -> Method:
        return lambda vectors, sizes, n_iter, seed, threads: (
            puresid.ProductQuantizer(
                len(sizes),
                sizes,
                rotation=rotation,
                n_iter=n_iter,
                random_state=seed,
                threads=threads,
            )
            .fit(vectors)
            .codebooks
        )

    def tree(
        vectors: Floats, sizes: Sequence[int], n_iter: int, seed: int, threads: int
    ) -> puresid.Codebooks:
        model = puresid.HierarchicalKMeans(sizes, n_iter=n_iter, random_state=seed, threads=threads)
        return model.fit(vectors).codebooks

    return {
        "RQKMeans": residual(),
        "scikit-learn": clusterings.sklearn_chain,
        "faiss": clusterings.faiss_chain,
        "RQKMeans, mini-batch": residual(BATCH),
        "RQKMeans, balanced": residual(balanced=True),
        "ProductQuantizer": product("opq"),
        "faiss OPQ": clusterings.faiss_opq,
        "without rotation": product("none"),
        "HierarchicalKMeans": tree,
    }


def run(catalogue: str, *, seeds: int, threads: int, items: int | None) -> tuple[list[Row], float]:
    """All methods on one catalogue, and what share of the machine others took meanwhile."""
    import numpy as np

    import puresid
    from bench.baselines import Unavailable
    from bench.machine import Others

    path = Path(os.environ[DATA_VARIABLE]) / f"{catalogue}.npy"
    vectors = np.ascontiguousarray(np.load(path)[:items], dtype=np.float32)
    methods, others = _methods(), Others()
    rows: list[Row] = []
    for group in GROUPS:
        found = [Row(group.name, name) for name in group.methods]
        sizes = tuple(min(size, len(vectors) // 2) for size in group.sizes)
        for row in found:  # libraries load and threads start before anything is timed
            try:
                methods[row.method](vectors[:512], (16,) * len(sizes), 1, 0, threads)
            except Unavailable as error:
                row.missing = str(error)
        for seed in range(seeds):
            for row in found:
                if row.missing is not None:
                    continue
                start = time.perf_counter()
                codebooks = methods[row.method](vectors, sizes, N_ITER, seed, threads)
                row.seconds.append(time.perf_counter() - start)
                result = puresid.assign(vectors, codebooks, threads=threads)
                row.distortion.append(result.nearest_distortion)
                row.conflicts += float(np.count_nonzero(result.stages)) / seeds
                unique = len(np.unique(result.sids, axis=0))
                row.unique = row.unique and unique == len(vectors)
        rows += found
    return rows, others.share() or 0.0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def lines(catalogue: str, rows: list[Row]) -> list[str]:
    """The rows of the table."""
    made = []
    first: dict[str, Row] = {}
    for row in rows:
        if row.missing is not None:
            made.append(f"| {catalogue} | {row.method} | {row.missing} | | | | | |")
            continue
        ours = first.setdefault(row.group, row)
        seconds, distortion = _mean(row.seconds), _mean(row.distortion)
        beside, left = seconds / _mean(ours.seconds), distortion / (_mean(ours.distortion) or 1.0)
        made.append(
            f"| {catalogue} | {row.method} | {seconds:.2f} "
            f"[{min(row.seconds):.2f}..{max(row.seconds):.2f}] | {beside:.2f} "
            f"| {distortion:.5g} | {left:.4f} | {row.conflicts:,.0f} "
            f"| {'yes' if row.unique else 'NO'} |"
        )
    return made


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 1 where `assign` left two items with one SID."""
    parser = argparse.ArgumentParser(prog="python -m bench.quantizers", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds of each method")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="for every method")
    parser.add_argument("--quick", action="store_true", help="600 items, 2 seeds: shows all runs")
    parser.add_argument("--catalogues", nargs="+", choices=CATALOGUES, default=CATALOGUES)
    options = parser.parse_args(argv)
    if DATA_VARIABLE not in os.environ:
        parser.error(f"{DATA_VARIABLE} is not set; it names the folder of real catalogues")
    hold_threads(options.threads)
    seeds, items = (2, 600) if options.quick else (options.seeds, None)
    print(
        "| catalogue | method | seconds [fastest..slowest] | times ours | distortion "
        "| ÷ ours | conflicts | unique |\n| :-- | :-- | --: | --: | --: | --: | --: | :-- |"
    )
    unique, share = True, 0.0
    for catalogue in options.catalogues:
        rows, taken = in_fresh_process(
            options.threads, run, catalogue, seeds=seeds, threads=options.threads, items=items
        )
        print("\n".join(lines(catalogue, rows)), flush=True)
        unique = unique and all(row.unique for row in rows)
        share = max(share, taken)
    print(
        f"\nMeans of {seeds} seeds, {options.threads} threads, {N_ITER} iterations a level; other "
        f"processes took up to {share:.0%} of the machine."
    )
    return 0 if unique else 1


if __name__ == "__main__":
    sys.exit(main())
