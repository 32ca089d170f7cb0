"""Tables, plots and the page of results, and the command that writes them."""

import copy
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation_cases import HEADER, some_results
from puresid.cli import main
from puresid.evaluation.plots import gains_by_conflict, gains_by_split, means_by_arm
from puresid.evaluation.statistics import analyse, compare
from puresid.evaluation.tables import conflict_rate, markdown, overview, sections

pytest.importorskip("statsmodels", reason="statsmodels is not installed")


def with_header(results, **changes):
    return dataclasses.replace(results, header=copy.deepcopy(HEADER) | changes)


def rows_of(text, title):
    """The cells of the Markdown table below a title."""
    part = text.split(f"### {title}\n", 1)[1].split("\n###", 1)[0].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]
    assert len({len(row) for row in cells}) == 1
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_markdown_says_what_a_reader_must_know():
    results = some_results()
    text = markdown([results], resamples=200)
    [found] = [
        one
        for one in compare(results, against="suffix", resamples=200)
        if (one.arm, one.metric, one.split) == ("ecm", "R@10", "all")
    ]
    assert text.startswith("## small\n")
    primary = text.split("**")[1]
    assert "Primary, chosen before the run: R@10, ecm against suffix, all queries." in primary
    assert f"{found.mean:.4f} against {found.mean_against:.4f}" in primary
    assert f"difference {found.difference.value:+.4f}".replace("-", "\u2212") in primary
    assert f"p {found.p:.4f}; 3 seeds" in primary
    for said in (
        "Seeds: 3 (0, 1, 2), the same for every arm.",
        "Queries: 40 of 25 users.",
        "20 beams over the existing SIDs, normalised over the vocabulary.",
        "both over users (200 resamples)",
        "they do not cover other seeds of training, other seeds of the quantizer",
        "corrected for 2 arms",
        "expected hit",
        "Task: one | note",
    ):
        assert said in text


def test_tables_hold_the_numbers():
    results = some_results()
    text = markdown([results], resamples=200)
    assert [row["arm"] for row in rows_of(text, "Means")] == ["suffix", "ecm", "rrs"]
    mean = np.mean([results.cell("ecm", seed).values["nDCG@10"] for seed in (0, 1, 2)])
    assert rows_of(text, "Means")[1]["nDCG@10"].startswith(f"{mean:.4f} (")
    splits = rows_of(text, "R@10 by split")
    assert [(row["split"], row["arm"]) for row in splits] == [
        (split, arm) for split in ("all", "conflict", "never") for arm in ("ecm", "rrs")
    ]
    assert splits[0]["queries"] == "40"
    assert (splits[5]["queries"], splits[5]["p"], splits[5]["Holm p"]) == ("0", "n/a", "n/a")
    compared = compare(results, against="suffix", resamples=200)
    for row in rows_of(text, "Every metric"):
        [one] = [
            one
            for one in compared
            if (one.arm, one.metric, one.split) == (row["arm"], row["metric"], "all")
        ]
        assert row["p"] == f"{one.p:.4f}"
        assert row["Holm p"] == f"{one.p_holm:.4f}"
        assert row["difference"].replace("\u2212", "-") == f"{one.difference.value:+.4f}"
        low, high = row["95 % interval"].replace("\u2212", "-").split(" to ")
        assert (float(low), float(high)) == pytest.approx(
            (one.difference.low, one.difference.high), abs=6e-5
        )
    facts = rows_of(text, "Arms")
    assert facts[0] == {
        "arm": "suffix", "levels": "3", "sizes": "8 \u00d7 8 \u00d7 5", "unique": "yes",
        "conflict rate": "0.0%", "train seconds": "10",
    }  # fmt: skip
    assert facts[2]["levels"] == "n/a"


def test_seeds_that_differ_and_queries_left_out_are_said():
    results = some_results()
    cells = tuple(cell for cell in results.cells if (cell.arm, cell.seed) != ("ecm", 1))
    config = {"task": {"limit_queries": 40}}
    text = markdown([dataclasses.replace(with_header(results, config=config), cells=cells)])
    assert "suffix 0, 1, 2; ecm 0, 2; rrs 0, 1, 2. Differences are over the seeds that" in text
    assert "Only the first 40 queries of the task were asked." in text
    assert "the rule and the beams were not recorded" in text
    assert text.count("By seed: the primary difference is") == 1
    exact = with_header(results, config={"decoding": {"exact": True, "normalize": "children"}})
    assert "every SID scored, normalised over the children" in markdown([exact], resamples=9)


def test_what_cannot_be_said_is_said():
    text = markdown([some_results(arms=("suffix", "rrs"))], resamples=9)
    assert "It cannot be said: there are no results of ecm." in text
    text = markdown([some_results(arms=("rrs",))], resamples=9)
    assert "there are no results of ecm and suffix." in text
    assert "Nothing to compare." in text
    results = some_results(arms=("suffix", "ecm"), seeds=(0,))
    moved = dataclasses.replace(results.cells[1], seed=5)
    text = markdown([dataclasses.replace(results, cells=(results.cells[0], moved))], resamples=9)
    assert "It cannot be said: there is no seed of both." in text


def test_bars_in_names_do_not_break_tables():
    results = some_results(arms=("suffix", "a|b"))
    assert rows_of(markdown([results], resamples=9), "Means")[1]["arm"] == r"a\|b"


