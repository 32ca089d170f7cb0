"""The JSON Lines of LMIndexer and of the paper's authors: words in, a SID's tokens out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from puresid._formats import PathLike
from puresid.evaluation.loaders._pairs import NO_QUERIES, gather, repeated
from puresid.evaluation.loaders._reading import (
    field_text,
    item_text,
    read_json_lines,
    read_json_object,
    task_name,
)
from puresid.evaluation.task import Catalogue, Queries, Task

__all__ = ["load_lmindexer"]

_TOKEN = re.compile(r"<id_(\d+)_(\d+)>", re.ASCII)
_CODE = re.compile(r"\d+(?:,\d+)*", re.ASCII)

Code = tuple[int, ...]


@dataclass(frozen=True)
class _Codes:
    """Which rows have a code, as it is and with the counter that the authors append."""

    n_items: int
    plain: Mapping[Code, list[int]]
    counted: Mapping[Code, int]

    def rows(self, code: Code) -> list[int]:
        """Return the items that a target may mean, none where it is unknown."""
        if code in self.plain:
            return self.plain[code]
        return [self.counted[code]] if code in self.counted else []


def load_lmindexer(
    test: PathLike,
    codes: PathLike,
    *,
    valid: PathLike | None = None,
    train: PathLike | None = None,
    items: PathLike | None = None,
    kind: str = "retrieval",
    name: str | None = None,
) -> Task:
    """Load a task whose targets are written as the SIDs of one quantizer.

    The codes only say which item a target is; the SIDs that are evaluated are made anew.
    Histories written out in words (the authors' recommendation) are queries like any other.

    Parameters
    ----------
    test, valid, train : str or path
        JSON Lines ``{"source": words, "target": "<id_0_12><id_1_5>…"}``. Lines of `test` and
        `valid` with the same words are one query that wants several items; each line of `train` is
        a query of its own, as it was trained on. Only `test` is needed.
    codes : str or path
        The code file, ``{"1": "12,5,200", …}``: item n is row n - 1. Targets with one token more
        than their code have the authors' counter, which counts the items with the same code in the
        file's order.
    items : str or path, optional
        JSON Lines, one item per line in the order of the codes: ``{"item_id": …, "title": …,
        "description": …}``. Without it the keys are the numbers of `codes` and there are no texts.
    kind : {"retrieval", "search"}
        What the task is called.
    name : str, optional
        What reports call the task. Default: the name of the folder of `test`.

    Returns
    -------
    Task
        Test and validation queries are in order of first appearance and named after their first
        line, as are training queries. A line whose target is the code of several items is left
        out, since nothing says which one is wanted; notes say how many.

    Raises
    ------
    ValueError
        What is in a file is not as above, or a target is no item's; the error names the file and
        the line.
    CorruptFileError
        A line is no JSON. (A `ValueError` too.)
    OSError
        A file cannot be opened.
    """
    table = _read_codes(codes)
    catalogue = _read_catalogue(items, table.n_items)
    notes: list[str] = []
    tested = _read(test, table, notes, "test", together=True)
    validated = NO_QUERIES if valid is None else _read(valid, table, notes, "valid", together=True)
    trained = NO_QUERIES if train is None else _read(train, table, notes, "train", together=False)
    if train is None:
        notes.append("there are no training queries")
    return Task(
        name=task_name(test, name),
        kind=kind,
        catalogue=catalogue,
        test=tested,
        validation=validated,
        train=trained,
        notes=(*notes, *repeated(tested, trained)),
    )


def _read_codes(path: PathLike) -> _Codes:
    found = read_json_object(path)
    plain: dict[Code, list[int]] = {}
    counted: dict[Code, int] = {}
    for number, value in found.items():
        place = f"{path}, item {number!r}"
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= len(found)):
            raise ValueError(f"{place}: a number from 1 to {len(found)} is needed")
        if not isinstance(value, str) or not _CODE.fullmatch(value):
            raise ValueError(f'{place}: {value!r}; tokens such as "12,5,200" are needed')
        code = tuple(map(int, value.split(",")))
        if plain and len(code) != len(next(iter(plain))):
            raise ValueError(
                f"{place} has {len(code)} tokens; the items before have {len(next(iter(plain)))}"
            )
        same = plain.setdefault(code, [])
        with_counter = (*code, len(same))
        counted[with_counter] = int(number) - 1
        same.append(int(number) - 1)
    if not found:
        raise ValueError(f"{path} has no items")
    if len({row for rows in plain.values() for row in rows}) < len(found):
        raise ValueError(f"{path}: an item comes twice, as 1 and 01 for example")
    return _Codes(len(found), plain, counted)


def _read_catalogue(path: PathLike | None, count: int) -> Catalogue:
    if path is None:
        return Catalogue(tuple(str(number) for number in range(1, count + 1)))
    keys, texts = [], []
    for line, record in read_json_lines(path):
        place = f"{path}, line {line}"
        key: Any = record.get("item_id")
        if not isinstance(key, (str, int)):
            raise ValueError(f"{place}: 'item_id' is {key!r}; a string is needed")
        keys.append(str(key))
        texts.append(item_text(record, place))
    if len(keys) != count:
        raise ValueError(f"{path} has {len(keys)} items; there are {count} codes")
    return Catalogue(tuple(keys), tuple(texts))


def _read(path: PathLike, codes: _Codes, notes: list[str], what: str, *, together: bool) -> Queries:
    wanted: dict[str, dict[int, float]] = {}
    texts: dict[str, str] = {}
    named: dict[str, str] = {}
    unclear = 0
    for line, record in read_json_lines(path):
        place = f"{path}, line {line}"
        source = field_text(record, "source", place)
        rows = codes.rows(_target(field_text(record, "target", place), place))
        if not rows:
            raise ValueError(f"{place}: no item has the code of the target {record['target']!r}")
        if len(rows) > 1:
            unclear += 1
            continue
        query = named.setdefault(source, str(line)) if together else str(line)
        texts[query] = source
        wanted.setdefault(query, {})[rows[0]] = 1.0
    if unclear:
        notes.append(
            f"{what}: {unclear:,} lines whose target is the code of several items are left out"
        )
    return gather(wanted, texts)


def _target(text: str, place: str) -> Code:
    tokens = _TOKEN.findall(text)
    levels = [int(level) for level, _ in tokens]
    whole = "".join(f"<id_{level}_{token}>" for level, token in tokens) == text
    if not (tokens and whole and levels == list(range(len(levels)))):
        raise ValueError(
            f"{place}: target is {text!r}; one token per level is needed, such as <id_0_12><id_1_5>"
        )
    return tuple(int(token) for _, token in tokens)
