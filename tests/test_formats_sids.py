"""SIDs out and back: every format round, its bytes as the other project has them, refusals."""

import json

import numpy as np
import pytest

import puresid
from puresid.files import CorruptFileError, read_sids
from puresid.formats import SID_FORMATS, ItemSids, export, import_sids

SIZES = (300, 8, 16)
SIDS = np.array([[5, 7, 1], [299, 0, 15], [5, 6, 1], [0, 0, 0], [5, 7, 0]], dtype=np.uint16)
TITLES = ["Blue pen", "Café “Ünïcode”", 'a "quoted" one', "", "x"]
NUMBERS = [10, 3, 2**40, 0, 7]
WORDS = ["B01", "b-2", 'say "hi"', "ü", "5"]

# Which keys a format has a place for, and what else it needs.
ROWS = ("index.json", "purelysemanticids", "grid", "ids.txt", "openonerec-text", "rectokens")
ROWS += ("semantic-id", "text")
NUMBERED = ("openonerec", "xllm")
NAMES = {
    "index.json": "x.index.json",
    "purelysemanticids": "rqvae-noconflict-code-bert.json",
    "torcheasyrec-sets": "v1",
}


def needs(format):
    if format == "grid":
        pytest.importorskip("torch", reason="torch, which this format needs, is not installed")
    if format in ("torcheasyrec", "torcheasyrec-sets", "openonerec"):
        pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")


def target(folder, format):
    return folder / NAMES.get(format, "sids")


@pytest.fixture(params=SID_FORMATS)
def format(request):
    needs(request.param)
    return request.param


def more(format):
    options = {"titles": TITLES} if format == "minionerec" else {}
    return options | ({"sizes": SIZES} if format == "torcheasyrec-sets" else {})


def test_every_format_comes_back(tmp_path, format):
    path = target(tmp_path, format)
    assert export(SIDS, path, format=format, **more(format)) is None
    items = import_sids(path, format=format)
    assert isinstance(items, ItemSids)
    expected = SIDS[np.lexsort(SIDS.T[::-1])] if format == "static" else SIDS
    np.testing.assert_array_equal(items.sids, expected)
    assert items.keys.tolist() == [0, 1, 2, 3, 4]
    assert items.titles == (TITLES if format == "minionerec" else None)
    assert items.sizes == (SIZES if format == "torcheasyrec-sets" else None)
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def test_keys_come_back(tmp_path, format):
    path = target(tmp_path, format)
    if format == "static":
        pytest.skip("this format has no keys")
    if format in ROWS:
        order = np.array([3, 0, 4, 2, 1])
        export(SIDS, path, format=format, keys=order)
        np.testing.assert_array_equal(import_sids(path, format=format).sids[order], SIDS)
        with pytest.raises(ValueError, match=r"no place for keys.*must be 0 to 4 in any order"):
            export(SIDS, path, format=format, keys=NUMBERS)
        with pytest.raises(ValueError, match="no place for keys"):
            export(SIDS, path, format=format, keys=WORDS)
        return
    export(SIDS, path, format=format, keys=NUMBERS, **more(format))
    items = import_sids(path, format=format)
    assert items.keys.tolist() == NUMBERS
    np.testing.assert_array_equal(items.sids, SIDS)
    again = target(tmp_path, format).with_name("again")
    if format in NUMBERED:
        with pytest.raises(ValueError, match=f"format '{format}' has integer keys; 'B01' is none"):
            export(SIDS, again, format=format, keys=WORDS)
        return
    export(SIDS, again, format=format, keys=np.array(WORDS), **more(format))
    assert import_sids(again, format=format).keys == WORDS


def test_one_item_and_one_level(tmp_path, format):
    if format == "xllm":
        pytest.skip("this format has three levels")
    path = target(tmp_path, format)
    options = {name: value[:1] for name, value in more(format).items()}
    export(SIDS[:1, :1], path, format=format, **options)
    np.testing.assert_array_equal(import_sids(path, format=format).sids, SIDS[:1, :1])


