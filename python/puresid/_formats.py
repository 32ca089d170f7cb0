"""How Parquet and ``.index.json`` hold SIDs; `puresid.files` is the way in.

Nothing here loops over items in Python where numpy or Arrow can do it; SIDs as JSON text are taken
a level at a time, so that a label is parsed once however many items have it.
"""

from __future__ import annotations

import json
import os
import re
import string
from itertools import chain
from typing import IO, Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

PathLike: TypeAlias = "str | os.PathLike[str]"
Array: TypeAlias = NDArray[Any]

_JSON_BLOCK = 65_536  # rows turned into text at a time, so that memory does not grow with the file
_LABEL = re.compile(r"<([a-z])_(0|[1-9][0-9]{0,9})>")


class CorruptFileError(ValueError):
    """A file is cut short, damaged, or not of the format that its name announces."""


def read_text(path: PathLike) -> str:
    """Read a file of UTF-8 as it stands, line breaks too.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    str

    Raises
    ------
    CorruptFileError
        It is not UTF-8.
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as handle:
        content = handle.read()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorruptFileError(
            f"{path} is no text in UTF-8: {error.reason} at byte {error.start}"
        ) from error


def read_lines(path: PathLike) -> list[str]:
    """Read the lines of a text: what ends in a line feed, or a carriage return and a line feed.

    Nothing else ends a line: `str.splitlines` would also break a text at a form feed or at U+2028.

    Parameters
    ----------
    path : str or path
        The file, in UTF-8.

    Returns
    -------
    list of str
        Without what ends them. The last line need not be ended.

    Raises
    ------
    CorruptFileError, OSError
        As `read_text`.
    """
    lines = read_text(path).split("\n")
    if lines[-1] == "":
        del lines[-1]
    return [line.removesuffix("\r") for line in lines]


def import_pyarrow() -> tuple[Any, Any]:
    """Import pyarrow and its Parquet module, or say how to get them.

    Returns
    -------
    tuple of two modules
        ``pyarrow`` and ``pyarrow.parquet``.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow: pip install 'puresid[parquet]'") from error
    return pyarrow, pyarrow.parquet


def sid_table(sids: Array, stages: Array | None, distortion: Array | None) -> Any:
    """Make the Arrow table of a SID file.

    Parameters
    ----------
    sids : ndarray of uint16 or uint32, shape (N, L)
        One row per item.
    stages, distortion : ndarray, shape (N,), optional
        Further columns.

    Returns
    -------
    pyarrow.Table
        The columns ``item``, ``sid`` and, where given, ``stage`` and ``distortion``.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    """
    pa, _ = import_pyarrow()
    tokens = pa.array(np.ascontiguousarray(sids).reshape(-1))
    columns = {
        "item": pa.array(np.arange(len(sids), dtype=np.int64)),
        "sid": pa.FixedSizeListArray.from_arrays(tokens, sids.shape[1]),
    }
    if stages is not None:
        columns["stage"] = pa.array(np.asarray(stages, dtype=np.int8))
    if distortion is not None:
        columns["distortion"] = pa.array(np.asarray(distortion, dtype=np.float32))
    return pa.table(columns)


def check_letters(path: PathLike, n_levels: int) -> None:
    """Refuse more levels than ``.index.json`` has letters.

    Parameters
    ----------
    path : str or path
        For the message.
    n_levels : int
        The tokens per SID.

    Raises
    ------
    ValueError
        There are more than 26.
    """
    if n_levels > len(string.ascii_lowercase):
        raise ValueError(
            f"{path}: .index.json names levels by the letters a to z, at most 26; "
            f"these SIDs have {n_levels} levels"
        )


def checked_sids(sids: Array, where: str) -> Array:
    """Return SIDs as a matrix of uint16 or uint32.

    Parameters
    ----------
    sids : ndarray of integers, shape (N, L)
        Tokens from 0 to 2**32 - 1.
    where : str
        How errors call them.

    Returns
    -------
    ndarray of uint16 or uint32, shape (N, L)
        As they are where they are of these types already, else the smaller that holds them.

    Raises
    ------
    ValueError
        It is not a matrix of integers, or a token is out of range (naming its place).
    """
    if sids.ndim != 2 or sids.shape[1] == 0 or sids.dtype.kind not in "iu":
        raise ValueError(
            f"{where}: shape {sids.shape} and type {sids.dtype}; SIDs are a matrix of integers, "
            "one row per item and one column per level"
        )
    if sids.dtype in (np.uint16, np.uint32) and sids.dtype.isnative:
        return sids
    lowest, highest = (int(sids.min()), int(sids.max())) if sids.size else (0, 0)
    if lowest < 0 or highest > 0xFFFF_FFFF:
        wrong = lowest if lowest < 0 else highest
        row, level = np.argwhere(sids == wrong)[0]
        raise ValueError(
            f"{where}: row {row}, level {level} has token {wrong}; tokens go from 0 to 2**32 - 1"
        )
    return sids.astype(np.uint16 if highest <= 0xFFFF else np.uint32)


