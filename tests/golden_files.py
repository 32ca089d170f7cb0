"""Files of every format version, as this one writes them: ``python tests/golden_files.py FOLDER``.

`tests/golden/` has what each version wrote; `test_golden.py` reads all of it. A new format version
gets a folder of its own, and the older ones stay.
"""

import sys
from pathlib import Path

import numpy as np

from puresid import Catalog, Codebooks, RQKMeans
from puresid.catalog import Parameters
from puresid.decoding import SidTrie
from puresid.encoder import Encoder, Linear
from puresid.files import write_sids

TEXTS = ["", "apple", "Büro", "書", "🍐"]
ROWS = np.array([[0, 0], [8, 1], [8, 1], [0, 2], [7, 0], [1, 1], [8, 0], [0, 1]], np.float32)
LEVELS = [
    np.array([[0, 0], [8, 0]], np.float32),
    np.array([[0, 0], [0, 1], [0, 2], [-1, 0]], np.float32),
]
OTHERS = [LEVELS[0] + np.float32(0.25), LEVELS[1]]
SIDS = np.array([[0, 0], [1, 300], [0, 70_000]], np.uint32)


def write(folder: Path) -> None:
    """Write one of each kind."""
    folder.mkdir()
    Codebooks(LEVELS).save(folder / "codebooks.safetensors")
    encoder = Encoder([Linear(np.eye(2, 3, dtype=np.float32), np.ones(2, np.float32))])
    Codebooks(LEVELS, encoder=encoder).save(folder / "encoder.safetensors")
    Codebooks([LEVELS[0], np.stack([LEVELS[1]] * 2)], space="tree").save(
        folder / "tree.safetensors"
    )
    RQKMeans(2, (2, 4)).fit(ROWS).save(folder / "rqkmeans.safetensors")
    SidTrie(SIDS, sizes=(2, 70_001)).save(folder / "trie.safetensors")
    write_sids(folder / "sids.npy", SIDS)
    write_sids(folder / "sids.index.json", SIDS)
    write_texts(folder / "texts")
    write_integers(folder / "integers")


def write_texts(folder: Path) -> None:
    """Write a catalogue with text keys and of two epochs."""
    catalog = Catalog.create(folder, LEVELS, recycle_after=2, config={"job": "golden"})
    catalog.add(TEXTS[:4], ROWS[:4], priority=[0, 1, 2, 3])
    catalog.remove(["apple"])
    catalog.update(["書"], ROWS[4:5])
    catalog.add(["🍐"], ROWS[6:7])
    catalog.migrate(OTHERS, ["", "Büro", "書", "🍐"], ROWS[[0, 2, 4, 6]], align=False)


def write_integers(folder: Path) -> None:
    """Write a catalogue with integer keys and two items per SID, up to an update that moves one."""
    catalog = Catalog.create(folder, LEVELS, method="rrs", capacity=2, order="keys")
    catalog.add(np.array([-5, 2**62, 7]), ROWS[1:4])
    catalog.update([7], ROWS[4:5], reassign=True)


def parameters() -> Parameters:
    """Return those of the catalogue with text keys."""
    return Parameters(recycle_after=2, tiers=((1, 10), (5, 20)))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
