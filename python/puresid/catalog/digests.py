"""`vector_digests`: whether an item's vector has changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid.arrays import check_finite, float_matrix
from puresid.config import thread_count

__all__ = ["Digests", "vector_digests"]

Digests = npt.NDArray[np.uint64]


def vector_digests(vectors: Any, *, threads: int | None = None) -> Digests:
    """Return a fixed 128-bit hash of each vector.

    BLAKE2b with 16 bytes out, of the vector's values as little-endian float32, with 0 for -0; the
    same on every platform and in every version.

    Parameters
    ----------
    vectors : array_like, shape (N, D)
        Real numbers; those that are the same in float32 count as the same.
    threads : int, optional
        Default: what the process may use.

    Returns
    -------
    ndarray, shape (N, 2), uint64
        The 16 bytes as two little-endian words.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If there are not two dimensions, or a value is not finite (naming the row).
    """
    matrix = float_matrix(vectors, "vectors")
    check_finite(matrix)
    return _core.vector_digests(matrix, threads=thread_count(threads))
