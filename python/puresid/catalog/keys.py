"""Keys of items: a column of integers or of text, and how to tell whether two are the same."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid._formats import CorruptFileError
from puresid.catalog._columns import read_only, stored
from puresid.catalog._key_values import integers_or_texts
from puresid.config import thread_count

__all__ = ["KINDS", "Keys", "check_kinds", "key_tensor_names"]

Kind = Literal["int64", "string"]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

KINDS: tuple[Kind, ...] = ("int64", "string")

_CHECKED_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False, repr=False)
class Keys:
    """A column of keys; made by `Keys.of` and `Keys.from_tensors`.

    Text is kept as its bytes in UTF-8, side by side, and where each begins: 8 bytes a key beside
    its own. All arrays are read-only.
    """

    _integers: Ints | None
    _bytes: Bytes | None
    _offsets: Ints | None

    @classmethod
    def of(cls, values: Any, name: str = "keys", *, kind: Kind | None = None) -> Keys:
        """Make a column of what users have.

        Parameters
        ----------
        values : sequence of int or of str, ndarray, column, or Keys
            A list, a NumPy array of integers, of text or of objects, a tensor, or a column of
            integers or text that speaks Arrow's PyCapsule interface (pyarrow, polars, …). All
            integers, from -2**63 to 2**63 - 1, or all text. The empty text is a key like others.
        name : str
            How errors call them.
        kind : {"int64", "string"}, optional
            What they must be. Without it an empty list counts as integers.

        Returns
        -------
        Keys

        Raises
        ------
        TypeError
            A value is neither an integer nor text (a bool, a float, None), the values are mixed,
            they are not of `kind`, or they are a table. Names the row.
        ValueError
            There is not one dimension, an integer is out of range, or a text is none (half a
            surrogate pair; what Arrow gives is no UTF-8). Names the row.
        ImportError
            They come through Arrow and pyarrow is not installed.
        """
        if isinstance(values, Keys):
            keys = values
        else:
            found = integers_or_texts(values, name)
            keys = cls._of_texts(*found) if isinstance(found, tuple) else cls.of_integers(found)
        if kind is None or keys.kind == kind:
            return keys
        if len(keys):
            wanted = "an integer" if kind == "int64" else "text"
            raise TypeError(f"{name}[0] is {keys[0]!r}; {wanted} is needed")
        if kind == "int64":
            return cls.of_integers(np.empty(0, np.int64))
        return cls._of_texts(np.empty(0, np.uint8), np.zeros(1, np.int64))

    @classmethod
    def of_integers(cls, values: Ints) -> Keys:
        """Make a column of an int64 array of shape (n,), without a copy."""
        return cls(read_only(values), None, None)

    @classmethod
    def _of_texts(cls, data: Bytes, offsets: Ints) -> Keys:
        return cls(None, read_only(data), read_only(offsets))

    @classmethod
    def concatenate(cls, columns: Sequence[Keys]) -> Keys:
        """Put columns of one kind one after the other.

        Raises
        ------
        TypeError
            The kinds differ.
        ValueError
            There is no column.
        """
        if not columns:
            raise ValueError("there are no columns to concatenate")
        for other in columns[1:]:
            check_kinds(columns[0], other)
        if columns[0].kind == "int64":
            return cls.of_integers(np.concatenate([keys._ints() for keys in columns]))
        parts = [keys._text() for keys in columns]
        begins = itertools.accumulate((len(data) for data, _ in parts), initial=0)
        offsets = [places[:-1] + begin for (_, places), begin in zip(parts, begins, strict=False)]
        end = sum(len(data) for data, _ in parts)
        return cls._of_texts(
            np.concatenate([data for data, _ in parts]),
            np.concatenate([*offsets, np.array([end], dtype=np.int64)]),
        )

    @property
    def kind(self) -> Kind:
        """What they are: ``"int64"`` or ``"string"``."""
        return "int64" if self._integers is not None else "string"

    @property
    def nbytes(self) -> int:
        """Memory of the column, in bytes."""
        return sum(a.nbytes for a in (self._integers, self._bytes, self._offsets) if a is not None)

    def __len__(self) -> int:
        return len(self._offsets) - 1 if self._offsets is not None else len(self._ints())

    def __repr__(self) -> str:
        return f"Keys({len(self)} of {self.kind})"

    def __getitem__(self, row: int) -> int | str:
        """Return the key of a row, from 0 on; IndexError where there is none."""
        row = operator.index(row)
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} keys")
        return self.take(np.array([row])).tolist()[0]

    def tolist(self) -> list[int] | list[str]:
        """Return them as Python's own integers or text."""
        if self._integers is not None:
            return cast("list[int]", self._integers.tolist())
        data, offsets = self._text()
        raw, places = data.tobytes(), offsets.tolist()
        return [raw[a:b].decode() for a, b in itertools.pairwise(places)]

    def take(self, rows: Any, *, threads: int | None = None) -> Keys:
        """Return the keys of some rows, in that order.

        Parameters
        ----------
        rows : array_like of int, shape (m,)
            From 0 to len - 1; a row may come twice.
        threads : int, optional
            Default: what the process may use.

        Raises
        ------
        IndexError
            There is no such row.
        """
        rows = _rows(rows)
        if self._integers is not None:
            _check_rows(rows, len(self))
            return Keys.of_integers(self._integers[rows])
        return Keys._of_texts(*_core.take_texts(*self._text(), rows, threads=thread_count(threads)))

    def hashes(self, *, threads: int | None = None) -> Hashes:
        """Return a fixed hash of each key: the same on every platform and in every version.

        Of integers a bijection, so that different keys differ. Of text SipHash-2-4 of its UTF-8
        under the key 00 01 … 0f: two of 10**7 keys meet once in some 370,000 catalogues.

        Returns
        -------
        ndarray, shape (len,), uint64
        """
        if self._integers is not None:
            return _core.hash_integers(self._integers)
        return _core.hash_texts(*self._text(), threads=thread_count(threads))

    def equals(
        self, rows: Any, other: Keys, other_rows: Any, *, threads: int | None = None
    ) -> Bools:
        """Compare keys by twos.

        Parameters
        ----------
        rows, other_rows : array_like of int, shape (m,)
            Rows of these keys, and of the others.
        other : Keys
            Of the same kind.
        threads : int, optional
            Default: what the process may use.

        Returns
        -------
        ndarray, shape (m,), bool

        Raises
        ------
        TypeError
            The kinds differ.
        ValueError
            There is not one row for each.
        IndexError
            There is no such row.
        """
        check_kinds(self, other)
        rows, other_rows = _rows(rows), _rows(other_rows)
        if rows.shape != other_rows.shape:
            raise ValueError(f"there are {len(rows)} rows and {len(other_rows)} other rows")
        if self._integers is not None:
            _check_rows(rows, len(self))
            _check_rows(other_rows, len(other))
            same: Bools = self._integers[rows] == other._ints()[other_rows]
            return same
        return _core.equal_texts(
            *self._text(), rows, *other._text(), other_rows, threads=thread_count(threads)
        )

    def duplicates(self, *, threads: int | None = None) -> Ints:
        """Return the rows whose key an earlier row has, ascending.

        Returns
        -------
        ndarray, shape (m,), int64
        """
        hashes = self.hashes(threads=threads)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]]) + 1
        if self._integers is not None or len(again) == 0:
            return cast("Ints", np.sort(order[again]).astype(np.int64))
        if self.equals(order[again - 1], self, order[again], threads=threads).all():
            return cast("Ints", np.sort(order[again]).astype(np.int64))
        # Different texts of one hash: hardly ever, so these few are looked at one by one.
        rows = np.unique(np.concatenate([order[again - 1], order[again]]))
        first: dict[Any, int] = {}
        for row, key in zip(rows.tolist(), self.take(rows).tolist(), strict=True):
            first.setdefault(key, row)
        return cast("Ints", np.setdiff1d(rows, list(first.values())).astype(np.int64))

    def tensors(self, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
        """Return them as arrays for a file.

        Returns
        -------
        dict of str to ndarray
            ``keys`` (int64), or ``key_bytes`` (uint8) and ``key_offsets`` (int64), each name after
            `prefix`.
        """
        if self._integers is not None:
            return {f"{prefix}keys": self._integers}
        data, offsets = self._text()
        return {f"{prefix}key_bytes": data, f"{prefix}key_offsets": offsets}

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Any],
        prefix: str = "",
        *,
        where: str = "keys",
        check: bool = True,
    ) -> Keys:
        """Take them from the arrays of a file, without a copy.

        Parameters
        ----------
        tensors : mapping of str to ndarray
            Those of `tensors`; others are left alone.
        prefix : str
            What stands before each name.
        where : str
            How errors call the file.
        check : bool
            Whether to look at every text. Without it only shapes, types and both ends are looked
            at; what is wrong in between is then found at the key that is asked for, or never.

        Raises
        ------
        CorruptFileError
            An array is missing, or of another type or shape; offsets do not begin at 0, ascend and
            end with the bytes; a text is not UTF-8 (naming the row).
        """
        if f"{prefix}keys" in tensors:
            return cls.of_integers(stored(tensors, "keys", None, prefix=prefix, where=where))
        data = stored(tensors, "key_bytes", None, prefix=prefix, where=where)
        offsets = stored(tensors, "key_offsets", None, prefix=prefix, where=where)
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(data):
            ends = "none" if len(offsets) == 0 else f"{offsets[0]} to {offsets[-1]}"
            raise CorruptFileError(
                f"{where}: {prefix}key_offsets go from {ends}; from 0 to {len(data)} is needed"
            )
        if check:
            _check_texts(data, offsets, f"{where}: {prefix}key_")
        return cls._of_texts(data, offsets)

    def _ints(self) -> Ints:
        return cast("Ints", self._integers)

    def _text(self) -> tuple[Bytes, Ints]:
        return cast("Bytes", self._bytes), cast("Ints", self._offsets)


