"""Who is tested with what, and which queries a result is looked at by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puresid.arrays import to_numpy
from puresid.checks import integer
from puresid.evaluation.task import Catalogue, Queries, Task, rows_of

__all__ = ["leave_last_out", "split_masks"]


def leave_last_out(
    histories: Mapping[str, Sequence[int]],
    catalogue: Catalogue,
    *,
    name: str,
    max_history: int | None = None,
    notes: Sequence[str] = (),
) -> Task:
    """Make a recommendation task of what users had: the last item of each is the test.

    A user's last item is wanted by a test query whose history is all before it; the one before by
    a validation query, likewise; the rest is the training sequence. Users with fewer than three
    items are only trained on. A training sequence of one item has no target and is left out.

    Parameters
    ----------
    histories : mapping of str to sequence of int
        Rows of `catalogue` per user, oldest first.
    catalogue : Catalogue
        The items.
    name : str
        What reports call the task.
    max_history : int, optional
        How many items a query's history may have: the latest are kept. Training sequences stay
        whole. Default: all.
    notes : sequence of str
        Further notes, which come first.

    Returns
    -------
    Task
        Queries are named after their users, in the order of `histories`.

    Raises
    ------
    TypeError
        Rows or `max_history` are no integers.
    ValueError
        A row is negative or beyond the catalogue, `max_history` is below 1, or no user has three
        items.
    """
    limit = None if max_history is None else integer(max_history, "max_history", 1)
    lists = rows_of(histories.values(), "histories")
    users = [user for user, rows in zip(histories, lists, strict=True) if len(rows) >= 3]
    long = [rows for rows in lists if len(rows) >= 3]
    if not long:
        raise ValueError(f"task {name!r}: no user has three items, so there is nothing to test")
    trained = [rows[:-2] if len(rows) >= 3 else rows for rows in lists]
    sequences = [rows for rows in trained if len(rows) >= 2]
    said = list(notes)
    if len(long) < len(lists):
        said.append(
            f"{len(lists) - len(long):,} of {len(lists):,} users have fewer than three items and "
            "are only trained on"
        )
    if len(sequences) < len(trained):
        said.append(
            f"{len(trained) - len(sequences):,} training sequences of fewer than two items are "
            "left out, since nothing in them is a target"
        )

    def asked(back: int) -> Queries:
        return Queries(
            ids=tuple(users),
            relevant=tuple(rows[len(rows) - back : len(rows) - back + 1] for rows in long),
            histories=tuple(latest(rows[: len(rows) - back], limit) for rows in long),
        )

    return Task(
        name=name,
        kind="recommendation",
        catalogue=catalogue,
        test=asked(1),
        validation=asked(2),
        sequences=tuple(sequences),
        notes=tuple(said),
    )


def latest(rows: NDArray[np.int64], limit: int | None) -> NDArray[np.int64]:
    """Return the last `limit` of the rows, all of them for None."""
    return rows if limit is None else rows[-limit:]


def split_masks(
    task: Task, nearest_sids: Any, *, moved: Any = None
) -> dict[str, NDArray[np.bool_]]:
    """Say which test queries belong to which split.

    Parameters
    ----------
    task : Task
        With Q test queries over N items.
    nearest_sids : array_like of int, shape (N, L)
        Each item's nearest SID, the same for all arms that are compared.
    moved : array_like of bool, shape (N,), optional
        Which items are not the owner of their nearest SID.

    Returns
    -------
    dict of str to ndarray, shape (Q,), bool
        ``"never"``: no wanted item is ever a training target. ``"cold"``: each at most once.
        ``"conflict"``: a wanted item shares its nearest SID with another item.
        ``"non_conflict"``: the other queries. ``"moved"``, only where `moved` is given: a wanted
        item is among them.

    Raises
    ------
    TypeError
        SIDs are no integers, or `moved` is not boolean.
    ValueError
        They are not one row per item.
    """
    items = len(task.catalogue)
    sids = np.asarray(to_numpy(nearest_sids))
    if sids.ndim != 2 or len(sids) != items or sids.shape[1] == 0:
        raise ValueError(f"nearest_sids has shape {sids.shape}; ({items}, levels) is needed")
    if sids.dtype.kind not in "iu":
        raise TypeError(f"nearest_sids has dtype {sids.dtype}; integer tokens are needed")
    _, group, sizes = np.unique(sids, axis=0, return_inverse=True, return_counts=True)
    shared = sizes[group.reshape(-1)] > 1

    wanted = np.concatenate(task.test.relevant)
    starts = np.cumsum([0, *map(len, task.test.relevant[:-1])])
    counts = np.maximum.reduceat(task.target_counts()[wanted], starts)
    conflict = np.logical_or.reduceat(shared[wanted], starts)
    masks = {
        "never": counts == 0,
        "cold": counts <= 1,
        "conflict": conflict,
        "non_conflict": ~conflict,
    }
    if moved is not None:
        flags = np.asarray(to_numpy(moved))
        if flags.dtype.kind != "b":
            raise TypeError(f"moved has dtype {flags.dtype}; one bool per item is needed")
        if flags.shape != (items,):
            raise ValueError(f"moved has shape {flags.shape}; ({items},) is needed")
        masks["moved"] = np.logical_or.reduceat(flags[wanted], starts)
    return masks
