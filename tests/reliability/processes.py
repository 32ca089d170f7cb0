"""Forks, Ctrl-C and torch in one process, again and again: none may hang.

Each program is a process of its own, from `process_cases`, and must print what it prints alone.
The time limit is far beyond what any takes: it only turns a hang into a finding.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .harness import with_package
from .native import JOBS
from .neighbours import process_cases
from .running import Run

LIMIT = 1200  # seconds: other work may leave this one next to nothing


@dataclass(frozen=True)
class Program:
    """A program and what it must print.

    Parameters
    ----------
    name : str
    script : callable
        Takes a source of chance and gives the program.
    right : callable
        Whether a program printed what it must.
    """

    name: str
    script: Callable[[random.Random], str]
    right: Callable[[str], bool]


@dataclass(frozen=True)
class Ended:
    """How a program ended: well, or what is wrong, and whether it hung."""

    problem: str = ""
    hung: bool = False


def run_program(program: Program, chance: random.Random, *, limit: float = LIMIT) -> Ended:
    """Run a program once."""
    script = program.script(chance)
    # Two threads, whatever the machine has: what is looked for is what they do to each other.
    environment = with_package() | {"OMP_NUM_THREADS": "2"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=limit,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return Ended(f"{program.name} did not end in {limit} s:\n{script}", hung=True)
    if done.returncode == 0 and program.right(done.stdout):
        return Ended()
    hung = "-14" in done.stderr or "status 14" in done.stderr  # a child's alarm
    said = f"{program.name} ended with status {done.returncode}: {done.stdout}\n{done.stderr}"
    return Ended(f"{said[-3000:]}\n{script}", hung)


def _always(script: str) -> Callable[[random.Random], str]:
    return lambda chance: script


def _interrupted(kind: str, method: str) -> Callable[[random.Random], str]:
    def script(chance: random.Random) -> str:
        delay = round(chance.uniform(0.01, 1.0), 3)
        return str(process_cases.INTERRUPTED.format(kind=kind, method=method, delay=delay))

    return script


def _stopped(printed: str) -> bool:
    """Whether the call was interrupted, or was over before the signal came."""
    return printed.split()[0] == "interrupted" or printed == "returned 0\n"


def programs(alone: str) -> list[Program]:
    """All of them; those with torch where it is there.

    Parameters
    ----------
    alone : str
        What `process_cases.JOB` gives in a process without all this.
    """
    cases = process_cases

    def same(printed: str) -> bool:
        return printed == "same\n"

    found = [
        Program(f"Ctrl-C, {kind}, {method}", _interrupted(kind, method), _stopped)
        for kind in ("spread", "equal")
        for method in ("ecm", "rrs")
    ]
    if hasattr(os, "fork"):
        found += [
            Program("fork after a parallel call", _always(cases.JOB + cases.FORK), same),
            Program("fork from another thread", _always(cases.FORK_FROM_THREAD), same),
            Program("fork during a call", _always(cases.FORK_DURING_CALL), same),
            Program("a pool of forked workers", _always(cases.POOL), same),
        ]
    if importlib.util.find_spec("torch") is not None:
        if hasattr(os, "fork"):
            found.append(Program("fork beside torch", _always(cases.FORK_BESIDE_TORCH), same))
        found += [
            Program(name, _always(script), lambda printed: printed == alone)
            for name, script in cases.TORCH_ORDERS.items()
        ]
    return found


def job_alone() -> str:
    """Return what the job gives in a process of its own."""
    script = process_cases.JOB + "print(job())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=with_package(),
        check=True,
    )
    return done.stdout


def processes(run: Run) -> None:
    """Run each program so many times."""
    repeats = run.options.repeats
    run.head(f"Processes, seed {run.options.seed}", "program", "runs", "hangs", "problems")
    total = hangs = 0
    with ThreadPoolExecutor(JOBS) as pool:
        for program in programs(job_alone()):
            if run.over or not run.chosen(program.name):
                continue
            chances = [
                random.Random(f"{program.name}/{run.options.seed}/{i}") for i in range(repeats)
            ]
            ended = list(pool.map(lambda chance, one=program: run_program(one, chance), chances))
            problems = [one.problem for one in ended if one.problem]
            run.problems += problems
            total += len(ended)
            hangs += sum(one.hung for one in ended)
            run.say(program.name, len(ended), sum(one.hung for one in ended), len(problems))
    run.say("all", total, hangs, "")