def test_an_assignment_knows_its_sizes(tmp_path):
    needs("torcheasyrec-sets")
    rng = np.random.default_rng(0)
    vectors, books = rng.standard_normal((40, 4)), [rng.standard_normal((6, 4)) for _ in range(3)]
    for method in ("ecm", "suffix"):
        result = puresid.assign(vectors, books, method)
        export(result, tmp_path / method, format="torcheasyrec-sets")
        items = import_sids(tmp_path / method, format="torcheasyrec-sets")
        np.testing.assert_array_equal(items.sids, result.sids)
        assert items.sizes[:3] == (6, 6, 6)
        assert len(items.sizes) == result.sids.shape[1]


# --- what is in the files -----------------------------------------------------------------------


def written(folder, format, **options):
    path = target(folder, format)
    export(SIDS, path, format=format, **options)
    return path.read_bytes().decode()


def test_index_json(tmp_path):
    data = json.loads(written(tmp_path, "index.json"))
    assert data["1"] == ["<a_299>", "<b_0>", "<c_15>"]
    np.testing.assert_array_equal(read_sids(tmp_path / "x.index.json"), SIDS)


def test_minionerec(tmp_path):
    lines = written(tmp_path, "minionerec", titles=TITLES, keys=NUMBERS).splitlines()
    assert lines[0] == "<a_5><b_7><c_1>\tBlue pen\t10"
    lines = written(tmp_path, "minionerec", titles=TITLES, template="lmindexer").splitlines()
    assert lines[1] == "<id_0_299><id_1_0><id_2_15>\tCafé “Ünïcode”\t1"
    path = tmp_path / "sids"
    assert import_sids(path, format="minionerec", template="lmindexer").titles == TITLES


def test_purely_semantic_ids_count_from_one(tmp_path):
    data = json.loads(written(tmp_path, "purelysemanticids"))
    assert list(data) == ["1", "2", "3", "4", "5"]
    assert data["2"] == "299,0,15"
    assert written(tmp_path, "ids.txt").splitlines()[1] == "<id_0_299><id_1_0><id_2_15>"


def test_the_name_says_whether_sids_are_unique(tmp_path):
    with pytest.raises(ValueError, match=r"needs 'noconflict' in its mode.*append a digit"):
        export(SIDS, tmp_path / "rqvae-code-bert.json", format="purelysemanticids")
    twice = SIDS[[0, 1, 0]]
    with pytest.raises(ValueError, match=r"says 'noconflict', but items 0 and 2 share \(5, 7, 1\)"):
        export(twice, tmp_path / "a-noconflict-code-b.json", format="purelysemanticids")
    export(twice, tmp_path / "rqvae-code-bert.json", format="purelysemanticids")
    with pytest.raises(ValueError, match="no name that its scripts look for"):
        export(SIDS, tmp_path / "sids.json", format="purelysemanticids")


def test_grid(tmp_path):
    torch = pytest.importorskip("torch", reason="torch, which this format needs, is not installed")
    export(SIDS, tmp_path / "sids.pt", format="grid")
    loaded = torch.load(tmp_path / "sids.pt", weights_only=True)
    assert loaded.dtype == torch.int64
    assert loaded.is_contiguous()
    np.testing.assert_array_equal(loaded.numpy(), SIDS.T)


def parquet(path):
    return pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed").read_table(
        path
    )


def test_parquet_columns(tmp_path):
    needs("torcheasyrec")
    import pyarrow as pa

    export(SIDS, tmp_path / "t.parquet", format="torcheasyrec", keys=WORDS)
    table = parquet(tmp_path / "t.parquet")
    assert table.schema.names == ["item_id", "codes"]
    assert table.schema.types == [pa.string(), pa.list_(pa.int64())]
    assert table["codes"].to_pylist() == SIDS.tolist()
    export(SIDS, tmp_path / "o.parquet", format="openonerec", keys=NUMBERS)
    table = parquet(tmp_path / "o.parquet")
    assert table.schema.names == ["pid", "codes"]
    assert table.schema.types == [pa.int64(), pa.list_(pa.int64())]
    assert table["pid"].to_pylist() == NUMBERS


