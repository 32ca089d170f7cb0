"""What the loaders share: files read line by line, with errors that say where."""

from __future__ import annotations

import ast
import csv
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from puresid._formats import CorruptFileError, PathLike, read_text

_MARKUP = re.compile(r"<!--.*?(?:-->|$)|</?[A-Za-z][^<>]*>", re.DOTALL)


def task_name(path: PathLike, name: str | None) -> str:
    """Return `name`, or what the folder of `path` is called."""
    return Path(path).resolve().parent.name if name is None else name


def read_json_object(path: PathLike) -> dict[str, Any]:
    """Read a file that holds one JSON object whose keys are all different.

    Raises
    ------
    CorruptFileError
        It is no text in UTF-8, no JSON, or a key comes twice.
    ValueError
        It holds something else than an object.
    OSError
        It cannot be opened.
    """

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise CorruptFileError(f"{path}: the key {twice!r} comes twice in one object")
        return found

    try:
        value = json.loads(read_text(path), object_pairs_hook=once)
    except CorruptFileError:
        raise
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise CorruptFileError(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a JSON {type(value).__name__}; an object is needed")
    return value


def lines_of(path: PathLike) -> Iterator[tuple[int, str]]:
    """Yield the number of each line, from 1, and the line with its line feed, one at a time.

    Only a line feed ends a line: texts have U+2028 and the like within them.

    Raises
    ------
    CorruptFileError
        A line is no text in UTF-8.
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as handle:
        for number, raw in enumerate(handle, start=1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise CorruptFileError(
                    f"{path}, line {number}: no text in UTF-8: {error.reason} at byte {error.start}"
                ) from error
            yield number, line.removeprefix("\ufeff") if number == 1 else line


def read_json_lines(path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line, from 1, and the JSON object on it. Blank lines are passed.

    Raises
    ------
    CorruptFileError
        A line is no JSON or no text in UTF-8.
    ValueError
        A line holds something else than an object.
    OSError
        The file cannot be opened.
    """
    for number, line in lines_of(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
            raise CorruptFileError(f"{path}, line {number}: no JSON: {error}") from error
        if not isinstance(value, dict):
            raise ValueError(
                f"{path}, line {number}: a JSON {type(value).__name__}; an object is needed"
            )
        yield number, value


def field_text(record: Mapping[str, Any], name: str, place: str) -> str:
    """Return a field of a record that must be there and be a string.

    Raises
    ------
    ValueError
        It is missing or something else; the error starts with `place`.
    """
    value = record.get(name)
    if not isinstance(value, str):
        found = f"is {value!r}" if name in record else "is missing"
        raise ValueError(f"{place}: {name!r} {found}; a string is needed")
    return value


def read_tabs(path: PathLike) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line, from 1, and its values between tabs. Blank lines are passed.

    Raises
    ------
    CorruptFileError
        The file is no text in UTF-8, or a line has more or fewer values than the first.
    OSError
        It cannot be opened.
    """
    width = 0
    for number, line in lines_of(path):
        if not line.strip():
            continue
        values = line.removesuffix("\n").removesuffix("\r").split("\t")
        width = width or len(values)
        if len(values) != width:
            raise CorruptFileError(
                f"{path}, line {number}: {len(values)} values between tabs; the lines before have "
                f"{width}"
            )
        yield number, values


def read_csv(path: PathLike, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line on which each row of a CSV file ends, and its values in these columns.

    Raises
    ------
    CorruptFileError
        The file is empty, no CSV or no text in UTF-8, or a row has too few or too many values.
    ValueError
        The header lacks a column.
    OSError
        The file cannot be opened.
    """
    reader = csv.reader((line for _, line in lines_of(path)), strict=True)
    header: list[str] | None = None
    places: list[int] = []
    try:
        for row in reader:
            if not row:
                continue
            if header is None:
                header = row
                places = [_place(header, column, path) for column in columns]
                continue
            if len(row) != len(header):
                raise CorruptFileError(
                    f"{path}, line {reader.line_num}: {len(row)} values; the header has "
                    f"{len(header)}"
                )
            yield reader.line_num, tuple(row[place] for place in places)
    except csv.Error as error:
        raise CorruptFileError(f"{path}, line {reader.line_num}: no CSV: {error}") from error
    if header is None:
        raise CorruptFileError(f"{path} is empty; a header with {', '.join(columns)} is needed")


def _place(header: Sequence[str], column: str, path: PathLike) -> int:
    if column not in header:
        raise ValueError(f"{path} has no column {column!r}; its columns: {', '.join(header)}")
    return list(header).index(column)


def read_items(path: PathLike, *, numbered: bool = True) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the items' keys and texts, row by row.

    A JSON object of items: ``{"0": {"title": …, "description": …}, …}`` or ``{"key": "text", …}``.
    Where all keys are whole numbers and `numbered`, they are rows and must be 0 to N-1; else rows
    are in the file's order.

    Raises
    ------
    ValueError
        No items, numbers that leave one out, or an item that is neither a text nor an object.
    CorruptFileError, OSError
        As `read_json_object`.
    """
    found = read_json_object(path)
    if not found:
        raise ValueError(f"{path} has no items")
    keys = tuple(found)
    if numbered and all(key.isascii() and key.isdigit() for key in keys):
        expected = tuple(str(row) for row in range(len(keys)))
        missing = next((key for key in expected if key not in found), None)
        if missing is not None:
            raise ValueError(
                f"{path} has {len(keys)} items but none with the key {missing!r}; numbers as keys "
                f"are rows, 0 to {len(keys) - 1}"
            )
        keys = expected
    return keys, tuple(item_text(found[key], f"{path}, item {key!r}") for key in keys)


def item_text(item: Any, place: str) -> str:
    """Return what an item says: a text, or the title and the description of an object.

    Either may be missing, as in Amazon's metadata.

    Raises
    ------
    ValueError
        It is something else; the error starts with `place`.
    """
    if isinstance(item, str):
        return plain_text(item)
    if not isinstance(item, dict):
        raise ValueError(f"{place} is {item!r}; a text or an object with a title is needed")
    title = plain_text(field_text(item, "title", place)) if item.get("title") else ""
    description = item.get("description") or ""
    if isinstance(description, list):
        description = " ".join(map(str, description))
    return join_sentences(title, plain_text(_unlisted(str(description))))


def join_sentences(title: str, rest: str) -> str:
    """Return the title and the rest as one text, with a stop between them."""
    if not (title and rest):
        return title or rest
    return f"{title} {rest}" if title[-1] in ".!?:" else f"{title}. {rest}"


def _unlisted(text: str) -> str:
    """Amazon's descriptions are lists of paragraphs, written out as Python does."""
    if not (text.startswith("[") and text.endswith("]")):
        return text
    try:
        parts = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return " ".join(map(str, parts)) if isinstance(parts, list) else text


def plain_text(text: str) -> str:
    """Return a text without HTML's tags, comments and entities, and with single spaces."""
    return " ".join(html.unescape(_MARKUP.sub(" ", text)).split())
