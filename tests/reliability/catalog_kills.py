"""SIGKILL at random while a catalogue is added to: at any moment, and before any system call.

One catalogue grows, with a removal now and then, and is opened again after each kill. It must be in
the old generation or in the new one, whose SIDs are those that `assign` gives with all that were
ever published as `taken`.

Kills at moments need a process of their own, which forks a victim per line that it reads:
``python -m tests.reliability.catalog_kills``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .harness import KILLED, Faults, Plan, with_package

SIZES, DIM = (16, 16, 16), 8
EACH, REMOVED = 40, 15  # items that a call adds, or removes
FRESH = 40  # calls after which another catalogue is begun: opening one takes longer as it grows
WRITING = 30  # so many system calls at the end are not those of opening it
LIMIT = 60.0  # seconds; only turns a hang into a failure
OUTCOMES = ("old", "new", "done", "torn")  # done: the kill came too late
IMPORTS = f"from {__package__}.catalog_kills import change"


def change(folder: str, job: str, number: int) -> None:
    """What is killed: open the catalogue, and add or remove."""
    from puresid.catalog import Catalog, PrefixLoadWarning

    catalog = Catalog.open(folder)
    if job == "add":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrefixLoadWarning)
            catalog.add(_keys(number), _vectors(number), threads=1)
    else:
        catalog.remove(catalog.items().keys.take(np.arange(REMOVED)))


def _keys(number: int) -> list[str]:
    return [f"{number}/{row}" for row in range(EACH)]


def _vectors(number: int) -> Any:
    return np.random.default_rng(number).normal(size=(EACH, DIM)).astype(np.float32)


class Moments:
    """Runs `change` in a fork and kills it after a time; a context manager."""

    def __enter__(self) -> Moments:
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=with_package(),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.communicate()

    def run(self, folder: Path, job: str, number: int, seconds: float) -> tuple[int, float]:
        """Return the exit status, or minus the signal, and how long it took."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{folder}\t{job}\t{number}\t{seconds}\n")
        self._server.stdin.flush()
        status, took = self._server.stdout.readline().split()
        return int(status), float(took)


class Kills:
    """What came of it.

    Attributes
    ----------
    runs : Counter
        ``"moment, old"``, ``"call, new"``, … by `OUTCOMES`; ``"add"`` or ``"remove"`` for each that
        was killed; ``"again"`` for those that were then done undisturbed.
    problems : list of str

    Parameters
    ----------
    folder : Path
        An empty one.
    chance : Random
    faults : Faults
        With `IMPORTS`.
    moments : Moments
    """

    def __init__(
        self, folder: Path, chance: random.Random, faults: Faults, moments: Moments
    ) -> None:
        self.runs: Counter[str] = Counter()
        self.problems: list[str] = []
        self._folder, self._chance = folder, chance
        self._faults, self._moments = faults, moments
        self._number, self._calls, self._took = 0, 80, 0.05
        self._catalogue = folder

    def once(self, how: str) -> bool:
        """Change the catalogue once, and kill it; False where the kill came too late."""
        from puresid.catalog import Catalog

        if self._number % FRESH == 0:
            self._begin()
        self._number += 1
        old = Catalog.open(self._catalogue)
        items = _items(old)
        job = "remove" if len(old) > REMOVED and self._chance.random() < 0.1 else "add"
        new = self._after(old, job)
        killed = (self._before_a_call if how == "call" else self._at_a_moment)(job)
        found = Catalog.open(self._catalogue)
        steps, problems = found.generation - old.generation, found.verify()
        if problems or (steps, _items(found)) not in ((0, items), (1, new)):
            self.problems.append(
                f"{job} {self._number}, killed at a {how}: generation {old.generation} became "
                f"{found.generation}: {problems or 'with other items'}"
            )
            self.runs[f"{how}, torn"] += 1
        else:
            self.runs[f"{how}, {('old', 'new')[steps] if killed else 'done'}"] += 1
            if steps == 0 and self._chance.random() < 0.5:
                self._again(how, job, new)
                found.refresh()
            self._ever |= set(_items(found).values())
        self.runs[job] += killed
        if self._chance.random() < 0.1:
            found.collect_garbage(keep=2)
        return killed

    def _again(self, how: str, job: str, new: dict[Any, Any]) -> None:
        """Do it undisturbed, which also says how long it takes."""
        from puresid.catalog import Catalog

        if how == "call":
            self._calls = len(self._faults.run(self._script(job), self._catalogue).calls)
        else:
            self._took = self._moments.run(self._catalogue, job, self._number, LIMIT)[1]
        self.runs["again"] += 1
        if _items(Catalog.open(self._catalogue)) != new:
            self.problems.append(f"{job} {self._number}, run again, ended in other items")

    def _begin(self) -> None:
        from puresid.catalog import Catalog

        rng = np.random.default_rng(self._number)
        levels = [rng.normal(size=(size, DIM)).astype(np.float32) for size in SIZES]
        self._catalogue = self._folder / f"catalogue-{self._number}"
        self._ever = set(_items(Catalog.create(self._catalogue, levels)).values())

    def _after(self, old: Any, job: str) -> dict[Any, Any]:
        """The items of the new generation, found without the catalogue."""
        from puresid import assign

        items = _items(old)
        if job == "remove":
            return dict(list(items.items())[REMOVED:])
        taken = np.array(sorted(self._ever), dtype=np.uint16).reshape(-1, len(SIZES))
        sids = assign(_vectors(self._number), old.codebooks, taken=taken, threads=1).sids
        return items | dict(zip(_keys(self._number), map(tuple, sids.tolist()), strict=True))

    def _script(self, job: str) -> str:
        return f"change({str(self._catalogue)!r}, {job!r}, {self._number})"

    def _before_a_call(self, job: str) -> bool:
        first = 1 if self._chance.random() < 0.3 else max(1, self._calls - WRITING)
        plan = Plan(self._chance.randint(first, self._calls + 3), "kill")
        outcome = self._faults.run(self._script(job), self._catalogue, plan)
        if outcome.status not in (0, KILLED):
            self.problems.append(f"{job} failed: {outcome}")
        # As many as there were when it came to its end, or by what is known now.
        self._calls = len(outcome.calls) if outcome.status == 0 else max(self._calls, plan.call)
        return outcome.status == KILLED

    def _at_a_moment(self, job: str) -> bool:
        first = 0.0 if self._chance.random() < 0.5 else 0.75  # what is new is new for a short time
        seconds = self._took * self._chance.uniform(first, 1.1)
        status, took = self._moments.run(self._catalogue, job, self._number, seconds)
        if status not in (0, KILLED):
            self.problems.append(f"{job} failed with status {status}")
        if status == 0:
            self._took = took
        return status == KILLED


def _items(catalog: Any) -> dict[Any, Any]:
    items = catalog.items()
    return dict(zip(items.keys.tolist(), map(tuple, items.sids.tolist()), strict=True))


# ---- the process for kills at moments


def main() -> None:
    """Fork a victim per line, kill it after the time that the line says, and say how it ended."""
    import puresid.catalog  # noqa: F401 (once, and not by each victim)

    for line in sys.stdin:
        folder, job, number, seconds = line.rstrip("\n").split("\t")
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                change(folder, job, int(number))
                status = 0
            finally:
                os._exit(status)
        done, status = 0, 0
        while not done and time.monotonic() < started + float(seconds):
            time.sleep(0.0002)
            done, status = os.waitpid(child, os.WNOHANG)
        if not done:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        took = time.monotonic() - started
        print(os.waitstatus_to_exitcode(status), took, flush=True)


if __name__ == "__main__":
    main()
