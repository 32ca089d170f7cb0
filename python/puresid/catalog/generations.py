"""The folder of manifests, one per generation: read beside writers, added to by one of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from puresid._formats import CorruptFileError
from puresid.atomic import atomic_create
from puresid.catalog._sealed import read_sealed
from puresid.catalog.errors import CatalogError, PublishRaceError
from puresid.catalog.manifest import Manifest

_NAME = re.compile(r"(?!0{8})[0-9]{8}\.json")


class Generations:
    """The manifests of a catalogue.

    They appear in order, and the oldest are removed first: those that are there follow each other.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, number: int) -> Path:
        """Return where the manifest of a generation lies."""
        return self._folder / f"{number:08d}.json"

    def numbers(self) -> list[int]:
        """Return the numbers of those that are there, ascending."""
        found: list[int] = []
        for _ in range(3):
            found = sorted(
                int(name[:8]) for name in os.listdir(self._folder) if _NAME.fullmatch(name)
            )
            if found:
                break
            # While names are listed, a new one may be missed and the old one removed before it is
            # reached: an empty list is believed only when it comes again.
        return found

    def read(self, number: int | None, *, check_parents: bool) -> Manifest:
        """Do what `Store.read` says."""
        manifest = self._newest() if number is None else self._numbered(number)
        if check_parents:
            self._check_parents(manifest)
        return manifest

    def _newest(self) -> Manifest:
        before = 0
        while True:
            newest = max(self.numbers(), default=0)
            if newest == 0:
                raise CatalogError(f"{self._folder.parent} has no generation yet")
            if newest == before:
                raise CorruptFileError(f"{self.path(newest)} is listed and cannot be opened")
            try:
                return self._parse(newest)
            except FileNotFoundError:
                before = newest  # removed as garbage, so there is a newer one

    def _numbered(self, number: int) -> Manifest:
        try:
            return self._parse(number)
        except FileNotFoundError:
            kept = ", ".join(map(str, self.numbers())) or "none"
            raise CatalogError(
                f"{self._folder.parent} has no generation {number}; there are: {kept}"
            ) from None

    def _parse(self, number: int) -> Manifest:
        path = self.path(number)
        manifest = Manifest.from_object(read_sealed(path), name=str(path))
        if manifest.generation != number:
            raise CorruptFileError(
                f"{path} is the manifest of generation {manifest.generation}, by what it says"
            )
        return manifest

    def _check_parents(self, manifest: Manifest) -> None:
        while manifest.generation > 1:
            number = manifest.generation - 1
            try:
                parent = self._parse(number)
            except FileNotFoundError:
                if min(self.numbers(), default=number) < number:
                    raise CorruptFileError(f"{self.path(number)} is missing") from None
                return
            check_follows(self.path(manifest.generation), manifest, parent)
            manifest = parent

    def check_newest(self, parent: Manifest | None) -> None:
        """Refuse to go on from a generation that is not the newest.

        Raises
        ------
        PublishRaceError
            There is a newer one.
        CatalogError
            There is none of its number, or it is another.
        """
        number = 0 if parent is None else parent.generation
        newest = max(self.numbers(), default=0)
        if newest > number:
            self._lost(number + 1)
        if newest < number:
            raise CatalogError(f"generation {number} is not there; {newest} is the newest")
        if parent is not None and self._numbered(number).sha256 != parent.sha256:
            raise CatalogError(f"{self.path(number)} is not the parent that is named")

    def add(self, number: int, content: bytes) -> None:
        """Make a manifest appear, unless there is one.

        Raises
        ------
        PublishRaceError
            There is one.
        OSError
            As `atomic_create`.
        """
        try:
            with atomic_create(self.path(number)) as handle:
                handle.write(content)
        except FileExistsError:
            self._lost(number)

    def _lost(self, number: int) -> None:
        raise PublishRaceError(
            f"another writer has published generation {number} of {self._folder.parent}; "
            "open it again and start from there"
        )


def check_follows(path: Path, manifest: Manifest, parent: Manifest) -> None:
    """Refuse manifests that were read one after the other and do not follow each other.

    Raises
    ------
    CorruptFileError
        Naming the file of the later one.
    """
    try:
        manifest.check_follows(parent)
    except CatalogError as error:
        raise CorruptFileError(f"{path} does not follow: {error}") from error
