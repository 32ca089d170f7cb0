"""`State`: the items of one generation of a catalogue, and how they are found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.arrays import (
    SidsArray,
    count_distinct,
    distinct_rows,
    token_matrix,
    token_prefix,
)
from puresid.catalog._sid_codes import AskedSids, SidCodes
from puresid.catalog.digests import Digests
from puresid.catalog.keys import Keys
from puresid.catalog.manifest import FileEntry
from puresid.catalog.parameters import Parameters
from puresid.catalog.places import Places, Rows
from puresid.catalog.segment import Segment
from puresid.codebooks import Codebooks

__all__ = ["Generations", "Part", "State"]

Generations = npt.NDArray[np.uint32]

_SORTED_FROM = 8
"""Parts: from so many on sorting what is asked pays, since what is asked in order is found in a
quarter of the time."""


@dataclass(frozen=True, eq=False)
class Part:
    """The items of one file, and what has become of them.

    Attributes
    ----------
    entry : FileEntry
        Its generation is that in which the items came.
    segment : Segment
    removed : ndarray, shape (n,), uint32, or None
        The generation in which each was removed, 0 for those that are there; None where all are.
    digests : ndarray, shape (n, 2), uint64
        Of the vectors that the items have now.
    """

    entry: FileEntry
    segment: Segment
    removed: Generations | None
    digests: Digests

    def live(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Say of each row whether its item is there."""
        if self.removed is None:
            return np.ones(len(rows), dtype=np.bool_)
        there: npt.NDArray[np.bool_] = self.removed[rows] == 0
        return there

    def live_rows(self) -> Rows:
        """Return the rows of the items that are there, ascending."""
        if self.removed is None:
            return np.arange(len(self.segment), dtype=np.int64)
        return np.flatnonzero(self.removed == 0)

    def held_rows(self, generation: int, recycle_after: int | None) -> slice | Rows:
        """Return the rows whose SIDs may not be given out in a generation."""
        if self.removed is None or recycle_after is None:
            return slice(None)
        gone = self.removed.astype(np.int64)
        return np.flatnonzero((gone == 0) | (gone + recycle_after > generation))

    def sids(self, rows: slice | Rows) -> SidsArray:
        """Return SIDs, each followed by its slot where there are slots."""
        tokens = self.segment.sids[rows]
        if self.segment.slots is None:
            return tokens
        columns = np.empty((len(tokens), tokens.shape[1] + 1), dtype=tokens.dtype)
        columns[:, :-1] = tokens
        columns[:, -1] = self.segment.slots[rows]
        return columns


