"""Matches the codewords of two codebooks by the Hungarian method, and renumbers by what it finds.

A permutation holds, for each token of the new codebooks, its number from now on: one array per
level, of shape (K_l,), or in a tree (K_0, …, K_l).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.codebooks import Codebooks
from puresid.encoder import apply_linear

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int64]
Levels = Sequence[npt.NDArray[Any]]

_BUDGET = 2**50
"""Costs stay whole numbers below it, so that float64 adds and subtracts them exactly."""


def placed_together(old: Codebooks, new: Codebooks) -> tuple[list[Floats], list[Floats]]:
    """Return the codewords of both as vectors of one space."""
    turned = not (
        old.rotation is new.rotation is None
        or (
            old.rotation is not None
            and new.rotation is not None
            and np.array_equal(old.rotation, new.rotation)
        )
    )
    return _in_one_space(old, turned), _in_one_space(new, turned)


def _in_one_space(books: Codebooks, turned: bool) -> list[Floats]:
    levels = []
    first = 0
    for level in books.levels:
        rows = level.reshape(-1, level.shape[-1])
        if books.space == "product":
            whole = np.zeros((len(rows), books.dim), dtype=np.float32)
            whole[:, first : first + rows.shape[1]] = rows
            first += rows.shape[1]
            rows = whole
        if turned and books.rotation is not None:
            rows = apply_linear(np.ascontiguousarray(rows), np.ascontiguousarray(books.rotation.T))
        levels.append(rows.reshape((*level.shape[:-1], rows.shape[1])))
    return levels


def match_levels(
    sizes_old: Sequence[int],
    sizes_new: Sequence[int],
    items: tuple[Tokens, Tokens],
    placed: tuple[Levels, Levels] | None,
) -> list[Numbers]:
    """Match level by level, where a level's codewords do not depend on the tokens before."""
    old, new = items
    kept = np.ones(len(old), dtype=bool)
    permutations = []
    for level, (size_old, size_new) in enumerate(zip(sizes_old, sizes_new, strict=True)):
        before, after = old[:, level], new[:, level]
        shared = _pairs(before, after, size_old, size_new)
        shared += _pairs(before[kept], after[kept], size_old, size_new)
        words = None if placed is None else (placed[0][level], placed[1][level])
        numbers = _numbers(shared, words)
        kept &= numbers[after] == before
        permutations.append(numbers)
    return permutations


def match_tree(
    sizes_old: Sequence[int],
    sizes_new: Sequence[int],
    items: tuple[Tokens, Tokens],
    placed: tuple[Levels, Levels] | None,
) -> list[Numbers]:
    """Match from the top: the children of each new node with those of the old one it became."""
    old, new = items
    nodes = np.zeros((1, 0), dtype=np.int64)  # the numbers that lead to each node of the new tree
    node = np.zeros(len(new), dtype=np.int64)  # that each item is below in it
    kept = np.arange(len(new))  # items that are below the same node of both trees
    permutations: list[Numbers] = []
    for level, (size_old, size_new) in enumerate(zip(sizes_old, sizes_new, strict=True)):
        kept = kept[np.argsort(node[kept], kind="stable")]
        ends = np.searchsorted(node[kept], np.arange(len(nodes) + 1))
        known = (nodes < np.array(sizes_old[:level], dtype=np.int64)).all(axis=1)
        numbers = np.tile(np.arange(size_new), (len(nodes), 1))
        for which in np.flatnonzero(known):
            below = kept[ends[which] : ends[which + 1]]
            words = None
            if placed is not None:
                at_old, at_new = tuple(nodes[which]), np.unravel_index(which, sizes_new[:level])
                words = (placed[0][level][at_old], placed[1][level][at_new])
            shared = _pairs(old[below, level], new[below, level], size_old, size_new)
            numbers[which] = _numbers(shared, words)
        kept = kept[numbers[node[kept], new[kept, level]] == old[kept, level]]
        node = node * size_new + new[:, level]
        nodes = np.column_stack([np.repeat(nodes, size_new, axis=0), numbers.ravel()])
        permutations.append(numbers.reshape(tuple(sizes_new[: level + 1])))
    return permutations


def _pairs(before: Tokens, after: Tokens, size_old: int, size_new: int) -> Numbers:
    """Count the items that have each pair of an old token and a new one."""
    keys = before.astype(np.int64) * size_new + after
    return np.bincount(keys, minlength=size_old * size_new).reshape(size_old, size_new)


def _numbers(shared: Numbers, words: tuple[Floats, Floats] | None) -> Numbers:
    """Return the number of each new token, given the items that pairs share and the codewords."""
    both = min(shared.shape)  # an old token beyond the new codebook's size cannot keep its number
    optimize, distance = _scipy()
    apart = None
    if words is not None:
        apart = distance.cdist(words[0][:both], words[1], "sqeuclidean")
    _, columns = optimize.linear_sum_assignment(_costs(shared[:both], apart))
    numbers = np.full(shared.shape[1], -1, dtype=np.int64)
    numbers[columns] = np.arange(both)
    numbers[numbers < 0] = np.arange(both, shared.shape[1])
    return numbers


def _costs(shared: Numbers, apart: Reals | None) -> Reals:
    """Return whole numbers whose least sum has the most items, then the least distance.

    Among equals of both, the most tokens that keep the number they have. One item outweighs all
    distances of a matching together, and a step of distance all numbers; distances are rounded to
    as many steps as that leaves, at least 2**16 where there are 2**24 items and 256 tokens.
    """
    rows, columns = shared.shape
    most = int(shared.max())
    item = _BUDGET // (most + 1)
    step = rows + 1
    costs = np.zeros((rows, columns)) if apart is None else apart
    top = float(costs.max())
    if top > 0:
        costs *= max(0, item // rows // step - 1) / top
        np.rint(costs, out=costs)
        costs *= step
    costs += (most - shared) * float(item)
    costs += np.arange(rows)[:, None] != np.arange(columns)
    return costs


def _scipy() -> tuple[Any, Any]:
    try:
        from scipy import optimize
        from scipy.spatial import distance
    except ImportError as error:
        raise ImportError(
            f"aligning codebooks needs SciPy: pip install 'puresid[catalog]' ({error})"
        ) from error
    return optimize, distance


def moved(levels: Levels, permutations: Sequence[Numbers]) -> list[npt.NDArray[Any]]:
    """Put each new codeword where its number says."""
    moved = []
    for level, (words, permutation) in enumerate(zip(levels, permutations, strict=True)):
        result = np.empty_like(words)
        if permutation.ndim == 1:
            result[permutation] = words
        else:
            tokens = np.indices(permutation.shape).reshape(permutation.ndim, -1).T
            numbers = renumbered(tokens.astype(np.uint32), permutations[: level + 1])
            result[tuple(numbers.T)] = words.reshape(-1, words.shape[-1])
        moved.append(result)
    return moved


def renumbered(tokens: Tokens, permutations: Sequence[Numbers]) -> Tokens:
    result = np.empty_like(tokens)
    for level, permutation in enumerate(permutations):
        first = level + 1 - permutation.ndim  # a tree's numbers depend on all tokens before
        result[:, level] = permutation[tuple(tokens[:, first : level + 1].T)]
    return result
