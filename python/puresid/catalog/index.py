"""`SortedIndex`: where values of a column are, by a sorted copy of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid._formats import CorruptFileError
from puresid.catalog._columns import stored
from puresid.config import thread_count

__all__ = ["MOST_ROWS", "SortedIndex", "check_rows", "ragged"]

Values = npt.NDArray[np.uint64]
Order = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]

MOST_ROWS = 2**32 - 2
"""Rows that an index, and so a segment, may have."""


@dataclass(frozen=True, eq=False)
class SortedIndex:
    """The values of a column in ascending order, and the row of each.

    Equal values come by what else the column was sorted by, then by row; so the same column has
    one index only. 12 bytes a row.

    Attributes
    ----------
    values : ndarray, shape (n,), uint64
        Ascending. Read-only.
    order : ndarray, shape (n,), uint32
        The row of each. Read-only.
    """

    values: Values
    order: Order

    @classmethod
    def of(
        cls, column: Values, *, minor: Sequence[npt.NDArray[Any]] = (), name: str = "items"
    ) -> SortedIndex:
        """Sort a column.

        Parameters
        ----------
        column : ndarray, shape (n,), uint64
        minor : sequence of ndarray, shape (n,)
            What rows of equal values are sorted by, the first one first.
        name : str
            How errors call the rows.

        Raises
        ------
        ValueError
            There are more rows than an index can have.
        """
        check_rows(len(column), name)
        if minor:
            order = np.lexsort((*reversed(minor), column))
        else:
            order = np.argsort(column, kind="stable")
        return cls._of(column[order], order.astype(np.uint32))

    @classmethod
    def _of(cls, values: Values, order: Order) -> SortedIndex:
        for array in (values, order):
            array.flags.writeable = False
        return cls(values, order)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return self.values.nbytes + self.order.nbytes

    def find(self, queries: Values, *, threads: int | None = None) -> tuple[Rows, Rows]:
        """Find each of many values.

        Parameters
        ----------
        queries : ndarray, shape (m,), uint64
        threads : int, optional
            Default: what the process may use.

        Returns
        -------
        first, last : ndarray, shape (m,), int64
            ``order[first:last]`` are its rows; none where ``first == last``.
        """
        return self.between(queries, queries, threads=threads)

    def between(
        self, low: Values, high: Values, *, threads: int | None = None
    ) -> tuple[Rows, Rows]:
        """Find the values from `low` to `high`, both included; otherwise as `find`."""
        return _core.find_intervals(self.values, low, high, threads=thread_count(threads))

    def rows(self, places: Rows) -> Rows:
        """Return the rows at places of the order, as int64."""
        return cast("Rows", self.order[places].astype(np.int64))

    def tensors(self, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
        """Return them as arrays for a file: ``values`` and ``order``, each after `prefix`."""
        return {f"{prefix}values": self.values, f"{prefix}order": self.order}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Any], prefix: str = "", *, rows: int, where: str = "index"
    ) -> SortedIndex:
        """Take it from the arrays of a file, without a copy. See `check` for what they hold.

        Parameters
        ----------
        tensors : mapping of str to ndarray
        prefix : str
            What stands before each name.
        rows : int
            How many there must be.
        where : str
            How errors call the file.

        Raises
        ------
        CorruptFileError
            An array is missing, or of another type or shape.
        """
        return cls(
            stored(tensors, "values", rows, prefix=prefix, where=where),
            stored(tensors, "order", rows, prefix=prefix, where=where),
        )

    def check(
        self, unsorted: Values, *, minor: Sequence[npt.NDArray[Any]] = (), where: str = "index"
    ) -> None:
        """Refuse what `of` would not have made of this column.

        Parameters
        ----------
        unsorted : ndarray, shape (n,), uint64
        minor : sequence of ndarray, shape (n,)
            As for `of`.
        where : str
            How errors call the index.

        Raises
        ------
        CorruptFileError
            The order names no such row, a value is not that of its row, or one is out of order.
            Names the place.
        """
        order = self.order
        if len(order) and int(order.max()) >= len(unsorted):
            place = int(order.argmax())
            raise CorruptFileError(
                f"{where}: order[{place}] is row {order[place]} of {len(unsorted)}"
            )
        wrong = unsorted[order] != self.values
        if wrong.any():
            place = int(wrong.argmax())
            raise CorruptFileError(
                f"{where}: values[{place}] is not that of its row, {order[place]}"
            )
        # Strictly ascending, with the row as the last word: then no row can stand there twice.
        undecided = np.ones(max(0, len(order) - 1), dtype=bool)
        for words in (self.values, *(other[order] for other in minor), order):
            before, after = words[:-1], words[1:]
            undecided_and_above = undecided & (before > after)
            if undecided_and_above.any():
                _refuse_order(int(undecided_and_above.argmax()), where)
            undecided &= before == after
        if undecided.any():
            _refuse_order(int(undecided.argmax()), where)


def _refuse_order(place: int, where: str) -> None:
    raise CorruptFileError(f"{where}: place {place + 1} is out of order")


def check_rows(count: int, name: str) -> None:
    """Raise ValueError where there are more rows than an index can have."""
    if count > MOST_ROWS:
        raise ValueError(
            f"there are {count} {name}; at most {MOST_ROWS} are possible in one segment"
        )


def ragged(first: Rows, last: Rows) -> tuple[Rows, Rows]:
    """Write out intervals.

    Parameters
    ----------
    first, last : ndarray, shape (m,), int64
        Half-open.

    Returns
    -------
    offsets : ndarray, shape (m + 1,), int64
        Where the places of each interval begin, and where the last ends.
    places : ndarray, shape (offsets[-1],), int64
    """
    counts = last - first
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    places = np.arange(offsets[-1], dtype=np.int64) + np.repeat(first - offsets[:-1], counts)
    return offsets, places
