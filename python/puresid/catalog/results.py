"""What the calls of a `Catalog` answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from puresid.arrays import SidsArray
from puresid.catalog.aligning import Alignment, TokensKept
from puresid.catalog.keys import Keys
from puresid.catalog.loads import PrefixLoad

__all__ = [
    "Added",
    "CatalogSummary",
    "Diff",
    "Duplicates",
    "Items",
    "Migrated",
    "Removed",
    "Updated",
]

Slots = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Items:
    """Keys and their SIDs, row by row.

    Attributes
    ----------
    keys : Keys
        ``tolist()`` makes integers or text of them.
    sids : ndarray, shape (n, L), uint16 or uint32
    slots : ndarray, shape (n,), uint8, or None
        Which of the items of its SID each is; None where SIDs have one item each.
    """

    keys: Keys
    sids: SidsArray
    slots: Slots | None

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Items whose vector another one has, which came before them.

    Attributes
    ----------
    keys : Keys
    same_as : Keys
        By row: the first item, in the catalogue or else in the order of priority, that has this
        vector.
    """

    keys: Keys
    same_as: Keys

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False)
class Added:
    """What `Catalog.add` did. Row i of each array belongs to row i of what was added.

    Attributes
    ----------
    generation : int
        The one that has the items; where there was nothing to add, or for a dry run, the one that
        was there before.
    items : Items
    stages : ndarray, shape (n,), int8
        As of `Assignment`; an item that shares a SID has the stage of the one it shares it with.
    distortion : ndarray, shape (n,), float32
        As of `Assignment`; NaN where an item shares the SID of one that was published before.
    nearest_distortion : float
        As of `Assignment`, of the items that were assigned.
    duplicates : Duplicates
    skipped : int
        Rows that were in the catalogue before, and were left out.
    prefix_loads : tuple of PrefixLoad
        Of the catalogue with the items.
    """

    generation: int
    items: Items
    stages: npt.NDArray[np.int8]
    distortion: npt.NDArray[np.float32]
    nearest_distortion: float
    duplicates: Duplicates
    skipped: int
    prefix_loads: tuple[PrefixLoad, ...]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, eq=False)
class Removed:
    """What `Catalog.remove` did.

    Attributes
    ----------
    generation : int
        The one without the items; where there was nothing to remove, or for a dry run, the one that
        was there before.
    items : Items
        What was removed.
    missing : int
        Keys that were not there, and were left out.
    """

    generation: int
    items: Items
    missing: int

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, eq=False)
class Updated:
    """What `Catalog.update` did.

    Attributes
    ----------
    generation : int
        The one that has the new vectors; where none had changed, the one that was there before.
    changed : Items
        Those whose vectors had changed, with the SIDs that they have now.
    old_sids : ndarray, shape (n, L), uint16 or uint32
        Their SIDs before: the same unless they were to be reassigned.
    """

    generation: int
    changed: Items
    old_sids: SidsArray

    def __len__(self) -> int:
        return len(self.changed)


@dataclass(frozen=True, eq=False)
class Migrated:
    """What `Catalog.migrate` did.

    Attributes
    ----------
    generation, epoch : int
        The first generation of the new epoch.
    items : Items
        With their new SIDs.
    old_sids : ndarray, shape (n, L_old), uint16 or uint32
    kept : TokensKept or None
        Share of tokens, prefixes and SIDs that are the old ones; None where the number of levels
        differs.
    alignment : Alignment or None
        How the new codewords were renumbered; None where they were not.
    """

    generation: int
    epoch: int
    items: Items
    old_sids: SidsArray
    kept: TokensKept | None
    alignment: Alignment | None

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, eq=False)
class Diff:
    """What has changed since a generation.

    Attributes
    ----------
    since, until : int
        Generations.
    added : Items
        Keys that were not there.
    removed : Items
        Keys that are not there any more, with the SIDs that they had.
    moved : Items
        Keys that were there and have another SID, or slot, now: their new ones.
    moved_from : Items
        The same keys with the SIDs that they had.
    updated : Items
        Keys whose vectors have changed and whose SIDs have not.
    """

    since: int
    until: int
    added: Items
    removed: Items
    moved: Items
    moved_from: Items
    updated: Items

    def __str__(self) -> str:
        counts = (
            f"{len(items):,} {name}"
            for name, items in (
                ("added", self.added),
                ("removed", self.removed),
                ("moved", self.moved),
                ("updated", self.updated),
            )
        )
        return f"generation {self.since} to {self.until}: {', '.join(counts)}"


@dataclass(frozen=True)
class CatalogSummary:
    """What a catalogue holds; `str` of it is a small table.

    Attributes
    ----------
    generation, epoch : int
    items : int
    sids : int
        SIDs, or slots of SIDs, that they have: fewer than items where items share one.
    tombstones : int
        SIDs, or slots, of removed items that are not given out again, or not yet.
    levels : int
    sizes : tuple of int
    capacity : int
        Items that there can be: the product of the sizes, times the items per SID.
    stages : tuple of int
        How the items that were added in this epoch got their SIDs: nearest, tier 1, …, completion.
    prefix_loads : tuple of PrefixLoad
    files : int
        That the generation is made of.
    bytes : int
        Of these.
    """

    generation: int
    epoch: int
    items: int
    sids: int
    tombstones: int
    levels: int
    sizes: tuple[int, ...]
    capacity: int
    stages: tuple[int, ...]
    prefix_loads: tuple[PrefixLoad, ...]
    files: int
    bytes: int

    @property
    def load(self) -> float:
        """SIDs and tombstones ÷ capacity."""
        return (self.sids + self.tombstones) / self.capacity

    def __str__(self) -> str:
        tiers = [f"tier {tier}" for tier in range(1, len(self.stages) - 1)]
        names = ["nearest", *tiers, "completion"]
        rows = [
            ("generation", f"{self.generation} (epoch {self.epoch})"),
            ("items", f"{self.items:,}"),
            ("tombstones", f"{self.tombstones:,}"),
            ("sizes", " x ".join(map(str, self.sizes))),
            ("load", f"{self.load:.4%} of {self.capacity:,}"),
        ]
        rows += [
            (f"  {load.tokens} token{'s' * (load.tokens != 1)}", f"fullest prefix {load.load:.1%}")
            for load in self.prefix_loads
        ]
        rows.append(("added", ""))
        rows += [(f"  {name}", f"{n:,}") for name, n in zip(names, self.stages, strict=True)]
        rows.append(("files", f"{self.files:,} ({self.bytes:,} bytes)"))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)
