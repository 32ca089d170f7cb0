"""How full the space of SIDs is, prefix by prefix."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.codebooks import Codebooks

__all__ = [
    "WARNED_LOAD",
    "Held",
    "PrefixLoad",
    "PrefixLoadWarning",
    "prefix_loads",
    "warn_of_load",
]

WARNED_LOAD = 0.7
TENTHS = 10
_COUNTERS_PER_SID = 4
"""Prefixes get a counter of 8 bytes each where there are no more of them than so; else a sort."""


class PrefixLoadWarning(UserWarning):
    """Some prefixes are nearly full: new items with such vectors get SIDs from farther away."""


@dataclass(frozen=True)
class PrefixLoad:
    """How full the prefixes of one length are: SIDs given out below each ÷ those there can be.

    SIDs of removed items count, as long as they are not given out again.

    Attributes
    ----------
    tokens : int
        Length of the prefixes; 0 for the one that all SIDs begin with.
    room : int
        SIDs that there can be below each.
    prefixes : int
        Those with a SID below them.
    fullest : int
        SIDs below the fullest.
    tenths : tuple of int
        Prefixes by load: above 0 to 0.1, above 0.1 to 0.2, …, above 0.9 to 1.
    near_full : int
        Prefixes with a load of 0.7 and more.
    items_near_full : int
        SIDs below these.
    """

    tokens: int
    room: int
    prefixes: int
    fullest: int
    tenths: tuple[int, ...]
    near_full: int
    items_near_full: int

    @property
    def load(self) -> float:
        """Of the fullest."""
        return self.fullest / self.room


@dataclass(frozen=True)
class Held:
    """How many SIDs may not be given out: what an addition counts, and a manifest says.

    Attributes
    ----------
    sids : int
        One with several slots counts as often.
    loads : tuple of PrefixLoad
        Of `prefix_loads`.
    """

    sids: int
    loads: tuple[PrefixLoad, ...]

    @classmethod
    def of(
        cls, sids: Sequence[npt.NDArray[Any]], codebooks: Codebooks, *, capacity: int = 1
    ) -> Held:
        """Count; parameters as those of `prefix_loads`."""
        return cls(sum(map(len, sids)), prefix_loads(sids, codebooks, capacity=capacity))


def prefix_loads(
    sids: Sequence[npt.NDArray[Any]], codebooks: Codebooks, *, capacity: int = 1
) -> tuple[PrefixLoad, ...]:
    """Count SIDs below prefixes.

    Parameters
    ----------
    sids : sequence of ndarray of int, shape (n, L) or more columns
        Those given out; one that has several slots comes as often.
    codebooks : Codebooks
    capacity : int
        Items that one SID may have.

    Returns
    -------
    tuple of PrefixLoad
        For prefixes of 1 to L - 1 tokens; for L = 1 of no tokens.
    """
    sizes = codebooks.sizes
    longest = len(sizes) - 1
    numbers = np.concatenate([_numbers(matrix, sizes[:longest]) for matrix in sids])
    counted = math.prod(sizes[:longest])
    if max(counted, int(numbers.max(initial=0))) <= _COUNTERS_PER_SID * len(numbers):
        counts = np.bincount(numbers.astype(np.int64), minlength=1)
        prefixes = np.flatnonzero(counts).astype(np.uint64)
        counts = counts[prefixes]
    else:
        prefixes, counts = np.unique(numbers, return_counts=True)
    found = []
    for tokens in range(longest, 0, -1) if longest else (0,):
        room = math.prod(sizes[tokens:]) * capacity
        found.append(_load(tokens, room, counts))
        # Prefixes are in order, so those of one shorter prefix stand side by side.
        prefixes //= np.uint64(sizes[tokens - 1])
        starts = np.flatnonzero(np.diff(prefixes, prepend=prefixes[:1] + np.uint64(1)))
        counts = np.add.reduceat(counts, starts) if len(starts) else counts[:0]
        prefixes = prefixes[starts]
    return tuple(reversed(found))


def _numbers(sids: npt.NDArray[Any], sizes: Sequence[int]) -> npt.NDArray[np.uint64]:
    numbers = np.zeros(len(sids), dtype=np.uint64)
    for level, size in enumerate(sizes):
        numbers *= np.uint64(size)
        numbers += sids[:, level]
    return numbers


def _load(tokens: int, room: int, counts: npt.NDArray[np.int64]) -> PrefixLoad:
    # By whole numbers, so that a bound is met exactly: a load of t/10 is in the tenth below it.
    limits = [room * tenth // TENTHS for tenth in range(1, TENTHS + 1)]
    tenths = np.bincount(np.searchsorted(limits, counts), minlength=TENTHS)[:TENTHS]
    near = counts * TENTHS >= room * round(WARNED_LOAD * TENTHS)
    return PrefixLoad(
        tokens=tokens,
        room=room,
        prefixes=len(counts),
        fullest=int(counts.max(initial=0)),
        tenths=tuple(tenths.tolist()),
        near_full=int(near.sum()),
        items_near_full=int(counts[near].sum()),
    )


def warn_of_load(loads: tuple[PrefixLoad, ...], *, stacklevel: int) -> None:
    """Warn where prefixes of the longest length are nearly full."""
    if not loads:
        return
    last = loads[-1]
    if last.near_full:
        warnings.warn(
            f"{last.near_full} of {last.prefixes} prefixes of {last.tokens} tokens have a load of "
            f"{WARNED_LOAD} or more, and {last.items_near_full} SIDs below them; new items there "
            "get SIDs from farther away: larger codebooks or one more level make room",
            PrefixLoadWarning,
            stacklevel=stacklevel + 1,
        )
