"""Files that earlier versions wrote are read for good, and those of today have the same bytes."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import golden_files
import puresid
from puresid import Catalog, Codebooks, RQKMeans
from puresid.decoding import SidTrie
from puresid.files import read_sids

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.iterdir())

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")

# By generation: keys, SIDs and slots, as the contract has them.
TEXTS = {
    1: ([], []),
    2: (["", "apple", "Büro", "書"], [[0, 0], [1, 0], [1, 1], [0, 2]]),
    3: (["", "Büro", "書"], [[0, 0], [1, 1], [0, 2]]),
    4: (["", "Büro", "書"], [[0, 0], [1, 1], [0, 2]]),
    5: (["", "Büro", "書", "🍐"], [[0, 0], [1, 1], [0, 2], [1, 0]]),
    6: (["", "Büro", "書", "🍐"], [[0, 0], [1, 1], [1, 3], [1, 0]]),
}
INTEGERS = {
    1: ([], [], []),
    2: ([-5, 2**62, 7], [[1, 1], [1, 1], [0, 2]], [1, 0, 0]),
    3: ([-5, 2**62, 7], [[1, 1], [1, 1], [1, 3]], [1, 0, 0]),
}


@pytest.fixture(params=VERSIONS)
def folder(request) -> Path:
    return GOLDEN / request.param


def test_codebooks(folder):
    assert Codebooks.load(folder / "codebooks.safetensors") == Codebooks(golden_files.LEVELS)
    encoded = Codebooks.load(folder / "encoder.safetensors")
    np.testing.assert_array_equal(encoded.transform([[1, 2, 3]]), [[2, 3]])
    assert Codebooks.load(folder / "tree.safetensors").space == "tree"
    fitted = RQKMeans.load(folder / "rqkmeans.safetensors")
    np.testing.assert_array_equal(
        fitted.encode(golden_files.ROWS),
        puresid.assign(golden_files.ROWS, fitted.codebooks, "nearest").sids,
    )


def test_sids_and_tries(folder):
    for name in ("sids.npy", "sids.index.json"):
        np.testing.assert_array_equal(read_sids(folder / name), golden_files.SIDS)
    trie = SidTrie.load(folder / "trie.safetensors")
    assert sorted(trie.sids.tolist()) == sorted(golden_files.SIDS.tolist())


def test_catalogues(folder):
    for generation, (keys, sids) in TEXTS.items():
        items = Catalog.open(folder / "texts", generation=generation).items()
        assert (items.keys.tolist(), items.sids.tolist(), items.slots) == (keys, sids, None)
    for generation, (keys, sids, slots) in INTEGERS.items():
        items = Catalog.open(folder / "integers", generation=generation).items()
        assert (items.keys.tolist(), items.sids.tolist()) == (keys, sids)
        assert items.slots is not None
        assert items.slots.tolist() == slots


def test_catalogues_are_whole_and_go_on(folder, tmp_path):
    for name in ("texts", "integers"):
        shutil.copytree(folder / name, tmp_path / name)
    texts, integers = (Catalog.open(tmp_path / name) for name in ("texts", "integers"))
    assert (texts.verify(), integers.verify()) == ([], [])
    assert texts.parameters == golden_files.parameters()
    moves = texts.moves()
    assert moves.old_sids.tolist() == TEXTS[5][1]
    assert moves.new_sids.tolist() == TEXTS[6][1]
    assert texts.diff(2).removed.keys.tolist() == ["apple"]
    assert texts.manifest.config == {}
    assert Catalog.open(tmp_path / "texts", generation=1).manifest.config == {"job": "golden"}
    added = texts.add(["apple"], golden_files.ROWS[1:2])
    assert added.items.sids.tolist() == [[1, 2]]  # 1 1 is taken; 1 0 and 1 2 are as near
    assert integers.add([8], golden_files.ROWS[1:2]).generation == 4
    assert (texts.verify(), integers.verify()) == ([], [])


def test_the_bytes_of_today(tmp_path):
    golden_files.write(tmp_path / "today")
    newest = GOLDEN / VERSIONS[-1]
    for path in (path for path in newest.rglob("*") if path.is_file()):
        # Manifests name the version of puresid; a catalogue's own number is drawn.
        if path.suffix == ".json" and path.parent.name != newest.name:
            continue
        same = (tmp_path / "today" / path.relative_to(newest)).read_bytes()
        assert same == path.read_bytes(), path.name
