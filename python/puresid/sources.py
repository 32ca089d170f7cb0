"""Vectors that come in batches, for catalogues that do not fit in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from puresid._arrow import arrow_vectors
from puresid.arrays import (
    as_array,
    check_finite,
    float_matrix,
    is_whole,
    speaks_arrow,
    to_numpy,
)
from puresid.columns import BLOCK_BYTES

if TYPE_CHECKING:
    from puresid.codebooks import Codebooks

__all__ = ["Batches", "VectorSource"]

Stages = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

KEPT_IN_MEMORY = 64 << 20
"""Bytes of vectors that are kept, or converted, in memory; more go to a file, or in blocks."""


@runtime_checkable
class VectorSource(Protocol):
    """Item vectors that are read in batches; whatever has these two members is one.

    `assign` reads a source twice at most: every row once, and then the rows of the items in
    conflict. It holds one batch at a time.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Items and dimension, (N, D)."""

    def batches(self) -> Iterator[Any]:
        """Yield array_likes of shape (n, D), in row order; each call begins with the first row."""


@dataclass(frozen=True)
class Batches:
    """A `VectorSource` from a function.

    Parameters
    ----------
    make : callable
        Returns an iterable of array_likes of shape (n, D), N rows in all, each time it is called.
    shape : tuple of int
        (N, D).

    Examples
    --------
    >>> import numpy as np
    >>> import puresid
    >>> parts = [np.zeros((2, 1)), np.ones((1, 1))]
    >>> source = puresid.Batches(lambda: parts, shape=(3, 1))
    >>> puresid.assign(source, [[[0.0], [1.0]], [[0.0], [1.0]]]).sids.tolist()
    [[0, 0], [0, 1], [1, 0]]
    """

    make: Callable[[], Iterable[Any]]
    shape: tuple[int, int]

    def batches(self) -> Iterator[Any]:
        """Call `make` and yield what it holds."""
        yield from self.make()


@dataclass(frozen=True)
class _Blocks:
    """The rows of a large array of another type or order, converted block by block."""

    array: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        return self.array.shape[0], self.array.shape[1]

    def batches(self) -> Iterator[Any]:
        rows = max(1, BLOCK_BYTES // (4 * self.shape[1]))
        for first in range(0, self.shape[0], rows):
            yield self.array[first : first + rows]


@dataclass(frozen=True)
class Transformed:
    """Vectors as codebooks quantise them: what `transform` makes of each block."""

    rows: npt.NDArray[Any] | VectorSource
    codebooks: Codebooks
    threads: int | None

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.shape[0], self.codebooks.dim

    def batches(self) -> Iterator[Any]:
        rows, first = self.rows, 0
        for batch in blocks(rows):
            block = float_matrix(batch, "vectors")
            check_finite(block, first)
            latent = self.codebooks.transform(block, threads=self.threads)
            check_finite(latent, first, after=" after the encoder")
            first += len(block)
            yield latent


def vectors_or_source(values: Any) -> npt.NDArray[Any] | VectorSource:
    """Return what the core takes as it is, or else a source.

    Parameters
    ----------
    values : array_like, shape (N, D), or VectorSource
        Item vectors. What speaks Arrow is taken once, whole: its column of vectors becomes an array
        where it lies in one piece, else a source.

    Returns
    -------
    ndarray of float32 or float16, shape (N, D), in C order, or VectorSource

    Raises
    ------
    TypeError, ValueError, ImportError
        As `float_matrix`; or a source's shape is not two positive numbers.
    """
    if isinstance(values, VectorSource) and not isinstance(values, np.ndarray):
        shape = values.shape
        if len(shape) != 2 or shape[0] < 0 or shape[1] < 1:
            raise ValueError(f"vectors has shape {shape}; (items, dimension) is needed")
        return values
    values = to_numpy(values)
    if speaks_arrow(values):
        found = arrow_vectors(values, "vectors")
        if found is not None and not isinstance(found, np.ndarray):
            return found
        values = values if found is None else found
    array = np.asarray(values) if hasattr(values, "shape") else None
    if array is None or array.ndim != 2 or array.dtype.kind not in "iuf" or array.shape[1] == 0:
        return float_matrix(values, "vectors")
    if is_whole(array):
        return array
    return _Blocks(array) if array.size * 4 > KEPT_IN_MEMORY else float_matrix(array, "vectors")


def blocks(rows: npt.NDArray[Any] | VectorSource) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of an array in views, of a source in its batches as `_read` does."""
    yield from _Blocks(rows).batches() if isinstance(rows, np.ndarray) else _read(rows)


def _read(source: VectorSource) -> Iterator[npt.NDArray[Any]]:
    """Yield the batches as arrays whose shapes are checked."""
    dim = source.shape[1]
    for number, batch in enumerate(source.batches()):
        array = as_array(batch, f"batch {number} of vectors")
        if array.ndim != 2 or array.shape[1] != dim:
            raise ValueError(
                f"batch {number} of vectors has shape {array.shape}; (rows, {dim}) is needed"
            )
        yield array


def add_all(assigner: Any, source: VectorSource) -> None:
    """Read a source for the first time and hand every batch to the core.

    Raises
    ------
    TypeError, ValueError
        If a batch is no matrix of numbers, or there are not as many rows as `source.shape` says.
    """
    rows = 0
    for array in _read(source):
        rows += len(array)
        if rows > source.shape[0]:
            raise ValueError(
                f"vectors has more rows than the {source.shape[0]} that shape announces"
            )
        piece = array if is_whole(array) else float_matrix(array, "vectors")
        assigner.add(piece)
    if rows != source.shape[0]:
        raise ValueError(f"vectors has {rows} rows; shape announces {source.shape[0]}")


def resolve_conflicts(assigner: Any, source: VectorSource, *, read: bool) -> Any:
    """Read the vectors of the items in conflict and have the core resolve them.

    Parameters
    ----------
    assigner : _core.Assigner
        That was given every row.
    source : VectorSource
        The same vectors once more.
    read : bool
        Whether the method needs them.

    Raises
    ------
    ValueError
        If there are other rows than the first time, or fewer.
    OSError
        If there is no room for the temporary file that takes more than 64 MiB of them.
    """
    dim = source.shape[1]
    stages: Stages = assigner.stages
    count = int(np.count_nonzero(stages == -1)) if read else 0
    if count == 0:
        return assigner.resolve(np.empty((0, dim), np.float32), conflicts=True)
    if count * dim * 4 <= KEPT_IN_MEMORY:
        kept = np.empty((count, dim), np.float32)
        end = 0
        for rows in _conflicts(source, stages):
            kept[end : end + len(rows)] = rows
            end += len(rows)
        return assigner.resolve(kept, conflicts=True)
    with tempfile.TemporaryFile(prefix="puresid-") as file:
        for rows in _conflicts(source, stages):
            file.write(np.ascontiguousarray(rows).data)
        file.flush()
        return assigner.resolve(
            np.memmap(file, np.float32, mode="r", shape=(count, dim)), conflicts=True
        )


def _conflicts(source: VectorSource, stages: Stages) -> Iterator[Floats]:
    first = 0
    for array in _read(source):
        last = first + len(array)
        if last > len(stages):
            break
        chosen = stages[first:last] == -1
        if chosen.any():
            yield float_matrix(array[chosen], "vectors")
        first = last
    else:
        if first == len(stages):
            return
    raise ValueError(
        f"vectors gave another number of rows when read again; batches() must begin with the first "
        f"row each time and give the same {len(stages)}"
    )
