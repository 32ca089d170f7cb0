"""Instances to test with: hypothesis strategies, and the same kind from a seeded generator in bulk.

Lattices are whole numbers in float32: every distance is exact, and ties are everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@dataclass(frozen=True)
class Instance:
    vectors: np.ndarray
    books: list[np.ndarray]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        return [len(book) for book in self.books]

    @property
    def capacity(self) -> int:
        return int(np.prod(self.sizes, dtype=object))


def every_sid(sizes: list[int]) -> np.ndarray:
    axes = np.meshgrid(*(np.arange(k) for k in sizes), indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, len(sizes))


def lattice_books(
    rng: np.random.Generator, sizes: list[int], dim: int, spread: int
) -> list[np.ndarray]:
    """Finer from level to level, as residual codebooks are."""
    reach = [max(1, spread >> level) for level in range(len(sizes))]
    return [
        rng.integers(-r, r + 1, (k, dim)).astype(np.float32)
        for r, k in zip(reach, sizes, strict=True)
    ]


def random_tiers(rng: np.random.Generator, sizes: list[int]) -> tuple[tuple[int, ...], ...]:
    # Up to two beyond the size: a width is cut at the size.
    return tuple(
        tuple(int(rng.integers(1, k + 3)) for k in sizes) for _ in range(int(rng.integers(1, 4)))
    )


def random_instance(
    rng: np.random.Generator, *, max_levels: int = 4, max_size: int = 7, max_items: int = 60
) -> Instance:
    """A lattice instance with options, each of them left out as often as given."""
    n_levels = int(rng.integers(1, max_levels + 1))
    sizes = [int(rng.integers(1, max_size + 1)) for _ in range(n_levels)]
    capacity = int(np.prod(sizes, dtype=object))
    n = int(rng.integers(1, min(capacity, max_items) + 1))
    if rng.random() < 0.15:
        n = min(capacity, max_items)
    dim, spread = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    books = lattice_books(rng, sizes, dim, spread)
    vectors = rng.integers(-spread, spread + 1, (n, dim)).astype(np.float32)
    if rng.random() < 0.25:
        # A few vectors, each many times: the conflicts that real catalogues have.
        vectors = vectors[rng.integers(0, 1 + n // 8, n)]
    options: dict[str, Any] = {}
    if rng.random() < 0.5:
        options["priority"] = rng.integers(-2, 3, n)
    if rng.random() < 0.4:
        options["tiers"] = random_tiers(rng, sizes)
    if rng.random() < 0.4 and n < capacity:
        count = int(rng.integers(1, min(capacity - n, 4 * max_items) + 1))
        options["taken"] = every_sid(sizes)[rng.permutation(capacity)[:count]]
    if rng.random() < 0.3:
        options["complete"] = False
    if rng.random() < 0.3:
        options["max_distortion"] = float(rng.integers(0, dim * spread * spread))
    return Instance(vectors, books, options)


@st.composite
def lattice_instances(
    draw: st.DrawFn,
    *,
    max_levels: int = 3,
    max_size: int = 5,
    max_items: int = 24,
    taken: bool = True,
) -> Instance:
    """Lattice vectors, codebooks and (where `taken`) published SIDs that leave room for all."""
    sizes = draw(st.lists(st.integers(1, max_size), min_size=1, max_size=max_levels))
    capacity = int(np.prod(sizes))
    dim = draw(st.integers(1, 4))
    whole = st.integers(-4, 4).map(float)
    n = draw(st.integers(1, min(capacity, max_items)))
    vectors = draw(hnp.arrays(np.float32, (n, dim), elements=whole))
    books = [draw(hnp.arrays(np.float32, (k, dim), elements=whole)) for k in sizes]
    options: dict[str, Any] = {}
    if taken and capacity > n:
        places = draw(st.sets(st.integers(0, capacity - 1), max_size=capacity - n))
        if places:
            options["taken"] = every_sid(sizes)[sorted(places)]
    return Instance(vectors, books, options)


@st.composite
def float_instances(draw: st.DrawFn, *, max_items: int = 40) -> Instance:
    """Vectors off the lattice, drawn by seed: nothing in them is worth shrinking."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(2, 9), min_size=1, max_size=4))
    n = draw(st.integers(1, min(int(np.prod(sizes)), max_items)))
    dim = draw(st.integers(1, 40))
    scale = np.float32(draw(st.sampled_from([1e-3, 1.0, 300.0])))
    vectors = scale * rng.standard_normal((n, dim), dtype=np.float32)
    books = [
        scale * rng.standard_normal((k, dim), dtype=np.float32) / np.float32(1 + level)
        for level, k in enumerate(sizes)
    ]
    return Instance(vectors, books)


def tier_options(sizes: list[int]) -> st.SearchStrategy[tuple[tuple[int, ...], ...] | None]:
    one = st.tuples(*(st.integers(1, k + 2) for k in sizes))
    return st.none() | st.lists(one, min_size=1, max_size=3).map(tuple)


methods = st.sampled_from(["ecm", "rrs"])
searches = st.sampled_from(["ecm", "rrs", "beam"])  # where there are no tiers
threads = st.integers(1, 3)
