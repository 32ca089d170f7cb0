"""Hostile keys and columns of catalogues: a defined error, or what a dict gives.

Keys come as users have them; a segment's columns in types, orders and shapes that fit or do not.
What is taken is held to plain Python: the keys themselves, which come twice, and who has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .running import Tried

Chance = np.random.Generator
_TEXTS = (
    "",
    "\0",
    "a\0",
    "é",
    "é",
    "\U0001d54f",
    "a" * 300,
    " ",
    "\n",
    "\uff21",
    "ß",
    "ss",
    "\u2028",
)


@dataclass
class Column:
    """Keys as they are handed over, what they plainly are, and whether they must be refused."""

    keys: Any
    plain: list[Any]
    refused: bool = False


def _integers(chance: Chance) -> list[int]:
    edges = [0, -1, 1, 2**63 - 1, -(2**63), 2**53 + 1]
    drawn = chance.integers(-(2**63), 2**63 - 1, 12).tolist() + chance.integers(-9, 9, 12).tolist()
    return [int(value) for value in chance.permutation(np.array(drawn + edges, object))]


def integers(chance: Chance) -> Column:
    plain = _integers(chance)
    return Column(plain, plain)


def texts(chance: Chance) -> Column:
    plain = [str(_TEXTS[i]) for i in chance.integers(0, len(_TEXTS), 12)]
    plain += [f"item-{i}" for i in chance.integers(0, 40, 12)]
    return Column(plain, plain)


def integer_arrays(chance: Chance) -> Column:
    types = ("i1", "u1", ">i2", "<u4", ">i8", "<i8", "<u8", "O")
    values = chance.integers(0, 100, 40).astype(chance.choice(types))
    kind = chance.integers(3)
    laid_out = (values, np.repeat(values, 2)[::2], values[::-1])[kind]
    plain = [int(value) for value in laid_out]
    return Column(laid_out, plain)


def text_arrays(chance: Chance) -> Column:
    plain = [f"é{i}" for i in chance.integers(0, 100, 30)]
    array = np.array(plain, chance.choice(["O", "U", ">U9"]))
    kind = chance.integers(3)
    laid_out = (array, np.repeat(array, 2)[::2], array[::-1])[kind]
    return Column(laid_out, [str(value) for value in laid_out])


def empty(chance: Chance) -> Column:
    makers: tuple[Any, ...] = ([], np.empty(0, "i8"), np.empty(0, "U3"), np.empty(0, "O"))
    return Column(makers[chance.integers(len(makers))], [])


def not_keys(chance: Chance) -> Column:
    wrong: tuple[Any, ...] = (
        *([1, None], [1, 2.0], [True, False], [b"x"], [1, "1"], ["1", 1], [float("nan")]),
        *([2**63], [-(2**63) - 1], ["ok", "\ud800"], [[1], [2]], [(1,)], [np.datetime64(1, "s")]),
        *("keys", b"keys", 5, None, {"a": 1}, np.zeros((2, 2), int), np.zeros(3)),
        *(np.zeros(2, bool), np.zeros(2, complex), np.array([2**64 - 1], "u8")),
        *(np.zeros(2, "M8[s]"), np.array([b"a"]), np.array(3), [1 + 0j], [np.True_]),
    )
    return Column(wrong[chance.integers(len(wrong))], [], refused=True)


COLUMNS: dict[str, Callable[[Chance], Column]] = {
    "keys: integers to both ends": integers,
    "keys: odd text": texts,
    "keys: arrays of integers, any order": integer_arrays,
    "keys: arrays of text": text_arrays,
    "keys: none": empty,
    "keys: neither integers nor text": not_keys,
}


def _outcome(act: Callable[[], str], refused: bool) -> str:
    try:
        said = act()
    except (TypeError, ValueError) as error:
        if not str(error):
            return f"{type(error).__name__} without a word"
        return "refused" if refused else f"refused without a reason: {error!r}"
    except BaseException as error:
        return f"no defined error: {error!r}"
    return "taken, where it must be refused" if refused and said == "exact" else said


def _check_keys(column: Column) -> str:
    from puresid.catalog.keys import Keys

    keys = Keys.of(column.keys)
    first: dict[Any, int] = {}
    again = [row for row, key in enumerate(column.plain) if first.setdefault(key, row) != row]
    if keys.tolist() != column.plain:
        return "other keys"
    if keys.duplicates().tolist() != again:
        return "other duplicates"
    hashes = keys.hashes().tolist()
    if [hashes[first[key]] for key in column.plain] != hashes:
        return "equal keys with different hashes"
    return "exact"


def _wrong_column(chance: Chance, columns: dict[str, Any]) -> None:
    """Give a column of a segment another type, order of bytes, length or shape."""
    name = str(chance.choice(["sids", "digests", "stages"]))
    array = columns[name]
    odd: tuple[Any, ...] = (
        array.astype(array.dtype.newbyteorder(">")) if array.itemsize > 1 else array.astype("f4"),
        *(array.astype("i8"), array.astype("f8"), array.astype("O"), array.tolist(), None),
        *(array[:-1], np.concatenate([array, array[:1]]), array[None], array.reshape(-1)[:, None]),
    )
    columns[name] = odd[chance.integers(len(odd))]


def _segment(chance: Chance, way: str) -> tuple[Column, dict[str, Any]]:
    column = (integers, texts)[chance.integers(2)](chance)
    different = list(dict.fromkeys(column.plain))
    refused = way != "segment: columns in any layout"
    if way == "segment: a key twice":
        different.insert(int(chance.integers(len(different))), different[-1])
    n = len(different)
    sids = chance.integers(0, 4, (n, 3)).astype(chance.choice(["u2", "u4"]))
    digests = chance.integers(0, 9, (n, 2)).astype("u8")
    columns: dict[str, Any] = {"sids": sids, "digests": digests, "stages": np.zeros(n, "i1")}
    if way == "segment: columns in any layout":
        columns["sids"] = (np.asfortranarray(sids), np.repeat(sids, 2, 0)[::2], sids[::-1][::-1])[
            chance.integers(3)
        ]
        columns["digests"] = np.asfortranarray(digests)
    elif way == "segment: columns that do not fit":
        _wrong_column(chance, columns)
    return Column(different, different, refused), columns


def _check_segment(column: Column, columns: dict[str, Any]) -> str:
    from puresid.catalog.keys import Keys
    from puresid.catalog.segment import Segment

    made = Segment.of(Keys.of(column.keys), **columns)
    rows = {key: row for row, key in enumerate(column.plain)}
    other = ["no such key", "x"] if isinstance(column.plain[0], str) else [77, -77]
    asked = [*column.plain[::-1], *other]
    if made.rows_of(Keys.of(asked)).tolist() != [rows.get(key, -1) for key in asked]:
        return "other rows of keys"
    sids = np.asarray(columns["sids"]).tolist()
    wanted = [*sids[:9], [9, 9, 9]]
    offsets, found = made.rows_of_sids(wanted)
    for place, sid in enumerate(wanted):
        expected = [row for row, own in enumerate(sids) if own == sid]
        if found[offsets[place] : offsets[place + 1]].tolist() != expected:
            return "other rows of a SID"
    prefix = sorted((sid, row) for row, sid in enumerate(sids) if sid[:1] == sids[0][:1])
    if made.prefix(sids[0][:1]).tolist() != [row for _, row in prefix]:
        return "other rows of a prefix"
    again = [row for row, sid in enumerate(sids) if sid in sids[:row]]
    return "exact" if made.repeated_sids().tolist() == again else "other repeated SIDs"


SEGMENTS = (
    "segment: columns in any layout",
    "segment: a key twice",
    "segment: columns that do not fit",
)


def try_keys(seed: int, case: int, found: Tried) -> None:
    """Make a case, a function of its number, and note what came of it."""
    chance = np.random.default_rng([seed, case, 1])
    every = [*COLUMNS, *SEGMENTS]
    way = every[case % len(every)]
    if way in COLUMNS:
        column = COLUMNS[way](chance)
        outcome = _outcome(lambda: _check_keys(column), column.refused)
    else:
        column, columns = _segment(chance, way)
        outcome = _outcome(lambda: _check_segment(column, columns), column.refused)
    found.note([way], outcome, f"hostile keys, seed {seed}, case {case}")
