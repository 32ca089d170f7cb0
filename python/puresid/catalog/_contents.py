"""Files whose name, length and checksum a manifest says: written once, checked when read."""

from __future__ import annotations

import hashlib
import io
import mmap as memory_map
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._formats import CorruptFileError
from puresid.atomic import atomic_write, sync_folder
from puresid.catalog._tensors import Layout, Tensors, parse
from puresid.catalog.manifest import FileEntry

_BLOCK = 2**18


def write(path: Path, entry: FileEntry, layout: Layout) -> None:
    """Write a file, whole or not at all, unless it is there and intact.

    Raises
    ------
    OSError
        It cannot be written.
    """
    try:
        check_content(path, entry)
    except CorruptFileError:  # missing, as a rule
        with atomic_write(path) as handle:
            for part in layout.parts:
                handle.write(part)
    else:
        sync_folder(path.parent)  # whoever wrote it may have crashed before


def load(
    path: Path, entry: FileEntry, *, mmap: bool, check: bool
) -> tuple[Tensors, dict[str, Any]]:
    """Do what `Store.load_described` says."""
    with opened(path, entry) as handle:
        if mmap:
            if check:
                _compare(_checksum(handle), entry, path)
            # Of the file that was checked, whatever has its name by now.
            mapped = memory_map.mmap(handle.fileno(), 0, access=memory_map.ACCESS_READ)
            data = np.frombuffer(mapped, dtype=np.uint8)
        else:
            data = np.empty(entry.bytes, dtype=np.uint8)
            _fill(handle, data, path)
            if check:
                _compare(hashlib.sha256(data.data).hexdigest(), entry, path)
            data.flags.writeable = False
    return parse(data, str(path))


def check_content(path: Path, entry: FileEntry) -> None:
    """Do what `Store.check_file` says."""
    with opened(path, entry) as handle:
        _compare(_checksum(handle), entry, path)


def opened(path: Path, entry: FileEntry) -> io.BufferedReader:
    """Open a file of the right length, before memory is asked for; the caller closes it.

    Raises
    ------
    CorruptFileError
        It is missing or of another length.
    OSError
        It cannot be opened.
    """
    try:
        handle = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise CorruptFileError(f"{path} is missing; a manifest names it") from None
    try:
        size = os.fstat(handle.fileno()).st_size
        if size != entry.bytes:
            raise CorruptFileError(
                f"{path} is cut short or damaged: it has {size} bytes; {entry.bytes} are needed"
            )
    except BaseException:
        handle.close()
        raise
    return handle


def _fill(handle: io.BufferedReader, data: npt.NDArray[np.uint8], path: Path) -> None:
    place = 0
    while place < len(data):
        count = handle.readinto(data.data[place:])
        if not count:
            raise CorruptFileError(f"{path} was cut short while it was read, at byte {place}")
        place += count


def _checksum(handle: io.BufferedReader) -> str:
    checksum = hashlib.sha256()
    while block := handle.read(_BLOCK):
        checksum.update(block)
    return checksum.hexdigest()


def _compare(found: str, entry: FileEntry, path: Path) -> None:
    if found != entry.sha256:
        raise CorruptFileError(
            f"{path} is damaged: its SHA-256 is {found}; {entry.sha256} is needed"
        )
