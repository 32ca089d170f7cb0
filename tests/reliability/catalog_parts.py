"""The parts of the long form that are about catalogues alone."""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .catalog_kills import IMPORTS, OUTCOMES, Kills, Moments
from .harness import Faults
from .histories import Result, fast_folder, run_history
from .races import race
from .running import Run

_CHUNK = 20  # histories that a process takes at a time


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--histories", type=int, default=10_000, help="Histories of catalogues. [10000]"
    )
    parser.add_argument("--first", type=int, default=0, help="Number of the first history. [0]")
    parser.add_argument(
        "--races", type=int, default=1000, help="Races of two writers, and of three. [1000]"
    )
    parser.add_argument("--jobs", type=int, default=1, help="Processes that make histories. [1]")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="puresid-catalogs-", dir=fast_folder()) as name:
        yield Path(name)


def kills(run: Run) -> None:
    """Kill additions until there were enough of them."""
    title = "Catalog.add, kills"
    if not run.chosen(title):
        return
    run.head(f"{title}, seed {run.options.seed}", "killed at", *OUTCOMES)
    chance = random.Random(run.options.seed)
    with Faults(IMPORTS) as faults, Moments() as moments, _folder() as folder:
        found = Kills(folder, chance, faults, moments)
        while found.runs["add"] < run.options.kills and not run.over:
            found.once(chance.choice(("call", "moment")))
            if len(found.problems) > 9:
                break
    for how in ("call", "moment"):
        run.say(how, *(found.runs[f"{how}, {what}"] for what in OUTCOMES))
    runs = found.runs
    print(
        f"\n{runs['add']} kills of additions, {runs['remove']} of removals; "
        f"{runs['again']} done again, undisturbed; {len(found.problems)} problems"
    )
    run.problems += found.problems


def histories(run: Run) -> None:
    """Make random histories, in several processes if it is said."""
    if not run.chosen("histories"):
        return
    options = run.options
    run.head(f"Random histories, seed {options.seed}", "operation", "times")
    counts: Counter[str] = Counter()
    operations = made = recycled = 0
    for result in _results(options):
        counts += result.counts
        made, operations = made + 1, operations + result.operations
        recycled += result.recycled
        run.problems += [result.problem] if result.problem else []
        if run.over:
            break
    for name in sorted(counts):
        run.say(name, counts[name])
    print(f"\n{made} histories, {operations} operations; {recycled} SIDs recycled in time")


def _results(options: Any) -> Iterator[Result]:
    numbers = range(options.first, options.first + options.histories)
    one = functools.partial(run_history, options.seed)
    if options.jobs == 1:
        yield from map(one, numbers)
        return
    # Threads of a core in each process would stand in each other's way.
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        yield from pool.imap(one, numbers, chunksize=_CHUNK)


def races(run: Run) -> None:
    """Race two writers, then three."""
    if not run.chosen("races"):
        return
    titles = ("rounds", "won by each", "losers were told", "tried again and won", "created")
    run.head("Races", "writers", *titles, "looks of readers", "problems")
    for writers in (2, 3):
        if run.over:
            break
        with _folder() as folder:
            found = race(folder, writers=writers, rounds=run.options.races, seed=run.options.seed)
        won = ", ".join(str(found.wins[who]) for who in range(writers))
        lost = ", ".join(f"{says}: {count}" for says, count in found.lost.most_common())
        cells = (found.rounds, won, lost, found.again, found.created, found.seen)
        run.say(writers, *cells, len(found.problems))
        run.problems += found.problems


PARTS: dict[str, Callable[[Run], None]] = {"histories": histories, "races": races}
