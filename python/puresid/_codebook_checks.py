"""What `Codebooks` are made of, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.arrays import float_matrix, to_numpy

Floats = npt.NDArray[np.float32]


def read_level(level: Any, number: int, space: str) -> Floats:
    """Return a level as a new float32 array of the shape that its space has."""
    name = f"codebooks[{number}]"
    if space != "tree" or number == 0:
        matrix: Floats = float_matrix(level, name).copy()
        return matrix
    array = np.asarray(to_numpy(level))
    if array.ndim != number + 2:
        raise ValueError(f"{name} has {array.ndim} dimensions; a tree's level needs {number + 2}")
    flat = float_matrix(array.reshape(-1, array.shape[-1]), name)
    shaped: Floats = flat.reshape(array.shape).copy()
    return shaped


def check_tree(levels: list[Floats]) -> None:
    """Refuse levels of a tree that do not go on from those above."""
    for number, level in enumerate(levels[1:], start=1):
        above = levels[number - 1].shape[:-1]
        if level.shape[:-2] != above:
            raise ValueError(
                f"codebooks[{number}] has shape {level.shape}; "
                f"it must begin with {above}, the tokens of the levels above"
            )


def check_lengths(levels: list[Floats]) -> None:
    """Refuse codewords that are not of length 1."""
    for number, level in enumerate(levels):
        lengths = np.sqrt((level.astype(np.float64) ** 2).sum(axis=1))
        wrong = np.abs(lengths - 1) > 1e-3
        if wrong.any():
            token = int(wrong.argmax())
            raise ValueError(
                f"codebooks[{number}] has length {lengths[token]:.4g} in codeword {token}; "
                "metric='cosine' needs codewords of length 1"
            )


def read_rotation(rotation: Any, dim: int) -> Floats:
    """Return a rotation as a new read-only array, its rows of length 1 and at right angles."""
    matrix: Floats = float_matrix(rotation, "rotation").copy()
    if matrix.shape[0] != dim or matrix.shape[1] < dim:
        raise ValueError(f"rotation has shape {matrix.shape}; ({dim}, at least {dim}) is needed")
    if not np.isfinite(matrix).all():
        raise ValueError("rotation has a value that is not finite")
    products = matrix.astype(np.float64) @ matrix.T.astype(np.float64)
    worst = float(np.abs(products - np.eye(dim)).max())
    if not worst < 1e-3:
        raise ValueError(
            f"rotation is off by {worst:.3g}: its rows must have length 1 and be at right angles"
        )
    matrix.flags.writeable = False
    return matrix
