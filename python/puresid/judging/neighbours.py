"""Whether items whose vectors are near have SIDs that are near.

Distances are computed in float64 from products, so that ties, of which equal SIDs make many, are
told apart from rounding. What ties leave open is not decided by the order of the rows: each figure
is its mean over all orders of the tied items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from puresid.judging.results import Interval

Wide = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

TIE = 1e-12
"""Squared distances closer than this, times the greatest squared length, are equal."""

DISTANCES = 1 << 24
"""How many distances are held at a time, in each of the two spaces."""

BLOCK = 1 << 20
"""How many numbers of the vectors are converted at a time."""

Z95 = 1.959964


@dataclass(frozen=True)
class Points:
    """Vectors to measure distances to: rows of an array, moved so that their mean is near 0.

    Parameters
    ----------
    rows : ndarray, shape (M, D)
        float32, or whatever converts to float64.
    """

    rows: npt.NDArray[np.generic]

    def centre(self) -> Wide:
        """Return the mean of some rows: products of vectors far from the origin lose digits."""
        step = max(1, len(self.rows) // 4096)
        mean: Wide = np.asarray(self.rows[::step], dtype=np.float64).mean(axis=0)
        return mean

    def distances(self, queries: Wide, centre: Wide) -> tuple[Wide, float]:
        """Return squared distances, shape (len(queries), M), and the width of a tie."""
        found = np.empty((len(queries), len(self.rows)))
        left = queries - centre
        own = np.square(left).sum(axis=1)
        longest = float(own.max())
        step = max(1, BLOCK // self.rows.shape[1])
        for first in range(0, len(self.rows), step):
            block = np.asarray(self.rows[first : first + step], dtype=np.float64) - centre
            lengths = np.square(block).sum(axis=1)
            longest = max(longest, float(lengths.max()))
            part = left @ block.T
            part *= -2
            part += lengths
            part += own[:, None]
            found[:, first : first + step] = part
        return found, TIE * longest


def _relevant(distances: Wide, own: int, k: int, tie: float) -> tuple[Rows, Wide]:
    """Return the k nearest rows but `own`, and of how many of those tied for a place each counts.

    Items that tie for the last places share what places there are.
    """
    distances[own] = math.inf
    last = np.partition(distances, k - 1)[k - 1]
    rows = np.flatnonzero(distances <= last + tie)
    tied = distances[rows] >= last - tie
    weights = np.ones(len(rows))
    weights[tied] = (k - np.count_nonzero(~tied)) / np.count_nonzero(tied)
    return rows, weights


def _places(distances: Wide, counts: Rows, k: int, tie: float) -> tuple[Rows, Rows, Rows]:
    """Return the codes near enough for the first k places, and of each the places that it shares.

    Parameters
    ----------
    distances : ndarray, shape (M,)
        To the distinct codes.
    counts : ndarray, shape (M,)
        Items per code, the query left out.

    Returns
    -------
    codes, before, size : ndarray of int64
        Each code, the items that are nearer, and the items at the same distance.
    """
    alive = np.where(counts > 0, distances, math.inf)
    last = np.partition(alive, min(k, len(alive)) - 1)[min(k, len(alive)) - 1]
    if math.isinf(last):  # fewer codes than k
        last = alive[np.isfinite(alive)].max()
    codes = np.flatnonzero(alive <= last + tie)
    codes = codes[np.argsort(alive[codes], kind="stable")]
    group = np.concatenate([[0], np.cumsum(np.diff(alive[codes]) > tie)]).astype(np.int64)
    size = np.bincount(group, weights=counts[codes]).astype(np.int64)
    before = np.cumsum(size) - size
    return codes, before[group], size[group]


@dataclass(frozen=True)
class Agreement:
    """Per query: recall, NDCG, and the share of neighbours below the query's own prefixes."""

    recall: Wide
    ndcg: Wide
    prefix_recall: Wide


