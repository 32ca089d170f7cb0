"""From what a call has found to the next generation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from puresid import _core
from puresid._codebook_files import FORMAT as CODEBOOKS_FORMAT
from puresid._codebook_files import to_tensors
from puresid.catalog._sealed import plain
from puresid.catalog._tensors import lay_out
from puresid.catalog.changes import Moves, Removals, Updates
from puresid.catalog.loading import Loader
from puresid.catalog.loads import Held, PrefixLoad
from puresid.catalog.manifest import FileEntry, Manifest, epoch_hash, file_name
from puresid.catalog.parameters import Parameters
from puresid.catalog.places import Places
from puresid.catalog.segment import Segment
from puresid.catalog.state import State
from puresid.codebooks import Codebooks

__all__ = [
    "checked_config",
    "counts_of",
    "hash_of_epoch",
    "held_of",
    "loads_of",
    "publish",
    "removals",
    "write_codebooks",
    "write_rows",
]


def write_rows(
    loader: Loader, content: Segment | Removals | Updates | Moves, generation: int
) -> FileEntry:
    """Write a file of items or changes, which the next generation will name."""
    kind = _KINDS[type(content)]
    rows = len(content.rows) if isinstance(content, (Removals, Updates)) else len(content)
    entry = loader.store.write_file(kind, content.to_tensors(), rows=rows, generation=generation)
    loader.cache[entry.name] = content
    return entry


_KINDS: dict[type, str] = {
    Segment: "items",
    Removals: "removals",
    Updates: "updates",
    Moves: "moves",
}


def write_codebooks(loader: Loader, codebooks: Codebooks, generation: int) -> FileEntry:
    """Write codebooks as `Codebooks.save` does, so that `Codebooks.load` reads them."""
    description, tensors = to_tensors(codebooks)
    entry = loader.store.write_file(
        "codebooks",
        tensors,
        {"format": CODEBOOKS_FORMAT} | description,
        rows=sum(codebooks.sizes),
        generation=generation,
    )
    loader.cache[entry.name] = codebooks
    return entry


def hash_of_epoch(codebooks: Codebooks, parameters: Parameters) -> str:
    """Return the hash that an epoch with these codebooks and parameters has."""
    description, tensors = to_tensors(codebooks)
    layout = lay_out(tensors, {"format": CODEBOOKS_FORMAT} | description)
    entry = FileEntry(
        name=file_name("codebooks", layout.sha256),
        kind="codebooks",
        rows=sum(codebooks.sizes),
        bytes=layout.size,
        sha256=layout.sha256,
        generation=1,
    )
    return epoch_hash(entry, parameters.for_codebooks(codebooks).to_dict())


def removals(places: Places) -> Removals:
    """Return the removal of items, in the order in which they came."""
    order = np.lexsort((places.rows, places.parts))
    return Removals(places.parts[order].astype(np.uint32), places.rows[order].astype(np.uint32))


def publish(
    loader: Loader,
    parent: Manifest | None,
    *,
    codebooks: FileEntry,
    parameters: Parameters,
    files: tuple[FileEntry, ...],
    epoch: int,
    config: dict[str, Any],
    held: Held | None = None,
) -> tuple[Manifest, State]:
    """Make the next generation of these files, and publish it.

    Parameters
    ----------
    loader : Loader
    parent : Manifest or None
    codebooks, parameters, files, epoch, config
        What the manifest is to say.
    held : Held, optional
        Where an addition has counted it already, of the generation that is published.

    Returns
    -------
    manifest : Manifest
    state : State
        As `Loader.state` reads it.

    Raises
    ------
    PublishRaceError, OSError
        As `Store.publish`.
    """
    generation = 1 if parent is None else parent.generation + 1
    state = loader.state_of(codebooks, parameters, files)
    held = held or held_of(state, generation)
    manifest = Manifest(
        generation=generation,
        parent=None if parent is None else parent.sha256,
        epoch=epoch,
        epoch_hash=epoch_hash(codebooks, parameters.to_dict()),
        codebooks=codebooks,
        parameters=parameters.to_dict(),
        files=files,
        counts=counts_of(state, files, generation, held),
        prefix_load={"prefixes": [dataclasses.asdict(load) for load in held.loads]},
        config=config,
        version=_core.__version__,
    )
    loader.store.publish(manifest, parent)
    return manifest, state


def checked_config(config: dict[str, Any] | None) -> dict[str, Any]:
    """Return a config as a manifest will have it; an empty one for None.

    Raises
    ------
    TypeError, ValueError
        It is no dict of values of JSON.
    """
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise TypeError(f"config is of type {type(config).__name__}; a dict is needed")
    copy: dict[str, Any] = plain(config, "config", depth=1)
    return copy


def held_of(state: State, generation: int) -> Held:
    """Count the SIDs that may not be given out in a generation."""
    return Held.of([state.held(generation)], state.codebooks, capacity=state.parameters.capacity)


def counts_of(
    state: State, files: Sequence[FileEntry], generation: int, held: Held
) -> dict[str, Any]:
    """Count what a manifest says: what there is, and what is new."""
    new = [entry for entry in files if entry.generation == generation]
    return state.counts(held.sids) | {
        f"new_{kind}": sum(entry.rows for entry in new if entry.kind == kind)
        for kind in ("items", "removals", "updates")
    }


def loads_of(manifest: Manifest) -> tuple[PrefixLoad, ...]:
    """Return what a manifest says of prefixes.

    Raises
    ------
    KeyError, TypeError
        It says something else.
    """
    return tuple(
        PrefixLoad(**(load | {"tenths": tuple(load["tenths"])}))
        for load in manifest.prefix_load["prefixes"]
    )
