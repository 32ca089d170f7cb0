"""Columns of vectors and tokens in Arrow's formats: read whole, or batch by batch.

Only what is here imports pyarrow, and only when it is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from puresid._formats import Array, CorruptFileError, PathLike, import_pyarrow

__all__ = ["ArrowVectors", "ParquetVectors", "read_parquet"]

BLOCK_BYTES = 16 << 20
"""Bytes of float32 that a block of vectors becomes at a time."""


@contextlib.contextmanager
def _open_parquet(path: PathLike) -> Iterator[Any]:
    """Open a file; what its content does wrong becomes a `CorruptFileError`."""
    pa, parquet = import_pyarrow()
    with open(path, "rb"):
        pass  # what cannot be opened is an OSError; what fails after this is the content's fault
    try:
        with parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            _check_row_groups(file.metadata, path)
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CorruptFileError(f"{path} cannot be read as Parquet: {reason}") from error


def _check_row_groups(metadata: Any, path: PathLike) -> None:
    """Refuse a number of rows that the file itself denies, before memory is asked for by it."""
    rows = sum(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    if rows != metadata.num_rows:
        raise CorruptFileError(
            f"{path} announces {metadata.num_rows} rows, and its row groups {rows}"
        )


def _blocks(file: Any, field: Any, path: PathLike, rows: int) -> Iterator[Array]:
    """Yield the column as matrices of at most `rows` rows."""
    pa, _ = import_pyarrow()
    width: int | None = None
    end = 0
    for batch in file.iter_batches(batch_size=rows, columns=[field.name]):
        chunk = batch.column(batch.schema.get_field_index(field.name))
        if len(chunk) == 0:
            continue
        block = _matrix(pa, chunk, width, f"{path}: column {field.name!r}, row ", end)
        width = block.shape[1]
        end += len(block)
        yield block
    if end != file.metadata.num_rows:
        raise CorruptFileError(f"{path} announces {file.metadata.num_rows} rows and holds {end}")


def read_parquet(path: PathLike, column: str | None, what: str) -> Array:
    """Read one column of equally long lists of numbers.

    Parameters
    ----------
    path : str or path
        The file.
    column : str, optional
        The column's name; by default the only one that is suitable.
    what : {"vectors", "tokens"}
        Lists of floats or fixed-length binary of float32, or lists of integers.

    Returns
    -------
    ndarray, shape (N, D)
        Of the column's own type.

    Raises
    ------
    ValueError
        No such column or several, a missing value, or rows of different lengths.
    CorruptFileError
        The file is cut short or damaged.
    ImportError
        pyarrow is not installed.
    OSError
        The file cannot be opened.
    """
    pa, _ = import_pyarrow()
    with _open_parquet(path) as file:
        field = _choose_column(pa, file.schema_arrow, path, column, what)
        rows: Array | None = None
        end = 0
        for block in _blocks(file, field, path, 65_536):
            if rows is None:
                rows = np.empty((file.metadata.num_rows, block.shape[1]), block.dtype)
            rows[end : end + len(block)] = block
            end += len(block)
        return _no_rows(pa, field, path) if rows is None else rows


@dataclass(frozen=True)
class ParquetVectors:
    """The vectors of a Parquet file, read in batches: a `VectorSource`.

    Parameters
    ----------
    path : str or path
        The file.
    column : str, optional
        Lists of floats (of fixed size or all equally long), or fixed-length binary that holds
        little-endian float32. By default the only such column.

    Raises
    ------
    ValueError
        As the file is read: no such column, or more than one to choose from; a missing value, or a
        row longer or shorter than the first, with its row number.
    CorruptFileError
        Likewise: the file is cut short or damaged. (A `ValueError` too.)
    ImportError
        pyarrow is not installed.
    """

    path: PathLike
    column: str | None = None

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Items and dimension, (N, D)."""
        pa, _ = import_pyarrow()
        with _open_parquet(self.path) as file:
            field = _choose_column(pa, file.schema_arrow, self.path, self.column, "vectors")
            if file.metadata.num_rows == 0:
                return 0, _no_rows(pa, field, self.path).shape[1]
            width = _width(pa, field.type)
            if width is None:
                width = next(_blocks(file, field, self.path, 1)).shape[1]
            return int(file.metadata.num_rows), width

    def batches(self) -> Iterator[Array]:
        """Yield the rows in the file's order."""
        pa, _ = import_pyarrow()
        rows = max(1, BLOCK_BYTES // (4 * max(1, self.shape[1])))
        with _open_parquet(self.path) as file:
            field = _choose_column(pa, file.schema_arrow, self.path, self.column, "vectors")
            yield from _blocks(file, field, self.path, rows)


@dataclass(frozen=True)
class ArrowVectors:
    """The vectors of a column of an Arrow table or dataset, read in batches: a `VectorSource`.

    Parameters
    ----------
    data : pyarrow.Table or pyarrow.dataset.Dataset
        A dataset may be many files; its rows come in the order of its fragments.
    column : str, optional
        As for `ParquetVectors`.

    Raises
    ------
    ValueError
        As the column is read: as `ParquetVectors`.
    """

    data: Any
    column: str | None = None

    @cached_property
    def _field(self) -> Any:
        pa, _ = import_pyarrow()
        return _choose_column(pa, self.data.schema, "the table", self.column, "vectors")

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Items and dimension, (N, D)."""
        pa, _ = import_pyarrow()
        rows = self.data.num_rows if hasattr(self.data, "num_rows") else self.data.count_rows()
        if rows == 0:
            return 0, _no_rows(pa, self._field, "the table").shape[1]
        width = _width(pa, self._field.type)
        return int(rows), next(self._matrices(1)).shape[1] if width is None else width

    def batches(self) -> Iterator[Array]:
        """Yield the rows in order."""
        yield from self._matrices(max(1, BLOCK_BYTES // (4 * max(1, self.shape[1]))))

    def _matrices(self, rows: int) -> Iterator[Array]:
        pa, _ = import_pyarrow()
        name = self._field.name
        if hasattr(self.data, "num_rows"):
            pieces = self.data.select([name]).to_batches(max_chunksize=rows)
        else:
            pieces = self.data.to_batches(columns=[name], batch_size=rows)
        width: int | None = None
        end = 0
        for piece in pieces:
            if piece.num_rows == 0:
                continue
            block = _matrix(pa, piece.column(0), width, f"column {name!r}, row ", end)
            width = block.shape[1]
            end += len(block)
            yield block


def _width(pa: Any, kind: Any) -> int | None:
    """Return the length that a type gives all its rows, or None."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    return int(kind.byte_width) // 4 if pa.types.is_fixed_size_binary(kind) else None


def _choose_column(pa: Any, schema: Any, path: PathLike, column: str | None, what: str) -> Any:
    suitable = [field for field in schema if _is_suitable(pa, field.type, what)]
    if column is not None:
        named = column_named(schema, path, column)
        if named not in suitable:
            raise ValueError(
                f"{path}: column {column!r} is of type {named.type}, which holds no {what}; "
                f"its columns: {listed(schema)}"
            )
        return named
    if len(suitable) != 1:
        count = "no column" if not suitable else f"{len(suitable)} columns"
        raise ValueError(
            f"{path} has {count} of {what}, and exactly one must be chosen; "
            f"its columns: {listed(schema)}"
        )
    return suitable[0]


def column_named(schema: Any, path: PathLike, column: str) -> Any:
    """Return the field of that name. ValueError where there is none, or several."""
    named = [field for field in schema if field.name == column]
    if len(named) != 1:
        count = "no column" if not named else f"{len(named)} columns"
        raise ValueError(f"{path} has {count} named {column!r}; its columns: {listed(schema)}")
    return named[0]


def listed(schema: Any) -> str:
    """Return the columns and their types, for messages."""
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"


def _is_list(pa: Any, kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_suitable(pa: Any, kind: Any, what: str) -> bool:
    if _is_list(pa, kind):
        inner = kind.value_type
        return bool(
            pa.types.is_floating(inner) if what == "vectors" else pa.types.is_integer(inner)
        )
    binary = pa.types.is_fixed_size_binary(kind)
    return bool(what == "vectors" and binary and kind.byte_width % 4 == 0)


def _no_rows(pa: Any, field: Any, path: PathLike) -> Array:
    if pa.types.is_fixed_size_list(field.type):
        empty = pa.array([], field.type.value_type).to_numpy(zero_copy_only=False)
        return np.empty((0, field.type.list_size), empty.dtype)
    if pa.types.is_fixed_size_binary(field.type):
        return np.empty((0, field.type.byte_width // 4), np.float32)
    raise ValueError(f"{path} has no rows, so the length of {field.name!r} is unknown")


def _matrix(pa: Any, chunk: Any, width: int | None, place: str, first: int) -> Array:
    """Turn one piece of a column into a matrix; `place` and `first` are for the error messages."""
    if chunk.null_count:
        row = int(np.argmax(chunk.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"{place}{first + row}: the value is missing (null)")
    if pa.types.is_fixed_size_binary(chunk.type):
        step = chunk.type.byte_width
        # Through bytes: a slice of a buffer need not be aligned for float32.
        data = np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * step, chunk.offset * step)
        return data.view("<f4").reshape(len(chunk), step // 4)
    if pa.types.is_fixed_size_list(chunk.type):
        width = chunk.type.list_size
    else:
        lengths = chunk.value_lengths().to_numpy()
        width = int(lengths[0]) if width is None else width
        if (lengths != width).any():
            row = int(np.argmax(lengths != width))
            raise ValueError(
                f"{place}{first + row}: {lengths[row]} values; the rows before have {width}"
            )
    values = chunk.flatten()
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) // width
        raise ValueError(f"{place}{first + row}: one of its values is missing (null)")
    matrix: Array = values.to_numpy().reshape(len(chunk), width)
    return matrix
