"""A catalogue as plain Python, written from its contract and not from its code.

Lists and dictionaries, no files. SIDs come from the twin in `oracles`, so it is exact on integer
lattices only. What `Catalog` refuses, this refuses by raising `Refused` with the exception's name.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

# The twins lie beside this package, which has a parent by one of its two names only.
if (_TESTS := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.append(_TESTS)

import oracles
import space_rules

Key = int | str
Place = tuple[int, ...]  # a SID, and the slot where there are slots
Vector = tuple[float, ...]
RULES = {"residual": oracles.RESIDUAL, "tree": space_rules.TREE, "product": space_rules.PRODUCT}


class Refused(Exception):
    """Raised with the name of the exception that the catalogue must raise."""


@dataclass(frozen=True)
class Setup:
    """Codebooks and parameters of an epoch. `tiers` is None for the default."""

    space: str
    books: tuple[np.ndarray, ...]
    method: str = "ecm"
    tiers: tuple[tuple[int, ...], ...] | None = None
    max_distortion: float | None = None
    capacity: int = 1
    duplicates: str = "unique"
    order: str = "rows"
    recycle_after: int | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(book.shape[-2] for book in self.books)

    @property
    def dim(self) -> int:
        widths = [book.shape[-1] for book in self.books]
        return sum(widths) if self.space == "product" else widths[0]

    @property
    def room(self) -> int:
        return math.prod(self.sizes) * self.capacity

    def parameters(self) -> dict[str, Any]:
        names = ("method", "tiers", "max_distortion", "capacity", "duplicates", "order")
        return {name: getattr(self, name) for name in (*names, "recycle_after")}

    def cut(self) -> Setup:
        """Write the tiers out, as an epoch keeps them."""
        tiers = oracles.default_tiers(len(self.books)) if self.tiers is None else self.tiers
        cut = tuple(tuple(map(min, tier, self.sizes)) for tier in tiers)
        return Setup(self.space, self.books, **(self.parameters() | {"tiers": cut}))

    def with_slots(self) -> tuple[list[np.ndarray], list[tuple[int, ...]]]:
        """Return books and tiers in which the slot is one more token, which changes no vector."""
        assert self.tiers is not None
        books, tiers = list(self.books), list(self.tiers)
        if self.capacity == 1:
            return books, tiers
        if self.space == "tree":
            books.append(np.stack([books[-1]] * self.capacity, axis=-2))
        else:
            books.append(np.zeros((self.capacity, self.dim), dtype=np.float32))
        return books, [(*tier, self.capacity) for tier in tiers]


@dataclass(frozen=True)
class Item:
    place: Place
    vector: Vector
    stage: int


@dataclass(frozen=True)
class Snapshot:
    """What a generation holds. `items` is in the order in which they came."""

    epoch: int
    setup: Setup
    items: dict[Key, Item]

    def sid(self, key: Key) -> Place:
        return self.items[key].place[: len(self.setup.books)]

    def behind(self, sid: Place) -> list[Key]:
        """The keys of a SID, by slot, then as they came."""
        return sorted(
            (key for key in self.items if self.sid(key) == sid),
            key=lambda key: self.items[key].place,
        )

    def below(self, prefix: Place) -> list[Key]:
        found = [key for key in self.items if self.sid(key)[: len(prefix)] == prefix]
        return sorted(found, key=lambda key: self.items[key].place)


@dataclass(frozen=True)
class Batch:
    """What an addition has found, row by row."""

    keys: list[Key]
    items: list[Item]
    distortion: list[float]
    duplicates: dict[Key, Key]


@dataclass
class Model:
    """A catalogue, as `Catalog.create` makes it.

    Attributes
    ----------
    setup : Setup
    generation, epoch : int
    items : dict
    gone : list of tuple
        A place and the generation in which an item left it, of this epoch.
    stages : Counter
        Of all items that came in this epoch.
    seen : dict
        Generation to `Snapshot`, of all there ever were.
    kept : set of int
        Generations that the garbage collection has left.
    moves : dict, or None
        Key to the SIDs before and after the epoch began.
    """

    setup: Setup
    generation: int = 1
    epoch: int = 1
    items: dict[Key, Item] = field(default_factory=dict)
    gone: list[tuple[Place, int]] = field(default_factory=list)
    stages: Counter[int] = field(default_factory=Counter)
    seen: dict[int, Snapshot] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    moves: dict[Key, tuple[Place, Place]] | None = None

    def __post_init__(self) -> None:
        self.setup = self.setup.cut()
        self._note()

    def _note(self) -> None:
        self.seen[self.generation] = Snapshot(self.epoch, self.setup, dict(self.items))
        self.kept.add(self.generation)

    def _published(self) -> None:
        self.generation += 1
        self._note()

    def held(self, generation: int) -> set[Place]:
        """Places that may not be given out in a generation."""
        after = self.setup.recycle_after
        tombs = {place for place, left in self.gone if after is None or left + after > generation}
        return tombs | {item.place for item in self.items.values()}

    def add(
        self,
        keys: Sequence[Key],
        vectors: Sequence[Vector],
        priority: Sequence[float] | None,
        hashes: Sequence[int],
        *,
        existing: str = "error",
        dry_run: bool = False,
    ) -> Batch:
        """Do as `Catalog.add`; `hashes` are those of the keys, by which equal ones are ordered."""
        self._check_once(keys)
        there = [row for row, key in enumerate(keys) if key in self.items]
        same = all(self.items[keys[row]].vector == vectors[row] for row in there)
        if there and (existing == "error" or (existing == "same" and not same)):
            raise Refused("CatalogError")
        new = [row for row, key in enumerate(keys) if key not in self.items]
        batch = self._place(keys, vectors, _ranked(new, priority, hashes, self.setup.order), new)
        if new and not dry_run:
            self._enter(batch)
            self._published()
        return batch

    def remove(self, keys: Sequence[Key], *, skip: bool = False) -> list[Key]:
        self._check_once(keys)
        there = [key for key in keys if key in self.items]
        if len(there) < len(keys) and not skip:
            raise Refused("CatalogError")
        if there:
            self._leave(there)
            self._published()
        return there

    def update(
        self,
        keys: Sequence[Key],
        vectors: Sequence[Vector],
        priority: Sequence[float] | None,
        hashes: Sequence[int],
        *,
        reassign: bool,
    ) -> tuple[list[Key], list[Place]]:
        """Return the keys whose vectors have changed, and where they were."""
        self._check_once(keys)
        if any(key not in self.items for key in keys):
            raise Refused("CatalogError")
        rows = [row for row, key in enumerate(keys) if self.items[key].vector != vectors[row]]
        changed = [keys[row] for row in rows]
        before = [self.items[key].place for key in changed]
        if not changed:
            return [], []
        if reassign:
            old_items, old_gone = dict(self.items), list(self.gone)
            self._leave(changed)
            try:
                ranked = _ranked(rows, priority, hashes, self.setup.order)
                self._enter(self._place(keys, vectors, ranked, rows))
            except Refused:
                self.items, self.gone = old_items, old_gone
                raise
        else:
            for row in rows:
                old = self.items[keys[row]]
                self.items[keys[row]] = Item(old.place, vectors[row], old.stage)
        self._published()
        return changed, before

    def migrate(
        self,
        setup: Setup,
        keys: Sequence[Key],
        vectors: Sequence[Vector],
        priority: Sequence[float] | None,
        hashes: Sequence[int],
    ) -> None:
        self._check_once(keys)
        if set(keys) != set(self.items):
            raise Refused("CatalogError")
        fresh = Model(setup, self.generation, self.epoch + 1)
        rows = list(range(len(keys)))
        ranked = _ranked(rows, priority, hashes, setup.order)
        fresh._enter(fresh._place(keys, vectors, ranked, rows))
        levels = len(self.setup.books), len(setup.books)
        old = self.items
        self.moves = {
            key: (old[key].place[: levels[0]], fresh.items[key].place[: levels[1]]) for key in keys
        }
        self.setup, self.epoch = fresh.setup, fresh.epoch
        self.items, self.gone, self.stages = fresh.items, [], fresh.stages
        self._published()

    def collect_garbage(self, keep: int) -> list[int]:
        """Return the generations that go."""
        left = sorted(self.kept)[-keep:]
        gone = sorted(self.kept - set(left))
        self.kept = set(left)
        return gone

    def counts(self) -> tuple[int, int, int, list[int]]:
        """Items, places that they have, tombstones, stages."""
        live = {item.place for item in self.items.values()}
        assert self.setup.tiers is not None
        stages = [self.stages[stage] for stage in range(len(self.setup.tiers) + 2)]
        return len(self.items), len(live), len(self.held(self.generation) - live), stages

    def loads(self, length: int) -> tuple[int, int, int, int]:
        """For prefixes of a length: room, prefixes, fullest, those filled by 0.7 and more."""
        below = Counter(place[:length] for place in self.held(self.generation))
        room = math.prod(self.setup.sizes[length:]) * self.setup.capacity
        near = sum(10 * count >= 7 * room for count in below.values())
        return room, len(below), max(below.values(), default=0), near

    def _check_once(self, keys: Iterable[Key]) -> None:
        if any(count > 1 for count in Counter(keys).values()):
            raise Refused("CatalogError")

    def _leave(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.gone.append((self.items.pop(key).place, self.generation + 1))

    def _enter(self, batch: Batch) -> None:
        for key, item in zip(batch.keys, batch.items, strict=True):
            self.items[key] = item
            self.stages[item.stage] += 1

    def _place(
        self, keys: Sequence[Key], vectors: Sequence[Vector], ranked: list[int], rows: list[int]
    ) -> Batch:
        """Find places for some rows, given who comes first."""
        holders: dict[Vector, Key] = {}
        for key, item in self.items.items():
            holders.setdefault(item.vector, key)
        published = set(holders)
        duplicates: dict[Key, Key] = {}
        for row in ranked:
            first = holders.setdefault(vectors[row], keys[row])
            if first != keys[row]:
                duplicates[keys[row]] = first
        if duplicates and self.setup.duplicates == "error":
            raise Refused("CatalogError")
        sharing = self.setup.duplicates == "share"
        alone = [row for row in rows if not (sharing and keys[row] in duplicates)]
        own = self._assigned(vectors, [row for row in ranked if row in set(alone)])
        items, distortion = [], []
        for row in rows:
            if row in own:
                item, far = own[row]
            elif vectors[row] in published:
                shared = self.items[duplicates[keys[row]]]
                item, far = Item(shared.place, vectors[row], shared.stage), math.nan
            else:
                item, far = own[keys.index(duplicates[keys[row]])]
            items.append(item)
            distortion.append(far)
        return Batch([keys[row] for row in rows], items, distortion, duplicates)

    def _assigned(
        self, vectors: Sequence[Vector], ranked: list[int]
    ) -> dict[int, tuple[Item, float]]:
        held = self.held(self.generation + 1)
        if len(held) + len(ranked) > self.setup.room:
            raise Refused("CapacityError")
        books, tiers = self.setup.with_slots()
        taken = np.array(sorted(held), dtype=np.int64).reshape(-1, len(books))
        answer = oracles.assign(
            np.array([vectors[row] for row in ranked], dtype=np.float32).reshape(
                len(ranked), self.setup.dim
            ),
            books,
            self.setup.method,
            tiers=tiers,
            taken=taken,
            max_distortion=self.setup.max_distortion,
            rules=RULES[self.setup.space],
        )
        sids, stages = answer.sids.tolist(), answer.stages.tolist()
        distortion = answer.distortion.tolist()
        return {
            row: (Item(tuple(sids[n]), vectors[row], stages[n]), distortion[n])
            for n, row in enumerate(ranked)
        }


def _ranked(
    rows: list[int], priority: Sequence[float] | None, hashes: Sequence[int], order: str
) -> list[int]:
    """Rows, who comes first first."""

    def rank(row: int) -> tuple[float, int]:
        high = 0.0 if priority is None else -priority[row]
        return high, row if order == "rows" else hashes[row]

    return sorted(rows, key=rank)
