"""The lock of the writers: one process at a time, and one thread of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from puresid.catalog.errors import PublishRaceError


class WriterLock:
    """An exclusive lock on a file, which the kernel gives back when its process ends.

    May be taken again by the thread that has it; a child forked meanwhile does not have it. Two
    locks of one file exclude each other, in one process too.

    Parameters
    ----------
    path : Path
        The file; made where there is none, and never removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._descriptor = -1
        self._holder = 0  # the process that took it: a forked child has not
        self._depth = 0

    @contextmanager
    def held(self, *, wait: bool) -> Iterator[None]:
        """Hold the lock until the block ends.

        Parameters
        ----------
        wait : bool
            Whether to wait for another holder.

        Raises
        ------
        PublishRaceError
            `wait` is False and another has it.
        OSError
            The file cannot be opened or locked.
        """
        if not self._threads.acquire(blocking=wait):
            self._refuse()
        try:
            # A child forked inside such a block has left it behind, and may still leave it.
            if self._holder != os.getpid() or self._depth < 0:
                self._depth = 0
            if self._depth == 0:
                self._take(wait)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._give_back()
        finally:
            self._threads.release()

    def _take(self, wait: bool) -> None:
        import fcntl

        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                self._refuse()
            raise
        self._descriptor, self._holder = descriptor, os.getpid()

    def _give_back(self) -> None:
        import fcntl

        # Said in so many words, since a forked child may have the descriptor too; but it is not the
        # child who may say it.
        if self._holder == os.getpid():
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def _refuse(self) -> None:
        raise PublishRaceError(f"another writer is at work: it holds the lock {self._path}")
