"""What the command line of a catalogue reads: items, as keys, vectors and priorities in files.

Keys and priorities are held in memory, 8 bytes an item and the text of its key; vectors are not.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._formats import Array, CorruptFileError, PathLike, import_pyarrow, read_lines
from puresid.arrays import priorities
from puresid.catalog.keys import Keys, Kind
from puresid.columns import _open_parquet, column_named, listed
from puresid.files import ARROW_SUFFIXES, _map_table, _suffix, open_vectors, read_npy
from puresid.sources import VectorSource

__all__ = ["KEY_SUFFIXES", "OpenedItems", "open_items", "open_keys"]

Floats = npt.NDArray[np.float64]

TABLE_SUFFIXES = (".parquet", *ARROW_SUFFIXES)
ITEM_SUFFIXES = (".npy", *TABLE_SUFFIXES)
KEY_SUFFIXES = (".npy", ".txt", *TABLE_SUFFIXES)

KEY_COLUMN = "key"
OTHER_KEY_COLUMNS = ("item_id", "id")


@dataclass(frozen=True, eq=False)
class OpenedItems:
    """Items as `open_items` found them. Row i of each part belongs to the same item.

    Attributes
    ----------
    keys : Keys
        N of them; whether one comes twice is not looked at.
    vectors : ndarray of shape (N, D), or VectorSource
        As `puresid.files.open_vectors` opens them.
    priority : ndarray, shape (N,), float64, or None
        Numbers that order as those of the file, without NaN.
    source : dict of str to str or None
        The arguments of `open_items`, names of files as they were given.
    """

    keys: Keys
    vectors: Array | VectorSource
    priority: Floats | None
    source: dict[str, str | None]


def open_items(
    path: PathLike,
    *,
    column: str | None = None,
    keys: PathLike | None = None,
    key_column: str | None = None,
    priority: PathLike | None = None,
    priority_column: str | None = None,
) -> OpenedItems:
    """Open the items of a table, or of a matrix of vectors and a file of keys beside it.

    Parameters
    ----------
    path : str or path
        ``.parquet``, ``.arrow`` or ``.feather``, which hold keys and vectors; or the vectors alone,
        ``.npy``.
    column : str, optional
        The table's column of vectors; by default the only one.
    keys : str or path, optional
        Beside ``.npy``, and only there: ``.npy`` of integers or of text (never of objects),
        ``.txt`` (UTF-8, a key a line), or a table.
    key_column : str, optional
        The table's column of keys, integers or text. Default: ``key``; without one of that name,
        ``item_id`` or ``id``, where only one of them is there.
    priority : str or path, optional
        Beside ``.npy``, and only there: a ``.npy`` of numbers, higher first.
    priority_column : str, optional
        The table's column of priorities, numbers. Default: none is read.

    Returns
    -------
    OpenedItems

    Raises
    ------
    ValueError
        An argument that the kind of file has no use for, or lacks; an unknown ending; no such
        column, or none that must be that of the keys; a value that is missing, of another type, or
        NaN (naming file and row); other numbers of rows.
    CorruptFileError
        A file is cut short or damaged. (A `ValueError` too.)
    ImportError
        A table is named and pyarrow is not installed.
    OSError
        A file cannot be opened.
    """
    _check_arguments(path, keys, key_column, priority, priority_column)
    vectors = open_vectors(path, column=column)
    beside = path if keys is None else keys
    found: Floats | None = None
    if _suffix(beside, KEY_SUFFIXES) in TABLE_SUFFIXES:
        columns = _read_columns(beside, key_column, priority_column)
        held = _keys(columns[0][1], f"{beside}: column {columns[0][0]!r}")
        if priority_column is not None:
            found = _priority(*_numbers(beside, *columns[1]))
    else:
        held = _read_keys(beside)
    if priority is not None:
        found = _priority(read_npy(priority), str(priority))
    rows = vectors.shape[0]
    if len(held) != rows:
        raise ValueError(f"{path} has {rows} vectors; {beside} has {len(held)} keys")
    if found is not None and len(found) != rows:
        raise ValueError(
            f"{path} has {rows} vectors; {priority or beside} has {len(found)} priorities"
        )
    source = {
        "vectors": os.fspath(path),
        "column": column,
        "keys": None if keys is None else os.fspath(keys),
        "key_column": key_column,
        "priority": None if priority is None else os.fspath(priority),
        "priority_column": priority_column,
    }
    return OpenedItems(held, vectors, found, source)


def open_keys(path: PathLike, *, key_column: str | None = None) -> Keys:
    """Open a file of keys.

    Parameters
    ----------
    path : str or path
        ``.npy`` of integers or of text, ``.txt`` (UTF-8, a key a line), or a table.
    key_column : str, optional
        As for `open_items`.

    Returns
    -------
    Keys

    Raises
    ------
    ValueError, CorruptFileError, ImportError, OSError
        As `open_items`.
    """
    if _suffix(path, KEY_SUFFIXES) in TABLE_SUFFIXES:
        (name, values), *_ = _read_columns(path, key_column, None)
        return _keys(values, f"{path}: column {name!r}")
    if key_column is not None:
        raise ValueError(f"key_column is for Parquet and Arrow files; {path} has no columns")
    return _read_keys(path)


def _check_arguments(
    path: PathLike,
    keys: PathLike | None,
    key_column: str | None,
    priority: PathLike | None,
    priority_column: str | None,
) -> None:
    """Refuse arguments that do not go with the kinds of file, and files that are not named."""
    if _suffix(path, ITEM_SUFFIXES) != ".npy":
        for name, value in (("keys", keys), ("priority", priority)):
            if value is not None:
                raise ValueError(
                    f"{name} is for vectors in a .npy file; {path} has columns: "
                    f"{name.removesuffix('s')}_column names one"
                )
        return
    if keys is None:
        raise ValueError(f"{path} is a .npy file and has no keys; keys must name a file of them")
    if _suffix(keys, KEY_SUFFIXES) in TABLE_SUFFIXES:
        if priority is not None and priority_column is not None:
            raise ValueError(
                f"priority is {priority} and priority_column is {priority_column!r}; "
                "one of them is needed"
            )
        return
    for name, column in (("key_column", key_column), ("priority_column", priority_column)):
        if column is not None:
            raise ValueError(f"{name} is for Parquet and Arrow files; {keys} has no columns")


def _read_columns(
    path: PathLike, key_column: str | None, priority_column: str | None
) -> list[tuple[str, Any]]:
    """Return the names and the content of the columns of keys and, where named, of priorities."""
    pa, _ = import_pyarrow()

    def chosen(schema: Any) -> list[str]:
        fields = [_key_field(schema, path, key_column)]
        if priority_column is not None:
            fields.append(column_named(schema, path, priority_column))
        return [field.name for field in fields]

    if _suffix(path, TABLE_SUFFIXES) in ARROW_SUFFIXES:
        table = _map_table(path)
        names = chosen(table.schema)
        _check(pa, table.select(names), path, "an Arrow file")
    else:
        with _open_parquet(path) as file:
            names = chosen(file.schema_arrow)
            table = file.read(columns=names)
            if table.num_rows != file.metadata.num_rows:
                raise CorruptFileError(
                    f"{path} announces {file.metadata.num_rows} rows and holds {table.num_rows}"
                )
        _check(pa, table, path, "Parquet")
    return [(name, table.column(name)) for name in names]


def _check(pa: Any, table: Any, path: PathLike, what: str) -> None:
    """Look at every value: text that is none, and lengths that lead out of the file."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        raise CorruptFileError(f"{path} cannot be read as {what}: {error}") from error


