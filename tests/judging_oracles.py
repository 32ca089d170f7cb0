"""Figures of SIDs as one would compute them by hand, a pair and a rank at a time."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np


def conflict_rate(sids: np.ndarray, length: int) -> Fraction:
    met = set()
    conflicts = 0
    for row in sids.tolist():
        conflicts += tuple(row[:length]) in met
        met.add(tuple(row[:length]))
    return Fraction(conflicts, len(sids))


def shared_rate(sids: np.ndarray, length: int) -> Fraction:
    prefixes = Counter(tuple(row[:length]) for row in sids.tolist())
    return Fraction(sum(n for n in prefixes.values() if n > 1), len(sids))


def entropy(tokens: np.ndarray) -> float:
    shares = [n / len(tokens) for n in Counter(tokens.tolist()).values()]
    return -sum(p * math.log2(p) for p in shares)


def squared(points: np.ndarray, a: int, b: int) -> int:
    """Exact on a lattice."""
    return sum(int(d) ** 2 for d in points[a].astype(int) - points[b].astype(int))


def _orders(points: np.ndarray, query: int) -> list[tuple[int, ...]]:
    """Every order of the others by distance: ties in every order."""
    others = [i for i in range(len(points)) if i != query]
    groups: dict[int, list[int]] = {}
    for other in others:
        groups.setdefault(squared(points, query, other), []).append(other)
    parts = [itertools.permutations(groups[distance]) for distance in sorted(groups)]
    return [tuple(itertools.chain(*order)) for order in itertools.product(*parts)]


def agreement(
    vectors: np.ndarray, decoded: np.ndarray, sids: np.ndarray, query: int, k: int
) -> tuple[float, float, list[float]]:
    """Recall, NDCG and prefix recall: their means over all orders of ties in both spaces."""
    truths = [set(order[:k]) for order in _orders(vectors, query)]
    ideal = sum(1 / math.log2(2 + rank) for rank in range(k))
    recall, ndcg, rounds = 0.0, 0.0, 0
    for coded in _orders(decoded, query):
        for truth in truths:
            hits = [rank for rank, item in enumerate(coded[:k]) if item in truth]
            recall += len(hits) / k
            ndcg += sum(1 / math.log2(2 + rank) for rank in hits) / ideal
            rounds += 1
    shared = [
        sum(
            sum(tuple(sids[i][:length]) == tuple(sids[query][:length]) for i in truth) / k
            for truth in truths
        )
        / len(truths)
        for length in range(1, sids.shape[1] + 1)
    ]
    return recall / rounds, ndcg / rounds, shared


def spearman(first: list[int], second: list[int]) -> float:
    """Pearson's correlation of mid-ranks."""

    def ranks(values: list[int]) -> np.ndarray:
        return np.array(
            [
                sum(other < value for other in values) + (values.count(value) + 1) / 2
                for value in values
            ]
        )

    left, right = ranks(first), ranks(second)
    left, right = left - left.mean(), right - right.mean()
    scale = math.sqrt((left @ left) * (right @ right))
    return float(left @ right / scale) if scale else math.nan