def test_several_runs_are_put_side_by_side():
    runs = [some_results(), with_header(some_results(seed=1), name="second", task={})]
    text = markdown(runs, resamples=99)
    assert [row["run"] for row in rows_of(text, "Primary comparisons")] == ["small", "second"]
    assert [row["conflicts"] for row in rows_of(text, "Primary comparisons")] == ["40.0%", "n/a"]
    assert text.index("### Primary comparisons") < text.index("## small") < text.index("## second")
    table = overview([analyse(run, resamples=99) for run in runs])
    assert len(table.rows) == 2
    assert [section.title for section in sections([analyse(runs[0], resamples=9)])] == ["small"]


def test_the_share_of_conflicts():
    results = some_results()
    assert conflict_rate(results) == 0.4
    assert conflict_rate(with_header(results, task={})) is None
    arms = {"nearest": {"conflict_rate": 0.3}, "ecm": {"conflict_rate": 0.0}, "rrs": {}}
    assert conflict_rate(with_header(results, task={}, arms=arms)) == 0.3
    assert conflict_rate(with_header(results, task={"conflict_rate": 0.0}, arms=arms)) == 0


def test_no_results_are_refused():
    from puresid.evaluation.page import page

    with pytest.raises(ValueError, match="no results to make tables of"):
        markdown([])
    with pytest.raises(ValueError, match="no results to make a page of"):
        page([])


@pytest.fixture
def plots():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.mark.usefixtures("plots")
def test_plots_are_drawings_that_repeat():
    runs = [some_results(), with_header(some_results(seed=1), task={"conflict_rate": 0.7})]
    analyses = [analyse(run, resamples=99) for run in runs]
    drawn = [
        means_by_arm(analyses[0]), gains_by_split(analyses[0]), gains_by_conflict(analyses)
    ]  # fmt: skip
    for svg in drawn:
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(set(drawn)) == 3
    assert means_by_arm(analyses[0]) == drawn[0]
    assert means_by_arm(analyses[1]) != drawn[0]


@pytest.mark.usefixtures("plots")
def test_gains_over_conflicts_need_two_runs_that_name_them():
    one = analyse(some_results(), resamples=9)
    unknown = analyse(with_header(some_results(), task={}), resamples=9)
    primary = HEADER["primary"] | {"against": "rrs"}
    other = analyse(with_header(some_results(), primary=primary), resamples=9)
    assert gains_by_conflict([]) is None
    assert gains_by_conflict([one]) is None
    assert gains_by_conflict([one, unknown]) is None
    assert gains_by_conflict([one, other]) is None
    assert gains_by_conflict([one, one]) is not None


class Page(HTMLParser):
    """Collects what a page points to, and checks that tags close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.usefixtures("plots")
def test_the_page_holds_all_it_needs():
    from puresid.evaluation.page import page

    runs = [
        with_header(some_results(), name="<first> & only"),
        with_header(some_results(seed=1), task={"conflict_rate": 0.7}),
    ]
    text = page(runs, resamples=99)
    read = Page(text)
    assert read.open == []
    assert all(link.startswith(("data:", "#")) for link in read.links)
    assert sum(link.startswith("data:image/svg+xml") for link in read.links) == 5
    assert "<first> & only" in read.texts
    assert "<first>" not in text
    # A policy refuses everything but the style and the images inside, by its digest.
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in text
    for table in ("Primary comparisons", "Means", "R@10 by split", "Every metric", "Arms"):
        assert table in read.texts
    assert text == page(runs, resamples=99)
    assert 'class="first chosen"' in text or 'class="chosen"' in text


def test_without_extras_it_says_what_installs_them(run_python):
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
sys.modules["matplotlib"] = None
from evaluation_cases import some_results
from puresid.evaluation.page import page
from puresid.evaluation.statistics import holm
try:
    page([some_results()], resamples=9)
except ImportError as error:
    print(error)
sys.modules["statsmodels.stats.multitest"] = None
try:
    holm([0.5])
except ImportError as error:
    print(error)
"""
    first, second = run_python(script).splitlines()
    assert "evaluation needs matplotlib: pip install 'puresid[eval]'" in first
    assert "evaluation needs statsmodels: pip install 'puresid[eval]'" in second


def run_table(*arguments):
    return CliRunner().invoke(main, ["eval", "table", *map(str, arguments)])


def test_the_command_writes_markdown(tmp_path):
    results = some_results()
    path = results.save(tmp_path / "run")
    expected = markdown([results], resamples=99, seed=2)
    done = run_table(path, "--resamples", 99, "--seed", 2)
    assert (done.exit_code, done.output) == (0, expected)
    done = run_table(path.parent, "-o", tmp_path / "t.md", "--resamples", 99, "--seed", 2)
    assert (done.exit_code, done.output) == (0, f"wrote {tmp_path / 't.md'}\n")
    assert (tmp_path / "t.md").read_text(encoding="utf-8") == expected


@pytest.mark.usefixtures("plots")
def test_the_command_writes_a_page(tmp_path):
    paths = [some_results(seed=seed).save(tmp_path / str(seed)) for seed in (0, 1)]
    done = run_table(*paths, "-o", tmp_path / "t.html", "--resamples", 9)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "t.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_command_refuses(tmp_path):
    path = some_results().save(tmp_path / "run")
    assert run_table().exit_code == 2
    done = run_table(path, "-o", tmp_path / "t.pdf")
    assert done.exit_code == 2
    assert ".pdf" in done.output or "t.pdf" in done.output
    done = run_table(tmp_path / "none")
    assert (done.exit_code, "none: No such file" in done.output) == (2, True)
    path.with_name("queries.npz").write_bytes(b"other")
    done = run_table(path)
    assert (done.exit_code, "SHA-256" in done.output) == (5, True)
