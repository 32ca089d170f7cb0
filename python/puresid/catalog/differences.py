"""What has changed between two generations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from puresid.catalog.places import Places
from puresid.catalog.results import Diff, Items
from puresid.catalog.state import State

__all__ = ["difference", "items_at"]


def items_at(state: State, places: Places) -> Items:
    """Return the items at some places."""
    return Items(state.keys(places), state.sids(places), state.slots(places))


def difference(before: State, now: State, *, since: int, until: int, one_epoch: bool) -> Diff:
    """Compare two states.

    Parameters
    ----------
    before, now : State
    since, until : int
        Their generations.
    one_epoch : bool
        Whether they are of one, where the parts of the first are the first of the second's. Two
        epochs may have the same codebooks.
    """
    if one_epoch:
        old, new, changed = _apart(before, now)
    else:
        old, new, changed = before.live_places(), now.live_places(), Places.none()
    # What is not in the same place in both is told by its key.
    here = now.places(before.keys(old))
    was = before.places(now.keys(new))
    ours, theirs = old.chosen(here.found), here.chosen(here.found)
    moved = _differ(before, ours, now, theirs)
    drifted = (before.digests(ours) != now.digests(theirs)).any(axis=1) & ~moved
    return Diff(
        since=since,
        until=until,
        added=items_at(now, new.chosen(~was.found)),
        removed=items_at(before, old.chosen(~here.found)),
        moved=items_at(now, theirs.chosen(moved)),
        moved_from=items_at(before, ours.chosen(moved)),
        updated=items_at(now, Places.joined([changed, theirs.chosen(drifted)])),
    )


def _apart(before: State, now: State) -> tuple[Places, Places, Places]:
    """Return what is only in the first, only in the second, and in both with another vector."""
    old, new, changed = [], [], []
    for number, part in enumerate(now.parts):
        if number >= len(before.parts):
            new.append(Places.of_part(number, part.live_rows()))
            continue
        was = before.parts[number]
        rows = was.live_rows()
        there = part.live(rows)
        old.append(Places.of_part(number, rows[~there]))
        if was.digests is not part.digests:
            rows = rows[there]
            differ = (was.digests[rows] != part.digests[rows]).any(axis=1)
            changed.append(Places.of_part(number, rows[differ]))
    return Places.joined(old), Places.joined(new), Places.joined(changed)


def _differ(before: State, ours: Places, now: State, theirs: Places) -> npt.NDArray[np.bool_]:
    """Say of each item whether its SID, or slot, is another."""
    if before.codebooks.n_levels != now.codebooks.n_levels:
        return np.ones(len(ours), dtype=np.bool_)
    differ: npt.NDArray[np.bool_] = (before.sids(ours) != now.sids(theirs)).any(axis=1)
    slots, other = before.slots(ours), now.slots(theirs)
    if slots is not None and other is not None:
        differ |= slots != other
    return differ
