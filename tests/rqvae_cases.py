"""A small RQVAE for the tests, and what makes two of them the same."""

import json
from pathlib import Path

import numpy as np

import puresid

SMALL = {
    "n_levels": 2,
    "codebook_size": 16,
    "hidden": (24, 12),
    "latent_dim": 6,
    "batch_size": 64,
    "lr": 5e-3,
    "device": "cpu",
    "threads": 1,
}


def small(**options: object) -> puresid.RQVAE:
    return puresid.RQVAE(**(SMALL | {"epochs": 6} | options))


def clustered() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 10), dtype=np.float32)
    noise = 0.2 * rng.standard_normal((600, 10), dtype=np.float32)
    return 5 + 2 * (centres[rng.integers(0, 40, 600)] + noise)


def same(left: puresid.RQVAE, right: puresid.RQVAE, vectors: np.ndarray) -> bool:
    sids = left.encode(vectors)
    return (
        left.codebooks == right.codebooks
        and left.history == right.history
        and np.array_equal(sids, right.encode(vectors))
        and np.array_equal(left.decode(sids), right.decode(sids))
    )


def rewrite(path: Path, change) -> None:
    """Apply `change` to a file's description and tensors."""
    from safetensors.numpy import load, save

    data = path.read_bytes()
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    description, tensors = json.loads(metadata["description"]), load(data)
    change(description, tensors)
    path.write_bytes(save(tensors, metadata | {"description": json.dumps(description)}))
