"""Turns what users have into what the core takes, on purpose and with words.

The core accepts C-ordered arrays of one dtype and nothing else; every conversion happens here.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._arrow import arrow_matrix, need_pyarrow

SidsArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]

_EXACT_IN_FLOAT64 = 2**53


def to_numpy(values: Any) -> Any:
    """Return a torch tensor as a NumPy array, and anything else unchanged. Never imports torch."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:  # NumPy has no such type
            values = values.float()
        return values.numpy()
    return values


def speaks_arrow(values: Any) -> bool:
    """Whether it gives its content through Arrow's PyCapsule interface. Never imports pyarrow."""
    return hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__")


def as_array(values: Any, name: str) -> npt.NDArray[Any]:
    """Return an array of what is one, of a tensor, or of a column of vectors that speaks Arrow.

    Raises
    ------
    ValueError
        Arrow gives no column of vectors or several; NumPy cannot make an array.
    ImportError
        It can be had through Arrow only, and pyarrow is not installed.
    """
    values = to_numpy(values)
    if not speaks_arrow(values):
        return np.asarray(values)
    found = arrow_matrix(values, name)
    if found is None:
        found = np.asarray(values)
        if found.ndim != 2 or found.dtype.kind not in "iuf":
            need_pyarrow(name)  # with it these might be vectors
    return found


def is_whole(array: npt.NDArray[Any]) -> bool:
    """Whether the core takes these vectors as they are: native float32 or float16 in C order."""
    native = array.dtype in (np.dtype(np.float32), np.dtype(np.float16)) and array.dtype.isnative
    return bool(native and array.flags.c_contiguous and array.flags.aligned)


def float_matrix(values: Any, name: str) -> npt.NDArray[np.float32]:
    """Convert to a C-ordered float32 matrix.

    Parameters
    ----------
    values : array_like, shape (N, D)
        Real numbers of any integer or floating dtype, byte order and strides, a torch tensor, or a
        column of vectors that speaks Arrow.
    name : str
        How errors call it.

    Returns
    -------
    ndarray, shape (N, D), float32
        Without a copy where `values` already is one.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If there are not two dimensions, or Arrow gives no column of vectors or several.
    ImportError
        If they come through Arrow and pyarrow is not installed.
    """
    try:
        array = as_array(values, name)
    except ValueError as error:
        if speaks_arrow(values):
            raise
        raise ValueError(f"{name} is ragged: its rows have different lengths") from error
    if array.ndim != 2:
        raise ValueError(
            f"{name} has {array.ndim} dimension{'s' * (array.ndim != 1)}; "
            "2 are needed: one row of numbers per item"
        )
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {array.dtype}; real numbers are needed")
    if array.shape[1] == 0:
        raise ValueError(f"{name} has dimension 0; at least 1 is needed")
    with np.errstate(
        over="ignore"
    ):  # too large for float32 becomes infinite, which the core refuses
        return np.ascontiguousarray(array, dtype=np.float32)


def item_weights(values: Any, items: int) -> npt.NDArray[np.float64]:
    """Convert to one float64 per item. The core checks that they are positive and finite.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If there are not `items` of them.
    """
    array = np.asarray(to_numpy(values))
    if array.shape != (items,):
        raise ValueError(f"weights has shape {array.shape}; vectors has {items} rows")
    if array.dtype.kind not in "iuf":
        raise TypeError(f"weights has dtype {array.dtype}; real numbers are needed")
    return np.ascontiguousarray(array, dtype=np.float64)


def priorities(values: Any, items: int) -> npt.NDArray[np.float64]:
    """Convert to one float64 per item that orders as `values` do.

    Parameters
    ----------
    values : array_like, shape (items,)
        Integers or floats, higher first.
    items : int
        How many there must be.

    Returns
    -------
    ndarray, shape (items,), float64

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If there are not `items` of them.
    """
    array = np.asarray(to_numpy(values))
    if array.shape != (items,):
        raise ValueError(f"priority has shape {array.shape}; vectors has {items} rows")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"priority has dtype {array.dtype}; real numbers are needed")
    wide_integers = array.dtype.kind in "iu" and array.dtype.itemsize == 8 and items > 0
    wide_floats = array.dtype.kind == "f" and array.dtype.itemsize > 8
    if wide_floats or (
        wide_integers
        and (int(array.max()) > _EXACT_IN_FLOAT64 or int(array.min()) < -_EXACT_IN_FLOAT64)
    ):
        if wide_floats and np.isnan(array).any():
            raise ValueError(f"priority[{int(np.isnan(array).argmax())}] is NaN")
        array = np.unique(array, return_inverse=True)[1]  # float64 would merge neighbours
    return np.ascontiguousarray(array, dtype=np.float64)


