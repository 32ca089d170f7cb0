"""`align`: codebooks that were trained again, numbered as the old ones as far as they agree.

Training does not care which number a codeword gets, so codebooks that are trained again share
hardly a token with the old ones even where their codewords hardly moved. `align` renumbers the new
codewords and changes nothing else: each level is matched with the old one by the Hungarian method,
from the first level to the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.arrays import SidsArray, to_numpy, token_matrix
from puresid.assignment import assign
from puresid.catalog._matching import match_levels, match_tree, moved, placed_together, renumbered
from puresid.codebooks import Codebooks, as_codebooks
from puresid.sources import vectors_or_source

__all__ = ["Alignment", "TokensKept", "align", "tokens_kept"]

Tokens = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int64]
Levels = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True)
class TokensKept:
    """How much of their old SIDs items have kept; NaN without items.

    Attributes
    ----------
    items : int
    tokens : tuple of float, one per level
        Share of the items whose token of the level is the old one.
    prefixes : tuple of float, one per level
        Share of the items whose tokens up to and with the level all are.
    """

    items: int
    tokens: tuple[float, ...]
    prefixes: tuple[float, ...]

    @property
    def sids(self) -> float:
        """Share of the items whose whole SID is the old one."""
        return self.prefixes[-1]


@dataclass(frozen=True, eq=False)
class Alignment:
    """What `align` found.

    Attributes
    ----------
    codebooks : Codebooks
        The new codebooks, renumbered.
    permutations : tuple of ndarray, int64, one per level
        The number that each token of the new codebooks has now. Shape (K_l,):
        ``codebooks[l][permutations[l][t]]`` is ``new[l][t]``. In a tree shape (K_0, …, K_l), where
        all indices are tokens of the new codebooks as they were.
    by : {"items", "codewords"}
        What was matched.
    kept : TokensKept
        By the items that were given, renumbered; of no items where codewords were matched.
    kept_before : TokensKept
        The same by the new codebooks as they were.
    distances : tuple of float, one per level
        Mean squared distance between old and new codewords of the same number, where both
        codebooks have one; NaN where codewords cannot be compared.
    distances_before : tuple of float, one per level
        The same by the new codebooks as they were.
    """

    codebooks: Codebooks
    permutations: tuple[Numbers, ...]
    by: str
    kept: TokensKept
    kept_before: TokensKept
    distances: tuple[float, ...]
    distances_before: tuple[float, ...]

    def renumber(self, sids: Any) -> SidsArray:
        """Return SIDs of the new codebooks as they were by their numbers now.

        Parameters
        ----------
        sids : array_like of int, shape (N, L)

        Returns
        -------
        ndarray, shape (N, L), uint16 or uint32
            uint32 where a codebook has more than 65,536 codewords.

        Raises
        ------
        TypeError
            If tokens are not integers.
        ValueError
            If the shape is another or a token is out of range (naming the row).
        """
        tokens = self.codebooks.checked_tokens(sids)
        wide = max(self.codebooks.sizes) > 2**16
        return renumbered(tokens, self.permutations).astype(np.uint32 if wide else np.uint16)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("level", "tokens kept", "prefixes kept", "distance", "before")
        ]
        for level, apart in enumerate(self.distances):
            shares = (self.kept.tokens[level], self.kept.prefixes[level])
            before = self.distances_before[level]
            rows.append((f"{level}", *map(_percent, shares), f"{apart:.4g}", f"{before:.4g}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        end = f"matched by {self.by}"
        if self.kept.items:
            end += f"; whole SIDs kept {self.kept.sids:.1%} of {self.kept.items:,}"
        return "\n".join([*lines, end])


def align(
    old: Codebooks | Sequence[Any],
    new: Codebooks | Sequence[Any],
    *,
    sids_old: Any = None,
    sids_new: Any = None,
    vectors: Any = None,
    threads: int | None = None,
) -> Alignment:
    """Renumber new codebooks so that as many tokens as possible mean what they meant in the old.

    With items (the same ones under both codebooks) an old token is matched with the new one that
    its items have now: each level in turn keeps as many tokens of items as any numbering can, where
    a token counts twice if the item keeps all those before it too. Among equals, codewords that are
    near each other. Without items it is the codewords: the least sum of squared distances.

    Items are the better guide, and all of them better than a sample: on Amazon Beauty (3 levels of
    256, another seed) 61 % of the first tokens were kept by items and 57 % by codewords; of whole
    SIDs 2.5 % and 1.4 %. Training that starts from the old codewords keeps far more than any
    numbering of codewords that were trained anew.

    A tree is matched from the top: the children of two nodes that were matched, by the items below
    both. Of a product each slice is a level.

    Parameters
    ----------
    old, new : Codebooks or sequence of array_like
        Of the same space and number of levels. Sizes may differ: tokens keep the numbers that both
        have, and the new ones beyond get the free numbers in the order they are in.
    sids_old : array_like of int, shape (N, L), optional
        The items' SIDs by `old`. Default: the nearest SIDs of `vectors`, where those are given.
    sids_new : array_like of int, shape (N, L), optional
        The same items' SIDs by `new`; as `sids_old`.
    vectors : array_like or VectorSource, shape (N, D), optional
        The same items' vectors, as `assign` takes them. Needed where one kind of SIDs is missing.
    threads : int, optional
        For nearest SIDs. Default: as many as the process may use.

    Returns
    -------
    Alignment
        The same whatever the order of the items and the threads.

    Raises
    ------
    ImportError
        If SciPy is missing: ``pip install 'puresid[catalog]'`` has it.
    TypeError
        If SIDs are not integers, or as `assign`.
    ValueError
        If the spaces or numbers of levels differ, arrays do not fit, a token is out of range
        (naming the row), SIDs are given without those they are to be compared with, or there are no
        items and encoders or dimensions differ, so that codewords cannot be compared; or as
        `assign`.

    Notes
    -----
    About 32 bytes for each pair of an old and a new codeword of a level (of a node, in a tree), and
    time that grows with the third power of the size.

    References
    ----------
    Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics 2, 1955;
    as in Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Transactions on
    Aerospace and Electronic Systems 52, 2016.

    Examples
    --------
    >>> found = align([[[0.0], [5.0], [9.0]]], [[[9.5], [0.25], [5.5]]])
    >>> found.codebooks[0].ravel().tolist()
    [0.25, 5.5, 9.5]
    >>> found.permutations[0].tolist()
    [2, 0, 1]
    """
    books_old, books_new = as_codebooks(old), as_codebooks(new)
    _check_alike(books_old, books_new)
    pair = _items(books_old, books_new, sids_old, sids_new, vectors, threads)
    obstacle = _obstacle(books_old, books_new)
    items = len(pair[0])
    if obstacle and items == 0:
        raise ValueError(
            f"codewords cannot be compared: {obstacle}; give vectors, or sids_old and sids_new"
        )
    placed = None if obstacle else placed_together(books_old, books_new)
    match = match_tree if books_new.space == "tree" else match_levels
    permutations = match(books_old.sizes, books_new.sizes, pair, placed)
    levels = moved(books_new.levels, permutations)
    after = None if placed is None else (placed[0], moved(placed[1], permutations))
    for permutation in permutations:
        permutation.flags.writeable = False
    return Alignment(
        codebooks=Codebooks(
            levels,
            space=books_new.space,
            metric=books_new.metric,
            normalize_residuals=books_new.normalize_residuals,
            rotation=books_new.rotation,
            encoder=books_new.encoder,
        ),
        permutations=tuple(permutations),
        by="items" if items else "codewords",
        kept=_kept(pair[0], renumbered(pair[1], permutations)),
        kept_before=_kept(*pair),
        distances=_apart(after, len(levels)),
        distances_before=_apart(placed, len(levels)),
    )


def tokens_kept(sids_old: Any, sids_new: Any) -> TokensKept:
    """Count how much of their old SIDs items have kept.

    Parameters
    ----------
    sids_old, sids_new : array_like of int, shape (N, L)
        Row i of both is the same item.

    Returns
    -------
    TokensKept

    Raises
    ------
    TypeError
        If tokens are not integers.
    ValueError
        If the shapes are others.
    """
    shape = np.shape(to_numpy(sids_old))
    if len(shape) != 2 or shape[1] == 0:
        raise ValueError(f"sids_old has shape {shape}; (rows, levels) is needed")
    old = token_matrix(sids_old, shape[1], "sids_old")
    new = token_matrix(sids_new, shape[1], "sids_new")
    _check_rows("sids_new", len(new), "sids_old", old)
    return _kept(old, new)


def _check_alike(old: Codebooks, new: Codebooks) -> None:
    if old.space != new.space:
        raise ValueError(
            f"the new codebooks have space {new.space!r}; the old have {old.space!r}: "
            "tokens of different spaces cannot mean the same"
        )
    if old.n_levels != new.n_levels:
        raise ValueError(
            f"the new codebooks have {new.n_levels} levels; the old have {old.n_levels}"
        )


def _items(
    old: Codebooks, new: Codebooks, sids_old: Any, sids_new: Any, vectors: Any, threads: int | None
) -> tuple[Tokens, Tokens]:
    """Return the items' SIDs by both codebooks; none where nothing was given."""
    first = None if sids_old is None else old.checked_tokens(sids_old, "sids_old")
    second = None if sids_new is None else new.checked_tokens(sids_new, "sids_new")
    if vectors is None:
        if first is None and second is None:
            first = second = np.empty((0, old.n_levels), dtype=np.uint32)
        if first is None or second is None:
            given, missing = (
                ("sids_old", "sids_new") if second is None else ("sids_new", "sids_old")
            )
            raise ValueError(f"{given} is given alone; {missing} or vectors must go with it")
    else:
        rows = vectors_or_source(vectors)
        for name, tokens in (("sids_old", first), ("sids_new", second)):
            _check_rows("vectors", rows.shape[0], name, tokens)
        first = _nearest(rows, old, "old", threads) if first is None else first
        second = _nearest(rows, new, "new", threads) if second is None else second
    _check_rows("sids_new", len(second), "sids_old", first)
    return first, second


