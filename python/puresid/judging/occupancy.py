"""From conflicts in small samples to those of a whole catalogue.

Let items fall on `C` SIDs with probabilities ``p_c``. If these scatter as a gamma distribution with
squared coefficient of variation ``v``, the items on a SID are negative binomial, and of ``N`` items
``C (1 - (1 + v N / C) ** (-1 / v))`` have distinct SIDs in the mean: the classical occupancy curve
for ``v = 0``, and any amount of crowding above. Inverted, a measured conflict rate says `v`. Its
logarithm ``y = log(1 + v) = log(C sum(p_c ** 2))`` is the *crowding*: how much likelier two items
meet than if all SIDs were equally likely.

Crowding depends on the number of codewords K and, because codebooks that are trained on few rows
follow their noise, on the rows per codeword ``r = N / K``. Fits on parts of a sample at many K give
it at many (K, r), and

    y(K, r) = log(A exp(g) + B (K / 64) ** p exp(0.3 g)),    g = G (10 / r) ** h

carries it over: A is how unevenly the levels fill, B and p are groups of near-equal items, which
no codebook tells apart and whose share grows with the capacity, g is the noise of training. The
five parameters are fitted by least squares with priors (Levenberg-Marquardt on a posterior that is
taken as normal around its mode).

Sources: gamma weights are Fisher, Corbet & Williams, "The relation between the number of species
and the number of individuals", J. Animal Ecology 1943, here over finitely many SIDs, as in Chao &
Bunge, "Estimating the number of species in a stochastic abundance model", Biometrics 2002; the fit
is Marquardt 1963. The form in (K, r) and its priors are our own, chosen on the catalogues of
``docs/judging.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from puresid.judging.results import Interval

Wide = npt.NDArray[np.float64]

MIDDLE_SIZE = 64
MIDDLE_ROWS = 10
NOISE_OF_NEAR_EQUAL = 0.3
LEAST_ROWS_PER_CODEWORD = 8
LEAST_CONFLICTS = 3
"""Fewer items in conflict say no more than that the rate is below this many: rule of three."""

ABOVE_BOUND = 0.3
"""How far above such a bound the crowding may well be."""

RELATIVE_ERROR = 0.03
"""Between fits from different seeds, of the odds of a conflict."""

MODEL_ERROR = 0.15
"""Of the crowding, by which the form misses what it is fitted to; when carried over, per level."""

MODEL_ERROR_BEYOND = 0.25
"""More of it per factor e of codebook size beyond the largest that was fitted."""

Z95 = 1.959964


def conflict_rate(load: Wide, crowding: Wide) -> Wide:
    """Return the share of items that find their SID taken.

    Parameters
    ----------
    load : ndarray
        Items over capacity, above 0.
    crowding : ndarray
        ``log(1 + v)``, at least 0.
    """
    v = np.maximum(np.expm1(np.clip(crowding, 0, 60)), 1e-9)
    rate: Wide = 1 + np.expm1(-np.log1p(load * v) / v) / load
    return np.clip(rate, 0, 1)


def _below_even(load: Wide, crowding: Wide) -> Wide:
    """`conflict_rate`, carried on below 0: trained codebooks may spread items more than evenly."""
    rate: Wide = conflict_rate(load, np.maximum(crowding, 0)) * np.exp(np.minimum(crowding, 0))
    return rate


def crowding_of(rate: Wide, load: Wide) -> Wide:
    """Invert `conflict_rate`, by bisection; 0 where even use of the SIDs has more conflicts."""
    low, high = np.zeros_like(rate), np.full_like(rate, 40.0)
    for _ in range(60):
        middle = (low + high) / 2
        above = conflict_rate(load, middle) > rate
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    found: Wide = (low + high) / 2
    return found


@dataclass(frozen=True)
class Measurement:
    """A conflict rate: the mean of `repeats` fits of `size` codewords a level to `items` rows."""

    items: int
    size: int
    rate: float
    repeats: int


def usable(measured: Sequence[Measurement]) -> list[Measurement]:
    """Leave out what says nothing or misleads.

    Few rows per codeword; hardly an item without conflict; and, among fits to equally many rows,
    all from the size on at which conflicts grow with the codebook: from there, codewords follow
    single rows, and all others share the few that are left.
    """
    kept = []
    for items in sorted({one.items for one in measured}):
        last = math.inf
        for one in sorted((m for m in measured if m.items == items), key=lambda m: m.size):
            if one.items < LEAST_ROWS_PER_CODEWORD * one.size:
                break
            if one.rate >= last and last < 0.9 and one.rate * items > 30:
                break
            last = one.rate
            if one.rate < 0.97:
                kept.append(one)
    return kept


def _crowding(parameters: Wide, items: Wide, size: Wide) -> Wide:
    log_a, log_b, power, log_g, fall = parameters
    noise = np.exp(log_g + fall * np.log(MIDDLE_ROWS * size / items))
    noise = np.minimum(noise, 30)
    even = log_a + noise
    near = log_b + power * np.log(size / MIDDLE_SIZE) + NOISE_OF_NEAR_EQUAL * noise
    found: Wide = np.maximum(np.logaddexp(even, near), 0)
    return found


class Occupancy:
    """The crowding of a catalogue's SIDs, learnt from parts of a sample.

    Parameters
    ----------
    measured : sequence of Measurement
        With `levels` levels each.
    levels : int
    """

    def __init__(self, measured: Sequence[Measurement], levels: int) -> None:
        self._levels = levels
        self._means = np.array([0.5, -1.0, 0.6 * levels, -1.0, 1.3])
        self._spreads = np.array([0.7, 3.0, 0.3 * levels, 1.5, 0.4])
        kept = usable(measured)
        self._items = np.array([one.items for one in kept], dtype=np.float64)
        self._sizes = np.array([one.size for one in kept], dtype=np.float64)
        # Fits to the same rows share their chance: only those to other rows add to the evidence.
        whole = self._items == self._items.max(initial=0)
        rows = self._items * np.where(whole, 1, [one.repeats for one in kept])
        rates = np.array([one.rate for one in kept], dtype=np.float64)
        self._bounds = rates * rows < LEAST_CONFLICTS
        rates = np.where(self._bounds, LEAST_CONFLICTS / np.maximum(rows, 1), rates)
        load = self._items / self._sizes**levels
        self._crowding = crowding_of(rates, load)
        variance = rates * (1 - rates) / rows + (RELATIVE_ERROR * rates * (1 - rates)) ** 2
        errors = np.sqrt(variance / self._slope(load, self._crowding) ** 2 + MODEL_ERROR**2)
        self._errors = np.where(self._bounds, ABOVE_BOUND, errors)
        self._parameters, self._covariance = self._descend(self._means)

    @staticmethod
    def _slope(load: Wide, crowding: Wide) -> Wide:
        step = 1e-3
        change = conflict_rate(load, crowding + step) - conflict_rate(load, crowding)
        return np.maximum(change / step, 1e-12)

    def _misfit(self, parameters: Wide) -> Wide:
        expected = _crowding(parameters, self._items, self._sizes)
        misses = (expected - self._crowding) / self._errors
        misses[self._bounds & (misses < 0)] = 0
        return np.concatenate([misses, (parameters - self._means) / self._spreads])

    def _descend(self, parameters: Wide) -> tuple[Wide, Wide]:
        """Levenberg-Marquardt; returns the parameters and their covariance."""
        misfit = self._misfit(parameters)
        loss, damping = float(misfit @ misfit), 1e-2
        count = len(parameters)
        hessian = np.eye(count)
        for _ in range(200):
            slopes = [
                (self._misfit(parameters + 1e-5 * unit) - misfit) / 1e-5 for unit in np.eye(count)
            ]
            jacobian = np.stack(slopes, axis=1)
            hessian = jacobian.T @ jacobian
            damped = hessian + damping * np.diag(np.diag(hessian))
            tried = parameters - np.linalg.solve(damped, jacobian.T @ misfit)
            there = self._misfit(tried)
            gain = loss - float(there @ there)
            if gain > 0:
                parameters, misfit = tried, there
                loss -= gain
                damping = max(damping / 3, 1e-9)
                if gain < 1e-6 * loss:
                    break
            else:
                damping *= 4
                if damping > 1e8:
                    break
        return parameters, np.asarray(np.linalg.inv(hessian), dtype=np.float64)

    def predict(self, items: int, size: int) -> Interval:
        """Return the conflict rate of `items` with `size` codewords a level, trained on them."""
        n, k = np.array([float(items)]), np.array([float(size)])
        load = n / k**self._levels
        crowding = _crowding(self._parameters, n, k)
        slopes = np.array(
            [
                float(_crowding(self._parameters + 1e-5 * unit, n, k)[0] - crowding[0]) / 1e-5
                for unit in np.eye(len(self._parameters))
            ]
        )
        beyond = max(0.0, math.log(size / self._sizes.max(initial=LEAST_ROWS_PER_CODEWORD)))
        form = MODEL_ERROR * self._levels + MODEL_ERROR_BEYOND * beyond
        half = Z95 * math.sqrt(float(slopes @ self._covariance @ slopes) + form**2)
        rate = float(conflict_rate(load, crowding)[0])
        # The conflicts of one catalogue scatter around their mean, like counts.
        chance = Z95 * math.sqrt(rate * (1 - rate) / items)
        low = rate - math.hypot(rate - float(_below_even(load, crowding - half)[0]), chance)
        high = rate + math.hypot(float(conflict_rate(load, crowding + half)[0]) - rate, chance)
        least = max(0.0, 1 - size**self._levels / items)
        return Interval(rate, max(least, low), min(1.0, high))