def test_torch_easy_rec_sets(tmp_path):
    needs("torcheasyrec-sets")
    sids, folder = SIDS[[0, 1, 2, 0]], tmp_path / "v1"
    export(sids, folder, format="torcheasyrec-sets", keys=[9, 8, 7, 6], sizes=SIZES)
    items = parquet(folder / "item_to_sid" / "part-0.parquet").to_pydict()
    assert items == {
        "item_id": [9, 8, 7, 6],
        "codebook": sids.tolist(),
        "offset_codebook": (sids + np.array([0, 300, 308])).tolist(),
        "index": [0, 0, 0, 1],
    }
    groups = parquet(folder / "sid_to_items" / "part-0.parquet").to_pydict()
    assert groups == {
        "codebook": [[5, 6, 1], [5, 7, 1], [299, 0, 15]],
        "offset_codebook": [[5, 306, 309], [5, 307, 309], [299, 300, 323]],
        "itemids": [[7], [9, 6], [8]],
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["codebook"] == list(SIZES)
    assert manifest["capacity"] == manifest["max_observed_items_per_sid"] == 2
    assert manifest["artifacts"]["sid_to_items"] == {
        "save_type": "parquet",
        "rows": 3,
        "location": str(folder / "sid_to_items"),
    }
    assert manifest["item_id_type"] == "int64"
    with pytest.raises(ValueError, match="is not empty; a published set is not written over"):
        export(sids, folder, format="torcheasyrec-sets", sizes=SIZES)
    export(sids, tmp_path / "v2", format="torcheasyrec-sets", keys=[9, 8, 7, 6], sizes=SIZES)
    again = json.loads((tmp_path / "v2" / "manifest.json").read_text())
    assert again["bundle_uuid"] == manifest["bundle_uuid"]


def test_the_manifest_comes_last(tmp_path, monkeypatch):
    needs("torcheasyrec-sets")
    from puresid.formats import tables

    def fail(*args):
        raise OSError("no room")

    monkeypatch.setattr(tables, "_digest", fail)
    with pytest.raises(OSError, match="no room"):
        export(SIDS, tmp_path / "v1", format="torcheasyrec-sets", sizes=SIZES)
    with pytest.raises(ValueError, match=r"has no manifest\.json, so it is no complete set"):
        import_sids(tmp_path / "v1", format="torcheasyrec-sets")


def test_lines_of_text(tmp_path):
    assert written(tmp_path, "openonerec-text").startswith(
        "<|sid_begin|><s_a_5><s_b_7><s_c_1><|sid_end|>\n"
    )
    assert written(tmp_path, "semantic-id") == "5-7-1\n299-0-15\n5-6-1\n0-0-0\n5-7-0\n"
    assert written(tmp_path, "rectokens").startswith("<|item_start|><item_L0_C5><item_L1_C7>")
    assert written(tmp_path, "text").startswith("<a_5><b_7><c_1>\n")
    assert written(tmp_path, "text", template="<v{level}_{token}>").startswith("<v0_5><v1_7>")
    items = import_sids(tmp_path / "sids", format="text", template="<v{level}_{token}>")
    np.testing.assert_array_equal(items.sids, SIDS)


def test_nvidia(tmp_path):
    lines = written(tmp_path, "nvidia", keys=WORDS, titles=TITLES).splitlines()
    assert json.loads(lines[1]) == {
        "item_id": "b-2",
        "token_ids": [299, 0, 15],
        "metadata": {"title": "Café “Ünïcode”"},
    }
    assert import_sids(tmp_path / "sids", format="nvidia").titles == TITLES
    lines = written(tmp_path, "nvidia", first_token=32_000, sizes=SIZES).splitlines()
    assert json.loads(lines[0])["token_ids"] == [32_005, 32_307, 32_309]
    assert json.loads(lines[0])["metadata"] == {}
    with pytest.raises(ValueError, match=r"takes no SID twice; items 0 and 2 share \(5, 7, 1\)"):
        export(SIDS[[0, 1, 0]], tmp_path / "sids", format="nvidia")


def test_xllm(tmp_path):
    export(SIDS, tmp_path / "x.bin", format="xllm", keys=NUMBERS, first_token=100, sizes=SIZES)
    data = (tmp_path / "x.bin").read_bytes()
    assert len(data) == 20 * len(SIDS)
    assert np.frombuffer(data, np.int64, 1, 40)[0] == 2**40
    assert np.frombuffer(data, np.int32, 3, 48).tolist() == [105, 406, 409]
    with pytest.raises(ValueError, match="has 3 tokens an item; SIDs have 2"):
        export(SIDS[:, :2], tmp_path / "x.bin", format="xllm")
    with pytest.raises(ValueError, match="has tokens of 31 bits; 4294967295 is beyond"):
        export(np.array([[2**32 - 1, 0, 0]]), tmp_path / "x.bin", format="xllm")
    assert (tmp_path / "x.bin").read_bytes() == data


def test_static(tmp_path):
    export(SIDS, tmp_path / "s.npy", format="static")
    loaded = np.load(tmp_path / "s.npy")
    assert loaded.dtype == np.int64
    assert loaded.tolist() == sorted(SIDS.tolist())


def test_rpg(tmp_path):
    data = json.loads(written(tmp_path, "rpg", keys=WORDS))
    assert data == dict(zip(WORDS, SIDS.tolist(), strict=True))


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"format": "csv"}, ValueError, "format is 'csv'; it must be one of 'index.json', "),
        ({"keys": [1, 2]}, ValueError, r"keys has shape \(2,\); 5 items need shape \(5,\)"),
        ({"keys": [1, 2, 3, 4, 2]}, ValueError, "the key 2 comes more than once"),
        ({"keys": list("abcda")}, ValueError, "the key 'a' comes more than once"),
        ({"keys": [0.5, 1, 2, 3, 4]}, TypeError, "keys has dtype float64; integers or text"),
        ({"keys": [None, "a", "b", "c", "d"]}, TypeError, "keys has None; all must be integers or"),
        (
            {"keys": np.arange(2**63, 2**63 + 5, dtype=np.uint64)},
            ValueError,
            "keys has 9223372036854775812; at most",
        ),
        ({"format": "nvidia", "titles": ["a"]}, ValueError, "there are 1 titles; 5 items need 5"),
        ({"titles": TITLES}, ValueError, "titles means nothing for the format 'rpg'"),
        ({"template": "lc-rec"}, ValueError, "template means nothing for the format 'rpg'"),
        ({"first_token": 3}, ValueError, "first_token means nothing for the format 'rpg'"),
        ({"sizes": (300, 8)}, ValueError, "sizes has 2 levels; SIDs have 3"),
        ({"sizes": (299, 8, 16)}, ValueError, r"level 0 has token 299; sizes\[0\] is 299"),
        ({"format": "nvidia", "first_token": 3}, ValueError, "'nvidia' needs the tokens per level"),
        (
            {"format": "nvidia", "first_token": -1, "sizes": SIZES},
            ValueError,
            "first_token is -1; at least 0",
        ),
        ({"format": "minionerec"}, ValueError, "has a title in each line; pass titles"),
        (
            {"format": "minionerec", "titles": ["a", "b\tc", "", "", ""]},
            ValueError,
            r"titles\[1\] is 'b\\tc'; a tab or line break",
        ),
    ],
)
def test_what_cannot_be_written(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        export(SIDS, tmp_path / "sids", **({"format": "rpg"} | options))
    assert list(tmp_path.iterdir()) == []


def test_sids_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r"sids: shape .* SIDs are a matrix of integers"):
        export([[0.5]], tmp_path / "sids", format="rpg")
    with pytest.raises(ValueError, match="at most 26; these SIDs have 27 levels"):
        export(np.zeros((1, 27), int), tmp_path / "sids", format="index.json")


