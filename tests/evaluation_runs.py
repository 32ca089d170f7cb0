"""A small task with a run of it: what tests of training, answers and runs begin with."""

import json

import numpy as np

from puresid.evaluation.config import RunConfig
from puresid.evaluation.setup import load_task, prepare

N_ITEMS = 40


def walk(folder):
    """Fill a folder: users who walk round the catalogue, and vectors that lie on a circle."""
    rng = np.random.default_rng(0)
    histories = {}
    for user in range(60):
        start, length = rng.integers(N_ITEMS), rng.integers(4, 9)
        histories[f"u{user}"] = [int((start + step) % N_ITEMS) for step in range(length)]
    (folder / "interactions.json").write_text(json.dumps(histories))
    angles = np.arange(N_ITEMS) // 2 * (4 * np.pi / N_ITEMS)  # each vector twice: conflicts
    np.save(folder / "vectors.npy", np.c_[np.cos(angles), np.sin(angles)].astype(np.float32))
    return folder


def config(folder, **tables):
    values = {
        "name": "walk",
        "task": {
            "loader": "interactions",
            "files": {"interactions": "interactions.json"},
            "vectors": "vectors.npy",
            "max_history": 5,
        },
        "quantizer": {"levels": 2, "size": 8},
        "arms": {"names": ["suffix", "ecm"]},
        "model": {"kind": "decoder", "dim": 16, "layers": 1, "heads": 2, "ff": 16},
        "training": {"seeds": [0], "steps": 6, "batch_size": 16},
        "decoding": {"beams": 4},
    }
    for name, table in tables.items():
        values[name] = {**values.get(name, {}), **table}
    return RunConfig.from_values(values, folder)


def prepared(folder):
    made = config(folder)
    return prepare(made, load_task(made.task), folder / "sids")
