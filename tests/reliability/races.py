"""Writers in processes of their own who race for the next generation, and readers beside them.

In each round all writers see the same generation and add at once: one must win, and all others must
learn it. In some rounds a loser then refreshes, tries again and must win. The garbage is collected
now and then, and readers open and refresh all the while: what they see must be a whole generation.
Catalogues are made by race, too.
"""

from __future__ import annotations

import multiprocessing
import queue
import random
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

EACH = 3  # items that a call adds
FRESH = 50  # rounds in one catalogue
LIMIT = 120  # seconds for a step of all; only turns a hang into a failure
LEVELS = [np.arange(40, dtype=np.float32).reshape(40, 1) * scale for scale in (1600, 40, 1)]
WON = "won"
_TOLD = {  # what losers may be told
    "holds the lock": "the lock is held",
    "has been published": "a newer generation",
    "has published generation": "a newer generation, while publishing",
    "is a catalogue already": "there is a catalogue",
}


@dataclass
class Races:
    """What came of it.

    Attributes
    ----------
    rounds, created : int
        With one winner each.
    wins : Counter
        By writer.
    lost : Counter
        By what the losers were told.
    again : int
        Losers who refreshed and won the next generation.
    seen : int
        How often readers looked at a generation.
    problems : list of str
    """

    rounds: int = 0
    created: int = 0
    wins: Counter[int] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    again: int = 0
    seen: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Course:
    """What the processes share."""

    folder: Path
    writers: int
    rounds: int
    seed: int
    barrier: Any
    answers: Any  # of each process its Counter or list at the end, or a text where it failed
    winners: Any  # of the round: 1 for each writer who has won
    ready: Any  # how many catalogues there are
    over: Any

    def catalogue(self, number: int) -> Path:
        return self.folder / f"catalogue-{number}"


def race(folder: Path, *, writers: int, rounds: int, readers: int = 1, seed: int = 1) -> Races:
    """Race so many rounds, in catalogues below an empty folder."""
    context = multiprocessing.get_context("spawn")
    course = Course(
        folder,
        writers,
        rounds,
        seed,
        context.Barrier(writers),
        context.Queue(),
        context.Array("i", writers),
        context.Value("i", 0),
        context.Event(),
    )
    jobs = [(_write, who) for who in range(writers)] + [(_read, who) for who in range(readers)]
    processes = [context.Process(target=_run, args=(course, *job)) for job in jobs]
    for process in processes:
        process.start()
    found = Races()
    told: dict[int, list[str]] = {}
    try:
        while len(told) < writers and not found.problems:
            _collect(course, found, told, processes)
        course.over.set()
        while found.seen == 0 < readers and not found.problems:
            _collect(course, found, told, processes)
    finally:
        course.over.set()
        for process in processes:
            process.join(1 if found.problems else LIMIT)
            process.kill()
    if not found.problems:
        _count(course, found, told)
    return found


def _collect(
    course: Course, found: Races, told: dict[int, list[str]], processes: list[Any]
) -> None:
    """Take what one process has to say at its end."""
    try:
        who, answer = course.answers.get(timeout=1)
    except queue.Empty:
        dead = [process for process in processes if process.exitcode not in (None, 0)]
        found.problems += [f"{process.name} ended with {process.exitcode}" for process in dead]
        return
    if isinstance(answer, str):
        found.problems.append(answer)
    elif isinstance(answer, int):
        found.seen += answer
    else:
        told[who] = answer


def _count(course: Course, found: Races, told: dict[int, list[str]]) -> None:
    """Look at every round: one has won, and the catalogues say the same."""
    from puresid.catalog import Catalog

    again = Counter[int]()
    lines = zip(*(told[who] for who in sorted(told)), strict=True)
    keys: dict[int, list[str]] = {}
    for number, line in enumerate(lines):
        place, step = divmod(number, FRESH + 1)
        won = [who for who, text in enumerate(line) if text.startswith(WON)]
        if len(won) != 1:
            found.problems.append(f"catalogue {place}, round {step}: {line}")
            continue
        for text in line:
            if not text.startswith(WON):
                found.lost[next((says for part, says in _TOLD.items() if part in text), text)] += 1
        if step == 0:
            found.created += 1
            keys[place] = []
            continue
        found.rounds += 1
        found.wins[won[0]] += 1
        keys[place] += _keys(place, step, won[0])
        second = [who for who, text in enumerate(line) if text.endswith(", then won")]
        again[place] += len(second)
        keys[place] += [key for who in second for key in _keys(place, step, who)]
    found.again = again.total()
    for place, names in keys.items():
        catalog = Catalog.open(course.catalogue(place))
        problems = catalog.verify()
        if problems or catalog.items().keys.tolist() != names:
            found.problems.append(f"catalogue {place}: {problems or 'items of nobody, or too few'}")


