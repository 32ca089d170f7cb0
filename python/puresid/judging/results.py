"""What judging SIDs gives: figures with the intervals that sampling leaves."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Interval:
    """A figure and the 95 % confidence interval around it.

    Attributes
    ----------
    value, low, high : float
        All three are equal where nothing was sampled.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high or math.isnan(self.value):
            return f"{self.value:.4g}"
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True)
class LevelEvaluation:
    """One column of the SIDs, and the prefixes that end with it.

    Attributes
    ----------
    level : int
        From 0.
    size : int
        Tokens that the level has. For a counter after the levels: one more than its highest value.
    used : int
        Tokens that some item has.
    utilisation : float
        ``used / size``.
    dead : int
        Tokens that no item has.
    entropy : float
        Of the tokens over the items, in bits.
    perplexity : float
        ``2 ** entropy``: as many equally frequent tokens would have this entropy.
    conflict_rate : float
        Share of the items that are not the first with their prefix of ``level + 1`` tokens: one
        less for each prefix. At the last level, items whose SID has another owner.
    shared_rate : float
        Share of the items whose prefix some other item has too: both items of a pair count.
    prefixes : int
        Distinct prefixes of ``level + 1`` tokens.
    largest_prefix : int
        Items below the fullest of them.
    mean_load : float
        Items per prefix that is used.
    load_quantiles : tuple of float
        Of the items per used prefix, at 0, 0.25, 0.5, 0.75, 0.9, 0.99 and 1.
    distortion : float
        Mean squared distance of the vectors to what levels 0 to `level` stand for; NaN where they
        stand for no vector, as the first levels of a product space.
    """

    level: int
    size: int
    used: int
    utilisation: float
    dead: int
    entropy: float
    perplexity: float
    conflict_rate: float
    shared_rate: float
    prefixes: int
    largest_prefix: int
    mean_load: float
    load_quantiles: tuple[float, ...]
    distortion: float


@dataclass(frozen=True)
class NeighbourAgreement:
    """How far nearness of SIDs is nearness of vectors.

    Attributes
    ----------
    k : int
        Neighbours of an item that count.
    recall : Interval
        Share of an item's k nearest by vector that are among its k nearest by decoded SID.
    ndcg : Interval
        The same with the discount ``1 / log2(1 + rank)`` by rank in code space, over that of a
        perfect order; relevance is binary.
    prefix_recall : tuple of Interval
        Per column of the SIDs: share of the k nearest by vector with the same prefix up to it.
    queries : int
        Items whose neighbours were looked up, against all others.
    """

    k: int
    recall: Interval
    ndcg: Interval
    prefix_recall: tuple[Interval, ...]
    queries: int


@dataclass(frozen=True)
class SidEvaluation:
    """What `evaluate_sids` found; `str` of it is a small table.

    Attributes
    ----------
    items : int
    unique : int
        Distinct SIDs.
    duplicates : int
        ``items - unique``.
    n_levels : int
        Levels of the codebooks.
    sizes : tuple of int
        Codewords per level.
    capacity : int
        SIDs that the codebooks have.
    load : float
        ``items / capacity``.
    tokens_per_item : int
        Columns of the SIDs: one more than `n_levels` where they end with a counter.
    distortion : float
        Mean squared distance of the vectors to their decoded SIDs, in the space that is quantised.
    variance : float
        Mean squared distance of the vectors to their mean, in the same space.
    levels : tuple of LevelEvaluation
        One per column of the SIDs.
    neighbours : NeighbourAgreement
    distance_correlation : Interval
        Spearman's, between the distances of pairs of vectors and those of their decoded SIDs; NaN
        where one of the two is constant.
    """

    items: int
    unique: int
    duplicates: int
    n_levels: int
    sizes: tuple[int, ...]
    capacity: int
    load: float
    tokens_per_item: int
    distortion: float
    variance: float
    levels: tuple[LevelEvaluation, ...]
    neighbours: NeighbourAgreement
    distance_correlation: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes: dicts, lists and numbers, None for NaN."""
        found: dict[str, Any] = plain(self)
        return found

    def __str__(self) -> str:
        ratio = self.distortion / self.variance if self.variance > 0 else math.nan
        rows = [
            ("items", f"{self.items:,}"),
            ("unique SIDs", f"{self.unique:,} ({self.duplicates:,} duplicates)"),
            ("sizes", " x ".join(map(str, self.sizes))),
            ("tokens per item", f"{self.tokens_per_item}"),
            ("load", f"{self.load:.3g} of {self.capacity:,} SIDs"),
            ("distortion", f"{self.distortion:.6g} (x {ratio:.4f} of the variance)"),
            (f"recall@{self.neighbours.k}", f"{self.neighbours.recall}"),
            (f"NDCG@{self.neighbours.k}", f"{self.neighbours.ndcg}"),
            ("distance correlation", f"{self.distance_correlation}"),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        head = "level,used,of,entropy,perplexity,conflicts,prefixes,fullest,distortion,neighbours"
        cells: list[tuple[str, ...]] = [tuple(head.split(","))]
        cells += [
            (
                f"{level.level}",
                f"{level.used:,}",
                f"{level.size:,}",
                f"{level.entropy:.2f}",
                f"{level.perplexity:.1f}",
                f"{level.conflict_rate:.1%}",
                f"{level.prefixes:,}",
                f"{level.largest_prefix:,}",
                f"{level.distortion:.4g}",
                f"{shared.value:.1%}",
            )
            for level, shared in zip(self.levels, self.neighbours.prefix_recall, strict=True)
        ]
        return "\n".join(lines + table(cells))


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Lay cells out in columns, right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def plain(value: Any) -> Any:
    """Turn dataclasses and tuples into dicts and lists, and what is not finite into None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
