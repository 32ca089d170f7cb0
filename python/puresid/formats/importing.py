"""`import_sids`: SIDs from the files that `export` writes, and others like them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from puresid._formats import (
    CorruptFileError,
    checked_sids,
    read_index_json,
    read_lines,
    read_text,
    unique_keys,
)
from puresid.formats import tables
from puresid.formats.exporting import SID_FORMATS, TEXT_TEMPLATES, XLLM_ROW
from puresid.formats.rows import ItemSids, item_sids, read_keys
from puresid.formats.tensors import read_torch
from puresid.formats.tokens import TokenTemplate, read_tokens

__all__ = ["import_sids"]


def import_sids(
    path: str | os.PathLike[str],
    *,
    format: str,
    template: str | TokenTemplate | None = None,
) -> ItemSids:
    """Read SIDs and the keys of their items.

    Parameters
    ----------
    path : str or path
    format : str
        As for `export`.
    template : str or TokenTemplate, optional
        For ``"text"`` and ``"minionerec"``. Default: ``"lc-rec"``.

    Returns
    -------
    ItemSids
        Keys 0, 1, … where the format has none; titles and sizes where it has them. ``"nvidia"`` and
        ``"xllm"`` give token ids as they stand in the file. ``"static"`` has lost which item is
        which.

    Raises
    ------
    ValueError
        If the format is not known, or the file is not of it (naming the place).
    CorruptFileError
        If the file is damaged. (A `ValueError` too.)
    ImportError
        If torch or pyarrow is needed and missing.
    OSError
        If the file cannot be opened.
    """
    if not isinstance(format, str) or format not in SID_FORMATS:
        raise ValueError(
            f"format is {format!r}; it must be one of {', '.join(map(repr, SID_FORMATS))}"
        )
    if template is not None and format not in ("text", "minionerec"):
        raise ValueError(f"template means nothing for the format {format!r}")
    path = Path(os.fspath(path))
    if format in TEXT_TEMPLATES:
        form = TEXT_TEMPLATES[format] if template is None else template
        return item_sids(read_tokens(read_lines(path), form, str(path)))
    if format == "minionerec":
        return _minionerec(path, "lc-rec" if template is None else template)
    return _READERS[format](path)


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path} is not JSON: {error}") from error


def _index_json(path: Path) -> ItemSids:
    return item_sids(checked_sids(read_index_json(path), str(path)))


def _minionerec(path: Path, template: str | TokenTemplate) -> ItemSids:
    fields = [line.split("\t") for line in read_lines(path)]
    for number, row in enumerate(fields):
        if len(row) != 3:
            raise ValueError(
                f"{path}: line {number + 1} has {len(row)} fields; sid, title, item_id are needed"
            )
    sids = read_tokens([row[0] for row in fields], template, str(path))
    return _items(path, sids, read_keys([row[2] for row in fields]), [row[1] for row in fields])


def _code_json(path: Path) -> ItemSids:
    data = _json(path, read_text(path))
    keys = [str(n) for n in range(1, len(data) + 1)] if isinstance(data, dict) else []
    if not keys or data.keys() != set(keys):
        raise ValueError(f'{path} is no object with the keys "1", "2", … without a gap')
    rows = [data[key] for key in keys]
    if not all(isinstance(row, str) for row in rows):
        raise ValueError(f'{path} has a value that is not text such as "12,5,200"')
    return item_sids(read_tokens(rows, TokenTemplate("{token}", separator=","), str(path)))


def _grid(path: Path) -> ItemSids:
    tensor = read_torch(path)
    said = f"{path} is no matrix of integers, one column per item"
    if not hasattr(tensor, "numpy") or tensor.ndim != 2 or tensor.is_floating_point():
        raise ValueError(said)
    try:
        array = np.asarray(tensor.numpy())
    except (TypeError, RuntimeError) as error:  # sparse, or without content
        raise ValueError(said) from error
    return item_sids(checked_sids(np.ascontiguousarray(array.T), str(path)))


def _columns(path: Path, key: str) -> ItemSids:
    keys, tokens = tables.read_columns(path, key, "codes")
    return _items(path, checked_sids(tokens, str(path)), keys)


def _sets(path: Path) -> ItemSids:
    keys, tokens, sizes = tables.read_sets(path)
    return _items(path, checked_sids(tokens, str(path)), keys, sizes=sizes)


def _nvidia(path: Path) -> ItemSids:
    lines = [_json(path, line) for line in read_lines(path)]
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, dict) or not {"item_id", "token_ids"} <= line.keys():
            raise ValueError(f"{path}: line {number} has no item_id and token_ids")
    keys = [line["item_id"] for line in lines]
    kind = type(keys[0]) if keys else int
    for number, key in enumerate(keys, start=1):
        if type(key) is not kind or kind not in (int, str):
            raise ValueError(
                f"{path}: line {number} has the item_id {key!r}; all must be integers or all text"
            )
    titles = [_title(line.get("metadata"), path, n) for n, line in enumerate(lines, start=1)]
    sids = _matrix([line["token_ids"] for line in lines], path)
    texts = [title for title in titles if title is not None]
    return _items(path, sids, keys, texts if len(texts) == len(lines) else None)


def _title(metadata: Any, path: Path, number: int) -> str | None:
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError(
            f"{path}: line {number} has the metadata {metadata!r}; an object is needed"
        )
    title = (metadata or {}).get("title")
    if title is not None and not isinstance(title, str):
        raise ValueError(f"{path}: line {number} has the title {title!r}; text is needed")
    return title


def _items(
    path: Path, sids: Any, keys: Any, titles: Any = None, sizes: tuple[int, ...] | None = None
) -> ItemSids:
    """As `item_sids`, with errors that name the file."""
    try:
        return item_sids(sids, keys=keys, titles=titles, sizes=sizes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _xllm(path: Path) -> ItemSids:
    data = path.read_bytes()
    if len(data) % XLLM_ROW.itemsize:
        raise CorruptFileError(
            f"{path} has {len(data)} bytes, no multiple of {XLLM_ROW.itemsize} for one row"
        )
    rows = np.frombuffer(data, XLLM_ROW)
    return _items(path, checked_sids(rows["tokens"], str(path)), rows["item"])


def _static(path: Path) -> ItemSids:
    from puresid.files import read_npy  # not when puresid is imported

    return item_sids(np.array(checked_sids(read_npy(path), str(path))))


def _rpg(path: Path) -> ItemSids:
    data = _json(path, read_text(path))
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{path} is no object with the tokens of each item")
    return _items(path, _matrix(list(data.values()), path), read_keys(list(data)))


def _matrix(rows: list[Any], path: Path) -> Any:
    try:
        array = np.array(rows)
    except ValueError as error:
        raise ValueError(f"{path} has rows of different lengths") from error
    return checked_sids(array, str(path))


_READERS: dict[str, Callable[[Path], ItemSids]] = {
    "index.json": _index_json,
    "purelysemanticids": _code_json,
    "grid": _grid,
    "torcheasyrec": lambda path: _columns(path, "item_id"),
    "openonerec": lambda path: _columns(path, "pid"),
    "torcheasyrec-sets": _sets,
    "nvidia": _nvidia,
    "xllm": _xllm,
    "static": _static,
    "rpg": _rpg,
}
