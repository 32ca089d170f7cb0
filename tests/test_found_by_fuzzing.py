"""Mistakes that mutants of files have shown, each by itself: a file is refused by its name."""

import io
import json
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from evaluation_cases import some_results
from puresid.decoding import SidTrie
from puresid.evaluation.loaders._reading import read_json_lines, read_json_object
from puresid.evaluation.results import Results
from puresid.files import CorruptFileError, read_npy, read_sids
from puresid.formats import export, import_sids, load_codebooks


def test_a_trie_of_infinite_size(tmp_path):
    path = tmp_path / "t.safetensors"
    SidTrie([[0, 1], [1, 0]]).save(path)
    description = '{"format": "puresid.trie", "sizes": [1e999, 2]}'
    save_file(load_file(path), path, metadata={"description": description})
    with pytest.raises(ValueError, match=r"t\.safetensors holds no trie: OverflowError"):
        SidTrie.load(path)


class TestResults:
    def damaged(self, folder, change):
        some_results().save(folder)
        path = folder / "results.json"
        described = json.loads(path.read_text())
        change(described)
        path.write_text(json.dumps(described))
        return folder

    def test_more_queries_than_their_file_has_bits(self, tmp_path):
        """Memory by this number was asked for before."""
        folder = self.damaged(tmp_path, lambda described: described.update(queries=2**53))
        with pytest.raises(ValueError, match=r"results\.json: split 'conflict' has 5 bytes; 9007"):
            Results.load(folder)

    def test_facts_that_are_no_object(self, tmp_path):
        folder = self.damaged(tmp_path, lambda described: described["cells"][1].update(facts=True))
        with pytest.raises(CorruptFileError, match="the facts of cell 1 are True, no object"):
            Results.load(folder)

    def test_json_without_end(self, tmp_path):
        some_results().save(tmp_path)
        (tmp_path / "results.json").write_text("[" * 100_000)
        with pytest.raises(CorruptFileError, match=r"results\.json is no JSON: maximum recursion"):
            Results.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"), [("9" * 5000, "Exceeds the limit"), ("[" * 100_000, "maximum recursion")]
)
def test_json_that_no_parser_takes(tmp_path, text, reason):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(CorruptFileError, match=rf"r\.json is no JSON: {reason}"):
        read_json_object(path)
    with pytest.raises(CorruptFileError, match=rf"r\.json, line 1: no JSON: {reason}"):
        list(read_json_lines(path))


def test_a_column_of_keys_that_is_damaged(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
    path = tmp_path / "s.parquet"
    export(np.arange(300).reshape(100, 3), path, format="torcheasyrec")
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 40 + whole[44:])  # the keys' first page
    with pytest.raises(CorruptFileError, match=r"s\.parquet: column 'item_id' cannot be read: "):
        import_sids(path, format="torcheasyrec")


class TestNumbersInAnArchive:
    def archive(self, folder, header, *, announced=None):
        """A `.npz` whose one array has a header of its own, or announces so many bytes."""
        content = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(64)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("codebook_0.npy", content)
        data = bytearray(made.getvalue())
        if announced is not None:
            place = data.rindex(b"PK\x01\x02") + 24
            data[place : place + 4] = announced.to_bytes(4, "little")
        path = folder / "c.npz"
        path.write_bytes(data)
        return path

    @pytest.mark.parametrize("shape", ["(4398046511104,)", "(-4, -4611686018427387904)", "(50, 4)"])
    def test_more_than_the_file_holds(self, tmp_path, shape):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        with pytest.raises(CorruptFileError, match=r"c\.npz .*codebook_0\.npy announces \("):
            load_codebooks(self.archive(tmp_path, header[:-1].ljust(100) + b"\n"))

    def test_more_than_is_stored(self, tmp_path):
        path = self.archive(tmp_path, b"{}\n", announced=2**31)
        with pytest.raises(CorruptFileError, match="announces 2147483648 bytes, from 77"):
            load_codebooks(path)


def test_a_header_of_numpy_of_two_gigabytes(tmp_path):
    """They were asked for before; only the memory part of the long form can tell."""
    path = tmp_path / "v.npy"
    path.write_bytes(b"\x93NUMPY\2\0\xff\xff\xff\x7f{'descr': '<f4'")
    with pytest.raises(CorruptFileError, match=r"v\.npy is not a \.npy file"):
        read_npy(path)


def test_nan_among_the_labels_of_an_index(tmp_path):
    (tmp_path / "x.index.json").write_text('{"0": ["<a_1>"], "1": [NaN]}')
    with pytest.raises(ValueError, match=r'x\.index\.json: "1" has nan at level 0'):
        read_sids(tmp_path / "x.index.json")