def check_kinds(keys: Keys, others: Keys) -> None:
    """Raise TypeError where two columns are of different kinds."""
    if keys.kind != others.kind:
        raise TypeError(f"keys of kind {others.kind!r} do not go with keys of kind {keys.kind!r}")


def key_tensor_names(kind: Kind, prefix: str = "") -> tuple[str, ...]:
    """Return the names that `Keys.tensors` gives."""
    names = ("keys",) if kind == "int64" else ("key_bytes", "key_offsets")
    return tuple(prefix + name for name in names)


def _rows(rows: Any) -> Ints:
    array = np.asarray(rows)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(
            f"rows has shape {array.shape} and dtype {array.dtype}; a list of integers is needed"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def _check_rows(rows: Ints, count: int) -> None:
    bad = (rows < 0) | (rows >= count)
    if bad.any():
        raise IndexError(f"row {int(rows[bad.argmax()])} of {count} keys")


def _check_texts(data: Bytes, offsets: Ints, where: str) -> None:
    steps = offsets[1:] < offsets[:-1]
    if steps.any():
        raise CorruptFileError(f"{where}offsets[{int(steps.argmax()) + 1}] is below the one before")
    if len(data) == 0 or int(data.max()) < 0x80:
        return
    starts = offsets[:-1][offsets[:-1] < len(data)]
    inside = (data[starts] & 0xC0) == 0x80  # the second byte of a character, or a later one
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + _CHECKED_AT_ONCE, side="right")) - 1
        last = max(last, first + 1)
        begin, end = int(offsets[first]), int(offsets[last])
        try:
            data[begin:end].tobytes().decode()
        except UnicodeDecodeError as error:
            place = begin + error.start
            row = int(np.searchsorted(offsets, place, side="right")) - 1
            raise CorruptFileError(
                f"{where}bytes: row {row} is no text in UTF-8: {error.reason}"
            ) from error
        first = last
    if inside.any():
        place = int(starts[inside.argmax()])
        row = int(np.searchsorted(offsets, place, side="right")) - 1
        raise CorruptFileError(f"{where}bytes: row {row} begins inside a character")
