"""Fuzzing: libFuzzer targets of the core under sanitizers, and mutants of every file in Python."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .fuzz_worker import LIMIT
from .harness import with_package
from .loaders import Loader, loaders
from .native import JOBS, ROOT, build, build_folder
from .running import Run
from .shim import Unavailable

VERDICTS = ("refused", "equal", "different", "unclear", "crash", "hang")
_SLOWEST = 25  # seconds that one input may take
_MEMORY = 2048  # MiB that one input may take
_KEPT = 3  # findings per kind that are shown


def fuzz(run: Run) -> None:
    """Run both, each for half of the time."""
    minutes = run.options.fuzz_minutes
    try:
        fuzz_core(run, 30 * minutes)
    except Unavailable as reason:
        run.problems.append(f"fuzz: the core's targets were not run: {reason}")
    fuzz_loaders(run, 30 * minutes)


# ---- the core


@dataclass(frozen=True)
class Found:
    """What a target's run came to."""

    executions: int
    covered: int
    finding: str


def targets() -> list[str]:
    """Return the names of the targets, which are those of their files."""
    return sorted(path.stem for path in (ROOT / "cpp" / "fuzz").glob("fuzz_*.cpp"))


def run_target(program: Path, corpus: Path, seconds: float, seed: int) -> Found:
    """Run one target for some seconds; its corpus is added to."""
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="puresid-fuzz-") as work:
        done = subprocess.run(
            [
                *(str(program), f"-max_total_time={max(1, int(seconds))}", f"-seed={seed}"),
                *(f"-timeout={_SLOWEST}", f"-rss_limit_mb={_MEMORY}", "-print_final_stats=1"),
                *(f"-artifact_prefix={work}/", "-print_funcs=0", str(corpus)),
            ],
            cwd=work,
            env=with_package() | {"ASAN_OPTIONS": "detect_leaks=1"},
            capture_output=True,
            text=True,
            errors="replace",
        )
    counted = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+)", done.stderr)
    executions = int(counted[1]) if counted else 0
    if done.returncode == 0 and executions > 0:
        return Found(executions, int(covered[-1]) if covered else 0, "")
    told = [line for line in done.stderr.splitlines() if not re.match(r"#\d+|\s*NEW_FUNC", line)]
    finding = f"{program.name} ended with status {done.returncode}:\n" + "\n".join(told[-60:])
    return Found(executions, int(covered[-1]) if covered else 0, finding)


def fuzz_core(run: Run, seconds: float) -> None:
    """Build the targets and run each for its share of some seconds."""
    names = [name for name in targets() if run.chosen(name)]
    if not names:
        return
    with build_folder(run.options.build) as folder:
        built = build("fuzz", folder, names) / "fuzz"
        run.head("Fuzzing of the core, ASan and UBSan", "target", "executions", "edges", "findings")
        share = min(seconds, run.left) * JOBS / len(names)
        share = min(share, seconds)
        with ThreadPoolExecutor(JOBS) as pool:
            found = pool.map(
                lambda name: run_target(
                    built / name, folder / "corpus" / name, share, run.options.seed
                ),
                names,
            )
            total = 0
            for name, one in zip(names, found, strict=True):
                total += one.executions
                run.problems += [one.finding] if one.finding else []
                run.say(name, f"{one.executions:,}", one.covered, int(bool(one.finding)))
        run.say("all", f"{total:,}", "", "")


# ---- files


@dataclass
class Mutants:
    """What came of the mutants of one kind of file."""

    loader: Loader
    seed: int
    verdicts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.verdicts.values())

    def note(self, number: int, verdict: str, message: str) -> None:
        """Count a verdict; of what must not be, keep one mutant of each sort."""
        self.verdicts[verdict] += 1
        if verdict in ("unclear", "crash", "hang"):
            sort = f"{verdict} {re.sub('[0-9]+', '#', message)[:60]}"
            again = f"fuzz_worker {self.loader.name!r} {self.seed} {number} --write FILE"
            self.findings.setdefault(sort, f"{verdict}: {message}\n  {again}")

    def problems(self) -> list[str]:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in self.verdicts.items())
        shown = list(self.findings.values())
        return [f"{self.loader.name} ({counts}): {text}" for text in shown[:_KEPT]]


def read_mutants(
    loader: Loader, seed: int, *, seconds: float, count: int = 10**9, module: str = ""
) -> Mutants:
    """Let workers read mutants for some seconds, or so many of them.

    Parameters
    ----------
    loader : Loader
    seed : int
    seconds : float
    count : int
    module : str
        What the workers run, if not `fuzz_worker`.
    """
    found = Mutants(loader, seed)
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="puresid-mutants-") as name:
        while found.total < count and time.monotonic() < until:
            results = Path(name) / "results"
            results.write_bytes(b"")
            first = found.total
            done = subprocess.run(
                [
                    *(sys.executable, "-X", "faulthandler", "-W", "ignore"),
                    *("-m", module or f"{__package__}.fuzz_worker"),
                    *(loader.name, str(seed), str(first), str(count), str(until), name),
                ],
                env=with_package(),
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
            for line in results.read_text().splitlines():
                found.note(found.total, *line.split("\t", 1))
            if done.returncode == 0:
                break
            said = f"status {done.returncode}: {done.stderr[-2000:]}"
            if done.returncode > 0:
                raise RuntimeError(f"a worker of {loader.name!r} failed of itself, {said}")
            # SIGALRM is its own; nothing else tells it that a mutant has had its time.
            hung = -done.returncode == signal.SIGALRM
            verdict, message = ("hang", f"over {LIMIT} s") if hung else ("crash", said)
            found.note(found.total, verdict, message)
    return found


def fuzz_loaders(run: Run, seconds: float) -> None:
    """Read mutants of every kind of file."""
    chosen = [loader for loader in loaders() if run.chosen(loader.name)]
    title = f"Fuzzing of files, seed {run.options.seed}"
    run.head(title, "kind", "form", "mutants", *VERDICTS)
    if not chosen:
        return
    share = min(seconds, run.left) * JOBS / len(chosen)
    total: Counter[str] = Counter()
    with ThreadPoolExecutor(JOBS) as pool:
        for found in pool.map(
            lambda loader: read_mutants(loader, run.options.seed, seconds=share), chosen
        ):
            total += found.verdicts
            run.problems += found.problems()
            counts = (found.verdicts[verdict] for verdict in VERDICTS)
            run.say(found.loader.name, found.loader.form, f"{found.total:,}", *counts)
    run.say("all", "", f"{sum(total.values()):,}", *(total[verdict] for verdict in VERDICTS))
