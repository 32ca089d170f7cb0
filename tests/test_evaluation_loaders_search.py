"""Loaders of search and retrieval: files in the published layouts."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from puresid.evaluation.loaders import (
    load_beir,
    load_esci,
    load_lmindexer,
)


def lists(parts) -> list[list[int]]:
    return [part.tolist() for part in parts]


def write(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


# BEIR


@pytest.fixture
def beir(tmp_path) -> dict[str, Path]:
    corpus = [
        {"_id": "d9", "title": "Ohm's law", "text": "V = I R.", "metadata": {}},
        {"_id": "d1", "title": "", "text": "No title"},
        {"_id": "d5", "text": "Never a title"},
    ]
    queries = [{"_id": f"q{number}", "text": f"question {number}"} for number in range(6)]
    queries[5]["text"] = "Question 0 "
    (tmp_path / "qrels").mkdir()
    judged = {
        "test": "q0\td5\t1\nq1\td1\t2\nq0\td9\t1\nq2\td1\t0\nq3\tgone\t1\n",
        "dev": "q4\td1\t1\n",
        "train": "q5\td9\t1\nq4\td5\t1\n",
    }
    for split, lines in judged.items():
        write(tmp_path / f"qrels/{split}.tsv", f"query-id\tcorpus-id\tscore\n{lines}")
    return {
        "corpus": write_lines(tmp_path / "corpus.jsonl", corpus),
        "queries": write_lines(tmp_path / "queries.jsonl", queries),
        "test": tmp_path / "qrels/test.tsv",
        "valid": tmp_path / "qrels/dev.tsv",
        "train": tmp_path / "qrels/train.tsv",
    }


def test_beir(beir, tmp_path):
    task = load_beir(**beir)
    assert (task.kind, task.name) == ("retrieval", tmp_path.name)
    assert task.catalogue.keys == ("d9", "d1", "d5")
    assert task.catalogue.texts == ("Ohm's law. V = I R.", "No title", "Never a title")
    assert task.test.ids == ("q0", "q1")
    assert task.test.texts == ("question 0", "question 1")
    assert lists(task.test.relevant) == [[2, 0], [1]]
    assert lists(task.test.gains) == [[1.0, 1.0], [2.0]]
    assert task.validation.ids == ("q4",)
    assert task.validation.gains is None
    assert lists(task.train.relevant) == [[0], [2]]
    assert task.target_counts().tolist() == [1, 0, 1]
    assert task.notes == (
        "test: 1 judgements of items that the corpus lacks are left out",
        "test: 2 of 4 queries want no item of the corpus and are left out",
        "1 of 2 test queries have the words of a training query",
    )


def test_beir_with_a_test_alone(beir):
    task = load_beir(beir["corpus"], beir["queries"], beir["test"], kind="search", name="mine")
    assert (task.kind, task.name) == ("search", "mine")
    assert len(task.validation) == len(task.train) == 0
    assert "there are no training queries" in task.notes


# LMIndexer


@pytest.fixture
def lmindexer(tmp_path) -> dict[str, Path]:
    def line(source: str, target: str) -> dict[str, str]:
        return {"source": source, "target": target}

    test = [
        line("red shoe", "<id_0_7><id_1_0>"),
        line("hat", "<id_0_3><id_1_12>"),
        line("red shoe", "<id_0_9><id_1_9>"),
        line("either", "<id_0_5><id_1_5>"),
    ]
    train = [line("Hat", "<id_0_9><id_1_9>")] * 2 + [line("x", "<id_0_5><id_1_5><id_2_1>")]
    items = [{"item_id": f"B{row}", "title": f"T{row}", "description": "d"} for row in range(5)]
    del items[3]["title"]
    return {
        # In no order; items 2 and 5 have the same code.
        "codes": write(
            tmp_path / "rqvae-code-bert.json",
            {"1": "3,12", "3": "9,9", "2": "5,5", "5": "5,5", "4": "7,0"},
        ),
        "test": write_lines(tmp_path / "test.json", test),
        "valid": write_lines(tmp_path / "val.json", test[:1]),
        "train": write_lines(tmp_path / "train.json", train),
        "items": write_lines(tmp_path / "meta_all.jsonl", items),
    }


def test_lmindexer(lmindexer):
    task = load_lmindexer(**lmindexer)
    assert task.kind == "retrieval"
    assert task.catalogue.keys == ("B0", "B1", "B2", "B3", "B4")
    assert task.catalogue.texts[2:4] == ("T2. d", "d")
    assert task.test.ids == ("1", "2")
    assert task.test.texts == ("red shoe", "hat")
    assert lists(task.test.relevant) == [[3, 2], [0]]
    assert lists(task.validation.relevant) == [[3]]
    # Each line counts; the counter says which item of the two it is.
    assert task.train.ids == ("1", "2", "3")
    assert lists(task.train.relevant) == [[2], [2], [4]]
    assert task.notes == (
        "test: 1 lines whose target is the code of several items are left out",
        "1 of 2 test queries have the words of a training query",
    )


def test_lmindexer_without_texts(lmindexer):
    task = load_lmindexer(lmindexer["test"], lmindexer["codes"], kind="search")
    assert task.kind == "search"
    assert task.catalogue.keys == ("1", "2", "3", "4", "5")
    assert task.catalogue.texts is None
    assert "there are no training queries" in task.notes


# ESCI


def write_parquet(path: Path, records: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(records), path)
    return path


def example(number: int, query: int, product: str, **other: Any) -> dict[str, Any]:
    return {
        "example_id": number,
        "query": f"query {query}",
        "query_id": query,
        "product_id": product,
        "product_locale": "us",
        "esci_label": "E",
        "small_version": 1,
        "large_version": 1,
        "split": "train",
        **other,
    }


def product(key: str, locale: str = "us", **other: Any) -> dict[str, Any]:
    return {
        "product_id": key,
        "product_title": f"Title of {key}",
        "product_description": None,
        "product_bullet_point": "bullet",
        "product_brand": None,
        "product_color": None,
        "product_locale": locale,
        **other,
    }


@pytest.fixture
def esci(tmp_path) -> dict[str, Path]:
    examples = [
        example(0, 7, "B2", split="test"),
        example(1, 7, "B1", split="test"),
        example(2, 7, "B3", split="test", esci_label="S"),
        example(3, 7, "X9", split="test"),
        example(4, 8, "X9", split="test"),
        example(5, 9, "B1", split="test", small_version=0),
        example(6, 10, "E1", split="test", product_locale="es"),
        example(7, 11, "B3", esci_label="I"),
        *(example(100 + number, 100 + number, "B1") for number in range(16)),
        example(200, 101, "B3"),
    ]
    examples[5]["query"] = "QUERY 100"
    products = [
        product("B1", product_description="<p>Good</p>"),
        product("B2"),
        product("X9"),
        product("E1", "es"),
    ]
    return {
        "examples": write_parquet(tmp_path / "shopping_queries_dataset_examples.parquet", examples),
        "products": write_parquet(tmp_path / "shopping_queries_dataset_products.parquet", products),
        "catalogue": write(tmp_path / "beauty.txt", "B3\nB2\nB1\n\n"),
    }


def test_esci(esci):
    task = load_esci(**esci)
    assert task.kind == "search"
    assert task.catalogue.keys == ("B3", "B2", "B1")
    assert task.catalogue.texts == ("", "Title of B2", "Title of B1. Good")
    assert task.test.ids == ("7", "9")
    assert task.test.texts == ("query 7", "QUERY 100")
    assert lists(task.test.relevant) == [[1, 2], [2]]
    assert task.test.gains is None
    assert len(task.validation) == 2  # one in eight of 16
    assert len(task.train) == 14
    assert not set(task.validation.ids) & set(task.train.ids)
    both = dict(zip(task.train.ids, lists(task.train.relevant), strict=True))
    both |= dict(zip(task.validation.ids, lists(task.validation.relevant), strict=True))
    assert both == {str(n): [2, 0] if n == 101 else [2] for n in range(100, 116)}
    assert "1 of 3 items have no text: products lacks them" in task.notes
    assert any(note.startswith("2 queries have no product labelled E") for note in task.notes)


def test_esci_held_out_queries_depend_on_the_seed_alone(esci, tmp_path):
    drawn = {load_esci(**esci, seed=seed).validation.ids for seed in range(5)}
    assert len(drawn) > 1
    table = pq.read_table(esci["examples"])
    turned = tmp_path / "turned.parquet"
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), turned)
    again = load_esci(turned, esci["products"], catalogue=esci["catalogue"])
    assert set(again.validation.ids) == set(load_esci(**esci).validation.ids)


def test_esci_versions_locales_and_catalogues(esci, tmp_path):
    assert load_esci(**esci, version="small").test.ids == ("7",)
    assert load_esci(**esci, version="large").test.ids == ("7", "9")
    every = load_esci(esci["examples"], esci["products"])
    assert every.catalogue.keys == ("B1", "B2", "X9")
    assert lists(every.test.relevant)[0] == [1, 0, 2]
    spanish = load_esci(esci["examples"], esci["products"], locale="es")
    assert spanish.catalogue.keys == ("E1",)
    assert spanish.test.ids == ("10",)
    items = write(tmp_path / "items.json", {"B2": {"title": "Two"}, "0": "zero"})
    task = load_esci(esci["examples"], esci["products"], catalogue=items)
    assert task.catalogue.keys == ("B2", "0")
    assert task.catalogue.texts == ("Two", "zero")
    assert lists(task.test.relevant) == [[0]]
