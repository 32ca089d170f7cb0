"""Hostile input: a defined error, or an exact result."""

from __future__ import annotations

from . import hostile_assign, hostile_keys
from .running import Run, Tried

TITLES = ("calls", "refused", "exact", "problems")


def hostile(run: Run) -> None:
    """Try so many cases, of calls of `assign` and of keys and segments."""
    calls, keys = Tried(), Tried()
    for case in range(run.options.cases):
        if run.over:
            break
        hostile_assign.try_one(run.options.seed, case, calls)
        hostile_keys.try_keys(run.options.seed, case, keys)
    run.head(f"Hostile input, seed {run.options.seed}", "what", *TITLES)
    for tried, ways in (
        (calls, [*hostile_assign.LOADS, *hostile_assign.WAYS]),
        (keys, [*hostile_keys.COLUMNS, *hostile_keys.SEGMENTS]),
    ):
        for way in ways:
            counted = (tried.tried, tried.refused, tried.exact, tried.wrong)
            run.say(way, *(counts[way] for counts in counted))
        run.problems += tried.problems[:20]
    wrong = len(calls.problems) + len(keys.problems)
    run.say("all, each call once", calls.calls + keys.calls, "", "", wrong)