def token_matrix(values: Any, columns: int, name: str) -> npt.NDArray[np.uint32]:
    """Convert to a C-ordered uint32 matrix of tokens.

    Parameters
    ----------
    values : array_like, shape (M, columns)
        Integers from 0 to 2**32 - 1.
    columns : int
        Tokens per row.
    name : str
        How errors call it.

    Returns
    -------
    ndarray, shape (M, columns), uint32

    Raises
    ------
    TypeError
        If the values are not integers.
    ValueError
        If the shape is another or a value is out of range.
    """
    array = np.asarray(to_numpy(values))
    if array.shape[:1] == (0,) and array.ndim <= 2:
        return np.empty((0, columns), dtype=np.uint32)
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name} has shape {array.shape}; (rows, {columns}) is needed")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}; integer tokens are needed")
    for bad in (int(array.min()), int(array.max())):
        if not 0 <= bad < 2**32:
            row = int(np.argwhere(array == bad)[0, 0])
            raise ValueError(f"{name}[{row}] has token {bad}; tokens run from 0 to 2**32 - 1")
    return np.ascontiguousarray(array, dtype=np.uint32)


def distinct_rows(tokens: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the first row of each SID that comes, in lexicographic order of SIDs.

    Parameters
    ----------
    tokens : ndarray of unsigned integers, shape (n, columns)
    """
    codes = _row_codes(tokens)
    if codes is None:
        return np.asarray(np.unique(tokens, axis=0, return_index=True)[1], dtype=np.int64)
    return np.asarray(np.unique(codes, return_index=True)[1], dtype=np.int64)


def count_distinct(tokens: npt.NDArray[Any]) -> int:
    """Count the SIDs that come, each once."""
    codes = _row_codes(tokens)
    if codes is None or len(codes) == 0:
        return len(np.unique(tokens, axis=0))
    codes.sort()
    return 1 + int(np.count_nonzero(codes[1:] != codes[:-1]))


def _row_codes(tokens: npt.NDArray[Any]) -> npt.NDArray[np.uint64] | None:
    """Return a number for each row that orders as they do; None where 64 bits are too few.

    Sorting numbers takes a twentieth of the time that sorting rows does.
    """
    sizes = [int(column.max(initial=0)) + 1 for column in tokens.T]
    if math.prod(sizes) > 2**64:
        return None
    codes = np.zeros(len(tokens), dtype=np.uint64)
    for column, size in zip(tokens.T, sizes, strict=True):
        codes *= np.uint64(size)
        codes += column
    return codes


def token_prefix(values: Any, longest: int, name: str) -> npt.NDArray[np.uint32]:
    """Convert to 0 to `longest` tokens, shape (n,), uint32. Raises as `token_matrix`."""
    array = np.asarray(to_numpy(values))
    if array.ndim != 1 or len(array) > longest:
        raise ValueError(f"{name} has shape {array.shape}; from 0 to {longest} tokens are needed")
    if len(array) == 0:
        return np.empty(0, dtype=np.uint32)
    tokens: npt.NDArray[np.uint32] = token_matrix(array[None], len(array), name)[0]
    return tokens


def check_finite(
    block: npt.NDArray[np.float32],
    numbers: npt.NDArray[np.int64] | int = 0,
    *,
    after: str = "",
) -> None:
    """Refuse NaN and infinity.

    Parameters
    ----------
    block : ndarray, shape (n, D)
        Some rows of the vectors.
    numbers : ndarray of shape (n,), or int
        The rows' numbers, or that of the first.
    after : str
        What has been done to them, for the message.

    Raises
    ------
    ValueError
        Naming the row and the column.
    """
    finite = np.isfinite(block)
    if finite.all():
        return
    place, column = (int(index) for index in np.argwhere(~finite)[0])
    row = numbers + place if isinstance(numbers, int) else int(numbers[place])
    value = "NaN" if np.isnan(block[place, column]) else "an infinity (in float32)"
    raise ValueError(
        f"vectors[{row}] has {value} in column {column}{after}; every value must be finite"
    )
