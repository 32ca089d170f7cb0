"""Columns from whatever speaks Arrow's PyCapsule interface: polars, duckdb, pyarrow and others.

Nothing is copied that Arrow need not copy, and a stream is taken once, whole. Only what is here
imports pyarrow, and only for such objects.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.columns import ArrowVectors, _choose_column, _is_suitable, _no_rows

__all__ = ["arrow_column", "arrow_matrix", "arrow_vectors", "need_pyarrow"]

Array = npt.NDArray[Any]


def need_pyarrow(name: str) -> Any:
    """Return pyarrow, or raise the ImportError that says how to get it."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            f"{name} comes through Arrow's PyCapsule interface, which needs pyarrow: "
            "pip install 'puresid[parquet]'"
        ) from error
    return pyarrow


def arrow_column(values: Any, name: str) -> Any | None:
    """Take what an object gives as one column; a table gives a column of structs.

    Parameters
    ----------
    values : object
        With ``__arrow_c_stream__`` or ``__arrow_c_array__``.
    name : str
        How errors call it.

    Returns
    -------
    pyarrow.ChunkedArray or None
        None for an object that is an array too (``__array__``) where there is no pyarrow, or where
        Arrow has no type for what it holds: it can be read as such, and errors name the row.

    Raises
    ------
    ValueError
        Arrow refuses what the object gives.
    ImportError
        pyarrow is not installed.
    """
    is_array = hasattr(values, "__array__")
    try:
        pa = need_pyarrow(name)
    except ImportError:
        if is_array:
            return None
        raise
    try:
        if isinstance(values, pa.ChunkedArray):
            column = values
        elif hasattr(values, "__arrow_c_stream__"):
            column = pa.chunked_array(values)
        else:
            column = pa.chunked_array([pa.array(values)])
    except (ValueError, TypeError, OverflowError, pa.ArrowNotImplementedError) as error:
        if is_array:
            return None
        if isinstance(error, pa.ArrowException):
            raise ValueError(f"{name} cannot be taken through Arrow: {error}") from error
        raise
    # Pieces without rows may come without buffers, which Arrow's own checks then complain of.
    return pa.chunked_array([chunk for chunk in column.chunks if len(chunk)], column.type)


def arrow_vectors(values: Any, name: str) -> Array | ArrowVectors | None:
    """Take vectors: a column of them, or the only such column of a table.

    Parameters
    ----------
    values : object
        As for `arrow_column`.
    name : str
        How errors call it.

    Returns
    -------
    ndarray of shape (N, D), ArrowVectors or None
        An array, of the column's own type and without a copy, where the column lies in one piece;
        None where the object holds no such column and is an array by itself (a data frame of
        numbers), or as `arrow_column`.

    Raises
    ------
    ValueError
        There is no column of vectors or more than one; a value is missing, or rows differ in
        length, where all is in one piece (else when it is read).
    ImportError
        pyarrow is not installed.
    """
    if _is_frame_of_numbers(values):
        return None
    column = arrow_column(values, name)
    if column is None:
        return None
    pa = need_pyarrow(name)
    try:
        table = _table(pa, column, name)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{name} is no valid Arrow column: {error}") from error
    suitable = [_is_suitable(pa, field.type, "vectors") for field in table.schema]
    if hasattr(values, "__array__") and not any(suitable):
        return None
    _choose_column(pa, table.schema, name, None, "vectors")  # refuses none, and several
    table = table.select([suitable.index(True)])
    source = ArrowVectors(table)
    return _whole(source, name) if column.num_chunks < 2 else source


def arrow_matrix(values: Any, name: str) -> Array | None:
    """Return all rows of `arrow_vectors` as one array; copied where they lie in several pieces."""
    found = arrow_vectors(values, name)
    return _whole(found, name) if isinstance(found, ArrowVectors) else found


def _table(pa: Any, column: Any, name: str) -> Any:
    if pa.types.is_struct(column.type):
        names = [field.name for field in column.type]
        table = pa.Table.from_arrays(column.flatten(), names=names)
    else:
        table = pa.table({name: column})
    table.validate()  # lengths and offsets are the producer's, and are read by
    return table


def _is_frame_of_numbers(values: Any) -> bool:
    """Whether it is a data frame that NumPy makes a matrix of, so that Arrow need not look."""
    shape, types = getattr(values, "shape", ()), getattr(values, "dtypes", ())
    kinds = [getattr(kind, "kind", "?") for kind in types] if isinstance(shape, tuple) else []
    return len(shape) == 2 and len(kinds) > 0 and all(kind in "iuf" for kind in kinds)


def _whole(source: ArrowVectors, name: str) -> Array:
    if source.data.num_rows == 0:
        return _no_rows(need_pyarrow(name), source.data.schema.field(0), name)
    blocks = list(source._matrices(source.data.num_rows))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
