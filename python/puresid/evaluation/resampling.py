"""Intervals and tests by drawing users again: bootstrap, sign flips, Holm's correction.

Work goes in blocks of bounded size, and one series of draws serves many figures, so that thousands
of resamples of tens of thousands of users take seconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from puresid.checks import integer
from puresid.evaluation.extras import extra

__all__ = ["bootstrap_interval", "holm", "paired_test"]

_NUMBERS_AT_ONCE = 1 << 22
_EXACT_UP_TO = 20
_RELATIVE_SLACK = 1e-12

Floats = NDArray[np.float64]


def bootstrap_interval(
    sums: Any,
    counts: Any = None,
    *,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Floats:
    """Percentile interval of means over queries, by drawing users again.

    The same draws serve all columns. As ``scipy.stats.bootstrap`` with ``method="percentile"``,
    in blocks of bounded size.

    Parameters
    ----------
    sums : array_like, shape (U,) or (U, C)
        The sum of each user's values, for C figures.
    counts : array_like, shape (U,), optional
        How many values each sum is of; 1 each by default.
    confidence : float
        Between 0 and 1.
    resamples : int
        How often as many users are drawn as there are.
    seed : int

    Returns
    -------
    ndarray, shape (2,) or (2, C), float64
        Lower and upper end.

    Raises
    ------
    ValueError
        No users, values that are not finite, counts below 1, or an option out of range.
    """
    table = _users_table(sums)
    users = len(table)
    sizes = np.ones(users) if counts is None else np.asarray(counts, dtype=np.float64)
    if sizes.shape != (users,) or not (sizes >= 1).all():
        raise ValueError(f"counts must be one number of at least 1 for each of the {users} users")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; a number between 0 and 1 is needed")
    resamples = integer(resamples, "resamples", 1)
    rng = np.random.default_rng(integer(seed, "seed", 0))
    told = table.any(axis=1)  # the sums of all others are 0 in every draw
    drawn = np.empty((resamples, table.shape[1]))
    step = max(_NUMBERS_AT_ONCE // users, 1)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        picks = rng.integers(users, size=(rows, users)) + users * np.arange(rows)[:, None]
        times = np.bincount(picks.ravel(), minlength=rows * users).reshape(rows, users)
        total = times[:, told].astype(np.float64) @ table[told]
        drawn[start : start + rows] = total / (times @ sizes)[:, None]
    tail = (1 - confidence) / 2
    ends: Floats = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return np.reshape(ends, (2, *np.shape(sums)[1:]))


def paired_test(sums: Any, *, resamples: int = 9999, seed: int = 0) -> Floats:
    """Randomisation test of paired differences: each user's sign may as well be the other.

    Two-sided: how often the sum over users, with random signs, is at least as far from 0 as it is.
    All sign patterns are tried where there are no more than `resamples` of them, which is exact;
    otherwise ``(count + 1) / (resamples + 1)``. As ``scipy.stats.permutation_test`` with
    ``permutation_type="samples"``, in blocks of bounded size. The same signs serve all columns.

    Parameters
    ----------
    sums : array_like, shape (U,) or (U, C)
        The sum of each user's differences, for C figures.
    resamples : int
    seed : int

    Returns
    -------
    ndarray, shape () or (C,), float64

    Raises
    ------
    ValueError
        No users, values that are not finite, or an option out of range.
    """
    table = _users_table(sums)
    resamples = integer(resamples, "resamples", 1)
    rng = np.random.default_rng(integer(seed, "seed", 0))
    table = table[table.any(axis=1)]  # a sign changes nothing of 0
    users, figures = table.shape
    # Sums of the same numbers in another order differ by rounding; they are equal here.
    bar = np.abs(table.sum(axis=0)) - _RELATIVE_SLACK * np.abs(table).sum(axis=0)
    exact = users <= _EXACT_UP_TO and 2**users <= resamples
    wanted = 2**users if exact else resamples
    reached = np.zeros(figures)
    step = max(_NUMBERS_AT_ONCE // max(users, 1), 1)
    for start in range(0, wanted, step):
        rows = min(step, wanted - start)
        if exact:
            patterns = np.arange(start, start + rows)[:, None] >> np.arange(users)
            signs = 1.0 - 2.0 * (patterns & 1)
        else:
            bits = np.frombuffer(rng.bytes(rows * (-(-users // 8))), np.uint8).reshape(rows, -1)
            signs = 1.0 - 2.0 * np.unpackbits(bits, axis=1, count=users)
        reached += (np.abs(signs @ table) >= bar).sum(axis=0)
    found: Floats = reached / wanted if exact else (reached + 1) / (wanted + 1)
    return np.reshape(found, np.shape(sums)[1:])


def holm(p: Any) -> Floats:
    """Correct p values for being several, by Holm's method (statsmodels).

    Parameters
    ----------
    p : array_like, shape (C,)
        NaN stands for a test that was not made; it stays and does not count.

    Returns
    -------
    ndarray, shape (C,), float64

    Raises
    ------
    ImportError
        statsmodels is not installed.
    ValueError
        A value outside 0 to 1.
    """
    values = np.asarray(p, dtype=np.float64)
    there = ~np.isnan(values)
    if ((values[there] < 0) | (values[there] > 1)).any():
        raise ValueError(f"p is {values.tolist()}; values from 0 to 1 are needed")
    corrected = np.full(values.shape, np.nan)
    if there.any():
        tests: Any = extra("statsmodels.stats.multitest")
        corrected[there] = tests.multipletests(values[there], method="holm")[1]
    return corrected


def _users_table(sums: Any) -> Floats:
    table = np.asarray(sums, dtype=np.float64)
    if table.ndim not in (1, 2) or len(table) == 0:
        raise ValueError(
            f"sums has shape {table.shape}; (users,) or (users, figures) with a user is needed"
        )
    wrong = np.argwhere(~np.isfinite(table))
    if wrong.size:
        raise ValueError(f"sums[{int(wrong[0, 0])}] is not finite")
    return table.reshape(len(table), -1)
