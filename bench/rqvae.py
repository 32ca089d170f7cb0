"""`python -m bench.rqvae`: RQVAE beside RQKMeans and beside the paper's authors' set-up.

Each quantizer trains on a real catalogue with several seeds; conflicts, codewords in use and
distortion are those of its nearest SIDs, and the unique SIDs of ECM and RRS are made from its
codebooks. The record is written after every fit, so a run that is cut short is not lost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

import puresid
from bench.data import DATA_VARIABLE
from bench.results import ROOT, provenance

FILES = {"beauty": "beauty/s3rec_64d.npy", "office": "office/minilm_384d.npy"}
LEVELS, SIZE = 3, 256
THREADS = 1

AUTHORS: dict[str, Any] = {
    "shared_codebook": True,
    "kmeans_init": False,
    "restart_dead": False,
    "standardize": False,
    "decoder_hidden": (512, 256, 128),
    "patience": None,
}
KMEANS = "RQKMeans"
VARIANTS: dict[str, dict[str, Any]] = {
    KMEANS: {},
    "RQVAE": {},
    "authors' set-up": AUTHORS,
    "authors', standardised": AUTHORS | {"standardize": True},
}

Floats = npt.NDArray[np.float32]


def spread(rows: Floats) -> float:
    """Mean squared distance to the mean."""
    return float(np.square(rows - rows.mean(axis=0, dtype=np.float64)).sum(axis=1).mean())


def error(rows: Floats, others: Floats) -> float:
    """Mean squared distance, row by row."""
    return float(np.square(rows.astype(np.float64) - others).sum(axis=1).mean())


def one_fit(vectors: Floats, variant: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train once and measure; distortions are shares of the variance."""
    start = time.perf_counter()
    epoch: dict[str, Any] = {}
    if variant == KMEANS:
        kmeans = puresid.RQKMeans(LEVELS, SIZE, random_state=seed, threads=THREADS).fit(vectors)
        codebooks, decode = kmeans.codebooks, kmeans.codebooks.decode
    else:
        model = puresid.RQVAE(
            LEVELS,
            SIZE,
            epochs=epochs,
            random_state=seed,
            device="cpu",
            threads=THREADS,
            **VARIANTS[variant],
        ).fit(vectors)
        codebooks, decode = model.codebooks, model.decode
        epoch = {"best_epoch": asdict(model.best_epoch), "last_epoch": asdict(model.history[-1])}
    seconds = time.perf_counter() - start
    latents = codebooks.transform(vectors, threads=THREADS)
    found = {
        method: puresid.assign(latents, codebooks.latent, method, threads=THREADS)
        for method in ("nearest", "ecm", "rrs")
    }
    near = found["nearest"]
    distortion = error(vectors, decode(near.sids))
    result: dict[str, Any] = {
        "conflict_rate": float((near.stages < 0).mean()),
        "utilisation": [len(np.unique(column)) / SIZE for column in near.sids.T],
        "distortion": distortion / spread(vectors),
        "latent_distortion": near.distortion.mean(dtype=np.float64) / spread(latents),
    }
    for method in ("ecm", "rrs"):
        answer = found[method]
        result[method] = {
            "unique": len(np.unique(answer.sids, axis=0)),
            "distortion_ratio": error(vectors, decode(answer.sids)) / distortion,
            "latent_distortion_ratio": float(
                answer.distortion.mean(dtype=np.float64) / near.distortion.mean(dtype=np.float64)
            ),
        }
    return result | epoch | {"seconds": seconds}


def shown(values: list[float], digits: int, factor: float = 1) -> str:
    """Mean and standard deviation."""
    scaled = [value * factor for value in values]
    off = f" ± {stdev(scaled):.{digits}f}" if len(scaled) > 1 else ""
    return f"{mean(scaled):.{digits}f}{off}"


def quality_row(catalogue: str, variant: str, runs: list[dict[str, Any]]) -> str:
    """One line of the first table."""
    levels = (shown([run["utilisation"][level] for run in runs], 1, 100) for level in range(LEVELS))
    epochs = " ".join(str(run["best_epoch"]["epoch"]) for run in runs if "best_epoch" in run)
    last = " ".join(str(run["last_epoch"]["epoch"]) for run in runs if "last_epoch" in run)
    return (
        f"| {catalogue} | {variant} | {shown([run['conflict_rate'] for run in runs], 2, 100)} | "
        f"{' / '.join(levels)} | {shown([run['distortion'] for run in runs], 3)} | "
        f"{shown([run['latent_distortion'] for run in runs], 3)} | "
        f"{f'{epochs} of {last}' if epochs else ''} |"
    )


def unique_row(catalogue: str, variant: str, runs: list[dict[str, Any]]) -> str:
    """One line of the second table."""
    cells = [catalogue, variant]
    for method in ("ecm", "rrs"):
        counts = [run[method]["unique"] for run in runs]
        cells.append(" ".join(f"{count:,}" for count in sorted(set(counts))))
        for name in ("latent_distortion_ratio", "distortion_ratio"):
            cells.append(shown([run[method][name] for run in runs], 3))
    return f"| {' | '.join(cells)} |"


def markdown(records: list[dict[str, Any]]) -> str:
    """Both tables."""
    first = [
        "| vectors | quantizer | conflicts, % | codewords in use per level, % | distortion | "
        "latent distortion | epoch kept |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    second = [
        "| vectors | quantizer | ECM: unique | latent ratio | ratio | "
        "RRS: unique | latent ratio | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        for catalogue, variants in record["results"].items():
            name = f"{catalogue}, {record['items'][catalogue]:,}"
            for variant, runs in variants.items():
                if runs:  # else it is the record of a run that was cut short
                    first.append(quality_row(name, variant, runs))
                    second.append(unique_row(name, variant, runs))
    return "\n".join([*first, "", *second])


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.rqvae", description=__doc__)
    parser.add_argument("--epochs", type=int, default=200, help="of each RQVAE (default: 200)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--datasets", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument(
        "--json", type=Path, metavar="FILE", default=ROOT / "bench" / "results" / "rqvae.json"
    )
    parser.add_argument(
        "--tables", type=Path, nargs="+", metavar="FILE", help="only print the tables of records"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run; the exit status is 2 where the catalogues are missing."""
    asked = arguments(argv)
    if asked.tables:
        print(markdown([json.loads(path.read_text(encoding="utf-8")) for path in asked.tables]))
        return 0
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        print(f"{DATA_VARIABLE} is unset: it names the folder of real catalogues", file=sys.stderr)
        return 2
    record: dict[str, Any] = {
        "provenance": asdict(provenance((THREADS,))),
        "epochs": asked.epochs,
        "seeds": asked.seeds,
        "files": {name: FILES[name] for name in asked.datasets},
        "variants": VARIANTS,
        "items": {},
        "results": {},
    }
    for name in asked.datasets:
        vectors = np.load(Path(folder) / FILES[name])
        record["items"][name] = len(vectors)
        kept: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
        record["results"][name] = kept
        for seed in asked.seeds:
            for variant in VARIANTS:
                kept[variant].append(one_fit(vectors, variant, seed, asked.epochs))
                print(f"{name}, {variant}, seed {seed}", file=sys.stderr, flush=True)
                complete = json.dumps(record, indent=2) + "\n"
                asked.json.write_text(complete, encoding="utf-8")
    print(markdown([record]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
