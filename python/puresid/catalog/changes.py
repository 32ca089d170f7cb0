"""What a generation changes of items that came before it: `Removals`, `Updates`, `Moves`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._formats import CorruptFileError
from puresid.arrays import SidsArray
from puresid.catalog._columns import stored
from puresid.catalog.digests import Digests
from puresid.catalog.keys import Keys, key_tensor_names
from puresid.catalog.places import grouped

__all__ = ["Moves", "Removals", "Updates"]

Numbers = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Removals:
    """Items that were removed: each the row of a file of items of its epoch.

    Attributes
    ----------
    files : ndarray, shape (m,), uint32
        The file's place among those of items.
    rows : ndarray, shape (m,), uint32
    """

    files: Numbers
    rows: Numbers

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return them as arrays for a file."""
        return {"files": self.files, "rows": self.rows}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any], *, rows: int, where: str) -> Removals:
        """Take them from the arrays of a file.

        Raises
        ------
        CorruptFileError
            Other arrays, types or lengths than `to_tensors` gives, or an item comes twice.
        """
        _check_names(tensors, {"files", "rows"}, where)
        return cls(*_places(tensors, rows, where))

    def by_file(self, files: int, where: str) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Yield each file that comes, and where in the arrays it does.

        Raises
        ------
        CorruptFileError
            There is no such file.
        """
        yield from _by_file(self.files, files, where)


@dataclass(frozen=True, eq=False)
class Updates:
    """Items whose vectors changed and whose SIDs did not.

    Attributes
    ----------
    files, rows : ndarray, shape (m,), uint32
        As of `Removals`.
    digests : ndarray, shape (m, 2), uint64
        Of the new vectors.
    """

    files: Numbers
    rows: Numbers
    digests: Digests

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return them as arrays for a file."""
        return {"files": self.files, "rows": self.rows, "digests": self.digests}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any], *, rows: int, where: str) -> Updates:
        """Take them from the arrays of a file. Raises as `Removals.from_tensors`."""
        _check_names(tensors, {"files", "rows", "digests"}, where)
        places = _places(tensors, rows, where)
        return cls(*places, stored(tensors, "digests", rows, where=where))

    def by_file(self, files: int, where: str) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Do what `Removals.by_file` does."""
        yield from _by_file(self.files, files, where)


@dataclass(frozen=True, eq=False)
class Moves:
    """What the items of an old epoch are called in the new one: the old → new map.

    Attributes
    ----------
    keys : Keys
        In the order of the new epoch's first items.
    old_sids : ndarray, shape (n, L_old), uint16 or uint32
    new_sids : ndarray, shape (n, L_new), uint16 or uint32
    """

    keys: Keys
    old_sids: SidsArray
    new_sids: SidsArray

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return them as arrays for a file."""
        return self.keys.tensors() | {"old_sids": self.old_sids, "new_sids": self.new_sids}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any], *, rows: int, where: str) -> Moves:
        """Take them from the arrays of a file. Raises as `Removals.from_tensors`."""
        keys = Keys.from_tensors(tensors, where=where)
        _check_names(tensors, {*key_tensor_names(keys.kind), "old_sids", "new_sids"}, where)
        if len(keys) != rows:
            raise CorruptFileError(f"{where} has {len(keys)} keys, not {rows}")
        old, new = (stored(tensors, f"{name}_sids", rows, where=where) for name in ("old", "new"))
        return cls(keys, old, new)

    def __len__(self) -> int:
        return len(self.keys)


def _check_names(tensors: Mapping[str, Any], names: set[str], where: str) -> None:
    wrong = sorted(tensors.keys() ^ names)
    if wrong:
        raise CorruptFileError(
            f"{where} holds the arrays {sorted(tensors)}; {wrong[0]!r} is missing or one too many"
        )


def _places(tensors: Mapping[str, Any], rows: int, where: str) -> tuple[Numbers, Numbers]:
    files, places = (stored(tensors, name, rows, where=where) for name in ("files", "rows"))
    order = np.lexsort((places, files))
    twice = (np.diff(files[order]) == 0) & (np.diff(places[order]) == 0)
    if twice.any():
        row = int(order[1:][twice.argmax()])
        raise CorruptFileError(
            f"{where} names row {int(places[row])} of file {int(files[row])} twice"
        )
    return files, places


def _by_file(files: Numbers, count: int, where: str) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    for number, at in grouped(files):
        if number >= count:
            raise CorruptFileError(f"{where} names file {number}; there are {count} before it")
        yield number, at