def _check_rows(name: str, rows: int, other: str, tokens: Tokens | None) -> None:
    if tokens is not None and rows != len(tokens):
        raise ValueError(f"{name} has {rows} rows; {other} has {len(tokens)}: both are per item")


def _nearest(rows: Any, books: Codebooks, which: str, threads: int | None) -> Tokens:
    if rows.shape[1] != books.input_dim:
        raise ValueError(
            f"vectors have dimension {rows.shape[1]}; "
            f"the {which} codebooks take {books.input_dim}: give sids_{which}"
        )
    return assign(rows, books, "nearest", threads=threads).sids.astype(np.uint32)


def _obstacle(old: Codebooks, new: Codebooks) -> str:
    """Say why codewords of both cannot be compared, if so."""
    if old.encoder != new.encoder:
        return "the encoders of the old and the new codebooks differ"
    before, after = (
        books.dim if books.rotation is None else books.rotation.shape[1] for books in (old, new)
    )
    return "" if before == after else f"the old have dimension {before}, the new {after}"


def _kept(old: Tokens, new: Tokens) -> TokensKept:
    if len(old) == 0:
        nothing = (math.nan,) * old.shape[1]
        return TokensKept(items=0, tokens=nothing, prefixes=nothing)
    same = old == new
    prefixes = np.logical_and.accumulate(same, axis=1)
    shares = (tuple(float(share) for share in rows.mean(axis=0)) for rows in (same, prefixes))
    return TokensKept(len(old), *shares)


def _apart(placed: tuple[Levels, Levels] | None, n_levels: int) -> tuple[float, ...]:
    """Return the mean squared distance of codewords of the same number, per level."""
    if placed is None:
        return (math.nan,) * n_levels
    found = []
    for before, after in zip(*placed, strict=True):
        both = tuple(slice(min(sizes)) for sizes in zip(before.shape, after.shape, strict=True))
        rest = before[both].astype(np.float64) - after[both]
        found.append(float(np.square(rest).sum(axis=-1).mean()))
    return tuple(found)


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{share:.1%}"
