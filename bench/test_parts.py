"""`pytest bench`: cases, catalogues, floors, memory and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import memory, results, tables
from bench.__main__ import arguments
from bench.cases import CASES, GROUPS, README, Case, select
from bench.compare import distinct, faults, run_case
from bench.data import blocks, load, vectors_of
from bench.floor import Rates, bytes_moved, multiply_adds
from bench.fresh import in_fresh_process
from bench.results import CaseReport, Report

SMALL = Case(name="headline", items=600, dim=8, sizes=(16, 16, 16), methods=("nearest", "ecm"))


@pytest.fixture(scope="module")
def report() -> Report:
    # A process of its own, as in a run; rates and times of so small a case mean nothing.
    found = in_fresh_process(1, run_case, SMALL, threads=1, rounds=1, store=None)
    made = results.provenance((1,))
    return Report(provenance=made, quick=True, rounds=1, cases=(found,), skipped=())


def test_names_are_unique_and_every_group_has_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert select() == README
    assert select(groups=list(GROUPS)) == CASES
    assert [case.name for case in select(["dims-32"], ["skew"])] == [
        "dims-32",
        "skew-0.0",
        "skew-0.6",
        "skew-1.1",
    ]
    with pytest.raises(ValueError, match="no group is called 'all'"):
        select(groups=["all"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_quick_cases_have_room(case: Case) -> None:
    quick = case.quick()
    assert quick.items <= np.prod(quick.sizes, dtype=float) / 2
    assert "nearest" in case.methods


def test_a_block_depends_on_the_seed_and_its_number_alone() -> None:
    short, long = (
        list(blocks(items, 2, clusters=10, concentration=0.5, noise=0.1, decay=0.0, seed=3))
        for items in (65_536, 70_000)
    )
    assert np.array_equal(short[0], long[0])
    assert [len(rows) for rows in long] == [65_536, 4_464]


def test_catalogues_are_the_same_in_memory_in_a_file_and_mapped(tmp_path: Path) -> None:
    case = replace(SMALL, items=70_000)
    made, read = vectors_of(case), vectors_of(case, tmp_path)
    mapped = vectors_of(replace(case, mapped=True), tmp_path)
    assert np.array_equal(made, read)
    assert np.array_equal(made, mapped)
    assert isinstance(mapped, np.memmap)
    assert len(list(tmp_path.iterdir())) == 1


def test_codebooks_are_kept(tmp_path: Path) -> None:
    first = load(SMALL, 1, tmp_path).codebooks
    before = sorted(tmp_path.iterdir())
    assert load(SMALL, 1, tmp_path).codebooks == first == load(SMALL, 1).codebooks
    assert load(replace(SMALL, sizes=(8, 8, 8)), 1, tmp_path).codebooks.sizes == (8, 8, 8)
    assert len(before) == 2
    assert len(list(tmp_path.iterdir())) == 3


def test_more_codewords_than_items() -> None:
    problem = load(Case(name="one", items=90, dim=4, sizes=(128,), clusters=50), 1)
    assert problem.vectors.shape == (90, 4)
    assert problem.codebooks.sizes == (128,)


def test_floor_counts_operations_and_bytes() -> None:
    assert multiply_adds(SMALL) == 600 * 8 * 48
    assert bytes_moved(SMALL) == 4 * 8 * (600 + 48) + 600 * (3 * 2 + 5) + 600 * 24
    wide = replace(SMALL, sizes=(70_000,))
    assert bytes_moved(wide) == 4 * 8 * (600 + 70_000) + 600 * (4 + 5) + 600 * 24
    floor = Rates(1, operations=600 * 8 * 48, bytes=1e9).floor(SMALL)
    assert floor.seconds == floor.by_operations == 1
    assert Rates(1, operations=1e15, bytes=bytes_moved(SMALL)).floor(SMALL).seconds == 1


def test_distinct_counts_sids_of_any_length() -> None:
    sids = np.array([[0, 1], [1, 0], [0, 1]], dtype=np.uint16)
    assert distinct(sids) == 2
    assert distinct(np.tile(sids + np.uint16(60_000), 8)) == 2


@pytest.mark.skipif(not memory.measurable(), reason="only Linux says what a process has resident")
@pytest.mark.parametrize("mapped", [False, True])
def test_peak_memory_holds_at_least_the_output(tmp_path: Path, mapped: bool) -> None:
    case = replace(SMALL, items=100_000, sizes=(256, 256, 256), mapped=mapped)
    load(case, 1, tmp_path)
    found = in_fresh_process(1, memory.peak, case, "ecm", 1, tmp_path)
    assert found.output == 100_000 * (3 * 2 + 1 + 4)
    assert found.output < found.beyond_input < 100_000_000
    assert found.anonymous == mapped


def test_tables_say_what_was_measured(report: Report) -> None:
    text = tables.markdown(report)
    assert report.failures == ()
    assert "**headline**: 600 x 8, 3 x 16" in text
    assert "| puresid ECM |" in text
    assert "at numpy's copy" in text
    assert "peak beyond input" not in text
    assert "threads: 1;" in text


def at_two_threads(report: Report, digest: str | None = None) -> Report:
    """The same once more, as if two threads had made it in half the time."""
    (found,) = report.cases
    rows = tuple(
        replace(
            row,
            sids_sha256=digest or row.sids_sha256,
            timing=replace(row.timing, median=row.timing.median / 2),
        )
        for row in found.rows
    )
    other = replace(found, threads=2, rows=rows)
    return replace(
        report, cases=(found, other), provenance=replace(report.provenance, threads=(1, 2))
    )


def test_scaling_can_be_read(report: Report) -> None:
    lines = tables.times(at_two_threads(report), "readme")
    assert len(lines) == 2 + 2 * 2
    assert "| speed-up |" in lines[0]
    assert "| 2.00 |" in lines[3]


def test_other_sids_at_other_threads_are_a_failure(report: Report) -> None:
    assert at_two_threads(report).failures == ()
    (nearest, ecm) = at_two_threads(report, digest="another").failures
    assert nearest == "headline, puresid nearest: other SIDs at another number of threads"
    assert "ECM" in ecm


def test_one_run_is_called_so(report: Report) -> None:
    (found,) = report.cases
    row = replace(found.rows[0], timing=results.Timing(30.0, 30.0, 30.0, (30.0,), 1))
    once = replace(report, rounds=5, cases=(replace(found, rows=(row,)),))
    assert "| 30.0, one run |" in tables.markdown(once)


def test_update_rewrites_its_section_alone(report: Report, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    start, end = tables.markers("readme")
    page.write_text(f"before\n\n{start}\nold\n{end}\nafter\n")
    tables.update(page, report)
    first = page.read_text()
    tables.update(page, report)
    assert page.read_text() == first
    assert first.startswith(f"before\n\n{start}\n| case |")
    assert first.endswith(f"{end}\nafter\n")
    assert "old" not in first
    page.write_text(f"{end}\n{start}\n")
    with pytest.raises(ValueError, match="needs one line"):
        tables.update(page, report)


def test_the_page_has_a_place_for_every_group() -> None:
    text = (Path(__file__).parent / "README.md").read_text()
    for group in GROUPS:
        start, end = tables.markers(group)
        assert text.count(start) == text.count(end) == 1, group
        assert text.index(start) < text.index(end)


def test_threads_one_or_several() -> None:
    assert arguments(["--threads", "3"]).threads == [3]
    assert arguments(["--threads", "1", "2"]).threads == [1, 2]
    with pytest.raises(SystemExit):
        arguments(["--update", "--cases", "headline"])


def test_faults_are_found() -> None:
    from bench.compare import Checked
    from bench.methods import Answer

    problem = load(SMALL, 1)
    sids = np.zeros((600, 3), dtype=np.uint16)
    found = faults(problem, "ecm", Checked(Answer(sids), 1.0, distinct(sids), 0.0))
    assert found == ["headline, puresid ECM: 599 SIDs are not unique"]


def test_a_case_report_can_leave_its_process(report: Report) -> None:
    assert isinstance(report.cases[0], CaseReport)


def test_what_unique_sids_cost_is_measured_and_told() -> None:
    from bench import unique

    vectors = load(SMALL, 1).vectors
    row = unique.run_case("Small", vectors, (32, 32))
    assert 0 < row.conflicts < 1
    assert row.found["ECM"].excess > row.found["optimal"].excess
    assert row.found["optimal"].bound_over == "all"
    assert abs(row.found["optimal"].gap) < 1.1e-3
    worse = replace(row, found=row.found | {"beam": row.found["ECM"]})
    assert "Small 2 \N{MULTIPLICATION SIGN} 32: beam has 1.000 of" in unique.faults([worse])[0]
    for text in (unique.excess_table([row]), unique.recall_table([row])):
        lines = text.splitlines()
        assert len(lines) == 3
        assert len({line.count("|") for line in lines}) == 1
