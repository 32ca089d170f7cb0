"""Checks that many modules make of what users give them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.arrays import float_matrix, to_numpy
from puresid.sources import VectorSource


def integer(value: Any, name: str, least: int) -> int:
    """Return `value` as an int of at least `least`.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is smaller.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; an integer is needed") from None
    if number < least:
        raise ValueError(f"{name} is {number}; at least {least} is needed")
    return number


def one_of(value: Any, name: str, known: tuple[str, ...]) -> None:
    """Raise ValueError where `value` is none of the texts that are known."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, known))}")


def rows_at_once(vectors: Any) -> npt.NDArray[Any]:
    """Return vectors as a matrix of real numbers, an array or memory map as it is.

    Raises
    ------
    TypeError
        If they come in batches, or are not real numbers.
    ValueError
        If there are not two dimensions.
    """
    array = to_numpy(vectors)
    if isinstance(array, VectorSource) and not isinstance(array, np.ndarray):
        raise TypeError(
            "vectors is a source of batches; all rows are needed at once: an array or a memory map "
            "(RQKMeans with a batch_size takes a source)"
        )
    fits = isinstance(array, np.ndarray) and array.ndim == 2 and array.dtype.kind in "iuf"
    return array if fits and array.shape[1] > 0 else float_matrix(array, "vectors")
