"""The page of `puresid report`: what it is made of, its figures, and what it refuses."""

import base64
import hashlib
import itertools
import json
import math
import re
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import puresid
import report_standin
from puresid import report as report_function
from puresid.report import report
from puresid.report.collect import (
    MOST_BINS,
    MOST_GROUPS,
    MOST_MEMBERS,
    MOST_POINTS,
    Spread,
    _bins,
    stage_name,
)
from puresid.report.plots import boxes, columns, short, ticks
from puresid.report.sections import share
from report_page import SIZES, Page, items_of, small_catalogue


@pytest.fixture
def standin(monkeypatch):
    monkeypatch.setitem(sys.modules, "puresid.judging", report_standin.module())


@pytest.fixture(scope="module")
def vectors():
    return small_catalogue()[0]


@pytest.fixture(scope="module")
def codebooks():
    return small_catalogue()[1]


@pytest.fixture
def make(tmp_path, vectors, codebooks):
    """Write a report and read it back."""

    def make(given=vectors, books=codebooks, **options):
        path = tmp_path / "report.html"
        puresid.report(given, books, path, **options)
        return Page(path)

    return make


class TestPage:
    def test_is_well_formed(self, make):
        page = make(keys=range(200), texts=["a text"] * 200)
        assert page.source.startswith("<!doctype html>\n<html lang=")
        ids = [about["id"] for _, about, _ in page.elements if "id" in about]
        assert len(ids) == len(set(ids))
        for _, about, _ in page.elements:
            for name in ("aria-labelledby", "for"):
                assert about.get(name, ids[0]) in ids
            if "href" in about and about["href"].startswith("#"):
                assert about["href"][1:] in ids

    def test_asks_nothing_of_a_network(self, make):
        page = make()
        for tag, about, _ in page.elements:
            assert not {"src", "srcset", "action", "background", "poster"} & about.keys()
            assert about.get("href", "#").startswith(("#", "data:")), tag
        assert "://" not in page.source
        assert "url(" not in page.source
        assert "@import" not in page.source

    def test_the_policy_allows_its_own_script_and_style_only(self, make):
        page = make()
        (policy,) = [about["content"] for _, about, _ in page.all("meta") if "http-equiv" in about]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == "'none'"
        (script,) = [text for _, about, text in page.all("script") if "id" not in about]
        for text, rule in ((script, "script-src"), (page.all("style")[0][2], "style-src")):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert rules[rule] == f"'sha256-{digest}'"
        for _, about, _ in page.elements:
            assert not [name for name in about if name == "style" or name.startswith("on")]

    def test_every_plot_has_a_name_and_its_numbers(self, make):
        page = make()
        plots = page.all("svg")
        assert len(plots) == len(page.all("figure")) == 7
        assert all(about["role"] == "img" and about["aria-label"] for _, about, _ in plots)
        summaries = [text for _, _, text in page.all("summary")]
        assert summaries.count("Numbers") == len(plots)
        labels = [text for _, about, text in page.all("text") if about["class"] == "label"]
        assert "mean squared distance" in labels
        assert "% of items" in labels
        assert "nan" not in page.source
        assert "inf" not in [text for _, _, text in page.all("td")]

    def test_coordinates_are_inside_the_plots(self, make):
        for _, about, _ in make().all("rect"):
            assert -1 <= float(about["x"]) <= 421
            assert float(about["x"]) + float(about["width"]) <= 421
            assert float(about["y"]) >= 0

    def test_the_same_bytes_each_time_and_for_any_threads(self, tmp_path, vectors, codebooks):
        paths = [tmp_path / f"{number}.html" for number in range(3)]
        for path, threads in zip(paths, (1, 2, None), strict=True):
            report(vectors, codebooks, path, keys=range(200), threads=threads)
        first, *others = [path.read_bytes() for path in paths]
        assert others == [first, first]

    def test_is_a_public_name(self):
        assert report_function is report
        assert "report" in puresid.__all__


