"""What `evaluate_sids` and ``puresid judge`` show, take and refuse."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

import puresid
from puresid import Codebooks, cli, evaluate_sids

LINE = Codebooks([[[0.0], [8.0]], [[0.0], [1.0], [2.0], [3.0]]])


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((20, 8))[rng.integers(0, 20, 600)]
    vectors = (vectors + 0.3 * rng.standard_normal((600, 8))).astype(np.float32)
    books = puresid.RQKMeans(2, 8).fit(vectors).codebooks
    return vectors, puresid.assign(vectors, books, "nearest").sids, books


# What one sees, and errors ------------------------------------------------------------------------


def test_str_and_dict(clustered):
    found = evaluate_sids(*clustered)
    text = str(found)
    assert "recall@10" in text
    assert "unique SIDs" in text
    assert len(text.splitlines()) == 9 + 1 + 2
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(again) == {field.name for field in dataclasses.fields(found)}
    assert again["neighbours"]["recall"]["value"] == found.neighbours.recall.value
    assert again["levels"][1]["load_quantiles"] == list(found.levels[1].load_quantiles)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.items = 3


ONE = [[0, 0], [0, 1], [1, 0]]
THREE = [[0.0], [1.0], [8.0]]


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"k": 3}, ValueError, "k is 3; 3 items have 2 neighbours at most"),
        ({"k": 0}, ValueError, "k is 0; at least 1 is needed"),
        ({"k": 1.5}, TypeError, r"k is 1\.5; an integer is needed"),
        ({"sample": 0}, ValueError, "sample is 0; at least 1 is needed"),
        ({"sample": "all"}, TypeError, "sample is 'all'; an integer is needed"),
        ({"random_state": -1}, ValueError, "random_state is -1; at least 0 is needed"),
        ({"threads": 0, "codebooks": Codebooks(LINE.levels, rotation=[[1.0]])}, ValueError, "thr"),
        ({"vectors": [[0, 0]] * 3}, ValueError, "vectors have dimension 2; the codebooks take 1"),
        ({"vectors": [["a"]] * 3}, TypeError, "vectors has dtype"),
        (
            {"vectors": puresid.Batches(list, (3, 1))},
            TypeError,
            "vectors is a source of batches; all rows are needed at once",
        ),
        ({"vectors": [[0.0], [np.nan], [1]]}, ValueError, r"vectors\[1\] has NaN in column 0"),
        ({"vectors": [[0.0], [1], [np.inf]]}, ValueError, r"vectors\[2\] has an infinity"),
        ({"sids": ONE[:2]}, ValueError, "sids has 2 rows; vectors has 3"),
        ({"sids": [[0]] * 3}, ValueError, r"sids has shape \(3, 1\); \(rows, 2\) is needed"),
        ({"sids": [[0.5, 0]] * 3}, TypeError, "sids has dtype float64"),
        ({"sids": [[0, 0], [0, 4], [1, 0]]}, ValueError, r"sids\[1\] has token 4 at level 1"),
        ({"sids": [[0, 0, 0, 0]] * 3}, ValueError, r"sids has shape \(3, 4\)"),
    ],
)
def test_errors(change, error, match):
    given_ = {"vectors": THREE, "sids": ONE, "codebooks": LINE, "k": 1} | change
    with pytest.raises(error, match=match):
        evaluate_sids(given_.pop("vectors"), given_.pop("sids"), given_.pop("codebooks"), **given_)


def test_huge_counters_are_no_error():
    found = evaluate_sids(THREE, [[0, 0, 2**32 - 1], [0, 1, 0], [1, 0, 0]], LINE, k=1)
    assert found.levels[2].size == 2**32


def test_no_items():
    with pytest.raises(ValueError, match="k is 1; 0 items have 0 neighbours at most"):
        evaluate_sids(np.empty((0, 1)), np.empty((0, 2), int), LINE, k=1)


# The command line ---------------------------------------------------------------------------------


def command(*words, code=0):
    result = CliRunner().invoke(cli.main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def folder(clustered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vectors, sids, books = clustered
    np.save("v.npy", vectors)
    np.save("s.npy", sids)
    books.save("c.safetensors")
    return clustered


def test_puresid_judge(folder):
    words = ("judge", "v.npy", "--codebooks", "c.safetensors", "--sids", "s.npy")
    assert command(*words).strip() == str(evaluate_sids(*folder))
    found = json.loads(command(*words, "--json", "-k", 3, "--sample", 50, "--random-state", 7))
    expected = evaluate_sids(*folder, k=3, sample=50, random_state=7).to_dict()
    assert found == json.loads(json.dumps(expected))


def test_puresid_judge_refuses(folder):
    np.save("few.npy", folder[1][:5])
    words = ("judge", "v.npy", "--codebooks", "c.safetensors", "--sids")
    assert "sids has 5 rows; vectors has 600" in command(*words, "few.npy", code=2)
    assert "none.npy" in command(*words, "none.npy", code=2)