# ---- in the processes


def _run(course: Course, job: Any, who: int) -> None:
    try:
        course.answers.put((who, job(course, who)))
    except BaseException:
        course.answers.put((who, f"{job.__name__} {who}: {traceback.format_exc()}"))
        course.barrier.abort()


def _keys(place: int, step: int, who: int) -> list[str]:
    return [f"{place}/{step}/{who}/{row}" for row in range(EACH)]


def _add(catalog: Any, place: int, step: int, who: int) -> None:
    vectors = np.random.default_rng([place, step, who]).integers(0, 64000, (EACH, 1))
    catalog.add(_keys(place, step, who), vectors.astype(np.float32), threads=1)


def _attempt(course: Course, who: int, action: Any) -> str:
    """Do something at once with the others; say who won only when all have ended."""
    from puresid.catalog import CatalogError

    course.barrier.wait(LIMIT)
    chance = random.Random()
    time.sleep(chance.choice((0, chance.random() * 0.004)))
    try:
        action()
        text = WON
    except CatalogError as error:
        text = f"{type(error).__name__}: {error}"
    course.winners[who] = text == WON
    course.barrier.wait(LIMIT)
    return text


def _write(course: Course, who: int) -> list[str]:
    from puresid.catalog import Catalog

    chance = random.Random(course.seed)  # the same for all: what they decide together
    told = []
    catalog: Any = None
    for number in range(course.rounds):
        place, step = number // FRESH, number % FRESH + 1
        if step == 1:
            path = course.catalogue(place)
            told.append(_attempt(course, who, lambda path=path: Catalog.create(path, LEVELS)))
            course.ready.value = place + 1
            catalog = Catalog.open(path)
        text = _attempt(course, who, lambda: _add(catalog, place, step, who))  # noqa: B023
        if text != WON and not text.startswith("PublishRaceError"):
            raise AssertionError(text)
        second = [other for other, won in enumerate(course.winners) if not won][:1]
        again = chance.random() < 0.3
        if again and [who] == second:
            catalog.refresh()
            _add(catalog, place, step, who)
            text += ", then won"
        course.barrier.wait(LIMIT)
        if who == 0 and chance.random() < 0.2:
            catalog.collect_garbage(keep=2)
        catalog.refresh()
        told.append(text)
    return told


def _read(course: Course, who: int) -> int:
    """Look at generations until the end; each must be whole."""
    from puresid.catalog import Catalog

    seen, catalog, folder = 0, None, Path()
    chance = random.Random()
    while True:
        over = course.over.is_set()
        if course.ready.value:
            path = course.catalogue(course.ready.value - 1)
            if catalog is None or folder != path or chance.random() < 0.5:
                catalog, folder = Catalog.open(path), path
            else:
                catalog.refresh()
            _look(catalog)
            if chance.random() < 0.2 and catalog.verify():
                raise AssertionError(catalog.verify())
            seen += 1
        if over and seen:
            return seen


def _look(catalog: Any) -> None:
    items = catalog.items()
    keys, sids = items.keys.tolist(), items.sids
    whole = len(keys) == len(catalog) == EACH * (catalog.generation - 1)
    for first in range(0, len(keys), EACH):
        place, step, who, _ = map(int, keys[first].split("/"))
        whole = whole and keys[first : first + EACH] == _keys(place, step, who)
    if not whole:
        raise AssertionError(f"generation {catalog.generation} holds {keys}")
    if not np.array_equal(catalog.lookup(keys), sids):
        raise AssertionError("lookup and items differ")
    if catalog.resolve(sids) != [[key] for key in keys]:
        raise AssertionError("resolve and items differ")
