"""A run's record: where it was made and what was measured; `tables` writes it for readers."""

from __future__ import annotations

import json
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
from puresid.config import cpu_model

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
class Floor:
    """What a case cannot do without, and the rates of the machine."""

    multiply_adds: int
    multiply_adds_per_second: float
    """numpy's float32 matrix product."""
    bytes: int
    bytes_per_second: float
    """A copy's, reads and writes counted."""

    @property
    def by_operations(self) -> float:
        """Seconds of the multiply-adds."""
        return self.multiply_adds / self.multiply_adds_per_second

    @property
    def by_bytes(self) -> float:
        """Seconds of the bytes."""
        return self.bytes / self.bytes_per_second

    @property
    def seconds(self) -> float:
        """The larger of the two: they can overlap."""
        return max(self.by_operations, self.by_bytes)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method on one case. The last three compare with `against`, puresid's method."""

    method: str
    label: str
    timing: Timing
    unique: int
    duplicates: int
    """Items that share their SID with an item before them."""
    sids_sha256: str
    stages: dict[int, int]
    distortion: float
    distortion_ratio: float
    """Mean distortion over that of puresid's nearest SIDs."""
    against: str | None
    times_ours: float | None
    equal_sids: float | None


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Peak memory of one call, in bytes."""

    method: str
    label: str
    beyond_input: int
    """The peak less what was there before the call."""
    output: int
    """The part of it that is SIDs, stages and distortion."""
    anonymous: bool
    """Whether the pages of files were left out; then the peak is the most of many looks."""


@dataclass(frozen=True)
class Skipped:
    """A method, or a whole case, that could not be run."""

    name: str
    label: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CaseReport:
    """One case at one number of threads, with all its rows."""

    case: Case
    threads: int
    conflicts: float
    """Share of the items whose nearest SID has another owner."""
    floor: Floor
    others: float | None
    """Share of the machine's CPU time that other processes took while the rounds ran."""
    rows: tuple[Row, ...]
    memory: tuple[Memory, ...] = ()
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
    threads: tuple[int, ...]
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
        return (
            *(failure for report in self.cases for failure in report.failures),
            *differing(self.cases),
        )


def differing(reports: tuple[CaseReport, ...]) -> tuple[str, ...]:
    """Where puresid's SIDs depend on the number of threads, which they must not."""
    found: dict[tuple[str, str], set[str]] = {}
    for report in reports:
        for row in report.rows:
            if row.against is None:
                found.setdefault((report.case.name, row.label), set()).add(row.sids_sha256)
    return tuple(
        f"{name}, {label}: other SIDs at another number of threads"
        for (name, label), digests in found.items()
        if len(digests) > 1
    )


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


def provenance(threads: tuple[int, ...]) -> Provenance:
    """Taken before the run, so that it describes what was run."""
    # What earlier runs wrote does not change what is measured, so it does not count as a change.
    written = (":(exclude)bench/results", ":(exclude)bench/README.md")
    changes = _git("status", "--porcelain", "--", ".", *written)
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
