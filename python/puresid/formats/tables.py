"""SIDs in Parquet: TorchEasyRec and OpenOneRec."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from puresid._formats import CorruptFileError, import_pyarrow
from puresid.atomic import atomic_write
from puresid.columns import read_parquet
from puresid.formats.rows import ItemSids
from puresid.formats.tokens import checked_sizes

__all__ = ["read_columns", "read_sets", "write_columns", "write_sets"]

_PART = "part-0.parquet"


def write_columns(handle: IO[bytes], columns: Mapping[str, Any]) -> None:
    """Write a Parquet file: matrices become lists of int64, other arrays as they are.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    """
    pa, parquet = import_pyarrow()
    parquet.write_table(
        pa.table({name: _column(values) for name, values in columns.items()}), handle
    )


def _column(values: Any) -> Any:
    pa, _ = import_pyarrow()
    if isinstance(values, np.ndarray) and values.ndim == 2:
        offsets = np.arange(len(values) + 1, dtype=np.int64) * values.shape[1]
        tokens = pa.array(values.astype(np.int64).reshape(-1))
        if offsets[-1] <= np.iinfo(np.int32).max:
            return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), tokens)
        return pa.LargeListArray.from_arrays(pa.array(offsets), tokens)
    return pa.array(values, pa.string()) if isinstance(values, list) else pa.array(values)


def read_columns(path: Any, key: str, codes: str) -> tuple[Any, Any]:
    """Read keys and tokens.

    Returns
    -------
    keys : ndarray of integers, or list of str
    tokens : ndarray of int64, shape (N, L)

    Raises
    ------
    ValueError
        A column is missing or of another kind.
    CorruptFileError
        The file is damaged. (A `ValueError` too.)
    ImportError
        pyarrow is not installed.
    """
    pa, parquet = import_pyarrow()
    tokens = read_parquet(path, codes, "tokens")
    try:
        names = parquet.read_schema(path).names
        column = parquet.read_table(path, columns=[key])[key] if key in names else None
    except (pa.ArrowException, KeyError, OSError, UnicodeDecodeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CorruptFileError(f"{path}: column {key!r} cannot be read: {reason}") from error
    if column is None:
        raise ValueError(f"{path} has no column {key!r}")
    if column.null_count:
        raise ValueError(f"{path}: the column {key!r} has {column.null_count} rows without a value")
    if pa.types.is_integer(column.type):
        return column.to_numpy(), tokens
    return [str(value) for value in column.to_pylist()], tokens


def write_sets(folder: Path, items: ItemSids) -> None:
    """Write what TorchEasyRec publishes; the manifest last, as the mark that all is there.

    ``item_to_sid``: ``item_id``, ``codebook``, ``offset_codebook``, ``index`` (which of the items
    of its SID it is). ``sid_to_items``: ``codebook``, ``offset_codebook``, ``itemids``, in the
    order of the SIDs. An offset token is one of a vocabulary of all levels.

    Raises
    ------
    ValueError
        If the folder is not empty, or sizes are not known.
    ImportError
        pyarrow is not installed.
    OSError
        If it cannot be written.
    """
    sizes = items.known_sizes("torcheasyrec-sets")
    pa, _ = import_pyarrow()
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; a published set is not written over")
    codes, offset = items.sids, items.token_ids("torcheasyrec-sets", 0)
    order = np.lexsort(codes.T[::-1])
    new = np.ones(len(items), dtype=bool)
    new[1:] = (codes[order[1:]] != codes[order[:-1]]).any(axis=1)
    starts = np.append(np.flatnonzero(new), len(items))
    counts = np.diff(starts)
    index = np.empty(len(items), dtype=np.int64)
    index[order] = np.arange(len(items)) - np.repeat(starts[:-1], counts)
    heads = order[starts[:-1]]
    grouped = pa.ListArray.from_arrays(
        pa.array(starts.astype(np.int32)), _column(items.keys).take(pa.array(order))
    )
    sets = {
        "item_to_sid": {
            "item_id": items.keys,
            "codebook": codes,
            "offset_codebook": offset,
            "index": index,
        },
        "sid_to_items": {
            "codebook": codes[heads],
            "offset_codebook": offset[heads],
            "itemids": grouped,
        },
    }
    most = int(counts.max(initial=0))
    artifacts = {}
    for name, columns in sets.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / name / _PART) as handle:
            write_columns(handle, columns)
        rows = len(items) if name == "item_to_sid" else len(heads)
        artifacts[name] = {"save_type": "parquet", "rows": rows, "location": str(folder / name)}
    manifest = {
        "bundle_uuid": _digest(items, sizes),
        "codebook": list(sizes),
        "capacity": most,
        "max_observed_items_per_sid": most,
        "artifacts": artifacts,
        "item_id_type": "string" if isinstance(items.keys, list) else "int64",
    }
    with atomic_write(folder / "manifest.json") as handle:
        handle.write(json.dumps(manifest, indent=2).encode())


def _digest(items: ItemSids, sizes: tuple[int, ...]) -> str:
    """Return an id that is the same for the same set, so that a run can be repeated."""
    hashed = hashlib.sha256(repr(sizes).encode())
    hashed.update(items.sids.astype("<u4").tobytes())
    for name in items.names:
        hashed.update(name.encode() + b"\n")
    return hashed.hexdigest()[:32]


def read_sets(folder: Path) -> tuple[Any, Any, tuple[int, ...]]:
    """Read the ``item_to_sid`` of a published set: keys, tokens and sizes.

    Raises
    ------
    ValueError
        The manifest is missing or not one.
    CorruptFileError
        A file is damaged. (A `ValueError` too.)
    ImportError
        pyarrow is not installed.
    """
    path = folder / "manifest.json"
    try:
        sizes = checked_sizes(json.loads(path.read_bytes())["codebook"])
    except FileNotFoundError:
        raise ValueError(f"{folder} has no manifest.json, so it is no complete set") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFileError(f"{path} is no manifest: {error}") from error
    keys, tokens = read_columns(folder / "item_to_sid" / _PART, "item_id", "codebook")
    return keys, tokens, sizes
