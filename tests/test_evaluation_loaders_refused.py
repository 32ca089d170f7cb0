"""What loaders refuse, and where they say it is."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from puresid.evaluation.loaders import (
    load_beir,
    load_esci,
    load_interactions,
    load_lmindexer,
    load_minionerec,
    load_recbole,
)
from puresid.files import CorruptFileError


def write(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


INTERACTIONS = {
    "no JSON": ("{", CorruptFileError, "x.json is no JSON: "),
    "list": ("[1]", ValueError, "x.json holds a JSON list; an object is needed"),
    "empty": ("{}", ValueError, "x.json has no users"),
    "nobody": ('{"u": []}', ValueError, "x.json: no user has any item"),
    "twice": ('{"u": [1], "u": [2]}', CorruptFileError, "the key 'u' comes twice in one object"),
    "string": ('{"u": "abc"}', ValueError, "user 'u': 'abc'; a list of items is needed"),
    "float": ('{"u": [1, 2.0]}', ValueError, "user 'u', item 1: 2.0; a row .* or a key"),
    "bool": ('{"u": [true]}', ValueError, "user 'u', item 0: True; a row"),
    "negative": ('{"u": [-1]}', ValueError, "user 'u', item 0: -1; a row"),
    "mixed": ('{"u": [1], "v": ["a"]}', ValueError, "'v', item 0: 'a'; the items before are rows"),
    "also mixed": ('{"u": ["a", 1]}', ValueError, "item 1: 1; the items before are keys"),
    "short": ('{"u": [0, 1]}', ValueError, "no user has three items"),
}


@pytest.mark.parametrize("case", INTERACTIONS)
def test_interactions(case, tmp_path):
    text, error, match = INTERACTIONS[case]
    with pytest.raises(error, match=match):
        load_interactions(write(tmp_path / "x.json", text))


ITEMS = {
    "few": ({"0": "a", "1": "b"}, "user 'u': no item 2 in the catalogue of 2 items"),
    "hole": ({"0": "a", "2": "b"}, "has 2 items but none with the key '1'"),
    "none": ({}, "items.json has no items"),
    "number": ({"0": 3}, "item '0' is 3; a text or an object with a title is needed"),
    "title": ({"0": {"title": 3}}, "item '0': 'title' is 3; a string is needed"),
}


@pytest.mark.parametrize("case", ITEMS)
def test_items(case, tmp_path):
    value, match = ITEMS[case]
    path = write(tmp_path / "x.json", {"u": [0, 1, 2]})
    with pytest.raises(ValueError, match=match):
        load_interactions(path, items=write(tmp_path / "items.json", value))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.json"):
        load_interactions(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError, match=r"x\.parquet"):
        load_esci(tmp_path / "x.parquet", tmp_path / "x.parquet")
    (tmp_path / "x.json").write_bytes(b'{"\xff": []}')
    with pytest.raises(CorruptFileError, match=r"x\.json is no text in UTF-8"):
        load_interactions(tmp_path / "x.json")
    (tmp_path / "x.inter").write_bytes(HEADER.encode() + b"u\t\xff\t1\n")
    with pytest.raises(CorruptFileError, match=r"x\.inter, line 2: no text in UTF-8.* at byte 2"):
        load_recbole(tmp_path / "x.inter")


HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"
INTER = {
    "empty": ("", CorruptFileError, "x.inter is empty; a header such as user_id:token"),
    "alone": (HEADER, ValueError, "x.inter has no interactions"),
    "column": ("user_id:token\tx:float\n", ValueError, "no column 'item_id'; its columns: user_id"),
    "plain": ("user\titem\n", ValueError, "line 1: 'user' is no column of an atomic file"),
    "long": (f"{HEADER}u\ti\t3\t4\n", CorruptFileError, "line 2: 4 values between tabs; .* have 3"),
    "time": (f"{HEADER}u\ti\t3\n\nu\tj\tnoon\n", ValueError, "line 4: timestamp is 'noon'; a fin"),
    "nan": (f"{HEADER}u\ti\tnan\n", ValueError, "line 2: timestamp is 'nan'; a finite number"),
}


@pytest.mark.parametrize("case", INTER)
def test_recbole(case, tmp_path):
    text, error, match = INTER[case]
    with pytest.raises(error, match=match):
        load_recbole(write(tmp_path / "x.inter", text))


ITEM = {
    "empty": ("", "x.item is empty; a header such as item_id:token"),
    "alone": ("item_id:token\n", "x.item has no items"),
    "twice": ("item_id:token\nA\nB\nA\n", "line 4: item 'A' comes twice"),
    "no such": ("item_id:token\ttitle:token\nA\tx\n", "x.item has no column 'name'; its columns"),
}


@pytest.mark.parametrize("case", ITEM)
def test_recbole_items(case, tmp_path):
    text, match = ITEM[case]
    path = write(tmp_path / "x.inter", f"{HEADER}u\tA\t1\nu\tB\t2\nu\tC\t3\n")
    fields = ["name"] if case == "no such" else None
    with pytest.raises(ValueError, match=match):
        load_recbole(path, item=write(tmp_path / "x.item", text), text_fields=fields)
    with pytest.raises(ValueError, match="text_fields is given without item"):
        load_recbole(path, text_fields=["name"])


ROWS = "user_id,history_item_id,item_id\n"
CSV = {
    "empty": ("", CorruptFileError, "test.csv is empty; a header with user_id, history"),
    "column": ("user_id,item_id\n", ValueError, "no column 'history_item_id'; its columns: user"),
    "short": (f"{ROWS}u,[1]\n", CorruptFileError, "test.csv, line 2: 2 values; the header has 3"),
    "blank": ("\n\n", CorruptFileError, "test.csv is empty; a header with user_id, history"),
    "open": (f'{ROWS}u,"[1],2\n', CorruptFileError, "test.csv, line 2: no CSV: unexpected end"),
    "history": (f"{ROWS}u,[1],2\nu,1 2,2\n", ValueError, "line 3: history_item_id is '1 2'; a li"),
    "code": (f'{ROWS}u,"[exit()]",2\n', ValueError, r"line 2: history_item_id is '\[exit"),
    "target": (f"{ROWS}u,[1],x\n", ValueError, "line 2: item_id is 'x'; a row is needed"),
    "range": (f'{ROWS}u,"[0, 3]",1\n', ValueError, "line 2: item 3; the catalogue has 3 items, 0"),
    "nothing": (ROWS, ValueError, "has no test query"),
}


@pytest.mark.parametrize("case", CSV)
def test_minionerec(case, tmp_path):
    text, error, match = CSV[case]
    items = write(tmp_path / "items.json", {"0": "a", "1": "b", "2": "c"})
    valid = write(tmp_path / "valid.csv", f'{ROWS}u,"[0, 1]",2\n')
    test = write(tmp_path / "test.csv", text)
    with pytest.raises(error, match=match):
        load_minionerec(test, valid, items)
    with pytest.raises(ValueError, match="max_history is 0; at least 1 is needed"):
        load_minionerec(valid, valid, items, max_history=0)


GOOD_BEIR = {
    "corpus": '{"_id": "d", "text": "x"}\n',
    "queries": '{"_id": "q", "text": "x"}\n',
    "test": "query-id\tcorpus-id\tscore\nq\td\t1\n",
}
BEIR = {
    "no items": ("corpus", "\n", ValueError, "corpus has no items"),
    "no JSON": ("corpus", '\n{"_id"\n', CorruptFileError, "corpus, line 2: no JSON: "),
    "array": ("corpus", "[]\n", ValueError, "corpus, line 1: a JSON list; an object is needed"),
    "no id": ("corpus", '{"text": "x"}\n', ValueError, "line 1: '_id' is missing; a string"),
    "number": ("corpus", '{"_id": 3, "text": ""}\n', ValueError, "line 1: '_id' is 3; a string"),
    "item": ("corpus", GOOD_BEIR["corpus"] * 2, ValueError, "line 2: the _id 'd' comes twice"),
    "query": ("queries", GOOD_BEIR["queries"] * 2, ValueError, "line 2: the _id 'q' comes twice"),
    "words": ("queries", '{"_id": "q"}\n', ValueError, "queries, line 1: 'text' is missing"),
    "header": ("test", "q\td\t1\n", ValueError, r"test, line 1: the header is \['q', 'd', '1'\]"),
    "wide": ("test", f"{GOOD_BEIR['test']}q d 1\n", CorruptFileError, "line 3: 1 values between"),
    "unknown": ("test", GOOD_BEIR["test"] + "z\td\t1\n", ValueError, "line 3: query 'z' is not"),
    "score": ("test", GOOD_BEIR["test"] + "q\td\tyes\n", ValueError, "line 3: score is 'yes'"),
    "again": ("test", GOOD_BEIR["test"] + "q\td\t1\n", ValueError, "'q' and item 'd' are judged"),
    "zero": ("test", "query-id\tcorpus-id\tscore\nq\td\t0\n", ValueError, "has no test query"),
}


@pytest.mark.parametrize("case", BEIR)
def test_beir(case, tmp_path):
    which, text, error, match = BEIR[case]
    files = {name: write(tmp_path / name, good) for name, good in GOOD_BEIR.items()}
    assert len(load_beir(**files).test) == 1
    write(tmp_path / which, text)
    with pytest.raises(error, match=match):
        load_beir(**files)


LINE = '{"source": "x", "target": "<id_0_1><id_1_2>"}\n'
LMINDEXER = {
    "no codes": ("codes", "{}", "codes has no items"),
    "zero": ("codes", '{"0": "1,2"}', "codes, item '0': a number from 1 to 1 is needed"),
    "far": ("codes", '{"1": "1,2", "3": "1,3"}', "item '3': a number from 1 to 2 is needed"),
    "same": ("codes", '{"1": "1,2", "01": "1,3"}', "an item comes twice, as 1 and 01"),
    "list": ("codes", '{"1": [1, 2]}', r"item '1': \[1, 2\]; tokens such as"),
    "minus": ("codes", '{"1": "1,-2"}', "item '1': '1,-2'; tokens such as"),
    "tree": ("codes", '{"1": "1,2", "2": "1"}', "item '2' has 1 tokens; the items before have 2"),
    "nobody": ("test", LINE + LINE.replace("_2>", "_3>"), "test, line 2: no item has the code"),
    "level": ("test", LINE.replace("id_1", "id_2"), "line 1: target is .*one token per level"),
    "between": ("test", LINE.replace("><", "> <"), "line 1: target is .*one token per level"),
    "none": ("test", LINE.replace("<id_0_1><id_1_2>", ""), "line 1: target is ''; one token"),
    "source": ("test", '{"target": ""}', "test, line 1: 'source' is missing; a string"),
    "nothing": ("test", "", "has no test query"),
    "key": ("items", '{"title": "x"}', "items, line 1: 'item_id' is None; a string"),
    "many": ("items", '{"item_id": "a"}\n{"item_id": "b"}', "has 2 items; there are 1 codes"),
}


@pytest.mark.parametrize("case", LMINDEXER)
def test_lmindexer(case, tmp_path):
    which, text, match = LMINDEXER[case]
    good = {"test": LINE, "codes": '{"1": "1,2"}', "items": '{"item_id": "a", "title": "x"}'}
    files = {name: write(tmp_path / name, value) for name, value in good.items()}
    assert len(load_lmindexer(**files).test) == 1
    write(tmp_path / which, text)
    with pytest.raises(ValueError, match=match):
        load_lmindexer(**files)


EXAMPLE = {
    "example_id": 3,
    "query": "x",
    "query_id": 7,
    "product_id": "B",
    "product_locale": "us",
    "esci_label": "E",
    "small_version": 0,
    "split": "test",
}
PRODUCT = {
    "product_id": "B",
    "product_title": "T",
    "product_description": "D",
    "product_locale": "us",
}
ESCI = {
    "split": ([{**EXAMPLE, "split": "dev"}], [PRODUCT], {}, "example 3: split is 'dev'; train or"),
    "null": ([{**EXAMPLE, "query": None}], [PRODUCT], {}, "example 3: a query, product or label"),
    "words": ([EXAMPLE, {**EXAMPLE, "query": "y"}], [PRODUCT], {}, "query 7 has other words or"),
    "both": ([EXAMPLE, {**EXAMPLE, "split": "train"}], [PRODUCT], {}, "query 7 has other words"),
    "column": ([{"query": "x"}], [PRODUCT], {}, "no column 'example_id'; its columns: query"),
    "locale": ([EXAMPLE], [PRODUCT], {"locale": "fr"}, "products has no product of the locale"),
    "example": (
        [EXAMPLE],
        [{**PRODUCT, "product_locale": "jp"}],
        {"locale": "jp"},
        "examples has no example of the locale 'jp'$",
    ),
    "small": ([EXAMPLE], [PRODUCT], {"version": "small"}, "locale 'us' in the small version"),
    "large": ([EXAMPLE], [PRODUCT], {"version": "large"}, "no column 'large_version'; its col"),
    "version": ([EXAMPLE], [PRODUCT], {"version": "big"}, "version is 'big'; small or large or"),
    "seed": ([EXAMPLE], [PRODUCT], {"seed": -1}, "seed is -1; at least 0 is needed"),
    "product": ([EXAMPLE], [PRODUCT, PRODUCT], {}, "product 'B' of the locale 'us' comes twice"),
}


@pytest.mark.parametrize("case", ESCI)
def test_esci(case, tmp_path):
    examples, products, options, match = ESCI[case]
    pq.write_table(pa.Table.from_pylist(examples), tmp_path / "examples")
    pq.write_table(pa.Table.from_pylist(products), tmp_path / "products")
    with pytest.raises(ValueError, match=match):
        load_esci(tmp_path / "examples", tmp_path / "products", **options)


def test_esci_catalogues(tmp_path):
    pq.write_table(pa.Table.from_pylist([EXAMPLE]), tmp_path / "e")
    pq.write_table(pa.Table.from_pylist([PRODUCT]), tmp_path / "p")
    files = (tmp_path / "e", tmp_path / "p")
    assert len(load_esci(*files).test) == 1
    with pytest.raises(ValueError, match=r"c\.txt, line 3: product 'B' comes twice"):
        load_esci(*files, catalogue=write(tmp_path / "c.txt", "B\nA\nB\n"))
    with pytest.raises(ValueError, match=r"c\.txt has no products"):
        load_esci(*files, catalogue=write(tmp_path / "c.txt", "\n"))
    with pytest.raises(ValueError, match="has no test query"):
        load_esci(*files, catalogue=write(tmp_path / "c.txt", "A\n"))
    whole = (tmp_path / "e").read_bytes()
    (tmp_path / "e").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFileError, match="e cannot be read as Parquet"):
        load_esci(*files)


def test_esci_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'puresid\[parquet\]'"):
        load_esci(tmp_path / "e", tmp_path / "p")
