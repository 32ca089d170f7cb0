"""Whether two arms differ: intervals and tests over users.

Queries of one user are not independent, so users are what is drawn again and what signs are flipped
of. Differences are averaged over the seeds that both arms have, per query, before anything else:
an interval tells what other users would give with these seeds, not what other seeds or another
quantizer would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puresid.evaluation.resampling import bootstrap_interval, holm, paired_test
from puresid.evaluation.results import ALL, Results
from puresid.judging.results import Interval

__all__ = [
    "Analysis",
    "Comparison",
    "Mean",
    "analyse",
    "bootstrap_interval",
    "compare",
    "holm",
    "means",
    "paired_test",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    """One arm's figure on one split.

    Attributes
    ----------
    arm, metric, split : str
    seeds : tuple of int
        Which were averaged.
    queries, users : int
        In the split.
    value : Interval
        Mean over queries and seeds, with the interval over users; NaN where the split is empty.
    """

    arm: str
    metric: str
    split: str
    seeds: tuple[int, ...]
    queries: int
    users: int
    value: Interval


@dataclass(frozen=True)
class Comparison:
    """One arm against another, on one split.

    Attributes
    ----------
    arm, against, metric, split : str
    seeds : tuple of int
        Those that both arms have.
    queries, users : int
        In the split.
    mean, mean_against : float
        Over these seeds.
    difference : Interval
        ``mean - mean_against``, with the interval over users; NaN where nothing can be compared.
    p : float
        Two-sided, by sign flips of the users' sums.
    p_holm : float
        The same, corrected for all arms compared by this metric on this split.
    """

    arm: str
    against: str
    metric: str
    split: str
    seeds: tuple[int, ...]
    queries: int
    users: int
    mean: float
    mean_against: float
    difference: Interval
    p: float
    p_holm: float


@dataclass(frozen=True, eq=False)
class Analysis:
    """What tables and plots are made from.

    Attributes
    ----------
    results : Results
    means : tuple of Mean
        Every arm, metric and split.
    comparisons : tuple of Comparison
        Every arm with the one that the header names as ``against``; empty where that is missing.
    resamples : int
        How many there were.
    """

    results: Results
    means: tuple[Mean, ...]
    comparisons: tuple[Comparison, ...]
    resamples: int

    def mean(self, arm: str, metric: str, split: str = ALL) -> Mean | None:
        """Return a mean, None where there is none."""
        named = (mean for mean in self.means if (mean.arm, mean.metric) == (arm, metric))
        return next((mean for mean in named if mean.split == split), None)

    def comparison(self, arm: str, metric: str, split: str = ALL) -> Comparison | None:
        """Return a comparison, None where there is none."""
        named = (one for one in self.comparisons if (one.arm, one.metric) == (arm, metric))
        return next((one for one in named if one.split == split), None)


def analyse(results: Results, *, resamples: int = 9999, seed: int = 0) -> Analysis:
    """Make all means and all comparisons with the arm that the header names.

    Raises
    ------
    ImportError
        statsmodels is not installed.
    """
    against = results.header["primary"]["against"]
    compared = (
        compare(results, against=against, resamples=resamples, seed=seed)
        if against in results.arms
        else []
    )
    averaged = means(results, resamples=resamples, seed=seed)
    return Analysis(results, tuple(averaged), tuple(compared), resamples)


def means(
    results: Results,
    *,
    metrics: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    resamples: int = 9999,
    seed: int = 0,
) -> list[Mean]:
    """Average each arm over its seeds, with intervals over users.

    Parameters
    ----------
    results : Results
    metrics, splits : sequences of str, optional
        All by default, ``all`` first.
    resamples, seed : int
        As `bootstrap_interval`.

    Returns
    -------
    list of Mean
        By split, then arm, then metric.

    Raises
    ------
    ValueError
        An unknown metric or split.
    """
    metrics, splits = _chosen(results, metrics, splits)
    seeds = {arm: results.seeds(arm) for arm in results.arms}
    columns = [(arm, metric) for arm in results.arms for metric in metrics]
    table = _columns([_average(results, arm, seeds[arm], metrics) for arm in results.arms])
    found = []
    for split in splits:
        sums, counts, queries = _by_user(results, table, split)
        low = high = value = np.full(len(columns), np.nan)
        if queries:
            value = sums.sum(axis=0) / queries
            low, high = bootstrap_interval(sums, counts, resamples=resamples, seed=seed)
        for (arm, metric), *ends in zip(columns, value, low, high, strict=True):
            interval = Interval(*map(float, ends))
            found.append(Mean(arm, metric, split, seeds[arm], queries, len(sums), interval))
    return found


def compare(
    results: Results,
    *,
    against: str,
    metrics: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    resamples: int = 9999,
    seed: int = 0,
) -> list[Comparison]:
    """Compare every arm with one, over the seeds that both have.

    Parameters
    ----------
    results : Results
    against : str
        The arm that all others are compared with.
    metrics, splits : sequences of str, optional
        All by default, ``all`` first.
    resamples, seed : int
        As `bootstrap_interval` and `paired_test`.

    Returns
    -------
    list of Comparison
        By split, then arm, then metric. Holm's correction is over the arms, for each metric and
        split.

    Raises
    ------
    ImportError
        statsmodels is not installed.
    ValueError
        An unknown arm, metric or split.
    """
    if against not in results.arms:
        raise ValueError(f"no arm {against!r}; there are {', '.join(results.arms)}")
    metrics, splits = _chosen(results, metrics, splits)
    seeds = {
        arm: tuple(sorted(set(results.seeds(arm)) & set(results.seeds(against))))
        for arm in results.arms
        if arm != against
    }
    if not seeds:
        return []
    mine = _columns([_average(results, arm, seeds[arm], metrics) for arm in seeds])
    other = _columns([_average(results, against, seeds[arm], metrics) for arm in seeds])
    paired = np.repeat([bool(common) for common in seeds.values()], len(metrics))
    found = []
    for split in splits:
        sums, counts, queries = _by_user(results, mine - other, split)
        figures = np.full((6, mine.shape[1]), np.nan)  # mean, other, difference, low, high, p
        if queries and paired.any():
            mask, sums_paired = results.mask(split), sums[:, paired]
            figures[:2] = mine[mask].mean(axis=0), other[mask].mean(axis=0)
            figures[2, paired] = sums_paired.sum(axis=0) / queries
            figures[3:5, paired] = bootstrap_interval(
                sums_paired, counts, resamples=resamples, seed=seed
            )
            figures[5, paired] = paired_test(sums_paired, resamples=resamples, seed=seed)
        by_metric = figures[5].reshape(len(seeds), len(metrics))
        corrected = np.stack([holm(column) for column in by_metric.T], axis=1).ravel()
        columns = [(arm, metric) for arm in seeds for metric in metrics]
        for (arm, metric), numbers, p_holm in zip(
            columns, figures.T.tolist(), corrected.tolist(), strict=True
        ):
            mean, mean_against, *difference, p = numbers
            found.append(
                Comparison(
                    *(arm, against, metric, split, seeds[arm], queries, len(sums)),
                    mean=mean,
                    mean_against=mean_against,
                    difference=Interval(*difference),
                    p=p,
                    p_holm=p_holm,
                )
            )
    return found


def _average(
    results: Results, arm: str, seeds: Sequence[int], metrics: Sequence[str]
) -> list[Floats]:
    """Return per metric each query's mean over seeds, NaN without any."""
    if not seeds:
        return [np.full(results.queries, np.nan)] * len(metrics)
    cells = [results.cell(arm, seed) for seed in seeds]
    return [np.mean([cell.values[name] for cell in cells], axis=0, dtype=float) for name in metrics]


def _columns(arms: Sequence[Sequence[Floats]]) -> Floats:
    return np.stack([column for arm in arms for column in arm], axis=1)


def _by_user(results: Results, table: Floats, split: str) -> tuple[Floats, NDArray[np.int64], int]:
    """Return the sums of each user's queries in a split, their counts, and that of all."""
    mask = results.mask(split)
    users, number = np.unique(results.clusters[mask], return_inverse=True)
    sums = np.zeros((len(users), table.shape[1]))
    np.add.at(sums, number.reshape(-1), table[mask])
    return sums, np.bincount(number.reshape(-1), minlength=len(users)), int(mask.sum())


def _chosen(
    results: Results, metrics: Sequence[str] | None, splits: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    metrics = results.metrics if metrics is None else tuple(metrics)
    for name in metrics:
        if name not in results.metrics:
            raise ValueError(f"no metric {name!r}; there are {', '.join(results.metrics)}")
    splits = (ALL, *results.splits) if splits is None else tuple(splits)
    for name in splits:
        results.mask(name)
    return metrics, splits
