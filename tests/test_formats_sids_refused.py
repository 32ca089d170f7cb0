"""SIDs out and back: refusals, by their messages, and never half a file."""

import numpy as np
import pytest

import puresid
from puresid.files import CorruptFileError
from puresid.formats import export, import_sids

SIZES = (300, 8, 16)
SIDS = np.array([[5, 7, 1], [299, 0, 15], [5, 6, 1], [0, 0, 0], [5, 7, 0]], dtype=np.uint16)
TITLES = ["Blue pen", "Café", "", "x", "y"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"format": "csv"}, ValueError, "format is 'csv'; it must be one of 'index.json', "),
        ({"keys": [1, 2]}, ValueError, r"keys has shape \(2,\); 5 items need shape \(5,\)"),
        ({"keys": [1, 2, 3, 4, 2]}, ValueError, "the key 2 comes more than once"),
        ({"keys": list("abcda")}, ValueError, "the key 'a' comes more than once"),
        ({"keys": [0.5, 1, 2, 3, 4]}, TypeError, r"keys\[0\] is 0\.5; all must be integers or"),
        (
            {"keys": [None, "a", "b", "c", "d"]},
            TypeError,
            r"keys\[0\] is None; all must be integers or",
        ),
        (
            {"keys": np.arange(2**63, 2**63 + 5, dtype=np.uint64)},
            ValueError,
            "keys has 9223372036854775812; at most",
        ),
        ({"keys": [1, "a", 2, 3, 4]}, TypeError, r"keys\[1\] is 'a'; all must be integers or all"),
        ({"keys": ["a", 1, 2, 3, 4]}, TypeError, r"keys\[1\] is 1; all must be integers or all"),
        ({"keys": [True, 1, 2, 3, 4]}, TypeError, r"keys\[0\] is True; all must be integers"),
        (
            {"keys": [0, 2**63, 1, 2, 3]},
            ValueError,
            r"keys\[1\] is 9223372036854775808; integers g",
        ),
        (
            {"keys": [2**70, 0, 1, 2, 3]},
            ValueError,
            r"keys\[0\] is 1180591620717411303424; integers",
        ),
        ({"keys": "abcde"}, TypeError, "keys is 'abcde'; a sequence of integers or of text"),
        ({"keys": 5}, TypeError, "keys is 5; a sequence of integers or of text"),
        (
            {"keys": ["a", "\ud800", "b", "c", "d"]},
            ValueError,
            r"keys\[1\] is '.ud800'; half a surr",
        ),
        ({"format": ["rpg"]}, ValueError, r"format is \['rpg'\]; it must be one of 'index.json', "),
        (
            {"format": "nvidia", "titles": ["a", None, "b", "c", "d"]},
            TypeError,
            r"titles\[1\] is None; text is needed",
        ),
        (
            {"format": "nvidia", "titles": "abcde"},
            TypeError,
            "titles is 'abcde'; a sequence of text",
        ),
        ({"sizes": (300.7, 8, 16)}, TypeError, r"sizes\[0\] is 300\.7; an integer is needed"),
        ({"sizes": "999"}, TypeError, "sizes is '999'; a sequence of integers is needed"),
        ({"sizes": 999}, TypeError, "sizes is 999; a sequence of integers is needed"),
        (
            {"format": "nvidia", "first_token": 1.5, "sizes": SIZES},
            TypeError,
            r"first_token is 1\.5; an integer is needed",
        ),
        (
            {"format": "nvidia", "first_token": 2**63 - 1, "sizes": SIZES},
            ValueError,
            r"first_token is 9223372036854775807; with 324 tokens, ids would go beyond 2\*\*63 - 1",
        ),
        ({"format": "text", "template": ""}, ValueError, "template is ''; it must be one of"),
        (
            {"format": "text", "template": 5},
            TypeError,
            "template is 5; a name, one token's text or",
        ),
        (
            {"format": "text", "template": "<{token}\n>"},
            ValueError,
            r"the text of row 0 is '<5.n><7.n><1.n>'; a line break would end its line",
        ),
        (
            {"format": "minionerec", "titles": TITLES, "template": "{token}\t"},
            ValueError,
            r"the text of row 0 is '5.t7.t1.t'; a tab or line break",
        ),
        (
            {"format": "minionerec", "titles": TITLES, "keys": ["a", "b", "c\td", "e", "f"]},
            ValueError,
            r"keys\[2\] is 'c.td'; a tab or line break would end its field",
        ),
        (
            {"format": "minionerec", "titles": TITLES, "keys": ["a\n", "b", "c", "e", "f"]},
            ValueError,
            r"keys\[0\] is 'a.n'; a tab or line break would end its field",
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
        ("purelysemanticids", b"5", ValueError, 'file is no object with the keys "1", "2"'),
        ("purelysemanticids", b"null", ValueError, 'keys "1", "2", … without a gap'),
        (
            "purelysemanticids",
            b'{"1": "1", "1": "2"}',
            CorruptFileError,
            "a key stands in it twice",
        ),
        ("purelysemanticids", b'{"1": "' + b"9" * 25 + b'"}', ValueError, "line 1 has token 9999"),
        ("text", b"<a_1>\n<a_" + b"1" * 20 + b">\n", ValueError, "file: line 2 has token 1111111"),
        (
            "nvidia",
            b'{"item_id": [1], "token_ids": [1]}',
            ValueError,
            r"line 1 has the item_id \[1\]",
        ),
        ("nvidia", b'{"item_id": 1.5, "token_ids": [1]}', ValueError, "line 1 has the item_id 1.5"),
        (
            "nvidia",
            b'{"item_id": 1, "token_ids": [1]}\n{"item_id": "a", "token_ids": [2]}',
            ValueError,
            "file: line 2 has the item_id 'a'; all must be integers or all text",
        ),
        (
            "nvidia",
            b'{"item_id": 1, "token_ids": [1], "metadata": [2]}',
            ValueError,
            r"file: line 1 has the metadata \[2\]; an object is needed",
        ),
        (
            "nvidia",
            b'{"item_id": 1, "token_ids": [1], "metadata": {"title": 3}}',
            ValueError,
            "file: line 1 has the title 3; text is needed",
        ),
        (
            "nvidia",
            b'{"item_id": 9999999999999999999, "token_ids": [1]}',
            ValueError,
            r"file: keys\[0\] is 9999999999999999999; integers go from",
        ),
        ("nvidia", b"\xff", CorruptFileError, "file is no text in UTF-8: .* at byte 0"),
        (
            "rpg",
            b'{"a": [1], "a": [2]}',
            CorruptFileError,
            "file is not JSON.*a key stands in it tw",
        ),
        ("rpg", b"[" * 100_000, CorruptFileError, "file is not JSON"),
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


def test_a_format_that_is_no_text(tmp_path):
    with pytest.raises(ValueError, match=r"format is \['rpg'\]; it must be one of"):
        import_sids(tmp_path / "file", format=["rpg"])


@pytest.mark.parametrize(
    ("template", "sids", "text"),
    [
        ("{token}", [[3, 3], [1, 12], [11, 2]], "112"),
        ("{level}{token}", [[2, 3], [5, 715], [517, 5]], "051715"),
        ("{token:_>1}", [[3, 3], [1, 12], [11, 2]], "112"),
    ],
)
@pytest.mark.parametrize("format", ["text", "minionerec"])
def test_two_sids_with_one_text(tmp_path, format, template, sids, text):
    titles = ["x"] * len(sids) if format == "minionerec" else None
    with pytest.raises(ValueError, match=rf"rows 1 and 2 have the SIDs .* both the text '{text}'"):
        export(sids, tmp_path / "x", format=format, template=template, titles=titles)
    assert list(tmp_path.iterdir()) == []
    again = [sids[0], sids[1], sids[1]]  # one SID twice is no matter of the template
    export(again, tmp_path / "x", format=format, template=template, titles=titles)


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
    pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
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
    assert f"pip install 'puresid[{extra}]'" in run_python(script)
    assert list(tmp_path.iterdir()) == []
