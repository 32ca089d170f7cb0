"""Random histories of a catalogue, held against the model and the ledger at every step."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from puresid.catalog import Catalog, Parameters, PrefixLoadWarning, align, changing

from .catalog_model import Key, Setup
from .history_chances import random_setup
from .history_ledger import Ledger, Wrong
from .history_reads import Reads, rows_of

MEAN, MOST = 25, 200
EXISTING = getattr(changing, "EXISTING", ("error", "skip"))
_SCIPY = importlib.util.find_spec("scipy") is not None


class History(Reads):
    """What happens to a catalogue, step by step."""

    def add(self) -> None:
        catalog = self.seat()
        count = int(self.chance.integers(0, 6 if self.chance.random() < 0.9 else 24))
        there = None if self.chance.random() < 0.15 else False
        given = self.given(self.keys(count, there=there))
        existing = str(self.chance.choice(EXISTING))
        if existing == "same" and self.chance.random() < 0.8:
            given["vectors"] = [
                self.model.items[key].vector if key in self.model.items else vector
                for key, vector in zip(given["keys"], given["vectors"], strict=True)
            ]
        dry = bool(self.chance.random() < 0.1) and catalog.generation == self.model.generation
        name = "add, dry run" if dry else f"add, {existing}"
        answer = self.both(
            name,
            catalog,
            lambda: self.model.add(**given, existing=existing, dry_run=dry),
            lambda: catalog.add(**self.passed(given), existing=existing, dry_run=dry),
        )
        if answer:
            batch, added = answer
            places = [item.place for item in batch.items]
            self.compare("added", rows_of(added.items), list(zip(batch.keys, places, strict=True)))
            self.compare("stages", added.stages.tolist(), [item.stage for item in batch.items])
            far = np.array(batch.distortion, dtype=np.float32)
            if not np.array_equal(added.distortion, far, equal_nan=True):
                raise Wrong(f"distortion is {added.distortion}; the model has {far}")
            same = dict(zip(added.duplicates.keys, added.duplicates.same_as, strict=True))
            self.compare("duplicates", same, batch.duplicates)
            self.compare("skipped", added.skipped, len(given["keys"]) - len(batch.keys))
            self.compare("generation", added.generation, self.model.generation)
        self.look(catalog)

    def remove(self) -> None:
        catalog = self.seat()
        there = None if self.chance.random() < 0.15 else True
        keys = self.keys(int(self.chance.integers(0, 4)), there=there)
        skip = bool(self.chance.random() < 0.3)
        answer = self.both(
            "remove",
            catalog,
            lambda: self.model.remove(keys, skip=skip),
            lambda: catalog.remove(keys, missing="skip" if skip else "error"),
        )
        if answer:
            self.compare("removed", answer[1].items.keys.tolist(), answer[0])
        self.look(catalog)

    def update(self) -> None:
        catalog = self.seat()
        there = None if self.chance.random() < 0.1 else True
        given = self.given(self.keys(int(self.chance.integers(0, 4)), there=there))
        reassign = bool(self.chance.random() < 0.5)
        answer = self.both(
            "update, reassign" if reassign else "update",
            catalog,
            lambda: self.model.update(**given, reassign=reassign),
            lambda: catalog.update(**self.passed(given), reassign=reassign),
        )
        changed: list[Key] = []
        if answer:
            (changed, before), updated = answer
            self.compare("changed", updated.changed.keys.tolist(), changed)
            levels = len(self.setup.books)
            old = [list(place[:levels]) for place in before]
            self.compare("old SIDs", updated.old_sids.tolist(), old)
        self.look(catalog, may_move=set(changed) if reassign else set())

    def migrate(self) -> None:
        catalog = self.seats[0]
        setup = random_setup(self.chance)
        if self.chance.random() < 0.4:  # the same codebooks: to be rid of tombstones
            setup = self.setup
        elif self.chance.random() < 0.3:
            books = tuple(book[::-1].copy() for book in self.setup.books)
            setup = replace(self.setup, books=books, tiers=None)
        keys = list(self.model.items)
        self.chance.shuffle(keys)  # type: ignore[arg-type]
        if keys and self.chance.random() < 0.1:
            keys = keys[1:]
        given = self.given(keys, setup)
        passed = self.passed(given, setup)
        books = self.books_of(setup)
        aligned = _SCIPY and self.chance.random() < 0.5
        if aligned and keys and set(keys) == set(self.model.items):
            setup = self._aligned(setup, keys, passed["vectors"])
        answer = self.both(
            "migrate, aligned" if aligned else "migrate",
            catalog,
            lambda: self.model.migrate(setup, **given),
            lambda: catalog.migrate(
                books, **passed, parameters=Parameters(**setup.parameters()), align=aligned
            ),
        )
        if answer:
            self.setup = self.model.setup
            self.ledger = Ledger(setup.recycle_after, setup.duplicates == "share")
            self.moves()
        self.look(catalog)

    def _aligned(self, setup: Setup, keys: list[Key], vectors: np.ndarray) -> Setup:
        """Renumber codewords as an aligned migration does, where they can be compared."""
        old = self.setup
        if old.space != setup.space or len(old.books) != len(setup.books):
            return setup
        now = self.model.seen[self.model.generation]
        sids = [now.sid(key) for key in keys]
        books = self.books_of(old), self.books_of(setup)
        found = align(*books, sids_old=sids, vectors=vectors, threads=1)
        return replace(setup, books=tuple(found.codebooks.levels))

    def collect_garbage(self) -> None:
        keep = int(self.chance.integers(1, 5))
        found = self.seat().collect_garbage(keep=keep)
        self.compare("garbage", list(found.generations), self.model.collect_garbage(keep))
        self.counts["collect_garbage"] += 1

    def step(self) -> None:
        changes = {
            self.add: 30,
            self.remove: 12,
            self.update: 12,
            self.migrate: 1.5,
            self.collect_garbage: 3,
        }
        reads = {
            self.refresh: 8,
            self.reopen: 4,
            self.open_older: 2,
            self.lookup: 6,
            self.resolve: 6,
            self.prefix: 6,
            self.diff: 8,
            self.summary: 3,
            self.moves: 1,
            self.verify: 0.5,
        }
        if self.mostly_reads:
            reads = {name: 2 * weight for name, weight in reads.items()}
        every = changes | reads
        weights = np.array(list(every.values()))
        list(every)[self.chance.choice(len(every), p=weights / weights.sum())]()

    def end(self) -> None:
        """Look at everything once more, as a stranger would find it."""
        self.verify()
        self.seats[0] = Catalog.open(self.folder)
        self.look(self.seats[0])
        self.summary()
        snapshot = self.model.seen[self.model.generation]
        sids = np.array(list(np.ndindex(*snapshot.setup.sizes)))
        wanted = [snapshot.behind(tuple(sid)) for sid in sids.tolist()]
        self.compare("resolve all", self.seats[0].resolve(sids), wanted)
        keys = list(snapshot.items)
        wanted_sids = [list(snapshot.sid(key)) for key in keys]
        self.compare("lookup all", self.seats[0].lookup(keys).tolist(), wanted_sids)


@dataclass
class Result:
    """What a history has come to; the problem is empty where there is none."""

    counts: Counter[str]
    operations: int
    recycled: int
    problem: str = ""


def length(chance: np.random.Generator) -> int:
    """Operations of a history: geometric, and one in a hundred as long as can be."""
    if chance.random() < 0.01:
        return MOST
    return min(MOST, int(chance.geometric(1 / MEAN)))


def run_history(seed: int, number: int, *, folder: Path | None = None) -> Result:
    """Make history `number` of a seed, in a folder that is gone afterwards."""
    work = Path(tempfile.mkdtemp(prefix="puresid-history-", dir=folder or fast_folder()))
    chance = np.random.default_rng([seed, number])
    step, recycled = 0, 0
    counts: Counter[str] = Counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrefixLoadWarning)
            history = History(chance, work / "catalogue", counts)
            for step in range(1, length(chance) + 1):  # noqa: B007 (it is named below)
                history.step()
            history.end()
            recycled = history.ledger.recycled
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        return Result(counts, step, recycled, f"seed {seed}, history {number}, step {step}: {told}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Result(counts, step, recycled)


def fast_folder() -> Path | None:
    """A folder in memory, where there is one: syncing costs nothing there, and is done."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and os.access(folder, os.W_OK) else None