def test_sizes_from_codebooks(tmp_path):
    books = puresid.Codebooks([np.eye(300), np.eye(300)[:8], np.eye(300)[:16]])
    export(SIDS, tmp_path / "sids", format="nvidia", first_token=0, sizes=books)
    assert import_sids(tmp_path / "sids", format="nvidia").sids[0].tolist() == [5, 307, 309]


def test_a_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "sids").write_text("old")
    with pytest.raises(ValueError, match="takes no SID twice"):
        export(SIDS[[0, 0]], tmp_path / "sids", format="nvidia")
    assert (tmp_path / "sids").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("format", "content", "error", "message"),
    [
        ("csv", b"", ValueError, "format is 'csv'; it must be one of"),
        ("text", b"\xff\xfe", CorruptFileError, "is no text"),
        ("minionerec", b"<a_1>\tx\n", ValueError, "line 1 has 2 fields; sid, title, item_id"),
        ("purelysemanticids", b"{", CorruptFileError, "is not JSON"),
        ("purelysemanticids", b'{"0": "1,2"}', ValueError, 'keys "1", "2", … without a gap'),
        ("purelysemanticids", b'{"1": [1]}', ValueError, "a value that is not text such as"),
        ("nvidia", b"[1]\n", ValueError, "line 1 has no item_id and token_ids"),
        ("nvidia", b"{\n", CorruptFileError, "is not JSON"),
        (
            "nvidia",
            b'{"item_id": 1, "token_ids": [1]}\n{"item_id": 2, "token_ids": [1, 2]}\n',
            ValueError,
            "has rows of different lengths",
        ),
        ("xllm", b"123", CorruptFileError, "has 3 bytes, no multiple of 20"),
        ("rpg", b"[]", ValueError, "is no object with the tokens of each item"),
        ("rpg", b'{"a": [0.5]}', ValueError, "SIDs are a matrix of integers"),
    ],
)
def test_what_cannot_be_read(tmp_path, format, content, error, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(error, match=message):
        import_sids(tmp_path / "file", format=format)


def test_a_template_that_means_nothing(tmp_path):
    with pytest.raises(ValueError, match="template means nothing for the format 'rpg'"):
        import_sids(tmp_path / "file", format="rpg", template="lc-rec")


def test_a_tensor_that_holds_no_sids(tmp_path):
    torch = pytest.importorskip("torch", reason="torch, which this format needs, is not installed")
    for value in (torch.ones(2, 3), torch.ones(3, dtype=torch.int64), {"a": torch.ones(2)}):
        torch.save(value, tmp_path / "t.pt")
        with pytest.raises(ValueError, match="is no matrix of integers, one column per item"):
            import_sids(tmp_path / "t.pt", format="grid")


def test_parquet_of_something_else(tmp_path):
    needs("torcheasyrec")
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"codes": [[1, 2]]}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="has no column 'item_id'"):
        import_sids(tmp_path / "x.parquet", format="torcheasyrec")
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "manifest.json").write_text("{}")
    with pytest.raises(CorruptFileError, match=r"manifest\.json is no manifest"):
        import_sids(tmp_path / "v1", format="torcheasyrec-sets")


