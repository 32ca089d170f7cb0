"""The counter token, as TIGER-like code bases make SIDs unique: quantise, then append 0, 1, 2, …

The first item with a SID gets 0, the next with the same SID gets 1, and so on, in row order. The
token says nothing about the item, and every SID becomes one longer.
"""

from __future__ import annotations

import numpy as np

from bench.data import Tokens


def with_loop(sids: list[list[int]]) -> list[list[int]]:
    """The usual loop over a dict of how often each SID was seen."""
    seen: dict[tuple[int, ...], int] = {}
    result = []
    for sid in sids:
        key = tuple(sid)
        count = seen.get(key, 0)
        seen[key] = count + 1
        result.append([*sid, count])
    return result


def with_numpy(sids: Tokens, sizes: tuple[int, ...]) -> Tokens:
    """The same column without a Python loop: sort by SID, count from each group's first row."""
    # A SID as one number: sorting a column of these is several times quicker than sorting rows.
    keys = np.ravel_multi_index(tuple(sids.T), sizes)
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    place = np.arange(len(keys))
    first = np.ones(len(keys), dtype=bool)
    first[1:] = ranked[1:] != ranked[:-1]
    counts = np.empty_like(place)
    counts[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return np.column_stack((sids, counts))