def neighbour_agreement(
    vectors: Points,
    decoded: Points,
    code_of: Rows,
    prefix_of: Rows,
    queries: Rows,
    k: int,
) -> Agreement:
    """Compare the k nearest items by vector with those by decoded SID.

    Parameters
    ----------
    vectors : Points
        Of the N items.
    decoded : Points
        What each distinct code stands for.
    code_of : ndarray, shape (N,)
        The code of each item.
    prefix_of : ndarray, shape (C, N)
        A number for each item's prefix of 1, 2, … tokens.
    queries : ndarray
        Rows whose neighbours are looked up among all.
    k : int
        Below N.

    Notes
    -----
    Costs two products of the queries with all items; holds `DISTANCES` numbers twice.
    """
    items = len(code_of)
    counts = np.bincount(code_of, minlength=len(decoded.rows)).astype(np.int64)
    discount = np.concatenate([[0.0], np.cumsum(1 / np.log2(2 + np.arange(k)))])
    centres = vectors.centre(), decoded.centre()
    recall, ndcg = np.empty(len(queries)), np.empty(len(queries))
    prefix_recall = np.empty((len(queries), len(prefix_of)))
    step = max(1, DISTANCES // items)
    place: Rows = np.full(len(decoded.rows), -1, dtype=np.int64)
    for first in range(0, len(queries), step):
        rows = queries[first : first + step]
        near, tie = vectors.distances(np.asarray(vectors.rows[rows], np.float64), centres[0])
        codes = code_of[rows]
        coded, code_tie = decoded.distances(np.asarray(decoded.rows[codes], np.float64), centres[1])
        for number, row in enumerate(rows):
            relevant, weights = _relevant(near[number], row, k, tie)
            counts[codes[number]] -= 1
            found, before, size = _places(coded[number], counts, k, code_tie)
            counts[codes[number]] += 1
            place[found] = np.arange(len(found))
            at = place[code_of[relevant]]
            place[found] = -1
            weights_in, at = weights[at >= 0], at[at >= 0]
            low, high = np.minimum(before[at], k), np.minimum(before[at] + size[at], k)
            which = first + number
            recall[which] = (weights_in * (high - low) / size[at]).sum() / k
            gain = weights_in * (discount[high] - discount[low]) / size[at]
            ndcg[which] = gain.sum() / discount[k]
            same = prefix_of[:, relevant] == prefix_of[:, row, None]
            prefix_recall[which] = same @ weights / k
    return Agreement(recall, ndcg, prefix_recall)


def interval_of_mean(values: Wide, items: int) -> Interval:
    """Return the mean over queries drawn without replacement, and where that over all items lies.

    Values are shares. The normal interval with two more queries at 0 and two at 1 (Agresti & Coull
    1998), which keeps it honest where nearly all queries agree, and with the finite population
    correction, cut at 0 and 1.
    """
    mean = min(1.0, float(values.mean()))
    if len(values) >= items:
        return Interval(mean, mean, mean)
    more = np.concatenate([values, [0.0, 0.0, 1.0, 1.0]])
    middle = float(more.mean())
    half = Z95 * float(more.std()) * math.sqrt((1 - len(values) / items) / len(more))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(mean, min(mean, low), max(mean, high))


def _ranks(values: Wide) -> Wide:
    """Return ranks; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Wide = (last - (counts - 1) / 2)[inverse.reshape(-1)]
    return ranks


def _round(values: Wide) -> Wide:
    """Drop the digits in which equal distances may differ."""
    top = float(values.max(initial=0.0))
    return np.round(values / top, 10) if top > 0 else values


def distance_correlation(first: Wide, second: Wide, *, exact: bool) -> Interval:
    """Return Spearman's correlation of two lists of distances, with Bonett & Wright's interval.

    NaN where one of the lists is constant.
    """
    if len(first) < 2:
        return Interval(math.nan, math.nan, math.nan)
    left, right = _ranks(_round(first)), _ranks(_round(second))
    left, right = left - left.mean(), right - right.mean()
    scale = math.sqrt(float(left @ left) * float(right @ right))
    if scale == 0:
        return Interval(math.nan, math.nan, math.nan)
    value = min(1.0, max(-1.0, float(left @ right) / scale))
    if exact or abs(value) == 1:
        return Interval(value, value, value)
    half = Z95 * math.sqrt((1 + value**2 / 2) / max(1, len(first) - 3))
    middle = math.atanh(value)
    return Interval(value, math.tanh(middle - half), math.tanh(middle + half))
