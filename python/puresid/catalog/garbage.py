"""What a catalogue's folder holds and no longer needs, and what is wrong in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from puresid._formats import CorruptFileError
from puresid.atomic import is_temporary, sync_folder
from puresid.catalog.errors import CatalogError
from puresid.catalog.generations import check_follows
from puresid.catalog.manifest import KINDS, Manifest
from puresid.checks import integer

if TYPE_CHECKING:
    from puresid.catalog.store import Store

_FILE = re.compile(rf"(?:{'|'.join(KINDS)})-[0-9a-f]{{20}}\.safetensors")


@dataclass(frozen=True)
class Collected:
    """What `Store.collect_garbage` removed, or would remove.

    Attributes
    ----------
    generations : tuple of int
        Ascending.
    files : tuple of str
        Below the catalogue's folder: files that no generation names, and leftovers of crashed
        writers.
    bytes : int
        Of the files together.
    """

    generations: tuple[int, ...]
    files: tuple[str, ...]
    bytes: int


def collect(store: Store, *, keep: int, dry_run: bool) -> Collected:
    """Do what `Store.collect_garbage` says.

    Manifests go first, the oldest before the others, so that at any moment, and after a crash, the
    kept generations are whole and follow each other.
    """
    keep = integer(keep, "keep", 1)
    with store.locked():
        numbers = store.generations()
        old, kept = numbers[:-keep], numbers[-keep:]
        needed = {entry.name for number in kept for entry in store.read(number).entries}
        found = _unneeded(store.folder, needed)
        sizes = [path.lstat().st_size for path in found]
        if not dry_run:
            for number in old:
                store.manifest_path(number).unlink()
            if old:
                sync_folder(store.folder / "generations")
            for path in found:
                path.unlink()
    names = tuple(path.relative_to(store.folder).as_posix() for path in found)
    return Collected(tuple(old), names, sum(sizes))


def _unneeded(folder: Path, needed: set[str]) -> list[Path]:
    # Writers make temporary files under the lock, so these are of crashed ones.
    found = [
        part / name
        for part in (folder, folder / "files", folder / "generations")
        for name in sorted(os.listdir(part))
        if is_temporary(name)
    ]
    files = folder / "files"
    for name in sorted(os.listdir(files)):
        if _FILE.fullmatch(name) and name not in needed:
            found.append(files / name)
    return found


def problems(store: Store) -> list[str]:
    """Do what `Store.verify` says."""
    found: list[str] = []
    numbers = store.generations()
    if not numbers:
        return [f"{store.folder} has no generation"]
    manifests: dict[int, Manifest] = {}
    for number in numbers:
        with _noting(store, number, found):
            manifests[number] = store.read(number)
    checked: set[str] = set()
    for number, manifest in manifests.items():
        before = manifests.get(number - 1)
        if before is not None:
            with _noting(store, number, found):
                check_follows(store.manifest_path(number), manifest, before)
        for entry in manifest.entries:
            # Entries of one name in two manifests may differ where a manifest is hostile.
            if (mark := f"{entry.name} {entry.sha256} {entry.bytes}") in checked:
                continue
            checked.add(mark)
            with _noting(store, number, found):
                store.load_described(entry, mmap=True)
    for number in range(numbers[0], numbers[-1]):
        if number not in numbers and store.generations()[0] < number:
            found.append(f"{store.manifest_path(number)} is missing")
    return found


@contextmanager
def _noting(store: Store, number: int, found: list[str]) -> Iterator[None]:
    try:
        yield
    except (CatalogError, CorruptFileError, OSError) as error:
        if store.manifest_path(number).exists():  # or it was removed as garbage meanwhile
            found.append(str(error))
