"""Vectors in and SIDs out: ``.npy``, Parquet and ``.index.json``.

Every file is written whole or not at all: to a temporary name in the folder of its target, synced,
then renamed over it. Reading never unpickles. Only a Parquet file makes it import pyarrow.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from puresid._formats import (
    Array,
    CorruptFileError,
    PathLike,
    check_letters,
    checked_sids,
    import_pyarrow,
    read_index_json,
    sid_table,
    write_index_json,
    write_npy,
)
from puresid.atomic import atomic_write, temporary_name
from puresid.columns import ArrowVectors, ParquetVectors, read_parquet
from puresid.sources import VectorSource

__all__ = [
    "SID_SUFFIXES",
    "VECTOR_SUFFIXES",
    "CorruptFileError",
    "check_writable",
    "open_vectors",
    "read_npy",
    "read_sids",
    "read_vectors",
    "write_sids",
]

VECTOR_SUFFIXES = (".npy", ".parquet")
ARROW_SUFFIXES = (".arrow", ".feather")
SOURCE_SUFFIXES = VECTOR_SUFFIXES + ARROW_SUFFIXES
_MOST_NPY_HEADER = 12 + 10_000  # what NumPy reads of a file that is not trusted
SID_SUFFIXES = (".npy", ".parquet", ".index.json")


def read_vectors(path: PathLike, *, column: str | None = None) -> Array:
    """Read item vectors, one row per item.

    Parameters
    ----------
    path : str or path
        A ``.npy`` file, which is memory-mapped, or a ``.parquet`` file.
    column : str, optional
        The Parquet column with the vectors: lists of floats (of fixed size or all equally long), or
        fixed-length binary that holds little-endian float32. By default the only such column.

    Returns
    -------
    ndarray, shape (N, D)
        In the file's row order and of the file's own type (any integer or float type from ``.npy``;
        float16, float32 or float64 from Parquet). Read-only when it is memory-mapped.

    Raises
    ------
    ValueError
        Unknown suffix; not a matrix of numbers; no such column, or more than one to choose from; a
        missing value, or a row longer or shorter than the first, with its row number.
    CorruptFileError
        The file is cut short or damaged. (A `ValueError` too.)
    ImportError
        A Parquet file is named and pyarrow is not installed.
    OSError
        The file cannot be opened.
    """
    if _suffix(path, VECTOR_SUFFIXES) == ".parquet":
        return read_parquet(path, column, "vectors")
    if column is not None:
        raise ValueError(f"column is for Parquet files; {path} is a .npy file and has no columns")
    vectors = read_npy(path)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise ValueError(
            f"{path} holds an array of shape {vectors.shape} and type {vectors.dtype}; "
            "vectors are a matrix of numbers, one row per item"
        )
    return vectors


def open_vectors(path: PathLike, *, column: str | None = None) -> Array | VectorSource:
    """Open item vectors for `assign` to read piece by piece.

    Parameters
    ----------
    path : str or path
        A ``.npy`` file, which is memory-mapped; a ``.parquet`` file; or an Arrow file, ``.arrow``
        or ``.feather``, which is memory-mapped.
    column : str, optional
        As for `read_vectors`; not for ``.npy``.

    Returns
    -------
    ndarray, shape (N, D), or VectorSource

    Raises
    ------
    ValueError, CorruptFileError, ImportError, OSError
        As `read_vectors`; what is wrong with a source's rows only when they are read.
    """
    suffix = _suffix(path, SOURCE_SUFFIXES)
    if suffix == ".parquet":
        source: VectorSource = ParquetVectors(path, column)
    elif suffix in ARROW_SUFFIXES:
        source = ArrowVectors(_map_table(path), column)
    else:
        return read_vectors(path, column=column)
    _ = source.shape  # what can be told without reading all of it is told now
    return source


def _map_table(path: PathLike) -> Any:
    pa, _ = import_pyarrow()
    with open(path, "rb"):
        pass  # as for Parquet: an OSError
    try:
        with pa.memory_map(os.fspath(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        table.validate()  # Arrow takes lengths and offsets on trust otherwise, and reads beyond
        _ = table.column_names  # may be no UTF-8, which shows only when they are asked for
        return table
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CorruptFileError(f"{path} cannot be read as an Arrow file: {reason}") from error


def read_sids(path: PathLike) -> Array:
    """Read the SIDs of a file that `write_sids` wrote, or of one like it.

    Parameters
    ----------
    path : str or path
        ``.npy``, ``.parquet`` (its column ``sid``) or ``.index.json``.

    Returns
    -------
    ndarray of uint16 or uint32, shape (N, L)
        In the file's row order (``.index.json``: in the order of its keys as numbers). uint16 and
        uint32 stay as they are; other integers become the smaller of the two that holds them.

    Raises
    ------
    ValueError
        Unknown suffix; not a matrix of tokens; rows of different lengths, with the row number.
    CorruptFileError
        The file is cut short or damaged. (A `ValueError` too.)
    ImportError
        A Parquet file is named and pyarrow is not installed.
    OSError
        The file cannot be opened.
    """
    suffix = _suffix(path, SID_SUFFIXES)
    if suffix == ".parquet":
        return checked_sids(read_parquet(path, "sid", "tokens"), str(path))
    if suffix == ".npy":
        return np.array(checked_sids(read_npy(path), str(path)))
    return checked_sids(read_index_json(path), str(path))


def write_sids(
    path: PathLike,
    sids: Array,
    *,
    stages: Array | None = None,
    distortion: Array | None = None,
) -> None:
    """Write SIDs so that a reader sees the old file or the whole new one, never a part.

    Parameters
    ----------
    path : str or path
        ``.npy``: the SIDs alone. ``.parquet``: the columns ``item`` (int64 row number), ``sid``
        (list of fixed size of the tokens' type) and, where given, ``stage`` (int8) and
        ``distortion`` (float32). ``.index.json``: ``{"0": ["<a_183>", "<b_70>"], …}``, a letter
        per level.
    sids : ndarray of integers, shape (N, L)
        One row per item; tokens from 0 to 2**32 - 1.
    stages, distortion : ndarray, shape (N,), optional
        Kept by Parquet; the other two formats have no place for them.

    Raises
    ------
    ValueError
        Unknown suffix, another shape or type, or more than 26 levels for ``.index.json``.
    ImportError
        A Parquet file is named and pyarrow is not installed.
    OSError
        The file cannot be written. What stood at `path` before is then still there, unless only
        the syncing of the folder failed: see `puresid.atomic.atomic_write`.
    """
    suffix = _suffix(path, SID_SUFFIXES)
    sids = checked_sids(np.asarray(sids), "sids")
    for name, values in (("stages", stages), ("distortion", distortion)):
        if values is not None and np.shape(values) != (len(sids),):
            raise ValueError(
                f"{name} has shape {np.shape(values)}; {len(sids)} items need shape ({len(sids)},)"
            )
    if suffix == ".parquet":
        table = sid_table(sids, stages, distortion)
        _, parquet = import_pyarrow()
        with atomic_write(path) as handle:
            parquet.write_table(table, handle)
    elif suffix == ".npy":
        with atomic_write(path) as handle:
            write_npy(handle, sids)
    else:
        check_letters(path, sids.shape[1])
        with atomic_write(path) as handle:
            write_index_json(handle, sids)


def check_writable(
    path: PathLike, *, suffixes: tuple[str, ...] = SID_SUFFIXES, n_levels: int | None = None
) -> None:
    """Find out before the work starts whether its output can be written.

    Parameters
    ----------
    path : str or path
        The file to be written. It is not touched; a temporary file beside it comes and goes.
    suffixes : tuple of str
        The endings that the file may have.
    n_levels : int, optional
        The tokens per SID, where known: ``.index.json`` has letters for 26.

    Raises
    ------
    ValueError
        Unknown suffix, or too many levels for it.
    ImportError
        A Parquet file is named and pyarrow is not installed.
    OSError
        The folder does not exist or cannot be written to, or `path` is a folder.
    """
    suffix = _suffix(path, suffixes)
    if suffix == ".parquet":
        import_pyarrow()
    if suffix == ".index.json" and n_levels is not None:
        check_letters(path, n_levels)
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {target.parent}")
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    probe = temporary_name(target)
    try:
        try:
            with open(probe, "xb"):
                pass
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise type(error)(f"cannot write {path}: {error.strerror} ({target.parent})") from error


def read_npy(path: PathLike) -> Array:
    """Map a ``.npy`` file into memory, read-only, after checking that it is complete.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    ndarray
        Of the file's shape, type and order.

    Raises
    ------
    ValueError
        The file holds Python objects or named fields.
    CorruptFileError
        It is not a ``.npy`` file, or is longer or shorter than its header says.
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as handle:
        shape, fortran_order, dtype = read_npy_header(handle, path)
        start = handle.tell()
        size = os.fstat(handle.fileno()).st_size - start
    if dtype.hasobject or dtype.names is not None:
        raise ValueError(f"{path} holds Python objects or named fields; a plain array is needed")
    expected = math.prod(shape) * dtype.itemsize
    if size != expected or min(shape, default=0) < 0:
        raise CorruptFileError(
            f"{path} is cut short or damaged: its header announces {shape} of {dtype}, "
            f"{expected} bytes, and {size} bytes follow"
        )
    order = "F" if fortran_order else "C"
    if size == 0:  # an empty range cannot be mapped
        return np.empty(shape, dtype)
    mapped = np.memmap(path, dtype, "r", offset=start, shape=shape, order=order)  # type: ignore[call-overload]
    return np.asarray(mapped)


def read_npy_header(
    handle: IO[bytes], path: PathLike
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read what comes before the numbers of a ``.npy`` file: shape, Fortran order and type.

    Raises
    ------
    CorruptFileError
        It is none.
    OSError
        It cannot be read.
    """
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        # What is announced beyond this is refused anyway, and would be asked for first.
        head = io.BytesIO(handle.read(_MOST_NPY_HEADER))
        version = np.lib.format.read_magic(head)
        if version not in readers:  # 3.0 exists for field names outside Latin-1, refused anyway
            raise ValueError(f"version {version} of the format is not one of 1.0 and 2.0")
        shape, fortran_order, dtype = readers[version](head)
        handle.seek(head.tell())
    except OSError:
        raise
    except Exception as error:  # a damaged header reaches Python's own parser: anything may come
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorruptFileError(f"{path} is not a .npy file: {reason}") from error
    return shape, fortran_order, dtype


def _suffix(path: PathLike, known: tuple[str, ...]) -> str:
    name = os.fspath(path).lower()
    for suffix in known:
        if name.endswith(suffix):
            return suffix
    raise ValueError(f"{path} has an unknown ending; the known ones are {', '.join(known)}")
