"""Product quantisation, with or without an optimised rotation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._codebook_checks import read_rotation
from puresid.checks import integer
from puresid.codebooks import Codebooks
from puresid.config import progress_bar, thread_count
from puresid.encoder import apply_linear
from puresid.quantizers.base import Quantizer, codebook_sizes, seed, training_rows
from puresid.quantizers.rotation import Slices, optimise_rotation

Floats = npt.NDArray[np.float32]


class ProductQuantizer(Quantizer):
    """Product quantisation: each level clusters its own slice of the vectors.

    The slices are of equal width; where D is no multiple of L the first ``D mod L`` are one column
    wider. Each is k-means as in `RQKMeans`.

    Parameters
    ----------
    n_levels : int
        Number of slices, L.
    codebook_size : int or sequence of int
        Codewords per level; a sequence gives one size for each of the `n_levels`.
    rotation : {"opq", "none"} or array_like, shape (D, D_in)
        What vectors are turned by first. ``"opq"`` looks for the rotation that leaves the least: it
        alternates one iteration of k-means in every slice with the best rotation for the codewords
        found (orthogonal Procrustes), going as far again beyond it, which about halves the
        alternations. It does so from two starts and keeps the better: the eigenvectors of the
        covariance dealt out so that the slices' products of eigenvalues are nearly equal, and in
        order. An array: rows of length 1 at right angles.
    n_iter : int
        Iterations of k-means per level at most, after the rotation is fixed; a level stops when no
        row changes its codeword.
    rotation_iter : int
        Alternations of ``"opq"`` from each start at most; they end when one gains less than 0.01 %.
    random_state : int
        Seed of the start, from 0 to 2**64 - 1.
    threads : int or None
        None for as many as the process may use.
    progress : bool
        Whether to draw bars on stderr.

    Attributes
    ----------
    codebooks : Codebooks
        After `fit`; ``space="product"``, with the rotation.
    history : tuple of tuple of float
        After `fit`: per level, the mean squared distance of the rows' slices to their codewords,
        before each of the `n_iter` iterations and at the end.
    rotation_history : tuple of float
        After `fit`: the mean squared distance of all slices together after each alternation from
        the better start; empty but for ``"opq"``.

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If a number is out of range or `rotation` is another word.

    Notes
    -----
    The same bytes at any number of threads; but the starts of ``"opq"`` come from NumPy's ``eigh``,
    so other builds of NumPy, or other numbers of its BLAS's threads, may give other digits.

    References
    ----------
    Jégou, Douze & Schmid, "Product quantization for nearest neighbor search", TPAMI 2011. Ge, He,
    Ke & Sun, "Optimized product quantization", CVPR 2013: the parametric solution as a start of the
    non-parametric one.

    Examples
    --------
    >>> import numpy as np
    >>> corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> model = ProductQuantizer(2, 2, rotation="none").fit(corners)
    >>> model.codebooks.sizes, model.history[0][-1]
    ((2, 2), 0.0)
    """

    def __init__(
        self,
        n_levels: int = 4,
        codebook_size: int | Sequence[int] = 256,
        *,
        rotation: Any = "opq",
        n_iter: int = 25,
        rotation_iter: int = 50,
        random_state: int = 0,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        self.n_levels = integer(n_levels, "n_levels", 1)
        self._sizes = codebook_sizes(self.n_levels, codebook_size)
        self.codebook_size = codebook_size
        if isinstance(rotation, str) and rotation not in ("opq", "none"):
            raise ValueError(f"rotation is {rotation!r}; 'opq', 'none' or an array is needed")
        self.rotation = rotation
        self.n_iter = integer(n_iter, "n_iter", 1)
        self.rotation_iter = integer(rotation_iter, "rotation_iter", 1)
        self.random_state = seed(random_state)
        self.threads = threads
        self.progress = progress
        self._rotation_history: tuple[float, ...] | None = None

    @property
    def rotation_history(self) -> tuple[float, ...]:
        """The mean squared distance after each alternation. AttributeError before `fit`."""
        if self._rotation_history is None:
            raise AttributeError(
                "this ProductQuantizer has no rotation_history yet; call fit(vectors) first"
            )
        return self._rotation_history

    def fit(self, vectors: Any) -> ProductQuantizer:
        """Train on vectors.

        Parameters
        ----------
        vectors : array_like, shape (N, D)
            Real numbers or a torch tensor; converted to float32. N must be at least the largest
            codebook size, D at least `n_levels`.

        Returns
        -------
        ProductQuantizer
            Itself.

        Raises
        ------
        TypeError
            If the vectors are not real numbers.
        ValueError
            If there are fewer vectors than codewords or fewer columns than levels, a value is not
            finite or too large (naming the row), or the rotation is none or has another shape.
        """
        self._codebooks = self._history = self._rotation_history = None
        rows = training_rows(vectors, max(self._sizes), 1)
        rotation = self._given_rotation(rows.shape[1])
        dim = rows.shape[1] if rotation is None else len(rotation)
        if dim < self.n_levels:
            raise ValueError(f"vectors have dimension {dim}; {self.n_levels} levels need as many")
        slices = Slices(dim, self._sizes, self.random_state, thread_count(self.threads))
        start = None
        distances: list[float] = []
        with progress_bar(self.progress) as report:
            if isinstance(self.rotation, str) and self.rotation == "opq":
                rotation, start, distances = optimise_rotation(
                    rows, slices, self.rotation_iter, report
                )
            if rotation is not None:
                rows = apply_linear(rows, rotation, threads=self.threads)
            levels = slices.train(rows, self.n_iter, start, report)
        self._codebooks = Codebooks(
            [codewords for codewords, _, _ in levels], space="product", rotation=rotation
        )
        self._history = tuple(tuple(history) for _, history, _ in levels)
        self._rotation_history = tuple(distances)
        return self

    def _given_rotation(self, dim: int) -> Floats | None:
        if isinstance(self.rotation, str):
            return None
        shape = np.shape(self.rotation)
        if len(shape) != 2 or shape[1] != dim:
            raise ValueError(f"rotation has shape {shape}; vectors have dimension {dim}")
        return read_rotation(self.rotation, shape[0])

    def _described_parameters(self) -> dict[str, Any]:
        named = isinstance(self.rotation, str)
        return self.get_params() | {"rotation": self.rotation if named else None}

    @classmethod
    def _parameters_from(cls, described: dict[str, Any], codebooks: Codebooks) -> dict[str, Any]:
        parameters = super()._parameters_from(described, codebooks)
        if parameters["rotation"] is None:
            parameters["rotation"] = codebooks.rotation
        return parameters

    def _described_results(self) -> dict[str, Any]:
        return {"rotation_history": self.rotation_history}

    def _take_results(self, described: dict[str, Any]) -> None:
        self._rotation_history = tuple(map(float, described["rotation_history"]))
