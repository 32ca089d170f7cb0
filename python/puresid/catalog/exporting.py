"""Items and differences as files for others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from puresid._formats import import_pyarrow
from puresid.atomic import atomic_write
from puresid.catalog.results import Diff, Items

__all__ = ["ITEM_SUFFIXES", "write_diff", "write_items"]

ITEM_SUFFIXES = (".parquet", ".jsonl")
_AT_ONCE = 65_536


def write_items(path: Path, items: Items) -> None:
    """Write items, whole or not at all.

    Parameters
    ----------
    path : Path
        ``.parquet``: the columns ``key`` (int64 or text), ``sid`` (list of fixed size of the
        tokens' type) and, where SIDs have several items, ``slot``. ``.jsonl``: an object with these
        names a line.
    items : Items

    Raises
    ------
    ImportError
        Parquet without pyarrow.
    OSError
        The file cannot be written.
    """
    if path.suffix.lower() == ".parquet":
        table = _table(items)
        _, parquet = import_pyarrow()
        with atomic_write(path) as handle:
            parquet.write_table(table, handle)
        return
    with atomic_write(path) as handle:
        for line in _lines(items):
            handle.write(_json(line))


def write_diff(path: Path, diff: Diff) -> None:
    """Write a difference as lines of JSON, whole or not at all.

    Each has ``change`` (``"added"``, ``"removed"``, ``"moved"`` or ``"updated"``), ``key`` and
    ``sid``; what has moved has ``from``, the SID before, too.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with atomic_write(path) as handle:
        for change in ("added", "removed", "updated"):
            for line in _lines(getattr(diff, change)):
                handle.write(_json({"change": change} | line))
        for line, before in zip(_lines(diff.moved), _lines(diff.moved_from), strict=True):
            handle.write(_json({"change": "moved"} | line | {"from": before["sid"]}))


def _json(line: dict[str, Any]) -> bytes:
    return (json.dumps(line, ensure_ascii=False) + "\n").encode()


def _lines(items: Items) -> Iterator[dict[str, Any]]:
    for first in range(0, len(items), _AT_ONCE):
        rows = range(first, min(first + _AT_ONCE, len(items)))
        keys = items.keys.take(rows).tolist()
        sids = items.sids[first : rows.stop].tolist()
        slots = None if items.slots is None else items.slots[first : rows.stop].tolist()
        for place, (key, sid) in enumerate(zip(keys, sids, strict=True)):
            slot = {} if slots is None else {"slot": slots[place]}
            yield {"key": key, "sid": sid} | slot


def _table(items: Items) -> Any:
    pa, _ = import_pyarrow()
    keys = items.keys.tolist()
    columns = {
        "key": pa.array(keys, pa.int64() if items.keys.kind == "int64" else pa.string()),
        "sid": pa.FixedSizeListArray.from_arrays(items.sids.reshape(-1), items.sids.shape[1]),
    }
    if items.slots is not None:
        columns["slot"] = pa.array(items.slots)
    return pa.table(columns)