def write_npy(handle: IO[bytes], array: Array) -> None:
    """Write an array as ``.npy``, byte for byte as NumPy does.

    `numpy.lib.format.write_array` gives a real file to C's stdio and does not look at whether the
    last of it could be written: on a full disk it returns as if all were well.

    Parameters
    ----------
    handle : binary file
        Open for writing, with a buffer.
    array : ndarray
        Of plain numbers; written in C order.

    Raises
    ------
    OSError
        Writing failed.
    """
    rows = np.ascontiguousarray(array)
    header = np.lib.format.header_data_from_array_1_0(rows)
    np.lib.format.write_array_header_1_0(handle, header)
    handle.write(rows.data)


def write_index_json(handle: IO[bytes], sids: Array) -> None:
    """Write ``{"0": ["<a_183>", "<b_70>"], …}``, one item to a line.

    Parameters
    ----------
    handle : binary file
        Open for writing.
    sids : ndarray of integers, shape (N, L)
        One row per item; at most 26 levels.

    Raises
    ------
    OSError
        Writing failed.
    """
    handle.write(b"{")
    for first in range(0, len(sids), _JSON_BLOCK):
        block = sids[first : first + _JSON_BLOCK]
        labels = []
        for letter, tokens in zip(string.ascii_lowercase, block.T, strict=False):
            used, places = np.unique(tokens, return_inverse=True)
            texts = [f'"<{letter}_{token}>"' for token in used.tolist()]
            labels.append(np.array(texts, dtype=object)[places].tolist())
        keys = range(first, first + len(block))
        lines = [f'"{key}": [{", ".join(row)}]' for key, *row in zip(keys, *labels, strict=True)]
        handle.write((",\n" if first else "\n").encode() + ",\n".join(lines).encode())
    handle.write(b"\n}\n")


def read_index_json(path: PathLike) -> Array:
    """Read the SIDs of an ``.index.json`` file, in the order of its keys as numbers.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    ndarray of int64, shape (N, L)
        The tokens.

    Raises
    ------
    ValueError
        Keys that are not 0, 1, 2 …, rows of different lengths, or a label that is no token.
    CorruptFileError
        It is not JSON, or has a key twice.
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as handle:
        text = handle.read()
    try:
        data = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path} is not a JSON index of SIDs: {error}") from error
    if not isinstance(data, dict) or not data:
        raise ValueError(f'{path} holds no SIDs; expected {{"0": ["<a_183>", "<b_70>"], …}}')
    keys = list(map(str, range(len(data))))
    if not data.keys() >= set(keys):
        missing = next(key for key in keys if key not in data)
        raise ValueError(
            f'{path} has {len(data)} keys, and "{missing}" is not among them; '
            "the keys are the row numbers, from 0"
        )
    rows = list(map(data.__getitem__, keys))
    if not (isinstance(rows[0], list) and rows[0]):
        raise ValueError(f'{path}: "0" has no list of tokens')
    width = len(rows[0])
    check_letters(path, width)
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
        key = next(key for key in keys if type(data[key]) is not list or len(data[key]) != width)
        raise ValueError(f'{path}: "{key}" is not a list of {width} tokens, as "0" is')
    flat = list(chain.from_iterable(rows))
    levels = [_tokens(flat[level::width], level, path) for level in range(width)]
    return np.stack(levels, axis=1)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object of JSON. Raises ValueError if a key stands in it twice."""
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key stands in it twice")
    return data


def _tokens(labels: list[Any], level: int, path: PathLike) -> Array:
    letter = string.ascii_lowercase[level]
    parsed: dict[str, int] = {}
    try:
        different = dict.fromkeys(labels)
    except TypeError:  # a list or an object stands where a label should
        different = dict.fromkeys(map(str, labels))
    for label in different:
        match = _LABEL.fullmatch(label) if isinstance(label, str) else None
        if match is None or match[1] != letter:
            _refuse_label(labels, label, level, path)
        parsed[label] = int(match[2])
    return np.fromiter(map(parsed.__getitem__, labels), np.int64, len(labels))


def _refuse_label(labels: list[Any], label: Any, level: int, path: PathLike) -> NoReturn:
    # By what it is, too: JSON's NaN equals nothing.
    row = next(
        row
        for row, other in enumerate(labels)
        if other is label or other == label or str(other) == label
    )
    letter = string.ascii_lowercase[level]
    raise ValueError(
        f'{path}: "{row}" has {label!r} at level {level}; expected a label such as "<{letter}_0>"'
    )
