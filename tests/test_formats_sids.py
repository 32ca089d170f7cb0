"""SIDs out and back: every format round, its bytes as the other project has them, refusals."""

import json

import numpy as np
import pytest

import puresid
from puresid.files import read_sids
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


def test_text_with_what_only_looks_like_the_end_of_a_line(tmp_path, format):
    if format in (*ROWS, *NUMBERED, "static"):
        pytest.skip("this format has no text of keys or titles")
    odd = ["a\u2028b", "c\x85d", "e\x0bf\x0cg", "h\x00", "h\x1c\x1d\x1e\u2029"]
    path = target(tmp_path, format)
    options = more(format) | ({"titles": odd} if format in ("minionerec", "nvidia") else {})
    export(SIDS, path, format=format, keys=odd, **options)
    items = import_sids(path, format=format)
    assert items.keys == odd
    assert items.titles == options.get("titles")
    np.testing.assert_array_equal(items.sids, SIDS)


def test_keys_that_differ_by_nul_alone(tmp_path):
    export(SIDS[:2], tmp_path / "x", format="rpg", keys=["h", "h\x00"])
    assert import_sids(tmp_path / "x", format="rpg").keys == ["h", "h\x00"]


def test_lines_that_end_as_windows_ends_them(tmp_path):
    (tmp_path / "x").write_bytes("<a_1>\tp\u2028q\tk\r\n<a_2>\t\tl".encode())
    items = import_sids(tmp_path / "x", format="minionerec")
    assert (items.titles, items.keys) == (["p\u2028q", ""], ["k", "l"])


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