def _key_field(schema: Any, path: PathLike, column: str | None) -> Any:
    if column is not None or KEY_COLUMN in schema.names:
        return column_named(schema, path, KEY_COLUMN if column is None else column)
    others = [field for field in schema if field.name in OTHER_KEY_COLUMNS]
    if len(others) != 1:
        known = ", ".join(map(repr, (KEY_COLUMN, *OTHER_KEY_COLUMNS)))
        count = "several columns" if others else "no column"
        raise ValueError(
            f"{path} has {count} of the names {known}; key_column must name that of the keys; "
            f"its columns: {listed(schema)}"
        )
    return others[0]


def _keys(values: Any, name: str, kind: Kind | None = None) -> Keys:
    try:
        return Keys.of(values, name, kind=kind)
    except TypeError as error:  # what a file holds is a matter of values
        raise ValueError(str(error)) from error


def _read_keys(path: PathLike) -> Keys:
    """Read a file of nothing but keys."""
    if _suffix(path, KEY_SUFFIXES) == ".txt":
        lines = read_lines(path)
        if lines and lines[0].startswith("\ufeff"):
            raise ValueError(f"{path} begins with a byte order mark; UTF-8 without one is needed")
        return _keys(lines, str(path), "string")
    values = read_npy(path)
    if values.dtype.kind not in "iuU" or values.ndim != 1:
        raise ValueError(
            f"{path} holds an array of shape {values.shape} and type {values.dtype}; "
            "keys are a row of integers or of text"
        )
    if values.dtype.kind != "U":
        return _keys(values, str(path))
    if values.size and values.itemsize:
        codes = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        # NumPy makes texts of any numbers, such as Python does not expect.
        if int(codes.max()) > sys.maxunicode:
            raise CorruptFileError(f"{path} holds {int(codes.max()):#x}, which is no character")
    return _keys(values.tolist(), str(path), "string")


def _numbers(path: PathLike, name: str, column: Any) -> tuple[Array, str]:
    pa, _ = import_pyarrow()
    place = f"{path}: column {name!r}"
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise ValueError(f"{place}, row {row}: the value is missing (null)")
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ValueError(f"{place} is of type {column.type}; priorities are numbers")
    return column.to_numpy(), place


def _priority(values: Array, place: str) -> Floats:
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise ValueError(
            f"{place} holds an array of shape {values.shape} and type {values.dtype}; "
            "priorities are a row of numbers"
        )
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError(f"{place}, row {int(np.isnan(values).argmax())}: the priority is NaN")
    return np.array(priorities(values, len(values)))  # a copy: a mapped file may be cut
