"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TEMPORARY = re.compile(r"\.puresid-[0-9a-f]{16}\.tmp")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends without an error.

    The bytes go to a temporary file in the same folder, are synced to the disk, and the file is
    renamed over `path`; then the folder is synced. On any error, Ctrl-C included, the temporary
    file is removed and `path` stays as it was; only where the last step fails, the sync of the
    folder, the new file is in place already. A symbolic link stays one: its target is replaced.

    Parameters
    ----------
    path : str or path
        The file to write.

    Yields
    ------
    binary file
        Open for writing.

    Raises
    ------
    OSError
        The file cannot be written; its `filename` is `path` where the system named none.
    """
    target = Path(os.path.realpath(path))
    temporary = temporary_name(target)
    handle = open(temporary, "xb")  # noqa: SIM115 (the file must be closed before its renaming)
    ours = False
    try:
        with handle:
            yield handle
            ours = True  # until here, an error may be that of another file, which is read
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and (ours or error.errno in _NO_ROOM):
            _name(error, path)
        raise
    sync_folder(target.parent)


@contextmanager
def atomic_create(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path` when the block ends, unless there is one by then.

    As `atomic_write`, but the file is linked and never takes the place of another: of several
    writers one wins. The file system must have hard links.

    Parameters
    ----------
    path : str or path
        The file to make.

    Yields
    ------
    binary file
        Open for writing.

    Raises
    ------
    FileExistsError
        There is one.
    OSError
        The file cannot be written. It may stand there nevertheless, whole, where only the syncing
        of the folder failed.
    """
    target = Path(path)
    temporary = temporary_name(target)
    handle = open(temporary, "xb")  # noqa: SIM115 (the file must be closed before its linking)
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.link(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()
    sync_folder(target.parent)


def _name(error: OSError, path: str | os.PathLike[str]) -> None:
    """Say which file it was: writing and syncing know only a descriptor."""
    if error.errno is not None and error.filename is None:
        error.filename = os.fspath(path)


def temporary_name(target: Path) -> Path:
    """Return a name beside `target` that no other file has."""
    return target.parent / f".puresid-{secrets.token_hex(8)}.tmp"


def is_temporary(name: str) -> bool:
    """Return whether `temporary_name` gives such names."""
    return _TEMPORARY.fullmatch(name) is not None


def sync_folder(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems have no such call for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            _name(error, folder)
            raise
    finally:
        os.close(descriptor)
