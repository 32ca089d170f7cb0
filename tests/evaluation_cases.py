"""Small results of runs that tests share, and figures by the definitions."""

import itertools
import math

import numpy as np

from puresid.evaluation.results import Cell, Results
from puresid.evaluation.task import Queries

HEADER = {
    "name": "small",
    "primary": {"metric": "R@10", "arm": "ecm", "against": "suffix"},
    "config": {"decoding": {"beams": 20, "normalize": "vocabulary", "exact": False}},
    "task": {"name": "toys", "notes": ["one | note"], "conflict_rate": 0.4},
    "arms": {
        "suffix": {"levels": 3, "sizes": [8, 8, 5], "unique": True, "conflict_rate": 0.0},
        "ecm": {"levels": 2, "sizes": [8, 8], "unique": True, "conflict_rate": 0.0},
    },
    "provenance": {"commit": "0" * 40},
}


def some_results(
    *,
    queries=40,
    users=25,
    seeds=(0, 1, 2),
    arms=("suffix", "ecm", "rrs"),
    metrics=("R@10", "nDCG@10"),
    header=HEADER,
    seed=0,
):
    rng = np.random.default_rng(seed)
    clusters = rng.permutation(np.arange(queries) % users)
    cells = []
    for place, arm in enumerate(arms):
        for number in seeds:
            hit = rng.random(queries) < 0.3 + 0.2 * place
            values = {name: hit * rng.choice([0.5, 1], queries) for name in metrics}
            values = {name: value.astype(np.float32) for name, value in values.items()}
            cells.append(Cell(arm, number, values, {"train_seconds": 10.0 + place, "note": "x"}))
    conflict = rng.random(queries) < 0.4
    splits = {"conflict": conflict, "never": np.zeros(queries, bool)}
    return Results(header, metrics, splits, clusters, tuple(cells))


def some_queries(relevant, gains=None):
    return Queries(
        ids=tuple(f"q{number}" for number in range(len(relevant))),
        relevant=tuple(np.array(rows) for rows in relevant),
        gains=None if gains is None else tuple(np.array(row, dtype=float) for row in gains),
    )


def figure(metric, items, relevant, gains=None):
    """A figure by its definition, with a loop over ranks."""
    worth = dict(zip(relevant, gains or [1.0] * len(relevant), strict=True))
    if metric == "RR":
        return max((1 / rank for rank, item in enumerate(items, 1) if item in worth), default=0.0)
    kind, cutoff = metric.split("@")
    top = items[: int(cutoff)]
    if kind == "R":
        return len(set(top) & set(relevant)) / len(relevant)
    discounts = [1 / math.log2(1 + rank) for rank in range(1, int(cutoff) + 1)]
    best = sorted(worth.values(), reverse=True)
    found = sum(worth.get(item, 0) * each for item, each in zip(top, discounts, strict=False))
    return found / sum(value * each for value, each in zip(best, discounts, strict=False))


def expected_figure(metric, row, members, relevant, gains=None, *, depth):
    """The mean of a figure over all orders in all groups of a ranked row."""
    orders = [itertools.permutations(members[sid]) for sid in row if sid >= 0]
    figures = [
        figure(metric, [item for group in order for item in group][:depth], relevant, gains)
        for order in itertools.product(*orders)
    ]
    return sum(figures) / len(figures)
