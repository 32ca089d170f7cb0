"""Codebooks: the codewords of each level, how they make a vector, and what comes before them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid._codebook_checks import check_lengths, check_tree, read_level, read_rotation
from puresid.arrays import float_matrix, token_matrix
from puresid.encoder import Encoder, apply_linear

Floats = npt.NDArray[np.float32]

SPACES = ("residual", "tree", "product")
METRICS = ("euclidean", "cosine")


class Codebooks:
    """The codewords of each level, of which one token per level makes a SID.

    Parameters
    ----------
    levels : sequence of array_like
        Real numbers, converted to float32 and copied; one array per level, sizes may differ. Of
        shape (K_l, D) where `space` is ``"residual"``, (K_l, D_l) where it is ``"product"``, and
        (K_0, …, K_l, D) where it is ``"tree"``: ``levels[1][t0, t1]`` is the codeword of token
        ``t1`` below token ``t0``.
    space : {"residual", "tree", "product"}
        How tokens make a vector. ``"residual"``: the sum of the codewords, each level quantising
        what those before it left (RQ-VAE, residual k-means). ``"tree"``: the last codeword, each
        level a finer clustering below the token before (hierarchical k-means). ``"product"``: the
        codewords one after the other, each level quantising its own ``D_l`` columns (PQ).
    metric : {"euclidean", "cosine"}
        What "nearest" means. ``"cosine"`` is for residual codebooks whose codewords have length 1.
    normalize_residuals : bool
        Residual codebooks only: whether each residual is scaled to length 1 before its level, as
        GRID does. What a SID stands for then depends on the item's lengths; `decode` has no answer.
    rotation : array_like, shape (D, D_in), optional
        Rows of length 1 at right angles. Vectors x become ``rotation @ x`` first, as in OPQ.
    encoder : Encoder, optional
        What turns raw vectors into those that are quantised, before any rotation.

    Raises
    ------
    TypeError
        If a level does not hold real numbers.
    ValueError
        If there is no level, a level has no codeword, dimensions differ, a value is not finite or
        so large that squared distances overflow float32, the SIDs need more than 64 bits (the sum
        of ``ceil(log2 K_l)``), or options do not go together.

    Examples
    --------
    >>> codebooks = Codebooks([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.5]]])
    >>> codebooks.sizes, codebooks.dim, codebooks.capacity
    ((2, 2), 2, 4)
    """

    def __init__(
        self,
        levels: Sequence[Any],
        *,
        space: str = "residual",
        metric: str = "euclidean",
        normalize_residuals: bool = False,
        rotation: Any = None,
        encoder: Encoder | None = None,
    ) -> None:
        if space not in SPACES:
            raise ValueError(
                f"space is {space!r}; it must be one of {', '.join(map(repr, SPACES))}"
            )
        if metric not in METRICS:
            raise ValueError(
                f"metric is {metric!r}; it must be one of {', '.join(map(repr, METRICS))}"
            )
        if space != "residual" and (metric != "euclidean" or normalize_residuals):
            raise ValueError(
                f"metric={metric!r} and normalize_residuals={normalize_residuals} are for residual "
                f"codebooks; space is {space!r}"
            )
        if not isinstance(normalize_residuals, (bool, np.bool_)):
            raise TypeError(
                f"normalize_residuals is {normalize_residuals!r}; True or False is needed"
            )
        self._space = space
        self._metric = metric
        self._normalize_residuals = bool(normalize_residuals)
        arrays = [read_level(level, number, space) for number, level in enumerate(levels)]
        if space == "tree":
            check_tree(arrays)
        _core.check_codebooks([_flat(array) for array in arrays], space=space, scaling=self.scaling)
        if metric == "cosine":
            check_lengths(arrays)
        for array in arrays:
            array.flags.writeable = False
        self._levels = tuple(arrays)
        self._rotation = None if rotation is None else read_rotation(rotation, self.dim)
        if encoder is not None and not isinstance(encoder, Encoder):
            raise TypeError(f"encoder is {encoder!r}; an Encoder is needed")
        if encoder is not None and encoder.dim != self._quantised_from:
            raise ValueError(
                f"the encoder gives vectors of dimension {encoder.dim}; "
                f"the codebooks take {self._quantised_from}"
            )
        self._encoder = encoder

    @property
    def levels(self) -> tuple[Floats, ...]:
        """Read-only float32 arrays, of the shapes that `Codebooks` takes."""
        return self._levels

    @property
    def space(self) -> str:
        """``"residual"``, ``"tree"`` or ``"product"``."""
        return self._space

    @property
    def metric(self) -> str:
        """``"euclidean"`` or ``"cosine"``."""
        return self._metric

    @property
    def normalize_residuals(self) -> bool:
        """Whether each residual is scaled to length 1 before its level."""
        return self._normalize_residuals

    @property
    def scaling(self) -> str:
        """What the core does to residuals: ``"none"``, ``"compared"`` or ``"kept"``."""
        if self._normalize_residuals:
            return "kept"
        return "compared" if self._metric == "cosine" else "none"

    @property
    def flat_levels(self) -> list[Floats]:
        """The levels as matrices, as the core takes them."""
        return [_flat(level) for level in self._levels]

    @property
    def rotation(self) -> Floats | None:
        """Shape (D, D_in), read-only, or None."""
        return self._rotation

    @property
    def encoder(self) -> Encoder | None:
        """What comes first, or None."""
        return self._encoder

    @property
    def n_levels(self) -> int:
        """Number of levels, L."""
        return len(self._levels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Tokens per level, K_l."""
        return tuple(level.shape[-2] for level in self._levels)

    @property
    def dim(self) -> int:
        """Dimension of the vectors that are quantised, D: after encoder and rotation."""
        if self._space == "product":
            return sum(level.shape[-1] for level in self._levels)
        return int(self._levels[0].shape[-1])

    @property
    def _quantised_from(self) -> int:
        """Dimension of the vectors that are rotated."""
        return self.dim if self._rotation is None else int(self._rotation.shape[1])

    @property
    def input_dim(self) -> int:
        """Dimension of the vectors that `assign` takes: before encoder and rotation."""
        return self._quantised_from if self._encoder is None else self._encoder.input_dim

    @property
    def capacity(self) -> int:
        """Number of SIDs: the product of the sizes."""
        return math.prod(self.sizes)

    @property
    def latent(self) -> Codebooks:
        """The same codebooks for vectors that `transform` has been applied to."""
        if self._encoder is None and self._rotation is None:
            return self
        return Codebooks(
            self._levels,
            space=self._space,
            metric=self._metric,
            normalize_residuals=self._normalize_residuals,
        )

    def transform(self, vectors: Any, *, threads: int | None = None) -> Floats:
        """Apply the encoder and the rotation, where there are any.

        A vector's result is the same bytes whatever the vectors beside it and the threads.

        Parameters
        ----------
        vectors : array_like, shape (N, input_dim)
        threads : int, optional
            Default: as many as the process may use.

        Returns
        -------
        ndarray, shape (N, D), float32

        Raises
        ------
        ValueError
            If the dimension is another.
        """
        rows = float_matrix(vectors, "vectors")
        if rows.shape[1] != self.input_dim:
            raise ValueError(
                f"vectors have dimension {rows.shape[1]}; the codebooks take {self.input_dim}"
            )
        if self._encoder is not None:
            rows = self._encoder(rows, threads=threads)
        if self._rotation is not None:
            rows = apply_linear(rows, self._rotation, threads=threads)
        return rows

    def decode(self, sids: Any) -> Floats:
        """Return the vectors that SIDs stand for.

        Parameters
        ----------
        sids : array_like of int, shape (N, L)

        Returns
        -------
        ndarray, shape (N, D_in), float32
            Turned back where there is a rotation; what an encoder gave is not decoded further.

        Raises
        ------
        TypeError
            If tokens are not integers.
        ValueError
            If the shape is another or a token is out of range (naming the row), or residuals are
            normalised.
        """
        if self._normalize_residuals:
            raise ValueError("normalize_residuals=True: a SID does not say how long residuals were")
        tokens = self.checked_tokens(sids)
        if self._space == "product":
            vectors = np.concatenate(
                [level[tokens[:, number]] for number, level in enumerate(self._levels)], axis=1
            )
        elif self._space == "tree":
            vectors = self._levels[-1][tuple(tokens.T)]
        else:
            vectors = np.zeros((len(tokens), self.dim), dtype=np.float32)
            for number, level in enumerate(self._levels):
                vectors += level[tokens[:, number]]
        if self._rotation is not None:
            vectors = apply_linear(vectors, np.ascontiguousarray(self._rotation.T))
        return vectors

    def checked_tokens(self, sids: Any, name: str = "sids") -> npt.NDArray[np.uint32]:
        """Return SIDs as an (N, L) array of uint32.

        Raises
        ------
        TypeError, ValueError
            As `decode`.
        """
        tokens = token_matrix(sids, self.n_levels, name)
        for level, size in enumerate(self.sizes):
            outside = tokens[:, level] >= size
            if outside.any():
                row = int(outside.argmax())
                raise ValueError(
                    f"{name}[{row}] has token {tokens[row, level]} at level {level}; "
                    f"codebooks[{level}] has {size} codewords"
                )
        return tokens

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file; atomically.

        The tensors ``codebook_0``, ``codebook_1``, … and, where there are any, ``rotation`` and
        those of the encoder; what they mean is JSON in the metadata.

        Raises
        ------
        OSError
            If the file cannot be written. An older file of the name is then left as it was.
        """
        from puresid._codebook_files import write_codebooks

        write_codebooks(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Codebooks:
        """Read what `save` wrote. For other projects' files see `load_codebooks`.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, truncated or holds no codebooks (naming the file).
        """
        from puresid._codebook_files import read_codebooks

        return read_codebooks(path)[0]

    def __reduce__(self) -> tuple[Any, ...]:
        # NumPy's own way of copying and pickling forgets that the arrays are read-only.
        how = (*self._how(), self._rotation, self._encoder)
        return _rebuilt, (self._levels, *how)

    def __len__(self) -> int:
        return len(self._levels)

    def __getitem__(self, level: int) -> Floats:
        codewords: Floats = self._levels[level]
        return codewords

    def __iter__(self) -> Iterator[Floats]:
        return iter(self._levels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codebooks):
            return NotImplemented
        return (
            self._how() == other._how()
            and len(self) == len(other)
            and all(map(np.array_equal, self._levels, other._levels))
            and _equal(self._rotation, other._rotation)
            and self._encoder == other._encoder
        )

    __hash__ = None  # type: ignore[assignment]

    def _how(self) -> tuple[str, str, bool]:
        return self._space, self._metric, self._normalize_residuals

    def __repr__(self) -> str:
        shown = [f"sizes={self.sizes}", f"dim={self.dim}"]
        if self._space != "residual":
            shown.append(f"space={self._space!r}")
        if self._metric != "euclidean":
            shown.append(f"metric={self._metric!r}")
        if self._normalize_residuals:
            shown.append("normalize_residuals=True")
        if self._rotation is not None:
            shown.append("rotation=…")
        if self._encoder is not None:
            shown.append(f"encoder={self._encoder!r}")
        return f"Codebooks({', '.join(shown)})"


def _rebuilt(
    levels: tuple[Floats, ...],
    space: str,
    metric: str,
    normalize_residuals: bool,
    rotation: Floats | None,
    encoder: Encoder | None,
) -> Codebooks:
    return Codebooks(
        levels,
        space=space,
        metric=metric,
        normalize_residuals=normalize_residuals,
        rotation=rotation,
        encoder=encoder,
    )


def _equal(one: Floats | None, other: Floats | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.array_equal(one, other))


def as_codebooks(codebooks: Codebooks | Sequence[Any]) -> Codebooks:
    """Return codebooks as they are, and residual ones for a sequence of (K_l, D) arrays."""
    return codebooks if isinstance(codebooks, Codebooks) else Codebooks(codebooks)


def _flat(level: Floats) -> Floats:
    flat: Floats = level.reshape(-1, level.shape[-1])
    return flat