class TestFigures:
    def test_are_those_of_the_assignments(self, make, vectors, codebooks):
        figures = make().data()["figures"]
        assert figures["items"] == 200
        assert figures["sizes"] == list(SIZES)
        assert figures["capacity"] == 256
        assert figures["load"] == 200 / 256
        assert [of["method"] for of in figures["methods"]] == ["nearest", "suffix", "ecm", "rrs"]
        for of in figures["methods"]:
            result = puresid.assign(vectors, codebooks, of["method"])
            summary = result.summary()
            sids = [tuple(sid) for sid in result.sids.tolist()]
            counts = Counter(sids)
            assert of["tokens"] == len(sids[0])
            assert of["unique"] == summary.unique == len(counts)
            assert of["sharing"] == sum(count for count in counts.values() if count > 1)
            assert of["moved"] == sum(stage > 0 for stage in result.stages.tolist())
            assert sum(count for _, count in of["stages"]) == 200
            assert of["distortion"] == summary.distortion
            assert of["ratio"] == pytest.approx(summary.distortion_ratio)
            for length, rate in enumerate(of["conflicts"], 1):
                prefixes = Counter(sid[:length] for sid in sids)
                assert rate == (200 - len(prefixes)) / 200
            assert length == of["tokens"]

    def test_extra_distortion_is_that_of_the_moved(self, make, vectors, codebooks):
        nearest = puresid.assign(vectors, codebooks, "nearest").distortion.astype(float)
        result = puresid.assign(vectors, codebooks, "ecm")
        extra = (result.distortion - nearest)[result.stages > 0]
        ecm = make().data()["figures"]["methods"][2]
        assert ecm["extra"]["mean"] == pytest.approx(extra.mean())
        assert ecm["extra"]["median"] == pytest.approx(np.median(extra))
        assert ecm["extra"]["largest"] == extra.max()
        names = dict(ecm["stages"])
        for stage, name in ((1, "tier 1"), (2, "tier 2"), (3, "completion")):
            assert names.get(name, 0) == (result.stages == stage).sum()

    def test_use_of_tokens_and_load_of_prefixes(self, make, vectors, codebooks):
        figures = make().data()["figures"]
        sids = puresid.assign(vectors, codebooks).sids
        for use, column, size in zip(figures["levels"], sids.T, SIZES, strict=True):
            counts = sorted(Counter(column.tolist()).values(), reverse=True)
            counts += [0] * (size - len(counts))
            assert use["counts"] == [list(pair) for pair in enumerate(counts)]
            assert use["used"] == sum(count > 0 for count in counts)
        for length, load in enumerate(figures["loads"], 1):
            counts = Counter(tuple(sid) for sid in sids[:, :length].tolist())
            assert load["used"] == len(counts)
            assert load["largest"] == max(counts.values())
            assert load["possible"] * load["room"] == 256
            for low, high, prefixes in load["bins"]:
                assert prefixes == sum(low <= count <= high for count in counts.values())
            assert sum(prefixes for _, _, prefixes in load["bins"]) == len(counts)

    @given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
    def test_bins_hold_every_count_once(self, counts):
        bins = _bins(np.array(counts))
        assert len(bins) <= MOST_BINS
        assert bins[0][0] == 1
        for (_, high, _), (low, _, _) in itertools.pairwise(bins):
            assert low == high + 1
        assert [sum(low <= count <= high for count in counts) for low, high, _ in bins] == [
            number for _, _, number in bins
        ]

    def test_many_tokens_are_thinned_out(self, make):
        books = [np.arange(600.0)[:, None], np.array([[0.0], [0.25]])]
        (first, _) = make(np.arange(600.0)[:, None], books).data()["figures"]["levels"]
        assert len(first["counts"]) == MOST_POINTS
        assert [first["counts"][0][0], first["counts"][-1][0]] == [0, 599]
        assert first["used"] == 600

    def test_the_largest_conflict_groups(self, make, vectors, codebooks):
        keys = [f"key{row}" for row in range(200)]
        page = make(keys=keys, texts=[f"text of {key}" for key in keys])
        nearest = puresid.assign(vectors, codebooks, "nearest")
        result = puresid.assign(vectors, codebooks)
        rows = defaultdict(list)
        for row, sid in enumerate(map(tuple, nearest.sids.tolist())):
            rows[sid].append(row)
        sizes = sorted((len(group) for group in rows.values() if len(group) > 1), reverse=True)
        figures = page.data()["figures"]
        assert figures["shared_sids"] == len(sizes)
        assert figures["conflicts"] == 200 - len(rows)
        groups = figures["groups"]
        assert [group["items"] for group in groups] == sizes[:MOST_GROUPS]
        text = page.text()
        for group in groups:
            members = rows[tuple(group["sid"])]
            shown = [of["row"] for of in group["members"]]
            assert len(shown) == min(len(members), MOST_MEMBERS)
            assert set(shown) <= set(members)
            for of in group["members"]:
                assert of["sid"] == result.sids[of["row"]].tolist()
                assert of["distortion"] == result.distortion[of["row"]]
                assert f"text of key{of['row']}" in text

    @pytest.mark.parametrize(
        ("methods", "shown"),
        [
            (("nearest",), "nearest"),
            (("suffix",), "suffix"),
            (("rrs", "nearest"), "rrs"),
            (["nearest", "suffix"], "suffix"),
            (("rrs", "ecm"), "ecm"),
            (("nearest", "optimal"), "optimal"),
            (("optimal", "beam"), "beam"),
        ],
    )
    def test_methods_can_be_chosen(self, make, vectors, codebooks, methods, shown):
        page = make(methods=methods)
        data = page.data()
        assert [of["method"] for of in data["figures"]["methods"]] == list(methods)
        assert data["items"]["method"] == data["figures"]["shown"] == shown
        expected = puresid.assign(vectors, codebooks, shown)
        np.testing.assert_array_equal(items_of(page)["sids"], expected.sids)

    @pytest.mark.parametrize("items", [1, 2, 5])
    @pytest.mark.parametrize("levels", [1, 4])
    def test_small_catalogues(self, make, items, levels):
        books = [np.zeros((6, 1))] + [np.zeros((2, 1))] * (levels - 1)
        page = make(np.zeros((items, 1)), books)
        figures = page.data()["figures"]
        assert [of["ratio"] for of in figures["methods"]] == [None] * 4
        assert figures["conflicts"] == items - 1
        assert len(figures["loads"]) == levels - 1
        assert sorted(items_of(page)["rows"]) == list(range(items))
        assert not np.any(items_of(page)["distortion"])

    def test_an_assignment_that_leaves_conflicts_has_a_stage_for_them(self):
        assert [stage_name(stage, 2) for stage in (-1, 0, 1, 2, 3)] == [
            *("shared", "nearest", "tier 1", "tier 2", "completion")
        ]

    def test_evaluations_are_shown(self, make, standin):
        page = make(methods=("nearest", "suffix", "rrs"))
        found = page.data()["figures"]["evaluations"]
        assert [name for name, _ in found] == ["nearest", "rrs"]
        assert found[0][1]["levels"][0]["perplexity"] == 2.83
        assert found[0][1]["distance_correlation"]["value"] is None  # NaN is not JSON
        text = page.text()
        assert "0.250 (0.200 to 0.300)" in text
        assert "recall@10" in text
        assert "2.83" in text

    def test_neighbours_are_fewer_in_a_small_catalogue(self, make):
        books = [np.arange(4.0)[:, None]]
        assert "recall@3" in make(np.arange(4.0)[:, None], books).text()
        page = make(np.zeros((1, 1)), books)
        assert page.data()["figures"]["evaluations"] == []
        assert "One item has no neighbours" in page.text()

    def test_a_source_of_batches(self, make, vectors):
        parts = [vectors[:90].astype(np.float64), vectors[90:]]
        source = puresid.Batches(lambda: parts, shape=vectors.shape)
        assert make(source).source == make(vectors).source

    def test_the_real_evaluation(self, make, vectors, codebooks):
        page = make(methods=("nearest", "ecm"))
        for of, (name, found) in zip(
            page.data()["figures"]["methods"], page.data()["figures"]["evaluations"], strict=True
        ):
            sids = puresid.assign(vectors, codebooks, name).sids
            expected = puresid.evaluate_sids(vectors, sids, codebooks, sample=500)
            assert found == json.loads(json.dumps(expected.to_dict()))
            assert of["conflicts"] == [level["conflict_rate"] for level in found["levels"]]
            assert f"{expected.neighbours.recall.value:.3f}" in page.text()

    def test_without_an_evaluation(self, make, monkeypatch):
        monkeypatch.setitem(sys.modules, "puresid.judging", None)  # importing it would fail
        page = make(evaluation=False)
        assert page.data()["figures"]["evaluations"] == []
        assert "evaluation=False" in page.text()


