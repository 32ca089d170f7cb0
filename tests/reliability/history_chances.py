"""What random histories are made of: tiny codebooks, parameters, keys and vectors."""

from __future__ import annotations

import itertools

import numpy as np

from .catalog_model import Key, Setup, Vector

_FAR = 2**63 - 1
INTEGERS: tuple[Key, ...] = (*range(-4, 36), _FAR, -_FAR - 1, 2**32, 2**53 + 1)
_WORDS = ("apple", "pear", "", "Büro", "書", "a\0b", "apple ", "x" * 70)
TEXTS: tuple[Key, ...] = (*_WORDS, *(f"item {n}" for n in range(36)))


def random_books(chance: np.random.Generator, space: str) -> tuple[np.ndarray, ...]:
    """Whole numbers, so that every distance is exact and many are equal."""
    levels = int(chance.integers(1, 4))
    sizes = chance.integers(1, 5, levels).tolist()
    dim, spread = int(chance.integers(1, 4)), int(chance.integers(1, 4))
    books = []
    for level, size in enumerate(sizes):
        shape = tuple(itertools.chain(sizes[:level], (size, dim)))
        if space != "tree":
            shape = (size, int(chance.integers(1, 3)) if space == "product" else dim)
        books.append(chance.integers(-spread, spread + 1, shape).astype(np.float32))
    return tuple(books)


def random_setup(chance: np.random.Generator) -> Setup:
    space = str(chance.choice(["residual", "residual", "residual", "tree", "product"]))
    books = random_books(chance, space)
    capacity = 1 if space == "product" else int(chance.choice([1, 1, 2, 3]))
    duplicates = str(chance.choice(["unique", "unique", "share", "error"]))
    if capacity > 1 and duplicates == "share":
        duplicates = "unique"
    tiers = None
    if chance.random() < 0.3:
        tiers = tuple(
            tuple(chance.integers(1, 5, len(books)).tolist())
            for _ in range(int(chance.integers(1, 4)))
        )
    return Setup(
        space,
        books,
        method=str(chance.choice(["ecm", "rrs"])),
        tiers=tiers,
        max_distortion=float(chance.integers(0, 12)) if chance.random() < 0.2 else None,
        capacity=capacity,
        duplicates=duplicates,
        order=str(chance.choice(["rows", "keys"])),
        recycle_after=[None, None, 1, 3][int(chance.integers(4))],
    )


def random_vectors(chance: np.random.Generator, count: int, dim: int) -> list[Vector]:
    """From few values, so that some are the same."""
    spread = int(chance.integers(1, 5))
    return [tuple(map(float, row)) for row in chance.integers(-spread, spread + 1, (count, dim))]
