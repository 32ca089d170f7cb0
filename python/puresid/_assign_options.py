"""What `assign` takes beside vectors and codebooks, checked, and what follows from it."""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid.arrays import item_weights
from puresid.codebooks import Codebooks

METHODS = ("ecm", "rrs", "beam", "optimal", "nearest", "suffix")
UNIQUE = ("ecm", "rrs", "beam", "optimal")
"""Those that look for other SIDs than the nearest."""
SEARCHING = ("beam", "optimal")
"""Those that keep partial SIDs, and so have a width."""
SEARCHES = ("all", "conflicts")
MOST_SEARCHED = 1 << 25
"""Items times codewords of the largest level: up to that ``"optimal"`` searches for all items."""
WIDTHS = {"beam": 64, "all": 256, "conflicts": 5}
GAP = 1e-3
MOST_WIDTH = 1024


def checked_tiers(tiers: Any, n_levels: int) -> list[list[int]]:
    """Return tiers as lists of positive integers; the default ones for None.

    Raises
    ------
    TypeError, ValueError
        They are no sequence of sequences of positive integers.
    """
    if tiers is None:
        return _core.default_tiers(n_levels)
    if isinstance(tiers, (str, bytes)) or not hasattr(tiers, "__iter__"):
        raise TypeError(f"tiers is {tiers!r}; a sequence of tiers is needed, such as ((1, 1, 10),)")
    checked = []
    for number, tier in enumerate(tiers):
        if isinstance(tier, (str, bytes)) or not hasattr(tier, "__iter__"):
            raise TypeError(f"tiers[{number}] is {tier!r}; one integer per level is needed")
        widths = []
        for level, width in enumerate(tier):
            try:
                widths.append(operator.index(width))
            except TypeError:
                raise TypeError(
                    f"tiers[{number}][{level}] is {width!r}; an integer is needed"
                ) from None
            if widths[-1] < 1:
                raise ValueError(f"tiers[{number}][{level}] is {width}; at least 1 is needed")
        checked.append([min(width, 2**32) for width in widths])
    return checked


_SCALINGS = {"compared": "cosine", "kept": "normalised residuals"}


def checked_width(width: Any, method: str, search: str, tiers: Any, books: Codebooks) -> int:
    if method not in SEARCHING:
        if width is not None:
            raise ValueError(
                f"width is {width!r}; only methods 'beam' and 'optimal' have one, not {method!r}"
            )
        return WIDTHS["beam"]
    if tiers is not None:
        raise ValueError(f"tiers is {tiers!r}; method {method!r} has a width instead")
    if books.scaling != "none":
        raise ValueError(
            f"codebooks compare residuals at length 1 ({_SCALINGS[books.scaling]}), so distortions "
            f"do not say which SID is near; method {method!r}, which orders by them, is not for "
            "these"
        )
    if width is None:
        return WIDTHS[search if method == "optimal" else method]
    try:
        number = operator.index(width)
    except TypeError:
        raise TypeError(f"width is {width!r}; an integer is needed") from None
    if not 1 <= number <= MOST_WIDTH:
        raise ValueError(f"width is {width!r}; it must be from 1 to {MOST_WIDTH}")
    return number


def used_tiers(
    method: str, widths: list[list[int]], width: int, sizes: tuple[int, ...]
) -> tuple[tuple[int, ...], ...]:
    if method not in SEARCHING:
        return tuple(tuple(map(min, tier, sizes)) for tier in widths)
    partial = itertools.accumulate(sizes, operator.mul)
    return (tuple(min(width, number) for number in partial),)


def checked_gap(gap: Any, method: str) -> float:
    if gap is None:
        return GAP
    if method != "optimal":
        raise ValueError(f"gap is {gap!r}; only method 'optimal' has one, not {method!r}")
    if not isinstance(gap, (int, float, np.number)):
        raise TypeError(f"gap is {gap!r}; a number is needed")
    if not 0 <= gap < 1:
        raise ValueError(f"gap is {gap!r}; it must be from 0 to less than 1")
    return float(gap)


def checked_search(search: Any, method: str, items: int, sizes: tuple[int, ...]) -> str:
    if search is None:
        return "all" if items * max(sizes) <= MOST_SEARCHED else "conflicts"
    if method != "optimal":
        raise ValueError(f"search is {search!r}; only method 'optimal' has one, not {method!r}")
    if not isinstance(search, str) or search not in SEARCHES:
        raise ValueError(f"search is {search!r}; it must be 'all' or 'conflicts'")
    return search


def checked_weights(weights: Any, method: str, items: int) -> npt.NDArray[np.float64] | None:
    if weights is None:
        return None
    if method != "optimal":
        raise ValueError(f"weights were given; only method 'optimal' has them, not {method!r}")
    return item_weights(weights, items)


def bound(method: str, over_lists: float, over_all: float, gap: float) -> tuple[float, str]:
    if method != "optimal":
        return math.nan, ""
    if over_all >= (1 - gap) * over_lists:
        return over_all, "all"
    return over_lists, "listed"


def checked_limit(max_distortion: Any) -> float:
    if max_distortion is None:
        return math.inf
    if isinstance(max_distortion, (int, float, np.number)):
        return float(max_distortion)
    raise TypeError(f"max_distortion is {max_distortion!r}; a number is needed")
