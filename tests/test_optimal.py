"""`method="optimal"`: the least total distortion, held to an exact solver on all costs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import puresid
from space_rules import lattice_levels
from strategies import every_sid, lattice_books

SPACES = ("residual", "tree", "product")
GAP = 1e-3
ROUNDING = 1e-6
"""Distortions are float32, and so are what bounds are made of."""
SMALL = 96  # instances of each space: with the large ones 300 in all
LARGE = 4


# --- instances ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    vectors: np.ndarray
    levels: list[np.ndarray]
    space: str
    lattice: bool
    options: dict[str, Any]

    @property
    def codebooks(self) -> puresid.Codebooks:
        return puresid.Codebooks(self.levels, space=self.space)

    @property
    def sizes(self) -> list[int]:
        return [level.shape[-2] for level in self.levels]

    def decoded(self) -> np.ndarray:
        """What every SID stands for, in float64."""
        sids = every_sid(self.sizes)
        books = [level.astype(np.float64) for level in self.levels]
        if self.space == "tree":
            return books[-1][tuple(sids.T)]
        parts = [book[tokens] for book, tokens in zip(books, sids.T, strict=True)]
        return np.concatenate(parts, axis=1) if self.space == "product" else sum(parts)

    def costs(self) -> np.ndarray:
        """Of every item with every SID; whole numbers stay exact."""
        decoded, vectors = self.decoded(), self.vectors.astype(np.float64)
        squares = np.square(vectors).sum(axis=1)[:, None] + np.square(decoded).sum(axis=1)
        costs = np.maximum(squares - 2 * (vectors @ decoded.T), 0)
        return costs * self.options.get("weights", np.ones(len(vectors)))[:, None]

    def places(self, sids: np.ndarray) -> np.ndarray:
        """SIDs as columns of the costs."""
        return np.ravel_multi_index(tuple(np.asarray(sids, np.int64).T), self.sizes)


def levels_of(
    rng: np.random.Generator, space: str, sizes: list[int], dim: int, lattice: bool
) -> list[np.ndarray]:
    if lattice and space == "residual":
        return lattice_books(rng, sizes, dim, 6)
    if lattice:
        return lattice_levels(rng, space, sizes, dim, 6)
    levels: list[np.ndarray] = []
    for level, size in enumerate(sizes):
        shape = (*sizes[:level], size, dim) if space == "tree" else (size, dim)
        scale = 1.0 if space == "product" else 0.6**level
        codewords = scale * rng.standard_normal(shape)
        if space == "tree" and level:  # children lie around their parents
            codewords = codewords + levels[-1][..., None, :]
        levels.append(codewords.astype(np.float32))
    return levels


def problem(space: str, number: int) -> Problem:
    """The first `SMALL` are small. A third each: lattices, duplicates; then weights, taken SIDs."""
    rng = np.random.default_rng([SPACES.index(space), number])
    lattice, repeated = number % 3 == 0, number // 3 % 3 == 0
    if number < SMALL:
        n_levels = int(rng.integers(1, 4))
        most = (60, 18, 9)[n_levels - 1]
        sizes = [int(rng.integers(2, most)) for _ in range(n_levels)]
        n = int(rng.integers(1, min(int(np.prod(sizes)), 200) + 1))
        dim = int(rng.integers(1, 9))
    else:
        sizes = [[16, 16, 16], [64, 64], [8, 16, 16], [16, 16, 32]][number - SMALL]
        n, dim = int(rng.integers(1000, 2001)), int(rng.integers(4, 17))
    levels = levels_of(rng, space, sizes, dim, lattice)
    columns = sum(level.shape[1] for level in levels) if space == "product" else dim
    if lattice:
        vectors = rng.integers(-7, 8, (n, columns)).astype(np.float32)
    else:
        vectors = rng.standard_normal((n, columns), dtype=np.float32)
    if repeated:
        vectors = vectors[rng.integers(0, 1 + n // 4, n)]
    options: dict[str, Any] = {}
    if number % 4 == 1:
        options["weights"] = rng.integers(1, 6, n).astype(np.float64)
    room = int(np.prod(sizes)) - n
    if number % 5 == 2 and room > 0:
        chosen = rng.permutation(room + n)[: int(rng.integers(1, room + 1))]
        options["taken"] = every_sid(sizes)[chosen]
    if number % 7 == 3:
        options["gap"] = 0
    return Problem(vectors, levels, space, lattice, options)


def check(found: puresid.Assignment, of: Problem) -> None:
    """Unique, the least total within the gap, and a bound that lies between both."""
    scipy_optimize = pytest.importorskip("scipy.optimize", reason="scipy is missing")
    costs = of.costs()
    taken = of.options.get("taken")
    places = of.places(found.sids)
    if taken is not None:
        assert not np.isin(places, of.places(taken)).any()
        costs[:, of.places(taken)] = 1e12
    assert len(np.unique(places)) == len(places)
    least = float(costs[scipy_optimize.linear_sum_assignment(costs)].sum())
    each = costs[np.arange(len(costs)), places]
    total = float(each.sum())
    factors = of.options.get("weights", np.ones(len(costs)))
    np.testing.assert_allclose(factors * found.distortion, each, rtol=1e-4, atol=1e-4)
    gap = of.options.get("gap", GAP)
    slack = ROUNDING * least + 1e-9
    assert total <= least * (1 + gap) + slack
    if of.lattice:
        assert total == least
    assert found.bound_over == "all"
    assert found.lower_bound <= least + slack
    assert found.lower_bound >= total * (1 - gap) - slack


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("part", range(4))
def test_small_instances_against_an_exact_solver(space, part):
    for number in range(part, SMALL, 4):
        of = problem(space, number)
        found = puresid.assign(
            of.vectors, of.codebooks, "optimal", threads=1 + number % 3, **of.options
        )
        try:
            check(found, of)
        except AssertionError as error:
            raise AssertionError(f"instance {number} {sorted(of.options)}: {error}") from error


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("number", range(SMALL, SMALL + LARGE))
def test_instances_of_a_thousand_items_and_more_against_an_exact_solver(space, number):
    of = problem(space, number)
    check(puresid.assign(of.vectors, of.codebooks, "optimal", threads=1, **of.options), of)
