"""Codebooks: levels of codewords, kept as safetensors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid.arrays import float_matrix, token_matrix
from puresid.atomic import atomic_write


class Codebooks:
    """The codewords of each level, of which one token per level makes a SID.

    Parameters
    ----------
    levels : sequence of array_like, each of shape (K_l, D)
        Real numbers, converted to float32 and copied. One array per level; sizes may differ.

    Raises
    ------
    TypeError
        If a level does not hold real numbers.
    ValueError
        If there is no level, a level has no codeword, dimensions differ, a value is not finite or
        so large that squared distances overflow float32, or the SIDs need more than 64 bits
        (the sum of ``ceil(log2 K_l)``).

    Examples
    --------
    >>> codebooks = Codebooks([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.5]]])
    >>> codebooks.sizes, codebooks.dim, codebooks.capacity
    ((2, 2), 2, 4)
    """

    def __init__(self, levels: Sequence[Any]) -> None:
        if isinstance(levels, Codebooks):
            levels = levels.levels
        arrays = []
        for number, level in enumerate(levels):
            array = float_matrix(level, f"codebooks[{number}]").copy()
            array.flags.writeable = False
            arrays.append(array)
        _core.check_codebooks(arrays)
        self._levels = tuple(arrays)

    @property
    def levels(self) -> tuple[npt.NDArray[np.float32], ...]:
        """Read-only arrays of shape (K_l, D), float32."""
        return self._levels

    @property
    def n_levels(self) -> int:
        """Number of levels, L."""
        return len(self._levels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codewords per level, K_l."""
        return tuple(len(level) for level in self._levels)

    @property
    def dim(self) -> int:
        """Dimension of the vectors, D."""
        return int(self._levels[0].shape[1])

    @property
    def capacity(self) -> int:
        """Number of SIDs: the product of the sizes."""
        capacity = 1
        for size in self.sizes:
            capacity *= size
        return capacity

    def decode(self, sids: Any) -> npt.NDArray[np.float32]:
        """Return the vectors that SIDs stand for: the sums of their codewords.

        Parameters
        ----------
        sids : array_like of int, shape (N, L)

        Returns
        -------
        ndarray, shape (N, D), float32

        Raises
        ------
        TypeError
            If tokens are not integers.
        ValueError
            If the shape is another or a token is out of range (naming the row).
        """
        tokens = token_matrix(sids, self.n_levels, "sids")
        for level, size in enumerate(self.sizes):
            outside = tokens[:, level] >= size
            if outside.any():
                row = int(outside.argmax())
                raise ValueError(
                    f"sids[{row}] has token {tokens[row, level]} at level {level}; "
                    f"codebooks[{level}] has {size} codewords"
                )
        vectors = np.zeros((len(tokens), self.dim), dtype=np.float32)
        for level, codewords in enumerate(self._levels):
            vectors += codewords[tokens[:, level]]
        return vectors

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file with the tensors ``codebook_0``, ``codebook_1``, …; atomically.

        Raises
        ------
        OSError
            If the file cannot be written. An older file of the name is then left as it was.
        """
        from safetensors.numpy import save

        tensors = {f"codebook_{number}": level for number, level in enumerate(self._levels)}
        with atomic_write(path) as handle:
            handle.write(save(tensors, metadata={"format": "puresid.codebooks"}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Codebooks:
        """Read what `save` wrote.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, truncated or holds no codebooks (naming the file).
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        data = Path(path).read_bytes()
        try:
            tensors = load(data)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{os.fspath(path)} is not an intact safetensors file: {error}"
            ) from error
        names = {
            int(match[1]): name
            for name in tensors
            if (match := re.fullmatch(r"codebook_(\d+)", name))
        }
        if sorted(names) != list(range(len(tensors))) or not names:
            raise ValueError(
                f"{os.fspath(path)} holds the tensors {sorted(tensors)}; "
                "codebook_0, codebook_1, … and nothing else are needed"
            )
        try:
            return cls([tensors[names[number]] for number in range(len(names))])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error

    def __len__(self) -> int:
        return len(self._levels)

    def __getitem__(self, level: int) -> npt.NDArray[np.float32]:
        codewords: npt.NDArray[np.float32] = self._levels[level]
        return codewords

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        return iter(self._levels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codebooks):
            return NotImplemented
        return len(self) == len(other) and all(map(np.array_equal, self._levels, other._levels))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Codebooks(sizes={self.sizes}, dim={self.dim})"
