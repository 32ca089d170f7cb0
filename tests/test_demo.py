"""The demo: an honest catalogue, vectors that repeat, and a report that fits a terminal."""

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

import puresid
from puresid import _docs
from puresid._docs import Entry, standard_library, text_vectors
from puresid.demo import METHODS, run_demo
from puresid.files import read_sids, read_vectors
from puresid.report.pack import KEY_WIDTH, cut
from report_page import Page, items_of


@pytest.fixture(scope="module")
def entries():
    return standard_library()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the demo once; return its folder and what it said."""
    lines = []
    folder = run_demo(tmp_path_factory.mktemp("demo") / "new" / "folder", echo=lines.append)
    return folder, lines


class TestCatalogue:
    def test_thousands_of_items_and_many_texts_twice(self, entries):
        texts = [entry.text for entry in entries]
        assert len(texts) > 2000
        assert len(set(texts)) < 0.9 * len(texts)

    def test_keys_are_in_order_and_name_one_item_each(self, entries):
        keys = [entry.key for entry in entries]
        assert keys == sorted(set(keys))
        assert {"builtins.str.upper", "math.sin", "json.dumps", "random.shuffle"} <= set(keys)

    def test_texts_are_the_docstrings(self, entries):
        texts = {entry.key: entry.text for entry in entries}
        assert texts["json.dumps"].startswith("Serialize ``obj`` to a JSON formatted ``str``.")
        assert all(entry.text.strip() == entry.text != "" for entry in entries)

    def test_what_no_reader_looks_up_is_left_out(self, entries):
        names = [entry.key.rsplit(".", 1)[1] for entry in entries]
        assert not {"__dict__", "__weakref__", "__module__", "__doc__"} & set(names)
        private = [name for name in names if name.startswith("_") and not name.endswith("__")]
        assert private == []

    def test_walking_leaves_no_trace(self, capfd):
        filters = list(warnings.filters)
        standard_library()
        assert warnings.filters == filters
        assert capfd.readouterr() == ("", "")

    def test_a_module_that_is_missing_is_passed_over(self):
        entries = standard_library(["no_such_module", "math"])
        assert entries == standard_library(["math"])
        assert entries[0].key == "math.acos"

    def test_what_two_modules_export_is_one_item(self):
        keys = [entry.key for entry in standard_library(["json", "json.decoder"])]
        assert [key for key in keys if key.endswith(".JSONDecoder")] == ["json.JSONDecoder"]

    def test_a_headline_is_one_line_of_single_spaces(self):
        assert Entry("a.b", "Do  this.\n\nThen that.").headline == "Do this."


class TestVectors:
    def test_have_length_one_and_are_equal_for_equal_texts(self, entries):
        texts = [entry.text for entry in entries]
        vectors = text_vectors(texts)
        assert vectors.shape == (len(texts), 64)
        assert vectors.dtype == np.float32
        lengths = np.linalg.norm(vectors, axis=1)
        assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
        assert np.mean(lengths == 0) < 0.02
        first = {text: row for row, text in reversed(list(enumerate(texts)))}
        np.testing.assert_array_equal(vectors, vectors[[first[text] for text in texts]])

    def test_neighbours_are_near(self, entries):
        rows = {entry.key: row for row, entry in enumerate(entries)}
        vectors = text_vectors([entry.text for entry in entries])
        near = vectors[rows["math.sin"]] @ vectors[rows["math.cos"]]
        far = vectors[rows["math.sin"]] @ vectors[rows["os.rename"]]
        assert near > 0.8 > 0.4 > far

    def test_do_not_depend_on_the_hash_seed(self):
        script = (
            "from puresid._docs import *; e = standard_library(['math', 'os', 'json'])\n"
            "import hashlib; v = text_vectors([x.text for x in e], 16)\n"
            "print(hashlib.sha256(v.tobytes() + repr(e).encode()).hexdigest())"
        )
        digests = {
            subprocess.run(
                [sys.executable, "-W", "error", "-c", script],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert len(digests) == 1
        assert len(digests.pop().strip()) == 64

    @pytest.mark.parametrize(
        "texts", [[], [""], ["", "?"], ["red car"] * 3, ["red car", "blue sky"], ["red", "red!"]]
    )
    def test_texts_with_nothing_in_common_or_all_in_common_are_zeros(self, texts):
        vectors = text_vectors(texts, 8)
        assert vectors.shape == (len(texts), 8)
        assert not vectors.any()

    def test_fewer_texts_than_dimensions(self):
        texts = ["red car", "red sky", "blue car", "blue sky", "nothing"]
        vectors = text_vectors(texts, 8)
        assert vectors.shape == (5, 8)
        products = vectors @ vectors.T
        np.testing.assert_allclose(np.diag(products), [1, 1, 1, 1, 0], atol=1e-6)
        assert products[0, 3] < products[0, 1] < products[0, 0]

    def test_a_singular_value_decomposition_agrees(self):
        texts = [f"w{i} w{i + 1} w{i * i % 7} w{i % 3}" for i in range(30)]
        rows, columns, weights = _docs._tf_idf(texts)
        matrix = np.zeros((len(texts), columns.max() + 1))
        matrix[rows, columns] = weights
        values = np.linalg.svd(matrix, compute_uv=False)[:12]
        reduced = _docs._reduce(rows, columns, weights, len(texts), 12)
        np.testing.assert_allclose(np.linalg.norm(reduced, axis=0), values, rtol=1e-2)


class TestRun:
    def test_writes_files_that_belong_together(self, demo):
        folder, _ = demo
        assert sorted(path.name for path in folder.iterdir()) == [
            "codebooks.safetensors",
            "items.json",
            "report.html",
            "sids.index.json",
            "sids.npy",
            "vectors.npy",
        ]
        vectors = read_vectors(folder / "vectors.npy")
        items = json.loads((folder / "items.json").read_text(encoding="utf-8"))
        codebooks = puresid.Codebooks.load(folder / "codebooks.safetensors")
        sids = read_sids(folder / "sids.npy")
        assert len(vectors) == len(items) == len(sids) == len(np.unique(sids, axis=0))
        assert [item["item"] for item in items] == [entry.key for entry in standard_library()]
        np.testing.assert_array_equal(sids, puresid.assign(vectors, codebooks).sids)
        np.testing.assert_array_equal(sids, read_sids(folder / "sids.index.json"))

    def test_writes_a_page_about_them(self, demo):
        folder, _ = demo
        page = Page(folder / "report.html")
        items = json.loads((folder / "items.json").read_text(encoding="utf-8"))
        found = items_of(page)
        assert found["keys"] == [cut(item["item"], KEY_WIDTH) for item in items]
        np.testing.assert_array_equal(found["sids"], read_sids(folder / "sids.npy"))
        assert page.all("h1")[0][2].startswith("The documentation of Python 3.")

    def test_one_table_of_every_method(self, demo):
        folder, lines = demo
        items = len(read_sids(folder / "sids.npy"))
        start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["method"])
        table = [line.split() for line in lines[start + 1 : start + 5]]
        assert [row[0] for row in table] == list(METHODS)
        unique, sharing, moved, ratio = (
            [float(row[place].replace(",", "")) for row in table] for place in (-5, -4, -3, -2)
        )
        assert unique[1:] == [items] * 3
        assert sharing[1:] == [0, 0, 0]
        assert 0.05 * items < items - unique[0] < sharing[0] < items
        assert moved == [0, 0, items - unique[0], items - unique[0]]
        assert ratio[:2] == [1, 1]
        assert all(1 < value < 2 for value in ratio[2:])

    def test_shows_neighbours_and_a_conflict(self, demo):
        folder, lines = demo
        assert any(line.startswith("Neighbours share prefixes") for line in lines)
        sids = read_sids(folder / "sids.npy").tolist()
        items = json.loads((folder / "items.json").read_text(encoding="utf-8"))
        rows = {item["item"]: row for row, item in enumerate(items)}
        for line in lines:
            words = line.split()
            keys = [word for word in words if word in rows]
            if keys and all(word.isdigit() for word in words[:3]):
                assert [int(word) for word in words[:3]] == sids[rows[keys[0]]]
        start = next(i for i, line in enumerate(lines) if "say the same" in line)
        shown = [line.split() for line in lines[start + 2 : start + 2 + int(lines[start][0])]]
        assert len({tuple(words[:3]) for words in shown}) == int(lines[start][0])
        assert len({tuple(words[:1]) for words in shown}) == 1

    def test_fits_a_terminal(self, demo):
        _, lines = demo
        assert max(map(len, lines)) <= 100
        assert len(lines) < 60
        assert not any("\n" in line for line in lines)

    def test_names_its_folder_last(self, demo):
        folder, lines = demo
        assert f"Written to {folder}:" in lines[-6:]
        assert lines[-1] == f"  puresid inspect {folder / 'sids.npy'}"

    def test_a_folder_that_is_a_file_is_refused_before_the_work(self, tmp_path):
        (tmp_path / "file").write_text("")
        said = []
        with pytest.raises(FileExistsError, match="file"):
            run_demo(tmp_path / "file", echo=said.append)
        assert said == []