@pytest.mark.parametrize(
    ("format", "module", "extra"),
    [("grid", "torch", "torch"), ("openonerec", "pyarrow", "parquet")],
)
def test_what_is_not_installed(tmp_path, run_python, format, module, extra):
    script = f"""
import sys
sys.modules[{module!r}] = None
import puresid
try:
    puresid.export([[1, 2]], {str(tmp_path / "x")!r}, format={format!r})
except ImportError as error:
    print(error)
"""
    assert f'pip install "puresid[{extra}]"' in run_python(script)
    assert list(tmp_path.iterdir()) == []


# --- with real files ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["beauty/letter.index.json", "office/minionerec.index.json"])
def test_published_files_come_back_as_they_are(data_folder, tmp_path, name):
    items = import_sids(data_folder / name, format="index.json")
    export(items.sids, tmp_path / "x.index.json", format="index.json")
    published = json.loads((data_folder / name).read_text())
    assert json.loads((tmp_path / "x.index.json").read_text()) == published
    joined = ["".join(published[str(row)]) for row in range(len(published))]
    assert puresid.token_strings(items.sids) == joined


def test_published_tokens_are_all_new_tokens(data_folder):
    published = json.loads((data_folder / "beauty" / "letter.index.json").read_text())
    used = {token for row in published.values() for token in row}
    assert used <= set(puresid.new_tokens((256, 256, 256, 256)))
