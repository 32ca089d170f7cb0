"""``interactions.json``: what each user had, in order of time."""

from __future__ import annotations

from typing import Any

from puresid._formats import PathLike
from puresid.evaluation.loaders._reading import read_items, read_json_object, task_name
from puresid.evaluation.splits import leave_last_out
from puresid.evaluation.task import Catalogue, Task

__all__ = ["load_interactions"]


def load_interactions(
    interactions: PathLike,
    *,
    items: PathLike | None = None,
    name: str | None = None,
    max_history: int | None = None,
) -> Task:
    """Load a recommendation task, split by `leave_last_out`.

    Parameters
    ----------
    interactions : str or path
        A JSON object ``{user: [item, …], …}``, oldest first, as the ``.inter.json`` of LC-Rec and
        LETTER. Items are rows (numbers) or keys (strings).
    items : str or path, optional
        A JSON object of items with their texts: ``{"0": {"title": …, "description": …}, …}`` or
        ``{"key": "text"}``. Without it the catalogue is the rows 0 to the greatest that occurs, or
        the keys in order of first appearance, and has no texts.
    name : str, optional
        What reports call the task. Default: the name of the file's folder.
    max_history : int, optional
        As for `leave_last_out`.

    Returns
    -------
    Task
        Of the kind "recommendation". Users, and so queries, are in the file's order.

    Raises
    ------
    ValueError
        What is in a file is not as above; the error names the file and the user or item.
    CorruptFileError
        A file is no JSON. (A `ValueError` too.)
    OSError
        A file cannot be opened.
    """
    found = read_json_object(interactions)
    if not found:
        raise ValueError(f"{interactions} has no users")
    numbered = _is_numbered(found, interactions)
    if items is not None:
        keys, texts = read_items(items)
        catalogue = Catalogue(keys, texts)
    elif numbered:
        catalogue = Catalogue(tuple(map(str, range(_greatest(found) + 1))))
    else:
        catalogue = Catalogue(tuple(dict.fromkeys(key for had in found.values() for key in had)))
    rows: dict[int | str, int] = {
        row if numbered else key: row for row, key in enumerate(catalogue.keys)
    }
    histories = {}
    for user, had in found.items():
        try:
            histories[user] = [rows[item] for item in had]
        except KeyError as error:
            raise ValueError(
                f"{interactions}, user {user!r}: no item {error.args[0]!r} in the catalogue of "
                f"{len(catalogue)} items"
            ) from None
    repeats = sum(had[-1] in had[:-1] for had in histories.values() if len(had) >= 3)
    notes = [
        "users' items are in the file's order, which has no timestamps, so ties cannot be seen"
    ]
    if repeats:
        notes.append(f"{repeats:,} test items are in their own history")
    return leave_last_out(
        histories,
        catalogue,
        name=task_name(interactions, name),
        max_history=max_history,
        notes=notes,
    )


def _is_numbered(found: dict[str, Any], path: PathLike) -> bool:
    """Whether items are rows; checks that all of them are of one kind."""
    kind: type | None = None
    for user, had in found.items():
        if not isinstance(had, list):
            raise ValueError(f"{path}, user {user!r}: {had!r}; a list of items is needed")
        for place, item in enumerate(had):
            if type(item) not in (int, str) or (type(item) is int and item < 0):
                raise ValueError(
                    f"{path}, user {user!r}, item {place}: {item!r}; a row (a number from 0) or a "
                    "key (a string) is needed"
                )
            if type(item) is not kind and kind is not None:
                raise ValueError(
                    f"{path}, user {user!r}, item {place}: {item!r}; the items before are "
                    f"{'rows' if kind is int else 'keys'}"
                )
            kind = type(item)
    if kind is None:
        raise ValueError(f"{path}: no user has any item")
    return kind is int


def _greatest(found: dict[str, Any]) -> int:
    return int(max(max(had) for had in found.values() if had))
