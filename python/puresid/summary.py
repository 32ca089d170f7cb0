"""What an assignment looks like in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from puresid.arrays import SidsArray

if TYPE_CHECKING:
    from puresid.assignment import Assignment

_FULLEST = 5


@dataclass(frozen=True)
class AssignmentSummary:
    """Counts over the items of one assignment.

    Attributes
    ----------
    items : int
    unique : int
        Distinct SIDs among them.
    conflicts : int
        Items whose nearest SID has another owner. For ``"suffix"``, items with a counter above 0.
    stage_counts : dict of int to int
        Items per stage, stages without items left out.
    nearest_distortion, distortion : float
        Mean squared distance of the vectors to their nearest SIDs and to those they got.
    capacity : int
        Number of SIDs that the codebooks have.
    load : float
        (items + taken SIDs) / capacity.
    fullest_prefixes : tuple of (tuple of int, int, int)
        The prefixes of all tokens but the last with the most items: tokens, items, room. Taken SIDs
        are not counted.
    method : str
    n_tiers : int
    """

    items: int
    unique: int
    conflicts: int
    stage_counts: dict[int, int]
    nearest_distortion: float
    distortion: float
    capacity: int
    load: float
    fullest_prefixes: tuple[tuple[tuple[int, ...], int, int], ...]
    method: str
    n_tiers: int

    @property
    def distortion_ratio(self) -> float:
        """Mean distortion over that of the nearest SIDs; 1 where both are 0."""
        if self.distortion == self.nearest_distortion:
            return 1.0
        if self.nearest_distortion == 0:
            return math.inf
        return self.distortion / self.nearest_distortion

    def _stage_name(self, stage: int) -> str:
        if stage == -1:
            return "left on a shared SID"
        if stage == 0:
            return "nearest"
        return f"tier {stage}" if stage <= self.n_tiers else "completion"

    def __str__(self) -> str:
        rows = [
            ("items", f"{self.items:,}"),
            ("unique SIDs", f"{self.unique:,}"),
            ("conflicts", f"{self.conflicts:,} ({self.conflicts / max(self.items, 1):.1%})"),
        ]
        rows += [
            (f"  {self._stage_name(stage)}", f"{count:,}")
            for stage, count in self.stage_counts.items()
        ]
        rows += [
            (
                "distortion",
                f"{self.distortion:.6g} (nearest {self.nearest_distortion:.6g}, "
                f"x {self.distortion_ratio:.4f})",
            ),
            ("load", f"{self.load:.3g} of {self.capacity:,} SIDs"),
        ]
        rows += [
            ("fullest prefixes" if number == 0 else "", f"{prefix}: {items:,} of {room:,}")
            for number, (prefix, items, room) in enumerate(self.fullest_prefixes)
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _distinct_rows(sids: SidsArray) -> int:
    order = np.lexsort(sids.T[::-1])
    changed = (sids[order[1:]] != sids[order[:-1]]).any(axis=1)
    return int(changed.sum()) + (len(sids) > 0)


def _fullest(
    sids: SidsArray, n_levels: int, room: int
) -> tuple[tuple[tuple[int, ...], int, int], ...]:
    if n_levels < 2 or len(sids) == 0:
        return ()
    prefixes, counts = np.unique(sids[:, : n_levels - 1], axis=0, return_counts=True)
    first = np.argsort(-counts, kind="stable")[:_FULLEST]
    return tuple((tuple(prefixes[i].tolist()), int(counts[i]), room) for i in first)


def summarise(result: Assignment) -> AssignmentSummary:
    """Count over the items of `result`. Costs a sort of the SIDs."""
    stages, counts = np.unique(result.stages, return_counts=True)
    items = len(result.stages)
    suffixed = result.method == "suffix"
    conflicts = np.count_nonzero(result.sids[:, -1] if suffixed else result.stages)
    capacity = math.prod(result.sizes)
    return AssignmentSummary(
        items=items,
        unique=_distinct_rows(result.sids),
        conflicts=int(conflicts),
        stage_counts=dict(zip(stages.tolist(), counts.tolist(), strict=True)),
        nearest_distortion=result.nearest_distortion,
        distortion=float(result.distortion.mean(dtype=np.float64)) if items else math.nan,
        capacity=capacity,
        load=(items + result.n_taken) / capacity,
        fullest_prefixes=_fullest(result.sids, len(result.sizes), result.sizes[-1]),
        method=result.method,
        n_tiers=len(result.tiers),
    )
