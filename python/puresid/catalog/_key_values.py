"""Keys as users have them, turned into an int64 array or into bytes and offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._arrow import arrow_column
from puresid.arrays import speaks_arrow, to_numpy

__all__ = ["integers_or_texts"]

Ints = npt.NDArray[np.int64]
Texts = tuple[npt.NDArray[np.uint8], Ints]

_RULE = "all must be integers or all text"
_TEXT_TYPES = ("string", "large_string", "string_view")


def integers_or_texts(values: Any, name: str) -> Ints | Texts:
    """Convert keys; see `Keys.of`.

    Returns
    -------
    ndarray, shape (n,), int64
        Integers.
    tuple of ndarray, shapes (bytes,) and (n + 1,), uint8 and int64
        Text in UTF-8, and where each begins; the last offset is the number of bytes.

    Raises
    ------
    TypeError, ValueError
        As for `Keys.of`.
    """
    if speaks_arrow(values):
        column = arrow_column(values, name)
        if column is not None:
            return _from_arrow(column, name)
    if isinstance(values, (set, frozenset)):
        raise TypeError(f"{name} is a set, whose order is not fixed; a sequence is needed")
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} is {values!r}; a sequence of integers or of text is needed")
    values = np.asarray(to_numpy(values)) if hasattr(values, "__array__") else list(values)
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise ValueError(f"{name} has shape {values.shape}; one key per item is needed")
        if values.dtype.kind in "Mm":  # tolist() would make integers of some of them
            raise TypeError(f"{name} has dtype {values.dtype}; {_RULE}")
        if values.dtype.kind in "iu":
            return _narrowed(values, name)
        values = values.tolist()
    if not values or not isinstance(values[0], str):
        return _integers(values, name)
    return _texts(values, name)


def _narrowed(values: npt.NDArray[Any], name: str) -> Ints:
    if values.dtype.kind == "u" and values.size:
        row = int(values.argmax())
        _check_range(values[row], row, name)
    return np.array(values, dtype=np.int64)  # a copy: the caller may write to theirs


def _check_range(value: Any, row: int, name: str) -> None:
    if not -(2**63) <= int(value) < 2**63:
        raise ValueError(f"{name}[{row}] is {value}; integers go from -2**63 to 2**63 - 1")


def _integers(values: list[Any], name: str) -> Ints:
    if set(map(type, values)) != {int}:
        for row, value in enumerate(values):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise TypeError(f"{name}[{row}] is {value!r}; {_RULE}")
        values = list(map(int, values))
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        for row, value in enumerate(values):
            _check_range(value, row, name)
        raise


def _texts(values: list[Any], name: str) -> Texts:
    if set(map(type, values)) != {str}:
        for row, value in enumerate(values):
            if not isinstance(value, str):
                raise TypeError(f"{name}[{row}] is {value!r}; {_RULE}")
    encoded: list[bytes] = []
    try:
        encoded.extend(map(str.encode, values))
    except UnicodeEncodeError:
        row = len(encoded)  # extend() keeps what came before the error
        raise ValueError(
            f"{name}[{row}] is {values[row]!r}; half a surrogate pair is no text"
        ) from None
    offsets = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(values)), out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def _from_arrow(column: Any, name: str) -> Ints | Texts:
    import pyarrow as pa

    if pa.types.is_struct(column.type):
        names = ", ".join(field.name for field in column.type)
        raise TypeError(f"{name} is a table of the columns {names}; one column of keys is needed")
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{name} is no valid Arrow array: {error}") from error
    if pa.types.is_dictionary(column.type):
        column = _decoded(pa, column)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise TypeError(f"{name}[{row}] is None; {_RULE}")
    if len(column) == 0 and pa.types.is_null(column.type):
        return np.empty(0, dtype=np.int64)
    if pa.types.is_integer(column.type):
        return _narrowed(column.to_numpy(), name)
    if str(column.type) not in _TEXT_TYPES:
        raise TypeError(f"{name} has the Arrow type {column.type}; {_RULE}")
    whole = column.cast(pa.large_string()).combine_chunks()
    if len(whole) == 0:
        return np.empty(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    _, places, data = whole.buffers()
    ends = np.frombuffer(places, dtype=np.int64)[whole.offset : whole.offset + len(whole) + 1]
    empty = data is None or ends[0] == ends[-1]
    content = np.empty(0, np.uint8) if empty else np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return content.copy(), ends - ends[0]


def _decoded(pa: Any, column: Any) -> Any:
    """Put each value where a dictionary's index stands; text as large_string, which has room."""
    kind = column.type.value_type
    kind = pa.large_string() if str(kind) in _TEXT_TYPES else kind
    chunks = [chunk.dictionary.cast(kind).take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(chunks, kind)
