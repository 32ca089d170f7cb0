"""Keys and texts of items, out of a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SUFFIXES = (".json", ".jsonl", ".csv", ".txt")
KEYS = ("key", "id", "item", "item_id", "asin", "parent_asin")
TEXTS = ("text", "title", "name", "headline", "description")

Items = tuple[list[str] | None, list[str] | None]


def read_items(path: Path, *, key: str | None = None, text: str | None = None) -> Items:
    """Read what items are called, in the order of the vectors' rows.

    Parameters
    ----------
    path : Path
        ``.txt``: a line per item, its text, or its key, a tab and its text. ``.csv``: with a header
        line. ``.jsonl``: a JSON object or string per line. ``.json``: a list of those, or an object
        whose names are the keys. UTF-8.
    key, text : str, optional
        The column or field with the key and with the text. Default: the first that is there of
        ``key``, ``id``, ``item``, ``item_id``, ``asin``, ``parent_asin``, and of ``text``,
        ``title``, ``name``, ``headline``, ``description``.

    Returns
    -------
    keys, texts : list of str or None
        None where the file has no such thing.

    Raises
    ------
    ValueError
        Unknown suffix, not such a file (naming the line), or no field of that name.
    OSError
        The file cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} has an unknown ending; the known ones are {', '.join(SUFFIXES)}")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    if suffix == ".txt":
        return _from_text(content)
    if suffix == ".csv":
        return _from_rows(_csv_rows(content, path), path, key, text)
    if suffix == ".jsonl":
        lines = content.split("\n")
        lines = lines[:-1] if lines[-1].strip() == "" else lines
        return _from_rows(
            [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)],
            path, key, text,
        )  # fmt: skip
    document = _parse(content, str(path))
    if isinstance(document, dict):
        keys, texts = _from_rows(list(document.values()), path, key, text)
        return list(document) if key is None else keys, texts
    if not isinstance(document, list):
        raise ValueError(f"{path} is of type {type(document).__name__}; a list or object is needed")
    return _from_rows(document, path, key, text)


def _parse(content: str, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise ValueError(f"{where} is not JSON: {error}") from error


def _csv_rows(content: str, path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(content, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is not CSV: {error}") from error


def _from_text(content: str) -> Items:
    lines = content.removesuffix("\n").split("\n") if content else []
    parts = [line.rstrip("\r").split("\t", 1) for line in lines]
    if parts and all(len(part) == 2 for part in parts):
        return [part[0] for part in parts], [part[1] for part in parts]
    return None, [" ".join(part) for part in parts]


def _from_rows(rows: Sequence[Any], path: Path, key: str | None, text: str | None) -> Items:
    if all(isinstance(row, str) for row in rows) and (key, text) == (None, None):
        return None, [str(row) for row in rows]
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}: item {number} is of type {type(row).__name__}; "
                "an object with fields is needed"
            )
    keys, texts = _field(rows, path, key, KEYS), _field(rows, path, text, TEXTS)
    if rows and keys is None and texts is None:
        fields = ", ".join(sorted({str(field) for row in rows for field in row})) or "none"
        raise ValueError(f"{path} has the fields {fields}; say which has the keys or the texts")
    return keys, texts


def _field(
    rows: Sequence[dict[str, Any]], path: Path, name: str | None, known: tuple[str, ...]
) -> list[str] | None:
    present = {field for row in rows for field in row}
    if name is None:
        name = next((field for field in known if field in present), None)
    elif name not in present:
        fields = ", ".join(sorted(map(str, present)))
        raise ValueError(f"{path} has no field {name!r}; it has {fields or 'none'}")
    if name is None:
        return None
    return ["" if row.get(name) is None else str(row[name]) for row in rows]
