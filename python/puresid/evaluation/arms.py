"""Arms: the ways of giving SIDs that an evaluation compares, all from one quantizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._assign_options import METHODS
from puresid.assignment import Assignment, assign
from puresid.codebooks import Codebooks

CONTROLS = ("random", "shuffled", "deeper")
ARMS = (*METHODS, *CONTROLS)

_STREAMS = {"random": 4, "shuffled": 5}  # of random numbers: another number, other SIDs

Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Arm:
    """The SIDs of one way of giving them.

    Attributes
    ----------
    name : str
        See `make_arm`.
    sids : ndarray, shape (N, L'), int64
        L' is L + 1 for the arms with a level more.
    sizes : tuple of int
        Tokens per level.
    distortion : float or None
        Mean squared distance between the vectors and their SIDs; None where SIDs have nothing to
        do with vectors.
    """

    name: str
    sids: Tokens
    sizes: tuple[int, ...]
    distortion: float | None

    def facts(self) -> dict[str, Any]:
        """Return what results say of the arm."""
        n_items = len(self.sids)
        different = len(np.unique(self.sids, axis=0))
        return {
            "levels": len(self.sizes),
            "sizes": list(self.sizes),
            "unique": different,
            "shared": n_items - different,
            "distortion": self.distortion,
        }


@dataclass(frozen=True, eq=False)
class Nearest:
    """What all arms start from: each item's nearest SID.

    Attributes
    ----------
    sids : ndarray, shape (N, L), int64
        Not unique.
    moved : ndarray, shape (N,), bool
        Items whose nearest SID another item owns: those that every other arm must tell apart.
    conflict_rate : float
        Their share.
    distortion : float
        Mean squared distance.
    """

    sids: Tokens
    moved: npt.NDArray[np.bool_]
    conflict_rate: float
    distortion: float


def nearest(vectors: Any, codebooks: Codebooks, *, threads: int | None = None) -> Nearest:
    """Return the nearest SIDs of items.

    Parameters
    ----------
    vectors : array_like of float, shape (N, D)
    codebooks : Codebooks
    threads : int, optional
        As for `puresid.assign`.
    """
    result = assign(vectors, codebooks, "nearest", threads=threads)
    moved = result.stages < 0
    return Nearest(
        result.sids.astype(np.int64),
        moved,
        float(moved.mean()) if len(moved) else 0.0,
        result.nearest_distortion,
    )


def make_arm(
    name: str,
    vectors: Any,
    codebooks: Codebooks,
    *,
    deeper: Codebooks | None = None,
    random_state: int = 0,
    threads: int | None = None,
) -> Arm:
    """Give SIDs to items by the way of that name.

    Parameters
    ----------
    name : str
        A method of `puresid.assign`: ``"nearest"`` (items in conflict share a SID), ``"suffix"``
        (a counter token appended to every SID), ``"ecm"``, ``"rrs"``, ``"beam"``, ``"optimal"``. Or
        a control: ``"random"``, an item in conflict takes, whatever its vector, a random free SID
        with the same first token (any free one where none is left); ``"shuffled"``, the SIDs of ECM
        dealt out to the items at random, so that they mean nothing; ``"deeper"``, ECM on codebooks
        with a level more, as many tokens as with a counter but all of them semantic.
    vectors : array_like of float, shape (N, D)
    codebooks : Codebooks
        With L levels.
    deeper : Codebooks, optional
        With L + 1 levels, for ``"deeper"``.
    random_state : int
        Seed of the controls.
    threads : int, optional
        As for `puresid.assign`.

    Returns
    -------
    Arm

    Raises
    ------
    ValueError
        If the name is none of those, or `deeper` is missing or not one level deeper.
    CapacityError
        If there are more items than SIDs.
    """
    if name not in ARMS:
        raise ValueError(f"the arm {name!r} is unknown; the known ones are {', '.join(ARMS)}")
    if name == "deeper":
        if deeper is None or deeper.n_levels != codebooks.n_levels + 1:
            raise ValueError(
                f"the arm 'deeper' needs codebooks with {codebooks.n_levels + 1} levels beside "
                f"those with {codebooks.n_levels}"
            )
        return _assigned(name, assign(vectors, deeper, "ecm", threads=threads))
    if name == "random":
        rng = np.random.default_rng([random_state, _STREAMS[name]])
        start = nearest(vectors, codebooks, threads=threads)
        sids = random_free(start.sids, start.moved, codebooks.sizes, rng)
        return Arm(name, sids, codebooks.sizes, _distortion(vectors, sids, codebooks))
    if name == "shuffled":
        result = assign(vectors, codebooks, "ecm", threads=threads)
        rng = np.random.default_rng([random_state, _STREAMS[name]])
        sids = rng.permutation(result.sids.astype(np.int64))
        return Arm(name, sids, codebooks.sizes, None)
    return _assigned(name, assign(vectors, codebooks, name, threads=threads))


def _assigned(name: str, result: Assignment) -> Arm:
    sids = result.sids.astype(np.int64)
    sizes = result.sizes
    if sids.shape[1] > len(sizes):  # a counter comes last
        sizes = (*sizes, int(sids[:, -1].max(initial=0)) + 1)
    return Arm(name, sids, sizes, float(result.distortion.mean(dtype=np.float64)))


def _distortion(vectors: Any, sids: Tokens, codebooks: Codebooks) -> float:
    latent = codebooks.transform(vectors)
    decoded = codebooks.decode(sids)
    return float(np.square(latent - decoded, dtype=np.float64).sum(axis=1).mean())


def random_free(
    nearest_sids: Tokens,
    moved: npt.NDArray[np.bool_],
    sizes: Sequence[int],
    rng: np.random.Generator,
) -> Tokens:
    """Give the items of `moved` random SIDs that no item has.

    Parameters
    ----------
    nearest_sids : ndarray, shape (N, L), int64
    moved : ndarray, shape (N,), bool
        The others keep their nearest SIDs, all of which differ.
    sizes : sequence of int
        Tokens per level.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (N, L), int64
        All different. A moved item keeps its first token while a SID with it is free.
    """
    sids: Tokens = nearest_sids.copy()
    rest = tuple(sizes[1:])
    below = math.prod(rest)  # SIDs with one first token
    used: list[set[tuple[int, ...]]] = [set() for _ in range(sizes[0])]
    for first, *others in sids[~moved].tolist():
        used[first].add(tuple(others))
    for row in np.flatnonzero(moved).tolist():
        first = int(sids[row, 0])
        if len(used[first]) == below:
            room = np.array([below - len(taken) for taken in used], dtype=np.float64)
            first = int(rng.choice(len(used), p=room / room.sum()))
        drawn = _draw(used[first], rest, rng)
        used[first].add(drawn)
        sids[row] = (first, *drawn)
    return sids


def _draw(
    used: set[tuple[int, ...]], sizes: tuple[int, ...], rng: np.random.Generator
) -> tuple[int, ...]:
    """Return one of the tuples below `sizes` that are not in `used`, all equally probable."""
    if 2 * len(used) < math.prod(sizes):
        while True:
            drawn: tuple[int, ...] = tuple(rng.integers(sizes).tolist())
            if drawn not in used:
                return drawn
    free: list[tuple[int, ...]] = [sid for sid in np.ndindex(*sizes) if sid not in used]
    return free[int(rng.integers(len(free)))]
