"""The planner: what codebooks of each size would do to a catalogue, from a sample of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.arrays import check_finite, float_matrix
from puresid.assignment import assign
from puresid.checks import rows_at_once
from puresid.judging.occupancy import LEAST_ROWS_PER_CODEWORD, Measurement, Occupancy
from puresid.judging.plans import Plan, PlannedSetting
from puresid.judging.results import Interval
from puresid.quantizers import RQKMeans

Floats = npt.NDArray[np.float32]

SAMPLE_MOST = 10_000
SAMPLE_LEAST = 200
SMALLEST_SIZE = 6
LARGEST_SIZE = 256
"""Sizes up to here are fitted even where only smaller ones are asked for."""
FULLEST = 0.5
FEATURES = 4
PARTS = ((1, 3), (2, 2), (4, 1), (8, 1))
"""Into how many parts the sample is cut, and how many seeds each part is fitted with."""


def _numbers(values: Any, name: str, least: int) -> tuple[int, ...]:
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} is {values!r}; a sequence of integers is needed")
    found = []
    for place, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name}[{place}] is {value!r}; an integer is needed")
        if value < least:
            raise ValueError(f"{name}[{place}] is {value}; at least {least} is needed")
        found.append(int(value))
    if not found:
        raise ValueError(f"{name} is empty; at least one is needed")
    return tuple(sorted(set(found)))


def _sample_size(sample: Any, items: int) -> int:
    if sample is None:
        return min(items, SAMPLE_MOST)
    if isinstance(sample, bool) or not isinstance(sample, (int, float, np.number)):
        raise TypeError(f"sample is {sample!r}; a share or a number of items is needed")
    count = round(float(sample) * items) if isinstance(sample, (float, np.floating)) else sample
    if isinstance(sample, (float, np.floating)) and not 0 < sample <= 1:
        raise ValueError(f"sample is {sample}; a share is above 0 and at most 1")
    if not min(items, SAMPLE_LEAST) <= count <= items:
        raise ValueError(
            f"sample is {count} of {items} items; from {min(items, SAMPLE_LEAST)} to all are needed"
        )
    return int(count)


def _checked_seed(random_state: Any) -> int:
    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)):
        raise TypeError(f"random_state is {random_state!r}; an integer is needed")
    if not 0 <= random_state < 2**63:
        raise ValueError(f"random_state is {random_state}; from 0 to 2**63 - 1 are possible")
    return int(random_state)


def _sampled(rows: npt.NDArray[Any], count: int, seed: int) -> Floats:
    """Return `count` rows in random order; all of them as they are."""
    if count == len(rows):
        taken = float_matrix(rows, "vectors")
        check_finite(taken)
        return taken
    chosen = np.sort(np.random.default_rng([seed, 2]).choice(len(rows), count, replace=False))
    taken = float_matrix(rows[chosen], "vectors")  # in the order of a file
    check_finite(taken, chosen)
    shuffled: Floats = taken[np.random.default_rng([seed, 3]).permutation(count)]
    return shuffled


Found = dict[int, tuple[float, float]]
"""Per number of levels: conflict rate and mean squared distance."""


def _distinct(sids: npt.NDArray[Any]) -> int:
    order = np.lexsort(sids.T[::-1])
    return 1 + int((sids[order[1:]] != sids[order[:-1]]).any(axis=1).sum())


def _measure(
    rows: Floats,
    levels: Sequence[int],
    size: int,
    quantizer: Callable[..., Any],
    seed: int,
    threads: int | None,
) -> Found:
    """Fit to the rows and count.

    The first levels of residual k-means do not depend on how many follow: one fit does for all.
    """
    found: Found = {}
    shared = isinstance(quantizer, type) and issubclass(quantizer, RQKMeans)
    for number in (max(levels),) if shared else levels:
        fitted = quantizer(number, size, random_state=seed, threads=threads).fit(rows)
        nearest = assign(rows, fitted.codebooks, "nearest", threads=threads)
        if shared:
            for depth in levels:
                unique = _distinct(nearest.sids[:, :depth])
                found[depth] = (len(rows) - unique) / len(rows), fitted.history[depth - 1][-1]
        else:
            unique = _distinct(nearest.sids)
            found[number] = (len(rows) - unique) / len(rows), nearest.nearest_distortion
    return found


def _sizes_to_fit(largest: int, rows: int) -> list[int]:
    most = min(max(largest, LARGEST_SIZE), rows // LEAST_ROWS_PER_CODEWORD)
    steps = int(2 * math.log2(max(1.0, most / SMALLEST_SIZE))) + 1
    return sorted({round(SMALLEST_SIZE * 2 ** (step / 2)) for step in range(steps)})


class _Distortions:
    """log distortion as a square of log K and a fall by the rows per codeword; least squares."""

    def __init__(self, items: list[int], sizes: list[int], values: list[float]) -> None:
        kept = [place for place, value in enumerate(values) if value > 0]
        features = np.array([self._features(items[place], sizes[place]) for place in kept])
        target = np.log([values[place] for place in kept])
        self._zero = len(kept) < FEATURES
        if not self._zero:
            self._weights = np.linalg.lstsq(features, target, rcond=None)[0]

    @staticmethod
    def _features(items: int, size: int) -> list[float]:
        x = math.log(size / 64)
        return [1.0, x, x * x, size / items]

    def predict(self, items: int, size: int) -> float:
        if self._zero:  # the codebooks hold the vectors exactly
            return 0.0
        return float(np.exp(np.dot(self._weights, self._features(items, size))))


def _predict(
    rows: Floats,
    items: int,
    levels: Sequence[int],
    sizes: Sequence[int],
    quantizer: Callable[..., Any],
    seed: int,
    threads: int | None,
) -> dict[tuple[int, int], tuple[Interval, float]]:
    """Predict conflict rate and mean squared distance per (levels, size)."""
    measured: dict[int, list[tuple[int, int, int, float, float]]] = {depth: [] for depth in levels}
    for parts, seeds in PARTS:
        count = len(rows) // parts
        for size in _sizes_to_fit(max(sizes), count):
            runs = [
                _measure(part, levels, size, quantizer, seed + turn, threads)
                for part in (rows[n * count : (n + 1) * count] for n in range(parts))
                for turn in range(seeds)
            ]
            for depth in levels:
                rate = float(np.mean([run[depth][0] for run in runs]))
                left = float(np.mean([run[depth][1] for run in runs]))
                measured[depth].append((count, size, len(runs), rate, left))
    repeated = 1 - len(np.unique(rows, axis=0)) / len(rows)
    found = {}
    for depth, lines in measured.items():
        curve = Occupancy([Measurement(n, k, rate, runs) for n, k, runs, rate, _ in lines], depth)
        left_over = _Distortions(
            [line[0] for line in lines], [line[1] for line in lines], [line[4] for line in lines]
        )
        for size in sizes:
            expected = curve.predict(items, size)
            # Equal vectors are in conflict whatever the codebooks.
            values = (expected.value, expected.low, expected.high)
            bounded = [max(value, repeated) for value in values]
            found[depth, size] = Interval(*bounded), left_over.predict(items, size)
    return found


def _recommend(
    settings: Sequence[PlannedSetting], most: float, left_out: Sequence[int]
) -> tuple[int, str]:
    roomy = [n for n, one in enumerate(settings) if one.load <= FULLEST]
    good = [n for n in roomy if settings[n].conflict_rate.value <= most]
    if good:
        best = min(good, key=lambda n: (settings[n].levels, settings[n].size))
        why = (
            "the fewest tokens, then the smallest codebooks, with at most "
            f"{most:.3g} of the items in conflict"
        )
    elif roomy:
        best = min(roomy, key=lambda n: settings[n].conflict_rate.value)
        why = f"no setting has at most {most:.3g} of the items in conflict; this has the fewest"
    else:
        best = min(range(len(settings)), key=lambda n: settings[n].load)
        why = f"no setting leaves {1 - FULLEST:.0%} of its SIDs free; this leaves the most"
    one = settings[best]
    rate = one.conflict_rate
    expected = f"{rate.value:.2%} of the items"
    if rate.low < rate.high:
        expected += f" ({rate.low:.2%} to {rate.high:.2%} expected)"
    text = (
        f"{one.levels} levels of {one.size}: {why}. In conflict: {expected}; load {one.load:.3g}."
    )
    if left_out:
        text += f" Left out for want of items: sizes {', '.join(map(str, left_out))}."
    return best, text


def plan(
    vectors: Any,
    *,
    sizes: Sequence[int] = (64, 128, 256, 512, 1024),
    levels: Sequence[int] = (2, 3, 4),
    sample: float | int | None = None,
    quantizer: Callable[..., Any] = RQKMeans,
    max_conflict_rate: float = 0.05,
    random_state: int = 0,
    threads: int | None = None,
) -> Plan:
    """Predict conflicts, load and distortion of codebooks for a catalogue, from a sample of it.

    Codebooks are fitted to parts of the sample at many sizes, and what was counted there is carried
    over to all items: see ``docs/judging.md``. Rates below a per cent or so come from a few pairs
    in the sample, and have intervals to match.

    Parameters
    ----------
    vectors : array_like, shape (N, D)
        As a quantizer takes them. Of an array or memory map only the sample is read.
    sizes : sequence of int
        Codewords per level. Sizes above N are left out.
    levels : sequence of int
        Numbers of levels.
    sample : float or int, optional
        A share (float) or a number (int) of the items, at least 200. Default: 10,000, or all where
        there are fewer. All of them: every setting is fitted once and measured, not predicted.
    quantizer : callable
        Called as ``quantizer(levels, size, random_state=…, threads=…)``; has ``fit(vectors)``,
        which returns what has ``codebooks``.
    max_conflict_rate : float
        What the recommended setting stays at or below, if any does.
    random_state : int
        Seed of the sample and the fits.
    threads : int, optional
        Default: as many as the process may use.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError
        If a number is of the wrong kind, or the vectors are not real numbers.
    ValueError
        If a number is out of range, a value is not finite, or no size is at most N.

    Notes
    -----
    Recommended is, of the settings that leave half their SIDs free and stay within
    `max_conflict_rate`, the one with the fewest tokens per item, then the smallest codebooks.
    """
    rows = rows_at_once(vectors)
    items = len(rows)
    depths, asked = _numbers(levels, "levels", 1), _numbers(sizes, "sizes", 2)
    seed = _checked_seed(random_state)
    if not 0 <= max_conflict_rate <= 1:
        raise ValueError(f"max_conflict_rate is {max_conflict_rate}; from 0 to 1 are possible")
    usable = [size for size in asked if size <= items]
    if items < 2 or not usable:
        raise ValueError(
            f"vectors has {items} rows; at least 2 are needed, and as many as the smallest "
            f"of sizes, {asked[0]}"
        )
    taken = _sampled(rows, _sample_size(sample, items), seed)
    if len(taken) == items:
        found = {
            (depth, size): (Interval(rate, rate, rate), left)
            for size in usable
            for depth, (rate, left) in _measure(
                taken, depths, size, quantizer, seed, threads
            ).items()
        }
    else:
        found = _predict(taken, items, depths, usable, quantizer, seed, threads)
    wide = taken.astype(np.float64)
    variance = float(np.square(wide - wide.mean(axis=0)).sum()) / len(wide)
    settings = tuple(
        PlannedSetting(
            levels=depth,
            size=size,
            capacity=size**depth,
            load=items / size**depth,
            conflict_rate=found[depth, size][0],
            distortion_ratio=min(1.0, found[depth, size][1] / variance) if variance > 0 else 0.0,
            tokens=depth,
            vocabulary=size * depth,
        )
        for depth in depths
        for size in usable
    )
    best, reason = _recommend(settings, max_conflict_rate, [k for k in asked if k > items])
    return Plan(items=items, sample=len(taken), settings=settings, recommended=best, reason=reason)
