"""Random histories of a catalogue, held against the model at every step.

Beside the model there is a `Ledger`, which knows nothing of how SIDs are found: it takes down what
the catalogue says that items have, and whether a published SID has moved, has two owners, or was
given out again before its time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from puresid import CapacityError
from puresid.catalog import (
    Catalog,
    CatalogError,
    Items,
    Keys,
    Parameters,
    PrefixLoadWarning,
    PublishRaceError,
)
from puresid.codebooks import Codebooks

from .catalog_model import Key, Model, Place, Refused, Setup, Snapshot, Vector
from .history_chances import INTEGERS, TEXTS, random_setup, random_vectors

ERRORS = {
    "CatalogError": CatalogError,
    "CapacityError": CapacityError,
    "PublishRaceError": PublishRaceError,
}
MEAN, MOST = 25, 200


class Wrong(Exception):
    """The catalogue and the model, or the ledger, disagree."""


@dataclass
class Ledger:
    """Who has had what, in an epoch: for each place the keys, with when they came and went."""

    recycle_after: int | None
    share: bool
    owned: dict[Key, tuple[Place, Any]] = field(default_factory=dict)
    past: dict[Place, list[tuple[Key, int, int | None]]] = field(default_factory=dict)
    moved: int = 0
    recycled: int = 0

    def take_down(
        self, now: dict[Key, tuple[Place, Any]], generation: int, may_move: set[Key]
    ) -> None:
        for key in self.owned:
            if key in now and now[key][0] != self.owned[key][0] and key not in may_move:
                raise Wrong(f"the SID of {key!r} moved from {self.owned[key][0]} to {now[key][0]}")
        for key in [key for key in self.owned if key not in now or key in may_move]:
            place, _ = self.owned.pop(key)
            self.past[place] = [
                (who, since, generation if who == key and until is None else until)
                for who, since, until in self.past[place]
            ]
        for key, (place, vector) in now.items():
            if key not in self.owned:
                self._check_free(key, place, vector, now, generation)
                self.past.setdefault(place, []).append((key, generation, None))
        self.owned = dict(now)

    def _check_free(
        self, key: Key, place: Place, vector: Any, now: dict[Key, tuple[Place, Any]], when: int
    ) -> None:
        others = [who for who, (its, _) in now.items() if its == place and who != key]
        if others and not (self.share and any(now[who][1] == vector for who in others)):
            raise Wrong(f"{place} was given to {key!r}, and {others[0]!r} has it")
        for who, _, until in self.past.get(place, []):
            if until is None or others:
                continue
            if self.recycle_after is None or when < until + self.recycle_after:
                raise Wrong(f"{place} was given to {key!r} in {when}; {who!r} left it in {until}")
            self.recycled += 1


@dataclass
class History:
    """One catalogue, its model, and two objects that see it: the second lags behind at times."""

    chance: np.random.Generator
    folder: Path
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.setup = random_setup(self.chance)
        self.universe: Sequence[Key] = INTEGERS if self.chance.random() < 0.5 else TEXTS
        self.model = Model(self.setup)
        first = Catalog.create(
            self.folder, self._books(self.setup), **self.model.setup.parameters()
        )
        self.seats = [first, Catalog.open(self.folder, mmap=bool(self.chance.random() < 0.5))]
        self.ledger = Ledger(self.setup.recycle_after, self.setup.duplicates == "share")
        self.mostly_reads = self.chance.random() < 0.3

    # ---- what the catalogue and the model are given

    def _books(self, setup: Setup) -> Codebooks:
        return Codebooks(list(setup.books), space=setup.space)

    def keys(self, count: int, *, there: bool | None = None) -> list[Key]:
        """Some keys, that are there (or not) if it says so, now and then one twice."""
        among = [key for key in self.universe if there is None or there == (key in self.model.items)]
        rows = self.chance.permutation(len(among))[:count].tolist()
        found = [among[row] for row in rows]
        if found and self.chance.random() < 0.02:
            found.append(found[0])
        return found

    def vectors(self, count: int, setup: Setup | None = None) -> list[Vector]:
        return random_vectors(self.chance, count, (setup or self.setup).dim)

    def given(self, keys: list[Key], setup: Setup | None = None) -> dict[str, Any]:
        """The arguments that additions have in common, for the model."""
        priority = None
        if self.chance.random() < 0.4:
            priority = [float(p) for p in self.chance.integers(-2, 3, len(keys))]
        return {
            "keys": keys,
            "vectors": self.vectors(len(keys), setup),
            "priority": priority,
            "hashes": Keys.of(keys).hashes().tolist(),
        }

    def passed(self, given: dict[str, Any], setup: Setup | None = None) -> dict[str, Any]:
        """The same, for the catalogue."""
        dim = (setup or self.setup).dim
        vectors = np.array(given["vectors"], dtype=np.float32).reshape(len(given["keys"]), dim)
        chosen = {name: given[name] for name in ("keys", "priority")}
        return chosen | {"vectors": vectors, "threads": 1}

    def seat(self) -> Catalog:
        return self.seats[int(self.chance.random() < 0.15)]

    def seen(self, catalog: Catalog) -> Snapshot:
        return self.model.seen[catalog.generation]

    # ---- doing something to both

    def both(
        self, name: str, catalog: Catalog, ours: Callable[[], Any], theirs: Callable[[], Any]
    ) -> tuple[Any, Any] | None:
        """Do something to the model and the catalogue; None where both refuse."""
        expected: str | None = None
        wanted = None
        try:
            if catalog.generation != self.model.generation:
                raise Refused("PublishRaceError")
            wanted = ours()
        except Refused as error:
            expected = str(error)
        try:
            found = theirs()
        except tuple(ERRORS.values()) as error:
            if expected is None or type(error) is not ERRORS[expected]:
                raise Wrong(f"{name}: {error!r}; the model has {expected}") from error
            self.counts[f"{name}, {expected}"] += 1
            return None
        if expected is not None:
            raise Wrong(f"{name} was not refused: the model has {expected}")
        self.counts[name] += 1
        return wanted, found

    def compare(self, name: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise Wrong(f"{name}: {found!r}; the model has {wanted!r}")

    def look(self, catalog: Catalog, *, may_move: set[Key] = frozenset()) -> None:  # type: ignore[assignment]
        """Compare all items, and take down what a publication has changed."""
        snapshot = self.seen(catalog)
        found = rows_of(catalog.items())
        wanted = [(key, item.place) for key, item in snapshot.items.items()]
        self.compare("items", found, wanted)
        self.compare("len", len(catalog), len(wanted))
        if catalog.generation == self.model.generation:
            vectors = {key: item.vector for key, item in snapshot.items.items()}
            now = {key: (place, vectors[key]) for key, place in found}
            self.ledger.take_down(now, catalog.generation, may_move)

    # ---- what changes a catalogue

    def add(self) -> None:
        catalog = self.seat()
        count = int(self.chance.integers(0, 6))
        there = None if self.chance.random() < 0.15 else False
        given = self.given(self.keys(count, there=there))
        skip = bool(self.chance.random() < 0.3)
        dry = bool(self.chance.random() < 0.1) and catalog.generation == self.model.generation
        name = "add, dry run" if dry else "add"
        answer = self.both(
            name,
            catalog,
            lambda: self.model.add(**given, skip=skip, dry_run=dry),
            lambda: catalog.add(
                **self.passed(given), existing="skip" if skip else "error", dry_run=dry
            ),
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
        answer = self.both(
            "migrate",
            catalog,
            lambda: self.model.migrate(setup, **given),
            lambda: catalog.migrate(
                self._books(setup),
                **self.passed(given, setup),
                parameters=Parameters(**setup.parameters()),
                align=False,
            ),
        )
        if answer:
            self.setup = self.model.setup
            self.ledger = Ledger(setup.recycle_after, setup.duplicates == "share")
            self.moves()
        self.look(catalog)

    def collect_garbage(self) -> None:
        keep = int(self.chance.integers(1, 5))
        found = self.seat().collect_garbage(keep=keep)
        self.compare("garbage", list(found.generations), self.model.collect_garbage(keep))
        self.counts["collect_garbage"] += 1

    # ---- what reads it

    def refresh(self) -> None:
        catalog = self.seats[int(self.chance.random() < 0.8)]
        catalog.refresh()
        self.compare("generation", catalog.generation, self.model.generation)
        self.look(catalog)
        self.counts["refresh"] += 1

    def reopen(self) -> None:
        seat = int(self.chance.random() < 0.5)
        self.seats[seat] = Catalog.open(self.folder, mmap=bool(self.chance.random() < 0.7))
        self.compare("generation", self.seats[seat].generation, self.model.generation)
        self.look(self.seats[seat])
        self.counts["reopen"] += 1

    def open_older(self) -> None:
        number = int(self.chance.integers(1, self.model.generation + 1))
        try:
            older = Catalog.open(self.folder, generation=number)
        except CatalogError:
            self.compare("kept", number in self.model.kept, False)
            self.counts["open older, CatalogError"] += 1
        else:
            self.compare("kept", number in self.model.kept, True)
            self.look(older)
            self.counts["open older"] += 1

    def lookup(self) -> None:
        catalog = self.seat()
        snapshot = self.seen(catalog)
        among = list(snapshot.items) if self.chance.random() < 0.6 else self.universe
        few = self.chance.integers(0, len(among), 4 if among else 0).tolist()
        keys = [among[row] for row in few]
        there = [key in snapshot.items for key in keys]
        self.compare("contains", catalog.contains(keys).tolist(), there)
        found = [key for key, here in zip(keys, there, strict=True) if here]
        sids = [list(snapshot.sid(key)) for key in found]
        self.compare("lookup", catalog.lookup(found).tolist(), sids)
        try:
            catalog.lookup(keys)
        except CatalogError:
            self.compare("lookup", all(there), False)
            self.counts["lookup, CatalogError"] += 1
        else:
            self.compare("lookup", all(there), True)
            self.counts["lookup"] += 1

    def resolve(self) -> None:
        catalog = self.seat()
        snapshot = self.seen(catalog)
        sizes = np.array(snapshot.setup.sizes)
        sids = self.chance.integers(0, sizes + 1, (5, len(sizes))).tolist()
        sids += [list(snapshot.sid(key)) for key in snapshot.items][:5]
        wanted = [snapshot.behind(tuple(sid)) for sid in sids]
        self.compare("resolve", catalog.resolve(sids), wanted)
        self.counts["resolve"] += 1

    def prefix(self) -> None:
        catalog = self.seat()
        snapshot = self.seen(catalog)
        sizes = snapshot.setup.sizes
        length = int(self.chance.integers(0, len(sizes) + 1))
        tokens = [int(self.chance.integers(0, size + 1)) for size in sizes[:length]]
        found = rows_of(catalog.prefix(tokens))
        wanted = [(key, snapshot.items[key].place) for key in snapshot.below(tuple(tokens))]
        self.compare(f"prefix {tokens}", found, wanted)
        self.counts["prefix"] += 1

    def diff(self) -> None:
        catalog = self.seat()
        since = int(self.chance.integers(1, catalog.generation + 1))
        now, before = self.seen(catalog), self.model.seen[since]
        try:
            found = catalog.diff(since)
        except CatalogError:
            gone = since not in self.model.kept and before.epoch != now.epoch
            self.compare(f"diff({since}) refused", gone, True)
            self.counts["diff, CatalogError"] += 1
            return
        stayed = [key for key in before.items if key in now.items]
        levels = [len(snapshot.setup.books) for snapshot in (before, now)]
        moved = {
            key
            for key in stayed
            if levels[0] != levels[1] or _place(before, now, key) != _place(now, before, key)
        }
        same = [key for key in stayed if key not in moved]
        for name, snapshot, keys in (
            ("added", now, now.items.keys() - before.items.keys()),
            ("removed", before, before.items.keys() - now.items.keys()),
            ("moved", now, moved),
            ("moved_from", before, moved),
            ("updated", now, {k for k in same if before.items[k].vector != now.items[k].vector}),
        ):
            rows = rows_of(getattr(found, name))
            self.compare(f"diff({since}).{name}: rows", len(rows), len(keys))
            self.compare(
                f"diff({since}).{name}", dict(rows), {k: snapshot.items[k].place for k in keys}
            )
        pairs = zip(found.moved.keys.tolist(), found.moved_from.keys.tolist(), strict=True)
        self.compare("rows of moved and moved_from", [a for a, b in pairs if a != b], [])
        self.counts["diff, epochs" if before.epoch != now.epoch else "diff"] += 1

    def moves(self) -> None:
        catalog = self.seats[0]
        if catalog.generation != self.model.generation:
            return
        try:
            found = catalog.moves()
        except CatalogError:
            # An epoch that began without items has nothing to say either.
            self.compare("moves", bool(self.model.moves), False)
            self.counts["moves, CatalogError"] += 1
            return
        sids = zip(found.old_sids.tolist(), found.new_sids.tolist(), strict=True)
        rows = zip(found.keys.tolist(), ((tuple(a), tuple(b)) for a, b in sids), strict=True)
        self.compare("moves", dict(rows), self.model.moves)
        self.counts["moves"] += 1

    def summary(self) -> None:
        catalog = self.seats[0]
        if catalog.generation != self.model.generation:
            return
        found = catalog.summary()
        counts = (found.items, found.sids, found.tombstones, list(found.stages))
        self.compare("summary", counts, self.model.counts())
        loads = [(p.room, p.prefixes, p.fullest, p.near_full) for p in found.prefix_loads]
        self.compare("loads", loads, self.model.loads())
        self.compare("capacity", found.capacity, self.model.setup.room)
        self.counts["summary"] += 1
        self.counts["summary, load 1"] += found.load == 1

    def verify(self) -> None:
        self.seats[0].refresh()
        self.compare("verify", self.seats[0].verify(), [])
        self.counts["verify"] += 1

    # ----

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


def _place(snapshot: Snapshot, other: Snapshot, key: Key) -> Place:
    """The SID, and the slot where SIDs have slots in both."""
    both = min(snapshot.setup.capacity, other.setup.capacity) > 1
    return snapshot.items[key].place if both else snapshot.sid(key)


def rows_of(items: Items) -> list[tuple[Key, Place]]:
    """Keys and places, row by row."""
    places = items.sids.tolist()
    if items.slots is not None:
        places = [[*sid, slot] for sid, slot in zip(places, items.slots.tolist(), strict=True)]
    return list(zip(items.keys.tolist(), map(tuple, places), strict=True))


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
