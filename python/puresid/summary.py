"""What an assignment looks like in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from puresid.arrays import SidsArray

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
        Items whose nearest SID has another owner. For ``"suffix"``, items with a counter above 0;
        for ``"optimal"``, items that have another SID than their nearest, whoever has that.
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
    lower_bound : float
        Of ``"optimal"``, otherwise NaN: the least that the total distortion can be, each item's
        times its weight. Without weights ``items * distortion`` is at most so far above it as the
        gap says.
    bound_over : {"all", "listed", ""}
        What it holds for: every unique assignment, or those over the SIDs that were listed.
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
    lower_bound: float = math.nan
    bound_over: str = ""

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

    def _bound_rows(self) -> list[tuple[str, str]]:
        if not self.bound_over or self.items == 0:
            return []
        mean = self.lower_bound / self.items
        return [("lower bound", f"{mean:.6g} over {self.bound_over} SIDs")]

    def __str__(self) -> str:
        moved = "not on nearest" if self.method == "optimal" else "conflicts"
        rows = [
            ("items", f"{self.items:,}"),
            ("unique SIDs", f"{self.unique:,}"),
            (moved, f"{self.conflicts:,} ({self.conflicts / max(self.items, 1):.1%})"),
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
            *self._bound_rows(),
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


def summarise(
    *,
    sids: SidsArray,
    stages: npt.NDArray[np.int8],
    distortion: npt.NDArray[np.float32],
    nearest_distortion: float,
    method: str,
    n_tiers: int,
    sizes: tuple[int, ...],
    n_taken: int,
    lower_bound: float,
    bound_over: str,
) -> AssignmentSummary:
    """Count over the items of an assignment. Costs a sort of the SIDs."""
    found, counts = np.unique(stages, return_counts=True)
    items = len(stages)
    conflicts = np.count_nonzero(sids[:, -1] if method == "suffix" else stages)
    capacity = math.prod(sizes)
    return AssignmentSummary(
        items=items,
        unique=_distinct_rows(sids),
        conflicts=int(conflicts),
        stage_counts=dict(zip(found.tolist(), counts.tolist(), strict=True)),
        nearest_distortion=nearest_distortion,
        distortion=float(distortion.mean(dtype=np.float64)) if items else math.nan,
        capacity=capacity,
        load=(items + n_taken) / capacity,
        fullest_prefixes=_fullest(sids, len(sizes), sizes[-1]),
        method=method,
        n_tiers=n_tiers,
        lower_bound=lower_bound,
        bound_over=bound_over,
    )
