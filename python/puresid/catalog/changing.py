"""What each call that changes a catalogue finds and writes, up to the files of a generation."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from puresid.catalog.aligning import align as align_with
from puresid.catalog.aligning import tokens_kept
from puresid.catalog.appending import named, place, read_batch, read_keys
from puresid.catalog.changes import Moves, Updates
from puresid.catalog.differences import items_at
from puresid.catalog.errors import CatalogError
from puresid.catalog.keys import Keys
from puresid.catalog.loading import Loader
from puresid.catalog.loads import Held
from puresid.catalog.manifest import FileEntry, Manifest
from puresid.catalog.parameters import Parameters
from puresid.catalog.places import Places
from puresid.catalog.publishing import removals, write_codebooks, write_rows
from puresid.catalog.results import Added, Items, Migrated, Removed, Updated
from puresid.catalog.state import State
from puresid.catalog.store import Store
from puresid.checks import one_of
from puresid.codebooks import Codebooks
from puresid.sources import vectors_or_source

__all__ = ["Epoch", "add", "migrate", "remove", "store_without_generation", "update"]

EXISTING = ("error", "same", "skip")

Files = tuple[FileEntry, ...]


@dataclass(frozen=True, eq=False)
class Epoch:
    """What a new epoch is made of.

    Attributes
    ----------
    migrated : Migrated
    codebooks : FileEntry
    parameters : Parameters
    files : tuple of FileEntry
    held : Held
    """

    migrated: Migrated
    codebooks: FileEntry
    parameters: Parameters
    files: Files
    held: Held


def store_without_generation(folder: str | os.PathLike[str]) -> Store:
    """Make a store, or take one that a crashed call left without a generation.

    Raises
    ------
    CatalogError
        There is a generation, or something else.
    """
    try:
        return Store.create(folder)
    except CatalogError:
        store = _store_at(folder)
        if store is None or store.generations():
            raise
        return store


def _store_at(folder: str | os.PathLike[str]) -> Store | None:
    try:
        return Store.open(folder)
    except CatalogError:
        return None


def add(
    loader: Loader,
    state: State,
    generation: int,
    *,
    keys: Any,
    vectors: Any,
    priority: Any,
    existing: str,
    dry_run: bool,
    threads: int | None,
    progress: bool,
) -> tuple[Added, Held, Files]:
    """Do what `Catalog.add` says, but for publishing; `generation` is the one that there is."""
    one_of(existing, "existing", EXISTING)
    column = read_keys(keys, state)
    places = state.places(column, threads=threads)
    there = places.found
    if there.any() and existing == "error":
        raise CatalogError(
            f"the catalogue has the key {named(column, np.flatnonzero(there))} already"
        )
    batch = read_batch(column, vectors, priority, state=state, threads=threads)
    if existing == "same":
        differ = there & (batch.digests != state.digests(places)).any(axis=1)
        if differ.any():
            raise CatalogError(
                f"the catalogue has the key {named(column, np.flatnonzero(differ))} already, "
                "with another vector"
            )
    batch = batch.chosen(~there)
    placed = place(batch, state, generation + 1, threads=threads, progress=progress)
    files: Files = ()
    if len(batch) and not dry_run:
        files = (write_rows(loader, placed.segment, generation + 1),)
    segment = placed.segment
    added = Added(
        generation=generation + len(files),
        items=Items(segment.keys, segment.sids, segment.slots),
        stages=segment.stages,
        distortion=placed.distortion,
        nearest_distortion=placed.nearest_distortion,
        duplicates=placed.duplicates,
        skipped=int(there.sum()),
        prefix_loads=placed.held.loads,
    )
    return added, placed.held, files


def remove(
    loader: Loader, state: State, generation: int, keys: Any, *, missing: str, dry_run: bool
) -> tuple[Removed, Files]:
    """Do what `Catalog.remove` says, but for publishing."""
    one_of(missing, "missing", ("error", "skip"))
    column = read_keys(keys, state)
    places = state.places(column)
    absent = np.flatnonzero(~places.found)
    if len(absent) and missing == "error":
        raise CatalogError(f"the catalogue has no item with the key {named(column, absent)}")
    places = places.chosen(places.found)
    files: Files = ()
    if len(places) and not dry_run:
        files = (write_rows(loader, removals(places), generation + 1),)
    return Removed(generation + len(files), items_at(state, places), len(absent)), files


def update(
    loader: Loader,
    state: State,
    manifest: Manifest,
    *,
    keys: Any,
    vectors: Any,
    priority: Any,
    reassign: bool,
    threads: int | None,
    progress: bool,
) -> tuple[Updated, Held | None, Files]:
    """Do what `Catalog.update` says, but for publishing."""
    generation = manifest.generation
    column = read_keys(keys, state)
    places = state.places(column, threads=threads)
    absent = np.flatnonzero(~places.found)
    if len(absent):
        raise CatalogError(f"the catalogue has no item with the key {named(column, absent)}")
    batch = read_batch(column, vectors, priority, state=state, threads=threads)
    changed = (batch.digests != state.digests(places)).any(axis=1)
    batch, places = batch.chosen(changed), places.chosen(changed)
    before = items_at(state, places)
    if len(batch) == 0:
        return Updated(generation, before, before.sids), None, ()
    if not reassign:
        order = np.lexsort((places.rows, places.parts))
        numbers = (places.parts[order].astype(np.uint32), places.rows[order].astype(np.uint32))
        entry = write_rows(loader, Updates(*numbers, batch.digests[order]), generation + 1)
        return Updated(generation + 1, before, before.sids), None, (entry,)
    gone = write_rows(loader, removals(places), generation + 1)
    without = loader.state_of(manifest.codebooks, state.parameters, (*manifest.files, gone))
    placed = place(batch, without, generation + 1, threads=threads, progress=progress)
    segment = placed.segment
    new = write_rows(loader, segment, generation + 1)
    after = Items(segment.keys, segment.sids, segment.slots)
    return Updated(generation + 1, after, before.sids), placed.held, (gone, new)


def migrate(
    loader: Loader,
    state: State,
    manifest: Manifest,
    codebooks: Codebooks,
    *,
    keys: Any,
    vectors: Any,
    priority: Any,
    parameters: Parameters | None,
    align: bool,
    threads: int | None,
    progress: bool,
) -> Epoch:
    """Do what `Catalog.migrate` says, but for publishing."""
    generation = manifest.generation + 1
    column = read_keys(keys, state)
    vectors = vectors_or_source(vectors)  # once: a stream cannot be read again
    places = _all_places(column, state)
    old_sids = state.sids(places)
    chosen = _next_parameters(state, codebooks, parameters)
    alignment = None
    if align and len(column) and _comparable(state.codebooks, codebooks):
        alignment = align_with(
            state.codebooks, codebooks, sids_old=old_sids, vectors=vectors, threads=threads
        )
        codebooks = alignment.codebooks
    empty = State(codebooks, chosen, ())
    batch = read_batch(column, vectors, priority, state=empty, threads=threads)
    placed = place(batch, empty, generation, threads=threads, progress=progress)
    segment = placed.segment
    files: Files = (write_rows(loader, Moves(column, old_sids, segment.sids), generation),)
    if len(column):
        files = (write_rows(loader, segment, generation), *files)
    kept = None
    if old_sids.shape[1] == segment.n_levels:
        kept = tokens_kept(old_sids, segment.sids)
    migrated = Migrated(
        generation=generation,
        epoch=manifest.epoch + 1,
        items=Items(segment.keys, segment.sids, segment.slots),
        old_sids=old_sids,
        kept=kept,
        alignment=alignment,
    )
    entry = write_codebooks(loader, codebooks, generation)
    return Epoch(migrated, entry, chosen, files, placed.held)


def _all_places(keys: Keys, state: State) -> Places:
    """Find keys, which must be all that there are."""
    places = state.places(keys)
    absent = np.flatnonzero(~places.found)
    if len(absent):
        raise CatalogError(f"the catalogue has no item with the key {named(keys, absent)}")
    every = state.live_places()
    if len(every) > len(keys):
        there = state.keys(every)
        given = set(keys.tolist())
        left = [key for key in there.tolist() if key not in given]
        rows = np.arange(len(left))
        raise CatalogError(
            f"a new epoch needs the vectors of all {len(every)} items; missing is the key "
            f"{named(Keys.of(left, kind=there.kind), rows)}"
        )
    return places


def _comparable(old: Codebooks, new: Codebooks) -> bool:
    return old.space == new.space and old.n_levels == new.n_levels


def _next_parameters(
    state: State, codebooks: Codebooks, parameters: Parameters | None
) -> Parameters:
    if parameters is not None:
        parameters = Parameters.checked(parameters)
    else:
        parameters = state.parameters
        if state.codebooks.n_levels != codebooks.n_levels:
            parameters = dataclasses.replace(parameters, tiers=None)
    return parameters.for_codebooks(codebooks)