class TestPlots:
    @given(st.lists(st.floats(-1e6, 1e6), min_size=7, max_size=7).map(sorted))
    def test_boxes_stay_inside(self, values):
        low, quarter, median, mean, three, high, largest = values
        spread = Spread(mean, low, quarter, median, three, high, largest)
        found = [
            float(x)
            for x in re.findall(
                r' (?:x|x1|x2|cx)="([^"]+)"', boxes("", [("ecm", spread)], x_label="")
            )
        ]
        assert len(found) > 10
        assert all(0 <= x <= 420 for x in found)

    def test_counts_have_no_broken_ticks(self):
        drawn = columns("", ["1", "2"], [("", [1.0, 0.0])], x_label="", y_label="")
        assert re.findall(r'text-anchor="end">([^<]+)<', drawn) == ["0", "1"]
        drawn = columns("", ["1", "2"], [("", [0.9, 0.0])], x_label="", y_label="")
        assert "0.2" in re.findall(r'text-anchor="end">([^<]+)<', drawn)


class TestWords:
    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (0, "0"), (12, "12"), (0.5, "0.5"), (9999, "9999"), (12_345, "12.3k"), (1.0, "1"),
            (1_234_567, "1.23M"), (4e9, "4G"), (3.4e15, "3.4e+15"), (0.00001234, "1.2e-05"),
            (0.0123456, "0.0123"),
        ],
    )  # fmt: skip
    def test_short_numbers(self, value, says):
        assert short(value) == says

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (0, "0 %"), (1, "100 %"), (0.123, "12.3 %"), (0.0012, "0.12 %"), (1e-7, "1e-05 %"),
            (0.9999999, "> 99.99 %"), (0.995, "99.50 %"),
        ],
    )  # fmt: skip
    def test_shares(self, value, says):
        assert share(value) == says

    @given(st.floats(1e-9, 1e12))
    def test_ticks_cover_the_values(self, high):
        marks = ticks(high)
        assert marks[0] == 0
        assert high * 0.99 <= marks[-1] <= high * 2.6
        assert 2 <= len(marks) <= 8
        assert math.isclose(marks[-1], marks[1] * (len(marks) - 1))


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"methods": "ecm"}, TypeError, "methods is 'ecm'; a sequence is needed"),
            ({"methods": 3}, TypeError, "methods is 3; a sequence is needed"),
            ({"methods": ()}, ValueError, "methods is empty; one at least"),
            ({"methods": ("ecm", "best")}, ValueError, r"methods\[1\] is 'best'; it must be one"),
            ({"methods": ("rrs", "rrs")}, ValueError, r"methods\[1\] is 'rrs', which is there tw"),
            ({"title": 3}, TypeError, "title is 3; a string is needed"),
            ({"keys": "abc"}, TypeError, "keys is of type str; a sequence of 200 is needed"),
            ({"texts": 5}, TypeError, "texts is of type int; a sequence of 200 is needed"),
            ({"keys": range(3)}, ValueError, "keys has 3 entries; vectors has 200 rows"),
            ({"texts": ["a"] * 201}, ValueError, "texts has 201 entries; vectors has 200 rows"),
            ({"random_state": -1}, ValueError, "random_state is -1; at least 0 is needed"),
            ({"random_state": 0.5}, TypeError, "random_state is 0.5; an integer is needed"),
            ({"threads": 0}, ValueError, "threads is 0"),
        ],
    )
    def test_wrong_ones_are_refused(self, make, tmp_path, options, error, message):
        with pytest.raises(error, match=message):
            make(**options)
        assert not (tmp_path / "report.html").exists()

    def test_no_items(self, make):
        with pytest.raises(ValueError, match="vectors has no rows; a report needs an item"):
            make(np.zeros((0, 4)))

    def test_too_many_items(self, make, vectors):
        with pytest.raises(puresid.CapacityError, match="200"):
            make(books=[vectors[:3]])
        assert make(books=[vectors[:3]], methods=("nearest",)).data()["figures"]["load"] > 1

    def test_a_folder_that_is_not_there(self, vectors, codebooks, tmp_path):
        with pytest.raises(FileNotFoundError, match="absent"):
            report(vectors, codebooks, tmp_path / "absent" / "report.html")
