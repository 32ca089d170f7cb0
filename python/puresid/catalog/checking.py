"""What is wrong with the items of a catalogue, beyond what checksums tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from puresid._formats import CorruptFileError
from puresid.catalog.changes import Moves
from puresid.catalog.keys import Keys
from puresid.catalog.loading import Loader
from puresid.catalog.manifest import FileEntry, Manifest
from puresid.catalog.places import Rows
from puresid.catalog.publishing import counts_of, held_of, loads_of
from puresid.catalog.segment import Segment
from puresid.catalog.state import State
from puresid.catalog.store import Store

__all__ = ["state_problems"]

Bools = npt.NDArray[np.bool_]
_STILL_THERE = 2**31 - 1  # more than there can be generations


def state_problems(store: Store, manifest: Manifest) -> list[str]:
    """Look at every item of a generation, whose files are those that were written.

    Parameters
    ----------
    store : Store
    manifest : Manifest

    Returns
    -------
    list of str
        What is wrong, each line naming a file; empty where nothing is.
    """
    try:
        for entry in manifest.files:
            if entry.kind == "items":
                tensors = store.load_file(entry, mmap=True, check=False)
                Segment.from_tensors(tensors, where=str(store.file_path(entry)))
        loader = Loader(store, True, {})
        state = loader.state(manifest)
        moves = [(entry, loader.load(entry)) for entry in manifest.files if entry.kind == "moves"]
    except (CorruptFileError, OSError) as error:
        return [str(error)]
    problems = _keys(store, state) + _sids(store, state)
    for entry, found in moves:
        problems += _moves(store, state, entry, found)
    return problems or _counts(store, manifest, state)


def _keys(store: Store, state: State) -> list[str]:
    """Find keys that are there twice, in different files: within one it has been looked at."""
    columns = [part.segment.keys.take(part.live_rows()) for part in state.parts]
    if not columns:
        return []
    keys = Keys.concatenate(columns)
    return [
        f"{store.folder} has the key {key!r} in two files of items"
        for key in keys.take(keys.duplicates()[:3]).tolist()
    ]


def _sids(store: Store, state: State) -> list[str]:
    """Find SIDs that were given out while another item had them, or before they were free."""
    columns, came, gone = [], [], []
    for part in state.parts:
        columns.append(part.sids(slice(None)).astype(np.uint32))
        came.append(np.full(len(part.segment), part.entry.generation, dtype=np.int64))
        marks = 0 if part.removed is None else part.removed.astype(np.int64)
        gone.append(np.where(marks == 0, _STILL_THERE, marks) + np.zeros_like(came[-1]))
    if not columns:
        return []
    sids, since, until = np.concatenate(columns), np.concatenate(came), np.concatenate(gone)
    order = np.lexsort((until, since, *reversed(sids.T)))
    same = (sids[order[1:]] == sids[order[:-1]]).all(axis=1)
    wrong = order[1:][same & _too_early(since[order], until[order], same, state)]
    tokens = np.unique(sids[wrong], axis=0)[:3].tolist() if len(wrong) else []
    return [f"{store.folder}: the SID {sid} was given out before it was free" for sid in tokens]


def _too_early(since: Rows, until: Rows, same: Bools, state: State) -> Bools:
    """Say of each item but the first whether the SID was not free, had it the one before it.

    Parameters
    ----------
    since, until : ndarray, shape (n,), int64
        When each came and went: items of one SID side by side, in the order in which they came.
    same : ndarray, shape (n - 1,), bool
        Whether each item but the first has the SID of the one before it.
    """
    # The highest `until` of a SID's items so far: SIDs count in the bits above it.
    number = np.cumsum(np.concatenate([np.zeros(1, np.int64), ~same])) * (_STILL_THERE + 1)
    last = (np.maximum.accumulate(number + until) - number)[:-1]
    came = since[1:]
    free = np.zeros(len(came), dtype=np.bool_)
    if state.parameters.recycle_after is not None:
        free = (last < _STILL_THERE) & (came >= last + state.parameters.recycle_after)
    if state.parameters.duplicates == "share":
        free |= came < last
    return ~free


def _moves(store: Store, state: State, entry: FileEntry, moves: Moves) -> list[str]:
    """Compare the map of the old epoch's SIDs with the items that this one began with."""
    came = [part.segment for part in state.parts if part.entry.generation == entry.generation]
    first = Keys.concatenate([part.keys for part in came]) if came else moves.keys.take([])
    sids = np.concatenate([part.sids for part in came]) if came else moves.new_sids[:0]
    rows = np.arange(len(first))
    if (
        first.kind != moves.keys.kind
        or len(first) != len(moves)
        or not first.equals(rows, moves.keys, rows).all()
        or not np.array_equal(sids, moves.new_sids)
    ):
        return [f"{store.file_path(entry)} is not about the items that the epoch began with"]
    return []


def _counts(store: Store, manifest: Manifest, state: State) -> list[str]:
    path = store.manifest_path(manifest.generation)
    held = held_of(state, manifest.generation)
    expected = counts_of(state, manifest.files, manifest.generation, held)
    found = [
        f"{path} says {name} {manifest.counts.get(name)}; there are {expected.get(name)}"
        for name in sorted(expected.keys() | manifest.counts.keys())
        if manifest.counts.get(name) != expected.get(name)
    ]
    try:
        said = loads_of(manifest)
    except (KeyError, TypeError):
        said = ()
    if said != held.loads:
        found.append(f"{path} says another load of prefixes than there is")
    return found
