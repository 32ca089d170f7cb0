"""What the planner answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from puresid.judging.results import Interval, plain, table


@dataclass(frozen=True)
class PlannedSetting:
    """What codebooks of one shape would do to the catalogue.

    Attributes
    ----------
    levels, size : int
        Number of levels, and codewords of each.
    capacity : int
        SIDs: ``size ** levels``.
    load : float
        Items of the whole catalogue over the capacity.
    conflict_rate : Interval
        Share of the items whose nearest SID another item owns: 1 - distinct SIDs / items, as
        ``AssignmentSummary.conflicts / items``.
    distortion_ratio : float
        Mean squared distance to the nearest SIDs, over that to the mean vector.
    tokens : int
        Tokens per item.
    vocabulary : int
        Tokens that a language model learns: ``size * levels``.
    """

    levels: int
    size: int
    capacity: int
    load: float
    conflict_rate: Interval
    distortion_ratio: float
    tokens: int
    vocabulary: int


@dataclass(frozen=True)
class Plan:
    """What `plan` predicts; `str` of it is a table with the recommendation below.

    Attributes
    ----------
    items : int
        Of the whole catalogue.
    sample : int
        Of them that were read. Where that is all, the figures are measured, not predicted.
    settings : tuple of PlannedSetting
        By levels, then by size.
    recommended : int
        Index into `settings`.
    reason : str
        Why, in words.
    """

    items: int
    sample: int
    settings: tuple[PlannedSetting, ...]
    recommended: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes: dicts, lists and numbers."""
        found: dict[str, Any] = plain(self)
        return found

    def __str__(self) -> str:
        head = ",levels,size,capacity,load,conflicts,95 % from,to,distortion,vocabulary"
        rows: list[tuple[str, ...]] = [tuple(head.split(","))]
        for number, one in enumerate(self.settings):
            rows.append(
                (
                    "*" if number == self.recommended else "",
                    f"{one.levels}",
                    f"{one.size:,}",
                    f"{one.capacity:,}",
                    f"{one.load:.3g}",
                    f"{one.conflict_rate.value:.2%}",
                    f"{one.conflict_rate.low:.2%}",
                    f"{one.conflict_rate.high:.2%}",
                    f"{one.distortion_ratio:.3f}",
                    f"{one.vocabulary:,}",
                )
            )
        how = "measured on all" if self.sample == self.items else f"from {self.sample:,} of them"
        return "\n".join([f"{self.items:,} items, {how}", *table(rows), f"* {self.reason}"])
