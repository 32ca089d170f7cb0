"""`evaluate_sids`: how good SIDs are, without training a language model on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.arrays import check_finite, float_matrix, to_numpy, token_matrix
from puresid.checks import integer, rows_at_once
from puresid.codebooks import Codebooks, as_codebooks
from puresid.config import thread_count
from puresid.judging.levels import (
    LevelDistortions,
    Prefixes,
    decode,
    evaluate_level,
    find_prefixes,
    plain_codebooks,
)
from puresid.judging.neighbours import (
    Points,
    Wide,
    distance_correlation,
    interval_of_mean,
    neighbour_agreement,
)
from puresid.judging.results import Interval, NeighbourAgreement, SidEvaluation

Tokens = npt.NDArray[np.uint32]

SAMPLE = 2000
PAIRS_PER_QUERY = 50
BLOCK_NUMBERS = 1 << 22


def _checked_sids(sids: Any, books: Codebooks, items: int) -> Tokens:
    array = np.asarray(to_numpy(sids))
    columns = books.n_levels
    if array.ndim == 2 and array.shape[1] == columns + 1:
        columns += 1
    tokens = token_matrix(array, columns, "sids")
    if len(tokens) != items:
        raise ValueError(f"sids has {len(tokens)} rows; vectors has {items}")
    books.checked_tokens(tokens[:, : books.n_levels])
    return tokens


def _blocks(
    rows: npt.NDArray[Any], books: Codebooks, threads: int | None
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield what the codebooks quantise, block by block, with its first row."""
    step = max(1, BLOCK_NUMBERS // rows.shape[1])
    for first in range(0, len(rows), step):
        block = float_matrix(rows[first : first + step], "vectors")
        check_finite(block, first)
        latent = books.transform(block, threads=threads)
        check_finite(latent, first, after=" after the encoder")
        yield first, latent


def _distortions(
    rows: npt.NDArray[Any], levels: Tokens, books: Codebooks, threads: int | None
) -> tuple[Codebooks, LevelDistortions]:
    """Return plain codebooks, and what each of their levels leaves of the vectors."""
    latent = books.latent
    sums = LevelDistortions(books.latent)
    for first, block in _blocks(rows, books, threads):
        of_block = levels[first : first + len(block)]
        if first == 0:
            latent = plain_codebooks(books, block, of_block)
        sums.add(block, of_block)
    return latent, sums


def _correlation(
    rows: npt.NDArray[Any], decoded: Wide, code_of: npt.NDArray[np.int64], pairs: int, seed: Any
) -> Interval:
    items = len(rows)
    exact = items * (items - 1) // 2 <= pairs
    if exact:
        left, right = np.triu_indices(items, 1)
    else:
        rng = np.random.default_rng(seed)
        left = rng.integers(0, items, pairs)
        right = (left + rng.integers(1, items, pairs)) % items
    apart, coded = np.empty(len(left)), np.empty(len(left))
    step = max(1, BLOCK_NUMBERS // max(rows.shape[1], decoded.shape[1]))
    for first in range(0, len(left), step):
        part = slice(first, first + step)
        a, b = left[part], right[part]
        difference = np.asarray(rows[a], np.float64) - np.asarray(rows[b], np.float64)
        apart[part] = np.sqrt(np.square(difference).sum(axis=1))
        difference = decoded[code_of[a]] - decoded[code_of[b]]
        coded[part] = np.sqrt(np.square(difference).sum(axis=1))
    return distance_correlation(apart, coded, exact=exact)


def _neighbours(
    rows: npt.NDArray[Any],
    decoded: Wide,
    code_of: npt.NDArray[np.int64],
    prefixes: Sequence[Prefixes],
    k: int,
    queries: npt.NDArray[np.int64],
) -> NeighbourAgreement:
    items = len(rows)
    found = neighbour_agreement(
        Points(rows),
        Points(decoded),
        code_of,
        np.stack([prefix.of_item for prefix in prefixes]),
        queries,
        k,
    )
    return NeighbourAgreement(
        k=k,
        recall=interval_of_mean(found.recall, items),
        ndcg=interval_of_mean(found.ndcg, items),
        prefix_recall=tuple(interval_of_mean(share, items) for share in found.prefix_recall.T),
        queries=len(queries),
    )


def evaluate_sids(
    vectors: Any,
    sids: Any,
    codebooks: Codebooks | Sequence[Any],
    *,
    k: int = 10,
    sample: int | None = SAMPLE,
    random_state: int = 0,
    threads: int | None = None,
) -> SidEvaluation:
    """Judge SIDs by what they keep of the vectors, without training a language model.

    Parameters
    ----------
    vectors : array_like, shape (N, D)
        Real numbers, raw: before encoder and rotation. An array or memory map is read in blocks.
    sids : array_like of int, shape (N, L) or (N, L + 1)
        Row i belongs to row i of the vectors. One more column than the codebooks have levels is a
        counter, as ``assign(method="suffix")`` makes it: it counts for uniqueness and as a level,
        and stands for nothing.
    codebooks : Codebooks or sequence of array_like
        Of any space.
    k : int
        Neighbours per item, below N.
    sample : int or None
        Items at most whose neighbours are looked up (always among all others), and a fiftieth of
        the pairs whose distances are compared. None for all.
    random_state : int
        Seed of the sample.
    threads : int, optional
        For the encoder. Products run on the threads that NumPy's BLAS has.

    Returns
    -------
    SidEvaluation

    Raises
    ------
    TypeError
        If the vectors are not real numbers, the tokens or a number not integers.
    ValueError
        If shapes do not fit, a token is out of range, a value is not finite (naming the row), or
        there are not more than `k` items.

    Notes
    -----
    Distortion and variance are measured where the codebooks quantise; neighbours and pairs by the
    raw vectors, so that what an encoder loses counts, against the distances between decoded SIDs.
    With normalised residuals, distortion is measured with each item's own lengths, as `assign`
    does, and SIDs are decoded with the mean lengths of the first few thousand items.
    Ties in either space count with their mean over all orders.

    Memory beyond the input: about 0.5 GB at most, and one decoded vector (float64) per distinct
    SID. 100,000 items of dimension 64 take some twenty seconds on one core.

    References
    ----------
    Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002. Bonett &
    Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman correlations",
    Psychometrika 2000.

    Examples
    --------
    >>> levels = [[[0.0], [8.0]], [[0.0], [1.0]]]
    >>> found = evaluate_sids([[0.0], [1.2], [8.1]], [[0, 0], [0, 1], [1, 0]], levels, k=1)
    >>> found.unique, found.levels[0].conflict_rate, found.neighbours.recall.value
    (3, 0.6666666666666666, 1.0)
    """
    books = as_codebooks(codebooks)
    threads = thread_count(threads)
    rows = rows_at_once(vectors)
    items = len(rows)
    k = integer(k, "k", 1)
    seed = integer(random_state, "random_state", 0)
    asked = items if sample is None else integer(sample, "sample", 1)
    if rows.shape[1] != books.input_dim:
        raise ValueError(
            f"vectors have dimension {rows.shape[1]}; the codebooks take {books.input_dim}"
        )
    if items <= k:
        raise ValueError(f"k is {k}; {items} items have {max(0, items - 1)} neighbours at most")
    tokens = _checked_sids(sids, books, items)
    levels = np.ascontiguousarray(tokens[:, : books.n_levels])

    latent, sums = _distortions(rows, levels, books, threads)
    distortions = [*sums.distortion, sums.distortion[-1]]
    prefixes = find_prefixes(tokens)
    codes = prefixes[books.n_levels - 1]
    decoded = np.asarray(decode(latent, levels[codes.first], books.n_levels - 1), np.float64)
    queries = np.arange(items)
    if asked < items:
        queries = np.sort(np.random.default_rng([seed, 0]).choice(items, asked, replace=False))
    pairs = items * items if sample is None else asked * PAIRS_PER_QUERY
    sizes = (*books.sizes, int(tokens[:, -1].max()) + 1)
    unique = len(prefixes[-1].counts)
    return SidEvaluation(
        items=items,
        unique=unique,
        duplicates=items - unique,
        n_levels=books.n_levels,
        sizes=books.sizes,
        capacity=books.capacity,
        load=items / books.capacity,
        tokens_per_item=tokens.shape[1],
        distortion=distortions[-1],
        variance=sums.variance,
        levels=tuple(
            evaluate_level(number, sizes[number], column, prefixes[number], distortions[number])
            for number, column in enumerate(tokens.T)
        ),
        neighbours=_neighbours(rows, decoded, codes.of_item, prefixes, k, queries),
        distance_correlation=_correlation(rows, decoded, codes.of_item, pairs, [seed, 1]),
    )
