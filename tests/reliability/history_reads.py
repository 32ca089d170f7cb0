"""A catalogue beside its model, and every way of reading it, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from puresid import CapacityError
from puresid.catalog import Catalog, CatalogError, Items, Keys, PublishRaceError
from puresid.codebooks import Codebooks

from .catalog_model import Key, Model, Place, Refused, Setup, Snapshot, Vector
from .history_chances import INTEGERS, TEXTS, random_setup, random_vectors
from .history_ledger import Ledger, Wrong

ERRORS = {
    "CatalogError": CatalogError,
    "CapacityError": CapacityError,
    "PublishRaceError": PublishRaceError,
}


@dataclass
class Seats:
    """One catalogue, its model, and two objects that see it: the second lags behind at times."""

    chance: np.random.Generator
    folder: Path
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.setup = random_setup(self.chance)
        self.universe: Sequence[Key] = INTEGERS if self.chance.random() < 0.5 else TEXTS
        self.model = Model(self.setup)
        first = Catalog.create(
            self.folder, self.books_of(self.setup), **self.model.setup.parameters()
        )
        self.seats = [first, Catalog.open(self.folder, mmap=bool(self.chance.random() < 0.5))]
        self.ledger = Ledger(self.setup.recycle_after, self.setup.duplicates == "share")
        self.mostly_reads = self.chance.random() < 0.3

    # ---- what the catalogue and the model are given

    def books_of(self, setup: Setup) -> Codebooks:
        return Codebooks(list(setup.books), space=setup.space)

    def keys(self, count: int, *, there: bool | None = None) -> list[Key]:
        """Some keys, that are there (or not) if it says so, now and then one twice."""
        among = [
            key for key in self.universe if there is None or there == (key in self.model.items)
        ]
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


class Reads(Seats):
    """What reads a catalogue."""

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
        said = (found.items, found.sids, found.tombstones, list(found.stages))
        self.compare("summary", said, self.model.counts())
        levels = len(self.setup.books)
        if levels > 1:
            lengths = [load.tokens for load in found.prefix_loads]
            self.compare("lengths of prefixes", lengths, list(range(1, levels)))
        for load in found.prefix_loads:
            counts = (load.room, load.prefixes, load.fullest, load.near_full)
            self.compare(f"load of {load.tokens}", counts, self.model.loads(load.tokens))
        self.compare("capacity", found.capacity, self.model.setup.room)
        self.counts["summary"] += 1
        self.counts["summary, load 1"] += found.load == 1

    def verify(self) -> None:
        self.seats[0].refresh()
        self.compare("verify", self.seats[0].verify(), [])
        self.counts["verify"] += 1


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