@dataclass(frozen=True, eq=False)
class State:
    """One generation.

    Attributes
    ----------
    codebooks : Codebooks
    parameters : Parameters
    parts : tuple of Part
        In the order in which they came.
    """

    codebooks: Codebooks
    parameters: Parameters
    parts: tuple[Part, ...]

    @property
    def kind(self) -> Any:
        """The kind of the keys, None where there are no items yet."""
        return self.parts[0].segment.keys.kind if self.parts else None

    @cached_property
    def n_items(self) -> int:
        """How many items are there."""
        return sum(
            len(part.segment)
            if part.removed is None
            else len(part.removed) - int(np.count_nonzero(part.removed))
            for part in self.parts
        )

    def places(self, keys: Keys, *, threads: int | None = None) -> Places:
        """Find the items of keys that are there."""
        found = Places.nowhere(len(keys))
        hashes = keys.hashes(threads=threads)
        left = np.arange(len(keys))
        if len(self.parts) >= _SORTED_FROM:
            left = np.argsort(hashes)
            hashes = hashes[left]
        for number in reversed(range(len(self.parts))):
            if len(left) == 0:
                break
            part = self.parts[number]
            rows = part.segment.rows_of_some(keys, left, hashes, threads=threads)
            here = rows >= 0
            if not here.any():
                continue
            here[here] = part.live(rows[here])
            found.parts[left[here]] = number
            found.rows[left[here]] = rows[here]
            left, hashes = left[~here], hashes[~here]
        return found

    def items_of(self, sids: Any, *, threads: int | None = None) -> tuple[Rows, Places]:
        """Find the items that have SIDs.

        Returns
        -------
        offsets : ndarray, shape (m + 1,), int64
            Where the items of each SID begin in `places`, and where those of the last end.
        places : Places
            Those of a SID by slot, then in the order in which they came.

        Raises
        ------
        TypeError, ValueError
            They are no matrix of tokens with L columns.
        """
        sids = token_matrix(sids, self.codebooks.n_levels, "sids")
        order = np.arange(len(sids))
        if len(self.parts) >= _SORTED_FROM:
            order = np.argsort(SidCodes.of(sids).codes(sids))
        asked = AskedSids(sids[order])
        wanted, columns = [np.empty(0, dtype=np.int64)], []
        for number, part in enumerate(self.parts):
            which, rows = part.segment.items_of(asked, threads=threads)
            there = part.live(rows)
            wanted.append(order[which[there]])
            columns.append(Places.of_part(number, rows[there]))
        sid, places = np.concatenate(wanted), Places.joined(columns)
        slots = self.slots(places)
        by_sid = np.lexsort((places.rows, places.parts, sid if slots is None else slots, sid))
        offsets = np.zeros(len(sids) + 1, dtype=np.int64)
        np.cumsum(np.bincount(sid, minlength=len(sids)), out=offsets[1:])
        return offsets, places.chosen(by_sid)

    def places_below(self, tokens: Any) -> Places:
        """Find the items whose SIDs begin with some tokens, in lexicographic order.

        Raises
        ------
        TypeError, ValueError
            They are no tokens, or more than L.
        """
        tokens = token_prefix(tokens, self.codebooks.n_levels, "tokens")
        columns = []
        for number, part in enumerate(self.parts):
            rows = part.segment.prefix(tokens)
            columns.append(Places.of_part(number, rows[part.live(rows)]))
        places = Places.joined(columns)
        sids, slots = self.sids(places), self.slots(places)
        words = [*reversed(sids.T)] if slots is None else [slots, *reversed(sids.T)]
        return places.chosen(np.lexsort([places.rows, places.parts, *words]))

    def live_places(self) -> Places:
        """Return all items that are there, in the order in which they came."""
        return Places.joined(
            [Places.of_part(number, part.live_rows()) for number, part in enumerate(self.parts)]
        )

    def keys(self, places: Places) -> Keys:
        """Return the keys of items, all of them somewhere."""
        taken = [
            (part.segment.keys.take(places.rows[at]), at)
            for part, at in ((self.parts[number], at) for number, at in places.by_part())
        ]
        if not taken:
            return Keys.of([], kind=self.kind)
        keys = Keys.concatenate([column for column, _ in taken])
        order = np.concatenate([at for _, at in taken])
        if (order[1:] > order[:-1]).all():
            return keys
        return keys.take(np.argsort(order))

    def sids(self, places: Places) -> SidsArray:
        """Return the SIDs of items, all of them somewhere, without slots."""
        wide = any(part.segment.sids.dtype == np.uint32 for part in self.parts)
        wide = wide or max(self.codebooks.sizes) > 2**16
        tokens = np.empty(
            (len(places), self.codebooks.n_levels), dtype=np.uint32 if wide else np.uint16
        )
        for number, at in places.by_part():
            tokens[at] = self.parts[number].segment.sids[places.rows[at]]
        return tokens

    def slots(self, places: Places) -> npt.NDArray[np.uint8] | None:
        """Return the slots of items, None where SIDs have one item each."""
        if self.parameters.capacity == 1:
            return None
        slots = np.zeros(len(places), dtype=np.uint8)
        for number, at in places.by_part():
            of_part = self.parts[number].segment.slots
            if of_part is not None:
                slots[at] = of_part[places.rows[at]]
        return slots

    def stages(self, places: Places) -> npt.NDArray[np.int8]:
        """Return the stages of items."""
        stages = np.zeros(len(places), dtype=np.int8)
        for number, at in places.by_part():
            stages[at] = self.parts[number].segment.stages[places.rows[at]]
        return stages

    def digests(self, places: Places) -> Digests:
        """Return the digests of the items' vectors."""
        digests = np.zeros((len(places), 2), dtype=np.uint64)
        for number, at in places.by_part():
            digests[at] = self.parts[number].digests[places.rows[at]]
        return digests

    def held(self, generation: int) -> npt.NDArray[np.uint32]:
        """Return the SIDs that may not be given out in a generation, with their slots, each once.

        Returns
        -------
        ndarray, shape (M, L) or (M, L + 1), uint32
        """
        columns = self.codebooks.n_levels + (self.parameters.capacity > 1)
        chosen = [
            (part, part.held_rows(generation, self.parameters.recycle_after)) for part in self.parts
        ]
        counts = [
            len(part.segment) if isinstance(rows, slice) else len(rows) for part, rows in chosen
        ]
        held = np.empty((sum(counts), columns), dtype=np.uint32)
        end = 0
        for (part, rows), count in zip(chosen, counts, strict=True):
            held[end : end + count] = part.sids(rows)
            end += count
        return held[distinct_rows(held)] if self.parameters.duplicates == "share" else held

    def counts(self, held: int) -> dict[str, Any]:
        """Count what a manifest says: items, SIDs, tombstones, stages.

        Parameters
        ----------
        held : int
            How many SIDs `held` gives.
        """
        items = sids = self.n_items
        if self.parameters.duplicates == "share":
            sids = count_distinct(self.sids(self.live_places()))
        stages = np.zeros(self.parameters.n_stages, dtype=np.int64)
        for part in self.parts:
            stages += np.bincount(part.segment.stages, minlength=len(stages))
        return {
            "items": items,
            "sids": sids,
            "tombstones": held - sids,
            "stages": stages.tolist(),
        }
