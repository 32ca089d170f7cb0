"""`Writer`: how a catalogue goes from one generation to the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from puresid.catalog.errors import PublishRaceError
from puresid.catalog.garbage import Collected
from puresid.catalog.loads import Held
from puresid.catalog.manifest import FileEntry, Manifest
from puresid.catalog.parameters import Parameters
from puresid.catalog.publishing import checked_config, publish
from puresid.catalog.snapshot import Snapshot
from puresid.catalog.state import State

__all__ = ["Writer"]


class Writer(Snapshot):
    """A generation that can be followed by the next. One thread at a time may change it."""

    def refresh(self) -> None:
        """Go to the newest generation; what has been read before is not read again.

        Raises
        ------
        CorruptFileError, OSError
            As `open`; the object stays at its generation.
        """
        self._see(
            *self._loader.store.read_current(lambda newest: (newest, self._loader.state(newest)))
        )

    def collect_garbage(self, *, keep: int = 2, dry_run: bool = False) -> Collected:
        """Remove old generations, what only they name, and what crashed writers left.

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
        ValueError, CorruptFileError, OSError
            As `Store.collect_garbage`.
        """
        return self._loader.store.collect_garbage(keep=keep, dry_run=dry_run)

    @contextmanager
    def _writing(
        self, config: dict[str, Any] | None, dry_run: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Hold the lock, be sure that this is the newest generation, and check the config."""
        config = checked_config(config)
        if dry_run:
            yield config
            return
        with self._loader.store.locked(wait=False):
            newest = max(self._loader.store.generations(), default=0)
            if newest != self.generation:
                raise PublishRaceError(
                    f"generation {newest} of {self.folder} has been published; this is "
                    f"generation {self.generation}: refresh, and try again"
                )
            yield config

    def _publish(
        self, files: tuple[FileEntry, ...], config: dict[str, Any], held: Held | None = None
    ) -> None:
        """Publish the next generation, with these files more; none where there are none."""
        if files:
            codebooks, epoch = self._manifest.codebooks, self.epoch
            files = (*self._manifest.files, *files)
            self._go_on(codebooks, self.parameters, files, epoch, config, held)

    def _begin_epoch(
        self,
        codebooks: FileEntry,
        parameters: Parameters,
        files: tuple[FileEntry, ...],
        config: dict[str, Any],
        held: Held,
    ) -> None:
        """Publish the first generation of the next epoch."""
        self._go_on(codebooks, parameters, files, self.epoch + 1, config, held)

    def _go_on(
        self,
        codebooks: FileEntry,
        parameters: Parameters,
        files: tuple[FileEntry, ...],
        epoch: int,
        config: dict[str, Any],
        held: Held | None,
    ) -> None:
        manifest, state = publish(
            self._loader,
            self._manifest,
            codebooks=codebooks,
            parameters=parameters,
            files=files,
            epoch=epoch,
            config=config,
            held=held,
        )
        self._see(manifest, state)

    def _see(self, manifest: Manifest, state: State) -> None:
        self._seen = (manifest, state)
        self._loader.forget_but(manifest.entries)
