"""Results of a run: what goes in comes out, and what does not fit is refused by name."""

import dataclasses
import json

import numpy as np
import pytest

from evaluation_cases import HEADER, some_results
from puresid.evaluation.results import Cell, Results
from puresid.files import CorruptFileError


def test_a_round_trip(tmp_path):
    results = some_results()
    path = results.save(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "results.json"
    for place in (path, path.parent):
        back = Results.load(place)
        assert back.header == results.header
        assert back.metrics == results.metrics
        assert np.array_equal(back.clusters, results.clusters)
        assert list(back.splits) == list(results.splits)
        for name, mask in results.splits.items():
            assert np.array_equal(back.splits[name], mask)
        for cell, other in zip(results.cells, back.cells, strict=True):
            assert (cell.arm, cell.seed, cell.facts) == (other.arm, other.seed, other.facts)
            for name, values in cell.values.items():
                assert other.values[name].dtype == np.float32
                assert np.array_equal(other.values[name], values)


def test_the_json_can_be_read_by_people(tmp_path):
    results = some_results()
    described = json.loads(results.save(tmp_path).read_text(encoding="utf-8"))
    assert described["format"] == "puresid evaluation"
    assert (described["queries"], described["users"]) == (40, 25)
    assert described["header"]["primary"] == HEADER["primary"]
    assert described["splits"] == {"conflict": int(results.splits["conflict"].sum()), "never": 0}
    for cell, said in zip(results.cells, described["cells"], strict=True):
        assert (said["arm"], said["seed"]) == (cell.arm, cell.seed)
        assert said["means"]["all"]["R@10"] == pytest.approx(cell.values["R@10"].mean())
        mask = results.splits["conflict"]
        assert said["means"]["conflict"]["nDCG@10"] == pytest.approx(
            cell.values["nDCG@10"][mask].mean()
        )
        assert said["means"]["never"] == {"R@10": None, "nDCG@10": None}


def test_the_same_results_are_the_same_bytes(tmp_path):
    first, second = (some_results().save(tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    twins = (path.with_name("queries.npz").read_bytes() for path in (first, second))
    assert len(set(twins)) == 1


def test_numbers_of_numpy_and_what_is_not_finite(tmp_path):
    results = some_results(seeds=(np.int64(0),))
    facts = {"loss": np.float32(0.5), "nan": float("nan"), "steps": (np.int64(3), [True, None])}
    cells = tuple(dataclasses.replace(cell, facts=facts) for cell in results.cells)
    header = HEADER | {"arms": {"ecm": {"sizes": np.array([8, 8])}}}
    results = dataclasses.replace(results, cells=cells, header=header)
    back = Results.load(results.save(tmp_path))
    assert back.cells[0].facts == {"loss": 0.5, "nan": None, "steps": [3, [True, None]]}
    assert back.header["arms"]["ecm"]["sizes"] == [8, 8]


def test_what_json_does_not_take_is_refused_before_anything_is_written(tmp_path):
    results = some_results()
    wrong = dataclasses.replace(results, header=HEADER | {"config": {"path": [tmp_path]}})
    with pytest.raises(TypeError, match=r"the header\['config'\]\['path'\]\[0\] is .*JSON"):
        wrong.save(tmp_path)
    wrong = dataclasses.replace(results, header=HEADER | {"config": {1: 2}})
    with pytest.raises(TypeError, match=r"the header\['config'\] has the key 1; strings"):
        wrong.save(tmp_path)
    cell = dataclasses.replace(results.cells[0], facts={"made": {1}})
    with pytest.raises(TypeError, match=r"facts of arm 'suffix' with seed 0\['made'\] is \{1\}"):
        dataclasses.replace(results, cells=(cell,)).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lookups():
    results = some_results(seeds=(2, 0))
    assert results.arms == ("suffix", "ecm", "rrs")
    assert results.seeds("ecm") == (0, 2)
    assert results.seeds("none") == ()
    assert (results.queries, results.users) == (40, 25)
    assert results.cell("rrs", 2).arm == "rrs"
    assert results.mask("all").all()
    with pytest.raises(KeyError, match="no cell of arm 'rrs' with seed 1"):
        results.cell("rrs", 1)
    with pytest.raises(ValueError, match="no split 'cold'; there are all, conflict, never"):
        results.mask("cold")


GOOD = {"R@10": np.zeros(40, np.float32), "nDCG@10": np.zeros(40, np.float32)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clusters": np.zeros((40, 1), int)}, r"clusters has shape \(40, 1\)"),
        ({"clusters": np.zeros(40)}, "clusters has shape .* dtype float64"),
        ({"clusters": np.zeros(0, int)}, "for at least one query"),
        ({"splits": {"all": np.ones(40, bool)}}, "a split is called 'all'"),
        ({"splits": {"odd": np.ones(39, bool)}}, r"splits\['odd'\] has shape \(39,\)"),
        ({"splits": {"odd": np.ones(40)}}, r"splits\['odd'\] .* dtype float64"),
        ({"metrics": ()}, "metrics is \\(\\); different names"),
        ({"metrics": ("R@10", "R@10")}, "different names are needed"),
        ({"header": {}}, "header has no name"),
        ({"header": {"name": "x"}}, r"header\['primary'\] is None; strings for metric, arm, ag"),
        ({"header": HEADER | {"primary": {"metric": "R@10"}}}, "strings for metric, arm, against"),
        (
            {"header": HEADER | {"primary": HEADER["primary"] | {"metric": "RR"}}},
            "the primary metric is 'RR'; measured are R@10, nDCG@10",
        ),
        ({"cells": (Cell("ecm", 0, GOOD, {}),) * 2}, "arm 'ecm' with seed 0 comes twice"),
        (
            {"cells": (Cell("ecm", 0, {"R@10": GOOD["R@10"]}, {}),)},
            "arm 'ecm' with seed 0 has values for R@10; the metrics are R@10, nDCG@10",
        ),
        (
            {"cells": (Cell("ecm", 0, GOOD | {"R@10": np.zeros(3)}, {}),)},
            r"has R@10 of shape \(3,\); there are 40 queries",
        ),
        (
            {"cells": (Cell("ecm", 0, GOOD | {"R@10": np.full(40, np.nan)}, {}),)},
            "has R@10 not finite at query 0",
        ),
    ],
)
def test_parts_that_do_not_fit(change, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(some_results(), **change)


def test_cells_that_are_refused():
    with pytest.raises(TypeError, match="arm is ''; a name is needed"):
        Cell("", 0, {}, {})
    with pytest.raises(ValueError, match="seed is -1; at least 0"):
        Cell("ecm", -1, {}, {})
    with pytest.raises(TypeError, match="seed is 'a'; an integer"):
        Cell("ecm", "a", {}, {})


@pytest.fixture
def saved(tmp_path):
    return some_results().save(tmp_path)


def edit(path, change):
    described = json.loads(path.read_text(encoding="utf-8"))
    change(described)
    path.write_text(json.dumps(described), encoding="utf-8")


def test_missing_files_are_named(tmp_path, saved):
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        Results.load(tmp_path / "nowhere")
    saved.with_name("queries.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"queries\.npz"):
        Results.load(saved)


def test_damaged_files_are_refused(tmp_path, saved):
    packed = saved.with_name("queries.npz")
    whole = packed.read_bytes()
    packed.write_bytes(whole[:-1])
    with pytest.raises(CorruptFileError, match=r"queries\.npz is not the file that .* SHA-256"):
        Results.load(saved)
    packed.write_bytes(whole)
    saved.write_bytes(saved.read_bytes()[:-20])
    with pytest.raises(CorruptFileError, match=r"results\.json is no JSON"):
        Results.load(saved)
    saved.write_bytes(b"\xff\xfe")
    with pytest.raises(CorruptFileError, match=r"results\.json is no JSON"):
        Results.load(saved)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda d: d.update(format="other"), ValueError, "holds no results of an evaluation"),
        (lambda d: d.update(version=2), ValueError, "has version 2; this puresid reads 1"),
        (lambda d: d.pop("files"), CorruptFileError, "damaged or written by hand: KeyError"),
        (lambda d: d.pop("cells"), CorruptFileError, "damaged or written by hand"),
        (lambda d: d.update(splits=3), CorruptFileError, "damaged or written by hand"),
        (lambda d: d["cells"].append(d["cells"][0]), CorruptFileError, "damaged or written"),
        (lambda d: d.update(header=[]), CorruptFileError, "damaged or written by hand"),
        (lambda d: d["metrics"].append("RR"), ValueError, r"cell 0 has shape \(2, 40\)"),
        (lambda d: d["splits"].update(never=5), ValueError, "split 'never' has 0 queries and not"),
        (lambda d: d.update(queries=0), ValueError, "queries is 0; at least 1"),
        (lambda d: d["cells"][1].update(seed=0), ValueError, "arm 'suffix' with seed 0 comes"),
    ],
)
def test_a_json_that_does_not_fit_is_refused(saved, change, error, says):
    edit(saved, change)
    with pytest.raises(error, match=says) as caught:
        Results.load(saved)
    assert str(saved) in str(caught.value)


def test_a_packed_file_that_is_none_is_refused(saved):
    import hashlib

    saved.with_name("queries.npz").write_bytes(b"nothing")
    digest = hashlib.sha256(b"nothing").hexdigest()
    edit(saved, lambda d: d["files"]["queries.npz"].update(sha256=digest))
    with pytest.raises(ValueError, match=str(saved)):
        Results.load(saved)
