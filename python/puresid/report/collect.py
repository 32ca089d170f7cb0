"""The figures of a report: plain numbers out of assignments, without any page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import __version__
from puresid.arrays import SidsArray
from puresid.assignment import Assignment
from puresid.codebooks import Codebooks

MOST_POINTS = 256
"""Points of a line of token counts; a larger codebook is thinned out evenly."""

MOST_BINS = 24
MOST_GROUPS = 12
MOST_MEMBERS = 12
SHOWN_FIRST = ("ecm", "rrs", "beam", "optimal", "suffix", "nearest")


@dataclass(frozen=True)
class Spread:
    """Mean, quantiles (5, 25, 50, 75 and 95 %) and maximum of some numbers."""

    mean: float
    low: float
    quarter: float
    median: float
    three_quarters: float
    high: float
    largest: float


@dataclass(frozen=True)
class MethodFigures:
    """What one method made of the catalogue.

    Attributes
    ----------
    method : str
    tokens : int
        Per SID; one more than the levels for ``"suffix"``.
    unique : int
        Distinct SIDs.
    sharing : int
        Items whose SID another item has too.
    moved : int
        Items that were given another SID than their nearest.
    stages : tuple of (str, int)
        How items got their SIDs, and how many.
    distortion : float
        Mean squared distance.
    ratio : float or None
        That, divided by the mean of the nearest SIDs; None where the latter is 0.
    extra : Spread or None
        Of the moved items: squared distance to the SID minus that to the nearest SID.
    conflicts : tuple of float
        For prefixes of 1, 2, … tokens: share of the items that are not the first with theirs.
    """

    method: str
    tokens: int
    unique: int
    sharing: int
    moved: int
    stages: tuple[tuple[str, int], ...]
    distortion: float
    ratio: float | None
    extra: Spread | None
    conflicts: tuple[float, ...]


@dataclass(frozen=True)
class LevelUse:
    """How often the tokens of a level are used: `counts` are (rank, items), most used first."""

    level: int
    size: int
    used: int
    counts: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PrefixLoad:
    """How many items the prefixes of a length have.

    Attributes
    ----------
    length : int
        Tokens of the prefix.
    possible : int
        Prefixes that the codebooks have.
    used : int
        Prefixes with at least one item.
    room : int
        SIDs below a prefix.
    largest : int
        Items of the fullest prefix.
    bins : tuple of (int, int, int)
        Fewest and most items, and how many prefixes have as many.
    """

    length: int
    possible: int
    used: int
    room: int
    largest: int
    bins: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Member:
    """An item of a conflict group: how it got its SID, and the squared distances."""

    row: int
    sid: tuple[int, ...]
    how: str
    distortion: float
    nearest_distortion: float


@dataclass(frozen=True)
class ConflictGroup:
    """Items that have one nearest SID; the first `members` of them, by stage, then by row."""

    sid: tuple[int, ...]
    items: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class ReportFigures:
    """All figures of a report; `shown` is the method whose SIDs the page lists.

    Attributes
    ----------
    version : str
        Of puresid.
    items, dimension : int
    space, metric : str
    sizes : tuple of int
    capacity : int
    load : float
        Items / capacity.
    conflicts : int
        Items whose nearest SID another item owns.
    shared_sids : int
        Nearest SIDs of more than one item.
    shown : str
    methods : tuple of MethodFigures
    levels : tuple of LevelUse
        Of the method shown, and so are `loads`.
    loads : tuple of PrefixLoad
    groups : tuple of ConflictGroup
        The largest ones.
    evaluations : tuple of (str, object)
        Method and `SidEvaluation`.
    """

    version: str
    items: int
    dimension: int
    space: str
    metric: str
    sizes: tuple[int, ...]
    capacity: int
    load: float
    conflicts: int
    shared_sids: int
    shown: str
    methods: tuple[MethodFigures, ...]
    levels: tuple[LevelUse, ...]
    loads: tuple[PrefixLoad, ...]
    groups: tuple[ConflictGroup, ...]
    evaluations: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Ordered:
    """SIDs in lexicographic order, equal ones in row order.

    Attributes
    ----------
    order : ndarray of int64, shape (N,)
        Rows.
    starts : tuple of ndarray of int64
        For prefixes of 1, 2, … tokens: where each begins in `order`.
    """

    order: npt.NDArray[np.int64]
    starts: tuple[npt.NDArray[np.int64], ...]

    def counts(self, length: int) -> npt.NDArray[np.int64]:
        """Return the items of each prefix of `length` tokens."""
        return np.diff(self.starts[length - 1], append=len(self.order))


def in_order(sids: SidsArray) -> Ordered:
    """Sort SIDs, of which there must be one at least."""
    order = np.lexsort(sids.T[::-1])
    new = np.zeros(len(sids), dtype=bool)
    new[0] = True
    starts = []
    for column in sids.T:
        tokens = column[order]
        new[1:] |= tokens[1:] != tokens[:-1]
        starts.append(np.flatnonzero(new))
    return Ordered(order, tuple(starts))


def stage_name(stage: int, n_tiers: int) -> str:
    """Return how an item got its SID, in words."""
    if stage == -1:
        return "shared"
    if stage == 0:
        return "nearest"
    return f"tier {stage}" if stage <= n_tiers else "completion"


def collect(
    results: dict[str, Assignment],
    methods: Sequence[str],
    codebooks: Codebooks,
    evaluations: Sequence[tuple[str, Any]] = (),
) -> ReportFigures:
    """Count over the assignments of one catalogue.

    Parameters
    ----------
    results : dict of str to Assignment
        By method; ``"nearest"`` and all of `methods` are there, and each has an item at least.
    methods : sequence of str
        Which ones the report is about.
    codebooks : Codebooks
    evaluations : sequence of (str, SidEvaluation)

    Returns
    -------
    ReportFigures
    """
    nearest = results["nearest"]
    orders = {name: in_order(result.sids) for name, result in results.items()}
    shown = next(name for name in SHOWN_FIRST if name in methods)
    groups = orders["nearest"].counts(codebooks.n_levels)
    items = len(nearest.sids)
    return ReportFigures(
        version=__version__,
        items=items,
        dimension=codebooks.input_dim,
        space=codebooks.space,
        metric=codebooks.metric,
        sizes=codebooks.sizes,
        capacity=codebooks.capacity,
        load=items / codebooks.capacity,
        conflicts=items - len(groups),
        shared_sids=int((groups > 1).sum()),
        shown=shown,
        methods=tuple(_of_method(results[name], orders[name], nearest) for name in methods),
        levels=_levels(results[shown].sids, codebooks.sizes),
        loads=_loads(orders[shown], codebooks.sizes),
        groups=_groups(results[shown], nearest, orders["nearest"], codebooks.n_levels),
        evaluations=tuple(evaluations),
    )


def _of_method(result: Assignment, ordered: Ordered, nearest: Assignment) -> MethodFigures:
    items, tokens = result.sids.shape
    prefixes = [len(ordered.counts(length)) for length in range(1, tokens + 1)]
    counts = ordered.counts(tokens)
    moved = result.stages > 0
    found, numbers = np.unique(result.stages, return_counts=True)
    distortion = float(result.distortion.mean(dtype=np.float64))
    base = nearest.nearest_distortion
    extra = result.distortion.astype(np.float64) - nearest.distortion
    return MethodFigures(
        method=result.method,
        tokens=tokens,
        unique=len(counts),
        sharing=int(counts[counts > 1].sum()),
        moved=int(moved.sum()),
        stages=tuple(
            (stage_name(stage, len(result.tiers)), number)
            for stage, number in zip(found.tolist(), numbers.tolist(), strict=True)
        ),
        distortion=distortion,
        ratio=distortion / base if base > 0 else None,
        extra=_spread(extra[moved]) if moved.any() else None,
        conflicts=tuple((items - count) / items for count in prefixes),
    )


def _spread(values: npt.NDArray[np.float64]) -> Spread:
    quantiles = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95, 1)).tolist()
    return Spread(float(values.mean()), *quantiles)


def _levels(sids: SidsArray, sizes: tuple[int, ...]) -> tuple[LevelUse, ...]:
    levels = []
    for level, size in enumerate(sizes):
        counts = np.sort(np.bincount(sids[:, level], minlength=size))[::-1]
        ranks = np.unique(np.linspace(0, size - 1, min(size, MOST_POINTS)).round().astype(int))
        points = zip(ranks.tolist(), counts[ranks].tolist(), strict=True)
        levels.append(LevelUse(level, size, int((counts > 0).sum()), tuple(points)))
    return tuple(levels)


def _loads(ordered: Ordered, sizes: tuple[int, ...]) -> tuple[PrefixLoad, ...]:
    loads = []
    for length in range(1, len(sizes)):
        counts = ordered.counts(length)
        loads.append(
            PrefixLoad(
                length=length,
                possible=math.prod(sizes[:length]),
                used=len(counts),
                room=math.prod(sizes[length:]),
                largest=int(counts.max()),
                bins=_bins(counts),
            )
        )
    return tuple(loads)


def _bins(counts: npt.NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """Return a histogram of whole numbers from 1 on: equally wide bins, or doubling if skewed."""
    largest = int(counts.max())
    if largest > MOST_BINS and largest > 16 * float(np.median(counts)):
        edges = [1 << power for power in range(largest.bit_length() + 1)]
    else:
        width = -(-largest // MOST_BINS)
        edges = list(range(1, largest + width + 1, width))
    number, _ = np.histogram(counts, np.array(edges) - 0.5)
    return tuple(
        (low, high - 1, int(count))
        for low, high, count in zip(edges[:-1], edges[1:], number, strict=True)
    )


def _groups(
    shown: Assignment, nearest: Assignment, ordered: Ordered, n_levels: int
) -> tuple[ConflictGroup, ...]:
    counts = ordered.counts(n_levels)
    starts = ordered.starts[n_levels - 1]
    largest = np.argsort(-counts, kind="stable")[:MOST_GROUPS]
    groups = []
    for place in largest[counts[largest] > 1].tolist():
        rows = ordered.order[starts[place] : starts[place] + counts[place]]
        first = rows[np.argsort(shown.stages[rows], kind="stable")][:MOST_MEMBERS]
        groups.append(
            ConflictGroup(
                sid=tuple(nearest.sids[rows[0]].tolist()),
                items=len(rows),
                members=tuple(
                    Member(
                        row=row,
                        sid=tuple(shown.sids[row].tolist()),
                        how=stage_name(int(shown.stages[row]), len(shown.tiers)),
                        distortion=float(shown.distortion[row]),
                        nearest_distortion=float(nearest.distortion[row]),
                    )
                    for row in first.tolist()
                ),
            )
        )
    return tuple(groups)
