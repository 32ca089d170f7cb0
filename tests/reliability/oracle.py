"""Equality with the oracles, ties included: as many instances as are asked for.

The bulk goes to `puresid_oracle`, the C++ program of `cpp/tests/oracle.cpp` that holds the core to
its naive twin; some more, through Python, to the slow Python of `oracles.py`.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .native import JOBS, build, build_folder
from .neighbours import oracles, strategies
from .running import Run
from .shim import Unavailable

COUNTED = ("instances", "lattices", "items", "conflicts", "refused", "differences")
_AT_ONCE = {"tiny": 20_000, "medium": 200}


@dataclass
class Compared:
    """Counts, as the program prints them, and what differed."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def answers(self) -> int:
        """Instances that both answered, in place of refusing them for want of room."""
        return self.counts["instances"] - self.counts["refused"]

    def add(self, other: Compared) -> None:
        self.counts += other.counts
        self.problems += other.problems


def compare_core(program: Path, kind: str, first: int, count: int) -> Compared:
    """Let the program compare instances of these numbers."""
    done = subprocess.run(
        [str(program), kind, str(first), str(count)], capture_output=True, text=True
    )
    found = Compared()
    for part in done.stdout.split():
        name, number = part.split("=")
        found.counts[name] = int(number)
    if done.returncode != 0 or found.counts["instances"] != count:
        said = done.stderr.splitlines()[:5] or [f"no more than {done.stdout!r}"]
        found.problems.append(
            f"puresid_oracle {kind} {first} {count}: status {done.returncode}: " + "\n".join(said)
        )
    return found


def compare_many(run: Run, program: Path, kind: str, answers: int) -> Compared:
    """Compare until so many instances had an answer."""
    found = Compared()
    first = run.options.seed * 10**9
    with ThreadPoolExecutor(JOBS) as pool:
        while found.answers < answers and not found.problems and not run.over:
            # Few are refused, so one round more is seldom needed.
            left = max(1, int(1.1 * (answers - found.answers)))
            size = _AT_ONCE[kind]
            shares = [(at, min(size, left - at)) for at in range(0, left, size)]
            for part in pool.map(
                lambda share, first=first: compare_core(program, kind, first + share[0], share[1]),
                shares,
            ):
                found.add(part)
            first += left
    return found


def compare_python(seed: int, count: int) -> Compared:
    """Compare medium instances, through the whole package, with `oracles.assign`."""
    import puresid

    found = Compared()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        case = strategies.random_instance(rng, max_items=200)
        method = ("ecm", "rrs")[number % 2]
        expected = oracles.assign(case.vectors, case.books, method, **case.options)
        threads = 1 + number % 3
        actual = puresid.assign(case.vectors, case.books, method, threads=threads, **case.options)
        found.counts["instances"] += 1
        found.counts["lattices"] += 1
        found.counts["items"] += len(case.vectors)
        found.counts["conflicts"] += int((expected.stages != 0).sum())
        if not oracles.same(expected, actual):
            found.counts["differences"] += 1
            found.problems.append(f"oracles.py, seed {seed}, instance {number}, {method}: differs")
    return found


def _say(run: Run, name: str, found: Compared, seconds: float) -> None:
    run.problems += found.problems
    counts = (f"{found.counts[name]:,}" for name in COUNTED)
    run.say(name, *counts, f"{found.answers:,}", f"{seconds:.0f}")


def oracle(run: Run) -> None:
    """Compare all three ways."""
    titles = ("full of ties", "items", "conflicts", "refused by both", "differences", "answers")
    run.head(f"Oracles, seed {run.options.seed}", "instances of", "number", *titles, "seconds")
    if run.chosen("oracles.py"):
        begun = time.monotonic()
        found = compare_python(run.options.seed, run.options.slow_instances)
        _say(run, "oracles.py", found, time.monotonic() - begun)
    wanted = {"tiny": run.options.tiny, "medium": run.options.medium}
    try:
        with build_folder(run.options.build) as folder:
            program = build("release", folder, ["puresid_oracle"]) / "tests" / "puresid_oracle"
            for kind, answers in wanted.items():
                if not run.over and run.chosen(kind):
                    begun = time.monotonic()
                    found = compare_many(run, program, kind, answers)
                    _say(run, f"the core's twin, {kind}", found, time.monotonic() - begun)
    except Unavailable as reason:
        run.problems.append(f"oracle: the core's twin was not compared: {reason}")
