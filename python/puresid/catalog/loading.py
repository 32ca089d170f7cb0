"""`Loader`: from the files of a generation to its state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from puresid._codebook_files import from_tensors
from puresid._formats import CorruptFileError
from puresid.catalog.changes import Moves, Removals, Updates
from puresid.catalog.digests import Digests
from puresid.catalog.manifest import FileEntry, Manifest
from puresid.catalog.parameters import Parameters
from puresid.catalog.places import Rows
from puresid.catalog.segment import Segment
from puresid.catalog.state import Generations, Part, State
from puresid.catalog.store import Store
from puresid.codebooks import Codebooks

__all__ = ["Loader"]


@dataclass(frozen=True, eq=False)
class Loader:
    """Reads the files of a catalogue, each once.

    Attributes
    ----------
    store : Store
    mmap : bool
        Whether arrays are views of mapped files, and not copies in memory.
    cache : dict
        What was read, by file name.
    """

    store: Store
    mmap: bool
    cache: dict[str, Any]

    def state(self, manifest: Manifest, *, until: int | None = None) -> State:
        """Read what a manifest names, and apply it in order.

        Parameters
        ----------
        manifest : Manifest
        until : int, optional
            Leave out what came in later generations. Default: nothing.

        Raises
        ------
        CorruptFileError
            A file is damaged, or does not go with the others.
        OSError
            A file cannot be read.
        """
        try:
            parameters = Parameters.from_dict(manifest.parameters)
        except (TypeError, ValueError) as error:
            path = self.store.manifest_path(manifest.generation)
            raise CorruptFileError(f"{path}: {error}") from error
        last = manifest.generation if until is None else until
        files = [entry for entry in manifest.files if entry.generation <= last]
        return self.state_of(manifest.codebooks, parameters, files)

    def state_of(
        self, codebooks: FileEntry, parameters: Parameters, files: Sequence[FileEntry]
    ) -> State:
        """Do what `state` does, for these files."""
        made = _Builder(self.store, self.load(codebooks), parameters)
        for entry in files:
            made.apply(entry, self.load(entry) if entry.kind != "moves" else None)
        return made.state()

    def load(self, entry: FileEntry) -> Any:
        """Return what a file holds: codebooks, a segment, removals, updates or moves."""
        if (known := self.cache.get(entry.name)) is not None:
            return known
        tensors, description = self.store.load_described(entry, mmap=self.mmap)
        where = str(self.store.file_path(entry))
        try:
            made = _made(entry, tensors, description, where)
        except CorruptFileError:
            raise
        except (TypeError, ValueError) as error:
            raise CorruptFileError(f"{where}: {error}") from error
        self.cache[entry.name] = made
        return made

    def forget_but(self, entries: Iterable[FileEntry]) -> None:
        """Drop what was read, but for some files."""
        for name in set(self.cache) - {entry.name for entry in entries}:
            self.cache.pop(name, None)


def _made(
    entry: FileEntry, tensors: dict[str, Any], description: dict[str, Any], where: str
) -> Any:
    if entry.kind == "codebooks":
        return from_tensors(tensors, description)
    if entry.kind == "items":
        segment = Segment.from_tensors(tensors, where=where, check=False)
        if len(segment) != entry.rows:
            raise CorruptFileError(f"{where} has {len(segment)} items, not {entry.rows}")
        return segment
    if entry.kind == "removals":
        return Removals.from_tensors(tensors, rows=entry.rows, where=where)
    if entry.kind == "updates":
        return Updates.from_tensors(tensors, rows=entry.rows, where=where)
    return Moves.from_tensors(tensors, rows=entry.rows, where=where)


class _Builder:
    """A state that grows file by file."""

    def __init__(self, store: Store, codebooks: Codebooks, parameters: Parameters) -> None:
        self._store = store
        self._codebooks = codebooks
        self._parameters = parameters
        self._segments: list[tuple[FileEntry, Segment]] = []
        self._removed: list[Generations | None] = []
        self._digests: list[Digests] = []

    def apply(self, entry: FileEntry, loaded: Any) -> None:
        """Add items, or mark those that were removed or updated."""
        if isinstance(loaded, Segment):
            self._check(entry, loaded)
            self._segments.append((entry, loaded))
            self._removed.append(None)
            self._digests.append(loaded.digests)
        elif isinstance(loaded, (Removals, Updates)):
            where = str(self._store.file_path(entry))
            for number, at in loaded.by_file(len(self._segments), where):
                rows = loaded.rows[at].astype(np.int64)
                self._check_there(where, number, rows)
                if isinstance(loaded, Removals):
                    self._remove(number, rows, entry.generation)
                else:
                    self._update(number, rows, loaded.digests[at])

    def _remove(self, number: int, rows: Rows, generation: int) -> None:
        marks = self._removed[number]
        if marks is None:
            marks = np.zeros(len(self._segments[number][1]), dtype=np.uint32)
            self._removed[number] = marks
        marks[rows] = generation

    def _update(self, number: int, rows: Rows, digests: Digests) -> None:
        if self._digests[number] is self._segments[number][1].digests:
            self._digests[number] = np.array(self._digests[number])
        self._digests[number][rows] = digests

    def state(self) -> State:
        """Return it as it is now; nothing may be applied afterwards."""
        parts = []
        for (entry, segment), marks, digests in zip(
            self._segments, self._removed, self._digests, strict=True
        ):
            digests.flags.writeable = False
            if marks is not None:
                marks.flags.writeable = False
            parts.append(Part(entry, segment, marks, digests))
        return State(self._codebooks, self._parameters, tuple(parts))

    def _check(self, entry: FileEntry, segment: Segment) -> None:
        where = self._store.file_path(entry)
        levels, capacity = self._codebooks.n_levels, self._parameters.capacity
        if segment.n_levels != levels:
            raise CorruptFileError(
                f"{where} has SIDs of {segment.n_levels} tokens; the codebooks have {levels} levels"
            )
        if (segment.slots is not None) != (capacity > 1):
            raise CorruptFileError(
                f"{where} has {'no ' if segment.slots is None else ''}slots; "
                f"the capacity of a SID is {capacity}"
            )
        kind = self._segments[0][1].keys.kind if self._segments else segment.keys.kind
        if segment.keys.kind != kind:
            raise CorruptFileError(
                f"{where} has keys of kind {segment.keys.kind!r}; those before have {kind!r}"
            )
        for level, size in enumerate(self._codebooks.sizes):
            top = int(segment.sids[:, level].max(initial=0))
            if top >= size:
                raise CorruptFileError(
                    f"{where} has token {top} at level {level}; there are {size}"
                )
        if segment.slots is not None and int(segment.slots.max(initial=0)) >= capacity:
            raise CorruptFileError(
                f"{where} has slot {segment.slots.max()}; the capacity of a SID is {capacity}"
            )
        stages, last = segment.stages, self._parameters.n_stages - 1
        if int(stages.min(initial=0)) < 0 or int(stages.max(initial=0)) > last:
            raise CorruptFileError(f"{where} has a stage outside 0 to {last}")

    def _check_there(self, where: str, number: int, rows: Rows) -> None:
        items = len(self._segments[number][1])
        if len(rows) and int(rows.max()) >= items:
            raise CorruptFileError(
                f"{where} names row {int(rows.max())} of file {number}, which has {items} items"
            )
        marks = self._removed[number]
        gone = np.zeros(len(rows), dtype=np.bool_) if marks is None else marks[rows] != 0
        if gone.any():
            raise CorruptFileError(
                f"{where} names row {int(rows[gone.argmax()])} of file {number}, "
                "which was removed before"
            )
