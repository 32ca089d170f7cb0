"""The command `puresid report`, and the files that name its items."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import puresid
from puresid import cli
from puresid.report.items import read_items


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Change to a folder with vectors and codebooks in it."""
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(0).integers(-2, 3, (40, 2)).astype(np.float32)
    np.save("v.npy", vectors)
    puresid.RQKMeans(2, 8).fit(vectors).codebooks.save("c.safetensors")
    return tmp_path


def run(*words, code=0):
    """Run the command and return what it printed on both streams."""
    words = ("report", "v.npy", "--codebooks", "c.safetensors", *words)
    result = CliRunner().invoke(cli.main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


class TestCommand:
    def page(self, folder, **options):
        """Return what the library writes."""
        books = puresid.Codebooks.load("c.safetensors")
        puresid.report(np.load("v.npy"), books, "expected.html", **options)
        return (folder / "expected.html").read_bytes()

    def test_is_the_library_s_page(self, folder):
        output = run("-o", "r.html")
        page = (folder / "r.html").read_bytes()
        assert page == self.page(folder, title="v.npy")
        assert output == f"wrote r.html ({len(page) / 1e6:.2g} MB)\n"

    def test_options_reach_the_library(self, folder):
        rows = [{"asin": f"B{row}", "title": f"Title {row}", "other": row} for row in range(40)]
        (folder / "i.json").write_text(json.dumps(rows))
        run(
            *("-o", "r.html", "--items", "i.json", "--methods", "nearest, rrs", "--title", "Mine"),
            *("--no-evaluation", "--random-state", 3, "--threads", 1),
        )
        expected = self.page(
            folder,
            keys=[row["asin"] for row in rows],
            texts=[row["title"] for row in rows],
            methods=("nearest", "rrs"),
            title="Mine",
            evaluation=False,
            random_state=3,
        )
        assert (folder / "r.html").read_bytes() == expected
        run("-o", "r.html", "--items", "i.json", "--key", "title", "--text", "other")
        expected = self.page(
            folder,
            keys=[row["title"] for row in rows],
            texts=[row["other"] for row in rows],
            title="v.npy",
        )
        assert (folder / "r.html").read_bytes() == expected

    def test_a_parquet_column(self, folder):
        pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is missing")
        import pyarrow.parquet as pq

        vectors = np.load("v.npy")
        pq.write_table(pa.table({"v": list(vectors), "w": list(vectors * 2)}), "v.npy.parquet")
        words = ("report", "v.npy.parquet", "--codebooks", "c.safetensors", "-o", "r.html")
        result = CliRunner().invoke(cli.main, [*words, "--column", "v", "--title", "v.npy"])
        assert result.exit_code == 0, result.output
        assert (folder / "r.html").read_bytes() == self.page(folder, title="v.npy")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("-o", "r.txt"), "r.txt has an unknown ending; the known ones are .html, .htm"),
            (
                ("-o", "r.html", "--methods", "ecm,best"),
                "'best' is not one of ecm, rrs, beam, optimal",
            ),
            (("-o", "r.html", "--key", "asin"), "--key and --text name fields of the file"),
            (("-o", "r.html", "--items", "v.html"), "v.html has an unknown ending"),
            (("-o", "r.html", "--items", "absent.csv"), "absent.csv: No such file or directory"),
            (("-o", "absent/r.html"), "there is no folder"),
        ],
    )
    def test_wrong_words_are_bad_input(self, folder, words, message):
        assert message in run(*words, code=2)
        assert not (folder / "r.html").exists()

    def test_other_numbers_of_items(self, folder):
        (folder / "i.txt").write_text("one\ntwo\n")
        message = "texts has 2 entries; vectors has 40 rows"
        assert message in run("-o", "r.html", "--items", "i.txt", code=2)

    def test_an_input_is_not_written_over(self, folder):
        (folder / "i.html").symlink_to("v.npy")
        assert "i.html is an input" in run("-o", "i.html", code=2)
        assert np.load("v.npy").shape == (40, 2)


class TestItems:
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("i.txt", "first\nsecond thing\n", (None, ["first", "second thing"])),
            ("i.txt", "a\tfirst\r\nb\tsecond\tthing\r\n", (["a", "b"], ["first", "second\tthing"])),
            ("i.txt", "a\tb\nc", (None, ["a b", "c"])),
            ("i.txt", "", (None, [])),
            ("i.txt", "one\n\nthree", (None, ["one", "", "three"])),
            ("i.csv", "id,title\n1,\"a, \n b\"\n2,c\n", (["1", "2"], ["a, \n b", "c"])),
            ("i.csv", "\ufeffasin,x\nB1,2\n", (["B1"], None)),
            ("i.CSV", "description,text\nlong,short\n", (None, ["short"])),
            ("i.json", '["a", "b"]', (None, ["a", "b"])),
            ("i.json", '[{"id": 5, "name": "a"}, {"name": null}]', (["5", ""], ["a", ""])),
            ("i.json", '{"k": "a", "l": "b"}', (["k", "l"], ["a", "b"])),
            ("i.json", '{"k": {"title": "a"}, "l": {}}', (["k", "l"], ["a", ""])),
            ("i.jsonl", '{"key": "k", "text": "t\u2028u"}\n"', None),
            ("i.jsonl", '{"key": "k", "text": "t\u2028u"}\n', (["k"], ["t\u2028u"])),
            ("i.jsonl", '"a"\n"b"', (None, ["a", "b"])),
        ],
    )  # fmt: skip
    def test_formats(self, folder, name, content, expected):
        (folder / name).write_bytes(content.encode())
        if expected is None:
            with pytest.raises(ValueError, match=r"i\.jsonl, line 2 is not JSON: "):
                read_items(folder / name)
        else:
            assert read_items(folder / name) == expected

    def test_fields_can_be_named(self, folder):
        (folder / "i.json").write_text('{"k": {"title": "a", "brand": "b"}}')
        assert read_items(folder / "i.json", text="brand") == (["k"], ["b"])
        assert read_items(folder / "i.json", key="brand") == (["b"], ["a"])

    @pytest.mark.parametrize(
        ("name", "content", "options", "message"),
        [
            ("i.xml", b"", {}, r"i\.xml has an unknown ending; the known ones are \.json, \.jsonl"),
            ("i.txt", b"a\xff", {}, r"i\.txt is not UTF-8: invalid start byte at byte 1"),
            ("i.json", b"[", {}, r"i\.json is not JSON: "),
            ("i.json", b"3", {}, r"i\.json is of type int; a list or object is needed"),
            (
                "i.json",
                b'[{"a": 1}, 3]',
                {},
                r"i\.json: item 1 is of type int; an object with fields",
            ),
            ("i.json", b'["a"]', {"text": "t"}, r"i\.json: item 0 is of type str; an object"),
            ("i.csv", b"foo,bar\n1,2\n", {}, "i.csv has the fields bar, foo; say which has"),
            ("i.json", b'[{"a": 1}]', {"text": "t"}, r"i\.json has no field 't'; it has a"),
            ("i.csv", b'a\n"b', {}, r"i\.csv is not CSV: unexpected end of data"),
            ("i.csv", b"", {"key": "a"}, r"i\.csv has no field 'a'; it has none"),
        ],
    )
    def test_what_is_none_is_refused(self, folder, name, content, options, message):
        (folder / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_items(folder / name, **options)

    def test_a_file_that_is_not_there(self, folder):
        with pytest.raises(FileNotFoundError, match=r"absent\.txt"):
            read_items(folder / "absent.txt")
