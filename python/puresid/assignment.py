"""`assign`: a SID for every item, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid._assign_options import (
    METHODS,
    UNIQUE,
    bound,
    checked_gap,
    checked_limit,
    checked_search,
    checked_tiers,
    checked_weights,
    checked_width,
    used_tiers,
)
from puresid.arrays import SidsArray, priorities, token_matrix
from puresid.codebooks import Codebooks, as_codebooks
from puresid.config import progress_bar, simd, thread_count
from puresid.sources import Transformed, add_all, resolve_conflicts, vectors_or_source
from puresid.summary import AssignmentSummary, summarise

__all__ = ["Assignment", "AssignmentSummary", "assign"]


@dataclass(frozen=True, eq=False)
class Assignment:
    """What `assign` found. Row i of each array belongs to row i of the vectors.

    Attributes
    ----------
    sids : ndarray, shape (N, L), uint16 or uint32
        One token per level; uint32 where a codebook has more than 65,536 codewords. For
        ``method="suffix"`` shape (N, L + 1), the counter last.
    stages : ndarray, shape (N,), int8
        How each item got its SID: 0 nearest, t tier t, ``len(tiers) + 1`` completion, -1 left on
        the nearest SID, which another item owns (``complete=False`` and ``method="nearest"`` only).
    distortion : ndarray, shape (N,), float32
        Squared distance between each vector and the sum of its codewords.
    method : str
        As given.
    tiers : tuple of tuple of int
        As used; of ``"beam"`` and ``"optimal"`` how many partial SIDs were kept after each level.
    sizes : tuple of int
        Codewords per level.
    n_taken : int
        Distinct SIDs among `taken`.
    nearest_distortion : float
        Mean squared distance between the vectors and their nearest SIDs; NaN without items.
    lower_bound : float
        Of ``"optimal"``, otherwise NaN: the least that ``sum(weights * distortion)`` can be, up to
        the rounding of float32.
    bound_over : {"all", "listed", ""}
        What `lower_bound` holds for: ``"all"``, every assignment of different SIDs that are not
        taken; ``"listed"``, those in which each item has one of the SIDs that its search listed.
    """

    sids: SidsArray
    stages: npt.NDArray[np.int8]
    distortion: npt.NDArray[np.float32]
    method: str
    tiers: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    n_taken: int
    nearest_distortion: float
    lower_bound: float = math.nan
    bound_over: str = ""

    def summary(self) -> AssignmentSummary:
        """Count what happened; `str` of the answer is a small table."""
        return summarise(
            sids=self.sids,
            stages=self.stages,
            distortion=self.distortion,
            nearest_distortion=self.nearest_distortion,
            method=self.method,
            n_tiers=len(self.tiers),
            sizes=self.sizes,
            n_taken=self.n_taken,
            lower_bound=self.lower_bound,
            bound_over=self.bound_over,
        )


def _wrong_dimension(books: Codebooks, dim: int) -> str:
    if books.encoder is not None or books.rotation is not None:
        return f"vectors have dimension {dim}; the codebooks' encoder takes {books.input_dim}"
    if books.space == "product":
        return f"vectors have dimension {dim}; the codebooks quantise {books.dim} columns in all"
    return (
        f"codebooks[0] has {books.sizes[0]} codewords of dimension {books.dim}; "
        f"vectors have dimension {dim}"
    )


def _with_counter(sids: SidsArray, counter: npt.NDArray[np.uint32]) -> SidsArray:
    wide = sids.dtype == np.uint32 or (counter.size > 0 and int(counter.max()) > 0xFFFF)
    columns = np.empty((len(sids), sids.shape[1] + 1), dtype=np.uint32 if wide else np.uint16)
    columns[:, :-1] = sids
    columns[:, -1] = counter
    return columns


def assign(
    vectors: Any,
    codebooks: Codebooks | Sequence[Any],
    method: str = "ecm",
    *,
    tiers: Sequence[Sequence[int]] | None = None,
    width: int | None = None,
    complete: bool = True,
    priority: Any = None,
    weights: Any = None,
    search: str | None = None,
    gap: float | None = None,
    taken: Any = None,
    max_distortion: float | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Assignment:
    """Give every item a semantic ID that no other item has.

    Each vector is quantised greedily. Of the items that meet at a SID the first in priority order
    owns it; the others take the first free SID among their own candidates, tier by tier, and
    whoever is left walks down to the nearest prefix with a free SID. The same input gives the same
    bytes whatever the threads and the instruction set.

    Parameters
    ----------
    vectors : array_like or VectorSource, shape (N, D)
        What the codebooks take, before their encoder and rotation where they have any. Real
        numbers, a torch tensor, a source of batches, or what speaks Arrow's PyCapsule interface
        (polars, duckdb, pyarrow, …): a column of lists of floats or of fixed-size binary that holds
        little-endian float32, or a table with one such column. float32 and float16 in C order (a
        ``np.memmap`` too) are read where they lie; anything else is converted to float32, a large
        array or a source block by block. The result is the same bytes whichever it is.
    codebooks : Codebooks or sequence of array_like
        Of any space; or one (K_l, D) array per level, whose codewords add up (residual).
    method : {"ecm", "rrs", "beam", "optimal", "nearest", "suffix"}
        ``"ecm"``, exhaustive candidate matching: candidates by ascending sum of the distances per
        level, each to the residual on the item's greedy path (in a tree to the vector itself, the
        children of whatever token comes before). ``"rrs"``, recursive residual searching:
        candidates in the order of a depth-first walk over residuals. ``"beam"``: candidates by
        ascending distortion, as far as a beam of `width` partial SIDs finds them; SIDs that cost
        less for a longer search, but not in codebooks with normalised residuals or cosine.
        ``"optimal"``: the least total distortion of all items together, with a bound that says how
        near it is; not in those codebooks either.
        ``"nearest"``: conflicts stay. ``"suffix"``, the field's baseline: one more column that
        counts 0, 1, 2, … within each group of equal nearest SIDs, in priority order.
    tiers : sequence of sequence of int, optional
        ``k_l`` per level of each tier, cut at ``K_l``. Default: the paper's authors'
        ``((1, …, 1, 10), (5, …, 5, 20))``. Not for ``"beam"`` and ``"optimal"``.
    width : int, optional
        How many partial SIDs are kept after each level, from 1 to 1,024. For ``"beam"``, default
        64: candidates are the leaves below them, ``16 * width`` at most. For ``"optimal"``, default
        256, or 5 where only conflicts are searched: SIDs below others are not listed. Up to
        three levels a width of the codebooks' size loses none.
    complete : bool
        Whether items that no tier served get a SID all the same. Otherwise they keep their nearest
        SID, stage -1.
    priority : array_like, shape (N,), optional
        Higher first, equal ones in row order. Default: row order.
        With ``"optimal"`` it decides between equal totals only.
    weights : array_like, shape (N,), optional
        For ``"optimal"`` only: what each item's distortion counts, positive. Default: 1.
    search : {"all", "conflicts"}, optional
        For ``"optimal"`` only. ``"all"``: every item may move to whatever serves the total, also
        those that share their nearest SID with nobody, if only because the nearest SID of greedy
        quantisation need not be the closest. ``"conflicts"``: items keep their nearest SID unless
        it is contested; several times as fast. Default: ``"all"`` where items times codewords of
        the largest level are 2^25 at most (131,072 items at 256), else ``"conflicts"``.
    gap : float, optional
        For ``"optimal"`` only: how far the total may be above its lower bound, relative to it,
        from 0 to less than 1. Where items are few it is not used up. Default: 1e-3.
    taken : array_like of int, shape (M, L), optional
        Published SIDs, which are never given out. For ``"suffix"`` shape (M, L + 1).
    max_distortion : float, optional
        Tiers pass over candidates of a greater squared distortion. Completion does not.
    threads : int, optional
        Default: as many as the process may use.
    progress : bool
        Whether to draw bars on stderr.

    Returns
    -------
    Assignment

    Raises
    ------
    CapacityError
        If there are more items and taken SIDs than the codebooks have SIDs; before any work.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If shapes do not fit, a value is NaN, infinite or out of range (naming the place), or a
        source does not give the same rows when it is read again.
    ImportError
        If vectors speak Arrow and pyarrow is not installed.
    OSError
        If a source's items in conflict need a temporary file (beyond 64 MiB) and there is no room.
    KeyboardInterrupt
        On Ctrl-C, within half a second.

    Notes
    -----
    Memory beyond input and output: 12 bytes an item where a SID needs 32 bits or fewer, else 24; 8
    more with a priority, about 25 for each item in conflict; in spaces larger than 3 x 512, 8 for
    each SID given out, 16 beyond 32 bits; and less than 256 MiB. Of a source one batch is held; a
    memory-mapped array is read once from end to end, and then the rows of the items in conflict
    once per tier.

    A search of ECM and RRS looks below the first 1,024 prefixes of a tier at most (the default
    tiers have more from 6 levels on); then the next tier or completion takes over. A beam keeps
    partial SIDs by their scores, and orders `width` leaves at a time by their distortion; equal
    ones go in the order of their tokens. It takes tens of microseconds for each item in
    conflict, where ECM takes one or two.

    ``"optimal"`` needs all vectors at once: those of a source are read again into memory or, beyond
    64 MiB, into a temporary file. Beyond input and output it takes 180 bytes an item and 16 for
    each SID listed, 4 an item at most beside 128 MiB. Where a catalogue is so crowded that the
    work would exceed its bounds, those left are served one after the other and the bound says what
    was lost.

    Distances that are compared are computed as ``||c||^2 / 2 - r . c`` in float32, which loses
    digits where vectors lie far from the origin: with a mean a thousand times their spread, many
    tokens are no longer the nearest. Centre such vectors before training codebooks. Reported
    distortions are computed from ``x - c`` and do not suffer.

    References
    ----------
    Zhang, Li, McAuley & Hou, "Purely Semantic Indexing for LLM-based Generative Recommendation and
    Retrieval", arXiv 2509.16446.

    Examples
    --------
    >>> import numpy as np
    >>> levels = [np.array([[0.0], [8.0]]), np.array([[0.0], [1.0]])]
    >>> assign(np.array([[8.1], [8.1], [0.2]]), levels).sids.tolist()
    [[1, 0], [1, 1], [0, 0]]
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(map(repr, METHODS))}")
    books = as_codebooks(codebooks)
    rows = vectors_or_source(vectors)
    items = rows.shape[0]
    if rows.shape[1] != books.input_dim:
        raise ValueError(_wrong_dimension(books, rows.shape[1]))
    if books.input_dim != books.dim or books.latent is not books:
        rows = Transformed(rows, books, threads=threads)
    allowed = checked_gap(gap, method)
    searched = checked_search(search, method, items, books.sizes)
    factors = checked_weights(weights, method, items)
    beam_width = checked_width(width, method, searched, tiers, books)
    widths = checked_tiers(tiers, books.n_levels)
    columns = books.n_levels + (method == "suffix")
    used = None if taken is None else token_matrix(taken, columns, "taken")
    limit = checked_limit(max_distortion)
    with progress_bar(progress) as report:
        assigner = _core.Assigner(
            items,
            books.flat_levels,
            space=books.space,
            scaling=books.scaling,
            method=method,
            tiers=widths,
            width=beam_width,
            gap=allowed,
            search_all=searched == "all",
            complete=bool(complete),
            priority=None if priority is None else priorities(priority, items),
            weights=factors,
            taken=used,
            max_distortion=limit,
            threads=thread_count(threads),
            simd=simd(),
            progress=report,
        )
        if isinstance(rows, np.ndarray):
            assigner.add(rows)
            found = assigner.resolve(rows, conflicts=False)
        else:
            add_all(assigner, rows)
            found = resolve_conflicts(assigner, rows, read=method in UNIQUE)
    sids, stages, distortion, counter, nearest_sum, over_lists, over_all = found
    lower_bound, bound_over = bound(method, over_lists, over_all, allowed)
    return Assignment(
        sids=_with_counter(sids, counter) if method == "suffix" else sids,
        stages=stages,
        distortion=distortion,
        method=method,
        tiers=used_tiers(method, widths, beam_width, books.sizes),
        sizes=books.sizes,
        n_taken=assigner.n_taken,
        nearest_distortion=nearest_sum / items if items else math.nan,
        lower_bound=lower_bound,
        bound_over=bound_over,
    )
