"""What new items get: the plan of an addition, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from puresid.arrays import SidsArray, check_finite, float_matrix, priorities
from puresid.assignment import Assignment, assign
from puresid.catalog.digests import Digests, vector_digests
from puresid.catalog.errors import CatalogError
from puresid.catalog.index import SortedIndex, ragged
from puresid.catalog.keys import Keys
from puresid.catalog.loads import Held
from puresid.catalog.parameters import with_slots
from puresid.catalog.places import Places, Rows
from puresid.catalog.results import Duplicates
from puresid.catalog.segment import Segment
from puresid.catalog.state import State
from puresid.sources import KEPT_IN_MEMORY, VectorSource, blocks, vectors_or_source

__all__ = ["Batch", "Placed", "named", "place", "read_batch", "read_keys"]

Bools = npt.NDArray[np.bool_]
_SCANNED_AT_ONCE = 2**20
NAMED = 3  # keys that an error names


@dataclass(frozen=True, eq=False)
class Batch:
    """Items to be given SIDs.

    Attributes
    ----------
    keys : Keys
    vectors : ndarray, shape (n, D), or VectorSource
    digests : ndarray, shape (n, 2), uint64
    ranks : ndarray, shape (n,), int64, or None
        Who comes first: 0 before 1. None for the order of rows.
    """

    keys: Keys
    vectors: npt.NDArray[Any] | VectorSource
    digests: Digests
    ranks: Rows | None

    def __len__(self) -> int:
        return len(self.keys)

    def chosen(self, which: Bools) -> Batch:
        """Return some of the items, in the same order."""
        if which.all():
            return self
        return Batch(
            self.keys.take(np.flatnonzero(which)),
            chosen_rows(self.vectors, which),
            self.digests[which],
            None if self.ranks is None else self.ranks[which],
        )


@dataclass(frozen=True, eq=False)
class Placed:
    """SIDs for the items of a batch.

    Attributes
    ----------
    segment : Segment
    distortion : ndarray, shape (n,), float32
    nearest_distortion : float
    duplicates : Duplicates
    held : Held
        With these items.
    """

    segment: Segment
    distortion: npt.NDArray[np.float32]
    nearest_distortion: float
    duplicates: Duplicates
    held: Held


@dataclass(frozen=True)
class _Chosen:
    """Some rows of a source."""

    rows: npt.NDArray[Any] | VectorSource
    which: Bools

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.which.sum()), self.rows.shape[1]

    def batches(self) -> Iterator[Any]:
        first = 0
        for array in blocks(self.rows):
            yield array[self.which[first : first + len(array)]]
            first += len(array)


def chosen_rows(vectors: npt.NDArray[Any] | VectorSource, which: Bools) -> Any:
    """Return some rows of vectors: those of a source, or of a large array, when they are read."""
    if isinstance(vectors, np.ndarray) and vectors.nbytes <= KEPT_IN_MEMORY:
        return vectors[which]
    return _Chosen(vectors, which)


def check_distinct(keys: Keys) -> None:
    """Refuse a key that comes twice, naming the rows."""
    repeated = keys.duplicates()
    if len(repeated) == 0:
        return
    row = int(repeated[0])
    first = int(np.flatnonzero(keys.equals([row] * row, keys, np.arange(row)))[0])
    more = f" ({len(repeated)} rows repeat a key)" if len(repeated) > 1 else ""
    raise CatalogError(
        f"keys[{row}] is {keys[row]!r}, as keys[{first}] is; each key once is needed{more}"
    )


def named(keys: Keys, rows: Rows) -> str:
    """Return the first few of some keys, for an error."""
    shown = ", ".join(repr(key) for key in keys.take(rows[:NAMED]).tolist())
    return shown + (f" and {len(rows) - NAMED} more" if len(rows) > NAMED else "")


def read_keys(keys: Any, state: State) -> Keys:
    """Return keys as a column of the catalogue's kind, each of them once.

    Raises
    ------
    CatalogError
        A key comes twice.
    TypeError, ValueError
        As `Keys.of`.
    """
    column = Keys.of(keys, kind=state.kind)
    check_distinct(column)
    return column


def read_batch(
    keys: Keys, vectors: Any, priority: Any, *, state: State, threads: int | None
) -> Batch:
    """Check what is to be given SIDs, and read the vectors once.

    Parameters
    ----------
    keys : Keys
    vectors : array_like or VectorSource, shape (n, D)
    priority : array_like, shape (n,), or None
    state : State
    threads : int or None

    Raises
    ------
    TypeError, ValueError
        Vectors or priorities are of the wrong kind, or not as many as the keys.
    """
    rows = vectors_or_source(vectors)
    if rows.shape[0] != len(keys):
        raise ValueError(f"there are {len(keys)} keys and {rows.shape[0]} vectors")
    wanted = state.codebooks.input_dim
    if rows.shape[1] != wanted:
        raise ValueError(f"vectors have dimension {rows.shape[1]}; the codebooks take {wanted}")
    order = None if priority is None else priorities(priority, len(keys))
    if order is not None and np.isnan(order).any():
        raise ValueError(f"priority[{int(np.isnan(order).argmax())}] is NaN")
    digests = _digests(rows, threads)
    ranks = _ranks(keys, order, state.parameters.order, threads)
    return Batch(keys, rows, digests, ranks)


def _digests(rows: npt.NDArray[Any] | VectorSource, threads: int | None) -> Digests:
    found = np.empty((rows.shape[0], 2), dtype=np.uint64)
    end = 0
    for block in blocks(rows):
        if end + len(block) > len(found):
            raise ValueError(f"vectors has more rows than the {len(found)} that shape announces")
        try:
            found[end : end + len(block)] = vector_digests(block, threads=threads)
        except ValueError:
            check_finite(float_matrix(block, "vectors"), end)  # names the row among all of them
            raise
        end += len(block)
    if end != len(found):
        raise ValueError(f"vectors has {end} rows; shape announces {len(found)}")
    return found


def _ranks(
    keys: Keys, priority: npt.NDArray[np.float64] | None, order: str, threads: int | None
) -> Rows | None:
    if priority is None and order == "rows":
        return None
    columns: list[npt.NDArray[Any]] = []
    if order == "keys":
        columns.append(keys.hashes(threads=threads))
    if priority is not None:
        columns.append(-priority)
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[np.lexsort(columns)] = np.arange(len(keys))
    return ranks


def place(
    batch: Batch, state: State, generation: int, *, threads: int | None, progress: bool
) -> Placed:
    """Give the items of a batch SIDs that are free in a generation.

    Raises
    ------
    CapacityError
        There are not enough.
    CatalogError
        Vectors are the same, and the catalogue's policy is ``"error"``.
    ValueError
        As `assign`.
    """
    same_batch, same_part = _same_vectors(batch, state, threads)
    duplicates = _duplicates(batch, state, same_batch, same_part)
    if len(duplicates) and state.parameters.duplicates == "error":
        count = f" ({len(duplicates)} keys in all)" if len(duplicates) > 1 else ""
        raise CatalogError(
            f"the vector of key {duplicates.keys[0]!r} is that of key {duplicates.same_as[0]!r}, "
            f"and the catalogue's policy for duplicates is 'error'{count}"
        )
    alone = np.ones(len(batch), dtype=np.bool_)
    if state.parameters.duplicates == "share":
        alone = (same_batch < 0) & ~same_part.found
    taken = state.held(generation)
    result = _assigned(batch.chosen(alone), state, taken, threads, progress)
    held = Held.of([taken, result.sids], state.codebooks, capacity=state.parameters.capacity)
    sids, stages, distortion = result.sids, result.stages, result.distortion
    if not alone.all():
        unknown = np.full(len(batch), math.nan, dtype=np.float32)
        share = _Sharing(alone, same_batch, same_part.found)
        sids = share.spread(sids, state.sids(same_part))
        stages = share.spread(stages, state.stages(same_part))
        distortion = share.spread(distortion, unknown)
    levels = state.codebooks.n_levels
    slots = None
    if state.parameters.capacity > 1:
        slots = np.ascontiguousarray(sids[:, levels], dtype=np.uint8)
    segment = Segment.of(
        batch.keys,
        cast("SidsArray", np.ascontiguousarray(sids[:, :levels])),
        digests=batch.digests,
        stages=stages,
        slots=slots,
        threads=threads,
    )
    return Placed(segment, distortion, result.nearest_distortion, duplicates, held)


@dataclass(frozen=True, eq=False)
class _Sharing:
    """Which items have a SID of their own, and with whom the others share."""

    alone: Bools
    in_batch: Rows
    published: Bools

    def spread(self, own: Any, published: npt.NDArray[Any]) -> Any:
        """Return a column for all items from that of those alone, and that of the published."""
        column = np.empty((len(self.alone), *own.shape[1:]), dtype=own.dtype)
        column[self.alone] = own
        column[self.published] = published[self.published]
        within = ~self.alone & ~self.published
        column[within] = column[self.in_batch[within]]
        return column


def _assigned(
    batch: Batch,
    state: State,
    taken: npt.NDArray[np.uint32],
    threads: int | None,
    progress: bool,
) -> Assignment:
    parameters = state.parameters
    capacity = parameters.capacity
    tiers = parameters.tiers
    if tiers is not None and capacity > 1:
        tiers = [(*tier, capacity) for tier in tiers]
    return assign(
        batch.vectors,
        with_slots(state.codebooks, capacity),
        parameters.method,
        tiers=tiers,
        priority=None if batch.ranks is None else -batch.ranks,
        taken=taken,
        max_distortion=parameters.max_distortion,
        threads=threads,
        progress=progress,
    )


def _same_vectors(batch: Batch, state: State, threads: int | None) -> tuple[Rows, Places]:
    """Find who has an item's vector before it.

    Returns
    -------
    in_batch : ndarray, shape (n,), int64
        The first row in order of priority with the same vector; -1 where that is the item itself.
    published : Places
        The first published item that has it.
    """
    words = batch.digests
    order = np.lexsort((_order(batch), words[:, 1], words[:, 0]))
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    first = order[np.flatnonzero(new)]
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(new) - 1
    in_batch = np.where(first[group] == np.arange(len(order)), -1, first[group])
    published = _published(words[first], state, threads)
    return in_batch, published.chosen(group)


def _order(batch: Batch) -> Rows:
    return np.arange(len(batch)) if batch.ranks is None else batch.ranks


def _published(wanted: Digests, state: State, threads: int | None) -> Places:
    """Find the first published item that is there, by part and row, with each digest, all once."""
    index = SortedIndex.of(np.ascontiguousarray(wanted[:, 0]))
    parts = np.full(len(wanted), -1, dtype=np.int64)
    rows = np.full(len(wanted), -1, dtype=np.int64)
    for number, part in enumerate(state.parts):
        for begin in range(0, len(part.segment), _SCANNED_AT_ONCE):
            # The words wanted are few: each published one is looked up among them.
            block = part.digests[begin : begin + _SCANNED_AT_ONCE]
            first, last = index.find(np.ascontiguousarray(block[:, 0]), threads=threads)
            there = np.flatnonzero(first < last)
            if len(there) == 0:
                continue
            offsets, places = ragged(first[there], last[there])
            hits = np.repeat(there, np.diff(offsets))
            at = index.rows(places)
            same = (block[hits, 1] == wanted[at, 1]) & part.live(begin + hits) & (rows[at] < 0)
            # The last of several assignments to one place stays: the lowest row.
            parts[at[same][::-1]] = number
            rows[at[same][::-1]] = begin + hits[same][::-1]
    return Places(parts, rows)


def _duplicates(batch: Batch, state: State, in_batch: Rows, published: Places) -> Duplicates:
    before = np.flatnonzero(published.found)
    within = np.flatnonzero((in_batch >= 0) & ~published.found)
    keys = batch.keys.take(np.concatenate([before, within]))
    earlier = state.keys(Places(published.parts[before], published.rows[before]))
    within_keys = batch.keys.take(in_batch[within])
    same_as = Keys.concatenate([Keys.of(earlier, kind=within_keys.kind), within_keys])
    return Duplicates(keys, same_as)
