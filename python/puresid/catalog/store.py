"""The folder of a catalogue: generations that appear whole or not at all.

::

    catalog.json                            written once
    lock                                    held by writers
    generations/00000001.json               manifests; the highest number is the current generation
    files/<kind>-<checksum>.safetensors     never changed, shared by generations

A generation appears when its manifest is linked to its name, after all files that it names are on
the disk. Of two writers who start from one generation, one wins and the other learns it. Readers
take no lock. The file system must have hard links, and `flock` where several machines write.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from puresid._formats import CorruptFileError
from puresid.atomic import atomic_create, is_temporary, sync_folder
from puresid.catalog._contents import check_content, load, opened, write
from puresid.catalog._lock import WriterLock
from puresid.catalog._sealed import check_fields, read_sealed, seal
from puresid.catalog._tensors import Tensors, lay_out
from puresid.catalog.errors import CatalogError, PublishRaceError
from puresid.catalog.garbage import Collected, collect, problems
from puresid.catalog.generations import Generations
from puresid.catalog.manifest import KINDS, FileEntry, Manifest, check_format, file_name

__all__ = ["Store"]

FORMAT = "puresid.catalog"
FORMAT_VERSION = 1
_ID = re.compile(r"[0-9a-f]{32}")
T = TypeVar("T")


class Store:
    """The files of a catalogue. Made by `create` or `open`.

    May be used by several threads, and on both sides of a fork while none of them writes.

    Parameters
    ----------
    folder : Path
    identity : str
        What `catalog.json` calls the catalogue: 32 hexadecimal digits, by chance.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder
        self._identity = identity
        self._lock = WriterLock(folder / "lock")
        self._generations = Generations(folder / "generations")

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._folder

    @property
    def identity(self) -> str:
        """What tells this catalogue from others: 32 hexadecimal digits."""
        return self._identity

    @classmethod
    def create(cls, folder: str | os.PathLike[str]) -> Store:
        """Make a catalogue without generations.

        Parameters
        ----------
        folder : str or path
            Made where there is none; its parent must exist. An empty folder, or what a crashed call
            left, is used.

        Returns
        -------
        Store

        Raises
        ------
        CatalogError
            There is a catalogue already, or the folder holds something else.
        OSError
            It cannot be written.
        """
        path = Path(folder)
        path.mkdir(exist_ok=True)
        known = {"lock", "files", "generations"}
        for name in sorted(os.listdir(path)):
            if name == "catalog.json":
                raise CatalogError(f"{path} is a catalogue already")
            if name not in known and not is_temporary(name):
                raise CatalogError(f"{path} holds {name!r}; an empty folder is needed")
        store = cls(path, secrets.token_hex(16))
        with store.locked():
            for name in ("files", "generations"):
                (path / name).mkdir(exist_ok=True)
            sync_folder(path.absolute().parent)
            content = {"format": FORMAT, "format_version": FORMAT_VERSION, "id": store.identity}
            try:
                with atomic_create(path / "catalog.json") as handle:
                    handle.write(seal(content))
            except FileExistsError:
                raise CatalogError(f"{path} is a catalogue already") from None
        return store

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Store:
        """Open a catalogue.

        Raises
        ------
        CatalogError
            There is none, or a newer puresid made it.
        CorruptFileError
            Its ``catalog.json`` is damaged.
        OSError
            It cannot be read.
        """
        path = Path(folder)
        file = path / "catalog.json"
        try:
            content = read_sealed(file)
        except (FileNotFoundError, NotADirectoryError):
            raise CatalogError(f"{path} is no catalogue: there is no {file}") from None
        check_format(content, FORMAT, FORMAT_VERSION, str(file))
        try:
            check_fields(content, ("format", "format_version", "id"), "it")
            if not isinstance(content["id"], str) or not _ID.fullmatch(content["id"]):
                raise ValueError(f"id is {content['id']!r}; 32 hexadecimal digits are needed")
        except ValueError as error:
            raise CorruptFileError(f"{file}: {error}") from error
        return cls(path, content["id"])

    def locked(self, *, wait: bool = True) -> AbstractContextManager[None]:
        """Keep other writers and the garbage collection out while a block runs.

        `write_file`, `publish` and `collect_garbage` do it for themselves. Whoever holds it from
        reading the current generation to publishing the next cannot lose the race, nor files to
        the garbage collection. May be nested in one thread and one `Store`.

        Parameters
        ----------
        wait : bool
            Whether to wait for another writer.

        Returns
        -------
        context manager

        Raises
        ------
        PublishRaceError
            On entry: `wait` is False and another writer holds it.
        """
        return self._lock.held(wait=wait)

    def generations(self) -> list[int]:
        """Return the numbers of the generations that are kept, ascending."""
        return self._generations.numbers()

    def manifest_path(self, generation: int) -> Path:
        """Return where the manifest of a generation lies, whether there is one or not."""
        return self._generations.path(generation)

    def file_path(self, entry: FileEntry) -> Path:
        """Return where a file of a manifest lies."""
        return self._folder / "files" / entry.name

    def read(self, generation: int | None = None, *, check_parents: bool = False) -> Manifest:
        """Return the manifest of a generation.

        Parameters
        ----------
        generation : int, optional
            Default: the current one, which is the newest.
        check_parents : bool
            Whether to read the kept generations before it too, and to check that each follows the
            one before.

        Returns
        -------
        Manifest

        Raises
        ------
        CatalogError
            There is no such generation (any more), or a newer puresid wrote it.
        CorruptFileError
            A manifest is damaged or does not belong where it stands.
        OSError
            It cannot be read.
        """
        return self._generations.read(generation, check_parents=check_parents)

    def read_current(self, load: Callable[[Manifest], T]) -> T:
        """Load the current generation, beside writers and the garbage collection.

        Parameters
        ----------
        load : callable
            Takes a manifest and loads what it needs. It is called again, with a newer manifest,
            where the generation was removed as garbage meanwhile.

        Returns
        -------
        object
            What `load` returned.

        Raises
        ------
        Exception
            As `read`, and whatever `load` raises while the generation is there.
        """
        while True:
            manifest = self.read()
            try:
                return load(manifest)
            except (CorruptFileError, OSError):
                if self.manifest_path(manifest.generation).exists():
                    raise

    def write_file(
        self,
        kind: str,
        tensors: Tensors,
        description: dict[str, Any] | None = None,
        *,
        rows: int,
        generation: int,
    ) -> FileEntry:
        """Write a file, which no generation names yet; one that is there is not written again.

        Parameters
        ----------
        kind : {"codebooks", "items", "removals", "updates", "moves"}
        tensors : dict of str to ndarray
            Integers or floats; arrays in C order are not copied.
        description : dict, optional
            Values of JSON, kept in the file. ``"format"`` is added where it has none.
        rows : int
            For the entry.
        generation : int
            For the entry: the one that is to be published.

        Returns
        -------
        FileEntry

        Raises
        ------
        TypeError, ValueError
            As `FileEntry`; a tensor is of another type; the description is not JSON.
        OSError
            The file cannot be written; nothing of it is visible then.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(map(repr, KINDS))}")
        layout = lay_out(tensors, {"format": f"puresid.catalog.{kind}"} | (description or {}))
        entry = FileEntry(
            name=file_name(kind, layout.sha256),
            kind=kind,
            rows=rows,
            bytes=layout.size,
            sha256=layout.sha256,
            generation=generation,
        )
        with self.locked():
            write(self.file_path(entry), entry, layout)
        return entry

    def load_file(self, entry: FileEntry, *, mmap: bool = False, check: bool = True) -> Tensors:
        """Return the tensors of a file; see `load_described`."""
        return self.load_described(entry, mmap=mmap, check=check)[0]

    def load_described(
        self, entry: FileEntry, *, mmap: bool = False, check: bool = True
    ) -> tuple[Tensors, dict[str, Any]]:
        """Return the tensors of a file and its description.

        Parameters
        ----------
        entry : FileEntry
        mmap : bool
            Whether the tensors are views of the mapped file, and not of a copy in memory. They stay
            valid when the file is removed as garbage.
        check : bool
            Whether to compare the checksum before parsing. The length always is.

        Returns
        -------
        tensors : dict of str to ndarray
            Read-only; together as large as the file.
        description : dict

        Raises
        ------
        CorruptFileError
            The file is missing, or its length, checksum or content is wrong.
        OSError
            It cannot be read.
        """
        return load(self.file_path(entry), entry, mmap=mmap, check=check)

    def check_file(self, entry: FileEntry) -> None:
        """Compare the length and the checksum of a file, in little memory.

        Raises
        ------
        CorruptFileError, OSError
            As `load_described`.
        """
        check_content(self.file_path(entry), entry)

    def publish(self, manifest: Manifest, parent: Manifest | None) -> None:
        """Make a generation the current one.

        Parameters
        ----------
        manifest : Manifest
            Its files have been written by `write_file`.
        parent : Manifest or None
            The generation that it was made from; None where it is the first.

        Raises
        ------
        PublishRaceError
            Another writer has published since, or files of this generation were removed as garbage.
        IncompatibleError
            Codebooks or parameters are not those of the epoch.
        CatalogError
            The manifest does not follow its parent, or is too large.
        OSError
            Writing failed. The generation may be there nevertheless, whole: where only the last
            syncing failed.
        """
        manifest.check_follows(parent)
        content = manifest.to_bytes()
        with self.locked():
            self._generations.check_newest(parent)
            old = set() if parent is None else {entry.name for entry in parent.entries}
            for entry in manifest.entries:
                if entry.name not in old:
                    self._check_there(entry)
            sync_folder(self._folder / "files")
            self._generations.add(manifest.generation, content)

    def _check_there(self, entry: FileEntry) -> None:
        try:
            opened(self.file_path(entry), entry).close()
        except CorruptFileError as error:
            raise PublishRaceError(
                f"{error}; garbage may have been collected since it was written: hold the lock "
                "from writing files to publishing them"
            ) from error

    def verify(self) -> list[str]:
        """Read every file of every generation that is kept.

        Returns
        -------
        list of str
            What is wrong, each line naming a file; empty where nothing is.
        """
        return problems(self)

    def collect_garbage(self, *, keep: int = 2, dry_run: bool = False) -> Collected:
        """Remove old generations, what only they name, and what crashed writers left.

        Readers that have opened a removed generation go on: what is mapped stays, and
        `read_current` takes a newer one. Files of names that this class does not give are left.

        Parameters
        ----------
        keep : int
            How many generations stay, the newest ones.
        dry_run : bool
            Whether only to say what would be removed.

        Returns
        -------
        Collected

        Raises
        ------
        ValueError
            `keep` is less than 1.
        CorruptFileError
            A manifest that stays is damaged; nothing is removed.
        OSError
            A file cannot be removed. What is left is whole, and the next call goes on.
        """
        return collect(self, keep=keep, dry_run=dry_run)
