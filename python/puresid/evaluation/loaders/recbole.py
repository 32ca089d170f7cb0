"""RecBole's atomic files: ``.inter``, and ``.item`` for the texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from puresid._formats import CorruptFileError, PathLike
from puresid.evaluation.loaders._reading import plain_text, read_tabs, task_name
from puresid.evaluation.splits import leave_last_out
from puresid.evaluation.task import Catalogue, Task

__all__ = ["load_recbole"]

_MILLISECONDS = 1e11  # as seconds this is the year 5138, as milliseconds 1973
_DAY = 86_400


@dataclass(frozen=True)
class _Events:
    """The lines of an ``.inter`` file, in order of time; equal times in the file's order."""

    users: list[str]
    items: list[str]
    times: list[float] | None
    has_rating: bool


def load_recbole(
    inter: PathLike,
    *,
    item: PathLike | None = None,
    text_fields: Sequence[str] | None = None,
    name: str | None = None,
    max_history: int | None = None,
) -> Task:
    """Load a recommendation task from RecBole's atomic files, split by `leave_last_out`.

    Every line is an interaction whatever its rating, and nobody is filtered out. Interactions are
    put in order of their timestamps; equal ones stay in the file's order, and a note says for how
    many users that decides which item is the last.

    Parameters
    ----------
    inter : str or path
        Values between tabs under a header such as ``user_id:token  item_id:token
        timestamp:float``. Without ``timestamp:float`` the file's order counts. Timestamps are in
        seconds; if the greatest is above 1e11, in milliseconds.
    item : str or path, optional
        The ``.item`` file: ``item_id:token`` and what else there is. Its items are then the
        catalogue, in its order, and after them those of `inter` that it lacks. Without it the
        items of `inter` are, in order of first appearance, and have no texts.
    text_fields : sequence of str, optional
        The columns of `item` that make an item's text, without their types. Default: all of the
        types ``token`` and ``token_seq`` but the id, in the file's order.
    name : str, optional
        What reports call the task. Default: the name of the file's folder.
    max_history : int, optional
        As for `leave_last_out`.

    Returns
    -------
    Task
        Of the kind "recommendation". Users are in order of first appearance in `inter`.

    Raises
    ------
    ValueError
        What is in a file is not as above; the error names the file and the line.
    CorruptFileError
        A line has more or fewer values than the header. (A `ValueError` too.)
    OSError
        A file cannot be opened.
    """
    events = _read_events(inter)
    notes: list[str] = []
    if item is not None:
        catalogue = _read_catalogue(item, text_fields, events, notes)
    elif text_fields is not None:
        raise ValueError("text_fields is given without item, the file whose columns it names")
    else:
        catalogue = Catalogue(tuple(dict.fromkeys(events.items)))
    rows = {key: row for row, key in enumerate(catalogue.keys)}
    histories: dict[str, list[int]] = {user: [] for user in events.users}
    times: dict[str, list[float]] = {user: [] for user in histories}
    for place in _in_order(events.times, len(events.users)):
        user = events.users[place]
        histories[user].append(rows[events.items[place]])
        if events.times is not None:
            times[user].append(events.times[place])
    return leave_last_out(
        histories,
        catalogue,
        name=task_name(inter, name),
        max_history=max_history,
        notes=notes + _notes(events, times, histories, len(catalogue)),
    )


def _in_order(times: list[float] | None, count: int) -> list[int]:
    if times is None:
        return list(range(count))
    return [int(place) for place in np.argsort(np.array(times), kind="stable")]


def _notes(
    events: _Events,
    times: dict[str, list[float]],
    histories: dict[str, list[int]],
    n_items: int,
) -> list[str]:
    notes = []
    if events.times is None:
        notes.append("the file has no timestamps: users' items are in its order, ties unseen")
    else:
        day = _DAY * (1000 if max(events.times) > _MILLISECONDS else 1)
        tested = [when for when in times.values() if len(when) >= 3]
        tied = sum(when[-1] == when[-2] for when in tested)
        same_day = sum(when[-1] // day == when[-2] // day for when in tested)
        if tested:
            notes.append(
                f"of {len(tested):,} tested users {tied:,} ({tied / len(tested):.1%}) have their "
                "last item at the same time as the one before, so that the file's order decides "
                f"which is tested, and {same_day:,} ({same_day / len(tested):.1%}) on the same day "
                "(UTC)"
            )
    if events.has_rating:
        notes.append("ratings are not looked at: every interaction counts")
    seen = len({row for rows in histories.values() for row in rows})
    if seen < n_items:
        notes.append(f"{n_items - seen:,} of {n_items:,} items have no interaction")
    return notes


def _header(values: list[str], path: PathLike, needed: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return the place and the type of each column by its name."""
    columns: dict[str, tuple[int, str]] = {}
    for place, value in enumerate(values):
        column, colon, kind = value.strip().rpartition(":")
        if not colon:
            raise ValueError(
                f"{path}, line 1: {value!r} is no column of an atomic file; a name and a type are "
                "needed, such as user_id:token"
            )
        columns[column] = (place, kind)
    for column in needed:
        if column not in columns:
            raise ValueError(
                f"{path} has no column {column!r}; its columns: {', '.join(columns) or 'none'}"
            )
    return columns


def _read_events(path: PathLike) -> _Events:
    lines = read_tabs(path)
    _, first = next(lines, (0, None))
    if first is None:
        raise CorruptFileError(f"{path} is empty; a header such as user_id:token is needed")
    columns = _header(first, path, ("user_id", "item_id"))
    user, item = columns["user_id"][0], columns["item_id"][0]
    when = columns.get("timestamp")
    events = _Events([], [], None if when is None else [], "rating" in columns)
    for number, values in lines:
        events.users.append(values[user])
        events.items.append(values[item])
        if when is not None and events.times is not None:
            events.times.append(_timestamp(values[when[0]], f"{path}, line {number}"))
    if not events.users:
        raise ValueError(f"{path} has no interactions")
    return events


def _timestamp(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{place}: timestamp is {text!r}; a finite number is needed")
    return value


def _read_catalogue(
    path: PathLike, text_fields: Sequence[str] | None, events: _Events, notes: list[str]
) -> Catalogue:
    lines = read_tabs(path)
    _, first = next(lines, (0, None))
    if first is None:
        raise CorruptFileError(f"{path} is empty; a header such as item_id:token is needed")
    columns = _header(first, path, ("item_id", *(text_fields or ())))
    if text_fields is None:
        text_fields = [
            column
            for column, (_, kind) in columns.items()
            if column != "item_id" and kind in ("token", "token_seq")
        ]
    places = [columns[column][0] for column in text_fields]
    keys: dict[str, str] = {}
    for number, values in lines:
        key = values[columns["item_id"][0]]
        if key in keys:
            raise ValueError(f"{path}, line {number}: item {key!r} comes twice")
        keys[key] = ". ".join(filter(None, (plain_text(values[place]) for place in places)))
    if not keys:
        raise ValueError(f"{path} has no items")
    listed = len(keys)
    for key in events.items:
        keys.setdefault(key, "")
    if len(keys) > listed:
        notes.append(
            f"{len(keys) - listed:,} items that the .item file lacks are put after the "
            f"{listed:,} that it has, without texts"
        )
    return Catalogue(tuple(keys), tuple(keys.values()) if places else None)
