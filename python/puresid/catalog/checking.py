"""What is wrong with the items of a catalogue, beyond what checksums tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from puresid.catalog.keys import Keys
from puresid.catalog.loading import Loader
from puresid.catalog.loads import prefix_loads
from puresid.catalog.manifest import Manifest
from puresid.catalog.publishing import loads_of
from puresid.catalog.segment import Segment
from puresid.catalog.state import State
from puresid.catalog.store import Store
from puresid.files import CorruptFileError

__all__ = ["state_problems"]

_STILL_THERE = 2**62


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
        for entry in manifest.files:
            loader.load(entry)
    except (CorruptFileError, OSError) as error:
        return [str(error)]
    problems = _tokens(store, state) + _keys(store, state) + _sids(store, state)
    return problems or _counts(store, manifest, state)


def _tokens(store: Store, state: State) -> list[str]:
    found = []
    for part in state.parts:
        where = store.file_path(part.entry)
        for level, size in enumerate(state.codebooks.sizes):
            top = int(part.segment.sids[:, level].max(initial=0))
            if top >= size:
                found.append(f"{where} has token {top} at level {level}; there are {size}")
        slots = part.segment.slots
        if slots is not None and int(slots.max(initial=0)) >= state.parameters.capacity:
            found.append(f"{where} has a slot beyond {state.parameters.capacity}")
        stages = part.segment.stages
        if len(stages) and not 0 <= int(stages.min()) <= int(stages.max()) < state.n_stages:
            found.append(f"{where} has a stage outside 0 to {state.n_stages - 1}")
    return found


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
    suspects = _suspects(order, same)
    found = []
    for group in suspects:
        if _wrong(since[group], until[group], state):
            tokens = sids[group[0]].tolist()
            found.append(f"{store.folder}: the SID {tokens} was given out before it was free")
    return found[:3]


def _suspects(
    order: npt.NDArray[np.int64], same: npt.NDArray[np.bool_]
) -> list[npt.NDArray[np.int64]]:
    """Return the items of each SID that more than one item has or had, in order of coming."""
    number = np.concatenate([[0], np.cumsum(~same)]) if len(order) else np.empty(0, np.int64)
    several = np.flatnonzero(np.bincount(number, minlength=1) > 1)
    begins = np.searchsorted(number, several)
    ends = np.searchsorted(number, several, side="right")
    return [order[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]


def _wrong(since: npt.NDArray[np.int64], until: npt.NDArray[np.int64], state: State) -> bool:
    after = state.parameters.recycle_after
    last = int(until[0])  # until when the SID has been held by those so far
    for came, gone in zip(since[1:].tolist(), until[1:].tolist(), strict=True):
        free = after is not None and last < _STILL_THERE and came >= last + after
        shared = state.parameters.duplicates == "share" and came < last
        if not (free or shared):
            return True
        last = max(last, gone)
    return False


def _counts(store: Store, manifest: Manifest, state: State) -> list[str]:
    path = store.manifest_path(manifest.generation)
    found = []
    for name, count in state.counts(manifest.generation).items():
        if manifest.counts.get(name) != count:
            found.append(f"{path} says {name} {manifest.counts.get(name)}; there are {count}")
    loads = prefix_loads(
        [state.held(manifest.generation)], state.codebooks, capacity=state.parameters.capacity
    )
    try:
        said = loads_of(manifest)
    except (KeyError, TypeError):
        said = ()
    if said != loads:
        found.append(f"{path} says another load of prefixes than there is")
    return found
