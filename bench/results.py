"""A run's record: where it was made, what was measured, and how that is written down."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import puresid
from bench.cases import Case
from bench.machine import cpu_model

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("puresid", "numpy", "torch", "faiss-cpu")


@dataclass(frozen=True)
class Timing:
    """Seconds a call."""

    median: float
    fastest: float
    slowest: float
    runs: tuple[float, ...]
    calls: int
    """Calls in each run; a run's seconds are divided by them."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method on one case. The last three compare with `against`, puresid's method."""

    method: str
    label: str
    timing: Timing
    unique: int
    duplicates: int
    """Items that share their SID with an item before them."""
    stages: dict[int, int]
    distortion: float
    distortion_ratio: float
    """Mean distortion over that of puresid's nearest SIDs."""
    against: str | None
    times_ours: float | None
    equal_sids: float | None


@dataclass(frozen=True)
class Skipped:
    """A method, or a whole case, that could not be run."""

    name: str
    label: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CaseReport:
    """One case with all its rows."""

    case: Case
    conflicts: float
    """Share of the items whose nearest SID has another owner."""
    multiply_adds: int
    multiply_adds_per_second: float
    floor: float
    """Seconds of nearest quantisation's multiply-adds at the rate of numpy's matrix product."""
    others: float | None
    """Share of the machine's CPU time that other processes took while the rounds ran."""
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Provenance:
    """What a number is worthless without."""

    date: str
    commit: str
    dirty: bool
    cpu: str
    cpus: int
    system: str
    threads: int
    python: str
    libraries: dict[str, str]
    build: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Report:
    """One run of `python -m bench`."""

    provenance: Provenance
    quick: bool
    rounds: int
    cases: tuple[CaseReport, ...]
    skipped: tuple[Skipped, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """What the checks of the answers found; nothing, in a run that may be quoted."""
        return tuple(failure for report in self.cases for failure in report.failures)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _installed(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def provenance(threads: int) -> Provenance:
    """Taken before the run, so that it describes what was run."""
    # Results of earlier runs do not change what is measured, so they do not count as a change.
    changes = _git("status", "--porcelain", "--", ".", ":(exclude)bench/results")
    return Provenance(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=_git("rev-parse", "HEAD") or "unknown",
        dirty=changes != "",
        cpu=cpu_model(),
        cpus=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        threads=threads,
        python=platform.python_version(),
        libraries={library: _installed(library) for library in LIBRARIES},
        build=dict(puresid.build_config()),
    )


def write_json(report: Report, path: Path) -> None:
    """The whole record, every run's seconds included."""
    path.write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n")


def significant(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value <= 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 - math.floor(math.log10(value))}f}"


BUSY = 0.05
"""Above this share of the machine in other hands, the table says that it is not to be quoted."""

HEADER = (
    ("case", ":--"),
    ("method", ":--"),
    ("seconds: median [min..max]", "--:"),
    ("SIDs", ":--"),
    ("tier 1 / 2 / completion", "--:"),
    ("distortion ÷ nearest's", "--:"),
    ("times ours", "--:"),
    ("÷ floor", "--:"),
    ("same SID as ours", "--:"),
)


def _stages(row: Row) -> str:
    """Items per stage after the first, for the methods that have them."""
    if row.method not in ("ecm", "rrs"):
        return ""
    return " / ".join(f"{row.stages.get(stage, 0):,}" for stage in (1, 2, 3))


def _cells(report: CaseReport, row: Row) -> list[str]:
    timing = row.timing
    spread = f"{significant(timing.fastest)}..{significant(timing.slowest)}"
    return [
        row.label,
        f"{significant(timing.median)} [{spread}]",
        f"{row.duplicates:,} duplicates" if row.duplicates else "unique",
        _stages(row),
        f"{row.distortion_ratio:.4f}",
        "" if row.times_ours is None else significant(row.times_ours),
        significant(timing.median / report.floor),
        "" if row.equal_sids is None else f"{100 * row.equal_sids:.2f} %",
    ]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _footer(report: Report) -> list[str]:
    made = report.provenance
    state = " with uncommitted changes" if made.dirty else ""
    libraries = ", ".join(f"{name} {number}" for name, number in made.libraries.items())
    lines = [
        f"One run of `python -m bench` on {made.date[:10]}: commit {made.commit[:12]}{state}, "
        f"{made.cpu} ({made.cpus} CPUs), threads: {made.threads}; Python {made.python}, "
        f"{libraries}. Median and spread of {report.rounds} interleaved runs."
    ]
    if report.quick:
        lines.insert(0, "**A quick run on cut catalogues: it shows that all runs, not how fast.**")
    lines += [
        f"**Not to be quoted: while {case.case.name} ran, other processes took "
        f"{100 * case.others:.0f} % of the machine.**"
        for case in report.cases
        if case.others is not None and case.others > BUSY
    ]
    gaps = (*report.skipped, *(gap for case in report.cases for gap in case.skipped))
    # A library that is missing is missing from every case: said once.
    lines += dict.fromkeys(f"Not run: {gap.label}: {gap.reason}." for gap in gaps)
    lines += [f"**Check failed: {failure}.**" for failure in report.failures]
    return lines


def markdown(report: Report) -> str:
    """The table, with the provenance below it."""
    lines = [_line([name for name, _ in HEADER]), _line([rule for _, rule in HEADER])]
    for case in report.cases:
        first = (
            f"**{case.case.name}**: {case.case.shape}, {100 * case.conflicts:.1f} % in conflict, "
            f"floor {significant(case.floor)} s"
        )
        for row in case.rows:
            lines.append(_line([first, *_cells(case, row)]))
            first = ""
    return "\n".join(lines) + "\n\n" + "\n\n".join(_footer(report)) + "\n"
