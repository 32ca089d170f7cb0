"""What all quantizers have in common: codebooks, history, encode, decode, files."""

from __future__ import annotations

import inspect
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from puresid._codebook_files import read_codebooks, write_codebooks
from puresid.arrays import SidsArray, float_matrix
from puresid.assignment import assign
from puresid.checks import integer, rows_at_once
from puresid.codebooks import Codebooks

Floats = npt.NDArray[np.float32]
History = tuple[tuple[float, ...], ...]
Q = TypeVar("Q", bound="Quantizer")


class Quantizer(ABC):
    """Trains codebooks on vectors, in scikit-learn's manner.

    A subclass takes its parameters by name, keeps each as an attribute of the same name, and sets
    `_codebooks` and `_history` in `fit`.
    """

    threads: int | None
    progress: bool
    _codebooks: Codebooks | None = None
    _history: History | None = None

    @abstractmethod
    def fit(self: Q, vectors: Any) -> Q:
        """Train on vectors of shape (N, D), and return itself."""

    @property
    def codebooks(self) -> Codebooks:
        """The trained codebooks. AttributeError before `fit`."""
        if self._codebooks is None:
            raise AttributeError(
                f"this {type(self).__name__} has no codebooks yet; call fit(vectors) first"
            )
        return self._codebooks

    @property
    def history(self) -> History:
        """Per level, mean squared distances in the course of training. AttributeError before it."""
        if self._history is None:
            raise AttributeError(
                f"this {type(self).__name__} has no history yet; call fit(vectors) first"
            )
        return self._history

    def encode(self, vectors: Any) -> SidsArray:
        """Return the nearest SID of each vector: ``puresid.assign(…, method="nearest")``.

        Parameters
        ----------
        vectors : array_like or VectorSource, shape (N, D)
            As for `assign`.

        Returns
        -------
        ndarray, shape (N, L), uint16 or uint32
            Several vectors may have the same SID; `assign` with another method makes them unique.

        Raises
        ------
        AttributeError
            Before `fit`.
        TypeError, ValueError
            As `assign`.
        """
        found = assign(
            vectors, self.codebooks, "nearest", threads=self.threads, progress=self.progress
        )
        return found.sids

    def decode(self, sids: Any) -> Floats:
        """Return the vectors that SIDs stand for: ``codebooks.decode(sids)``, (N, D) float32."""
        return self.codebooks.decode(sids)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write codebooks, parameters and history to a safetensors file; atomically.

        The file is one of `Codebooks.save`, with the rest as JSON in its metadata: what reads
        codebooks reads it too.

        Raises
        ------
        AttributeError
            Before `fit`.
        OSError
            If the file cannot be written. An older file of the name is then left as it was.
        """
        codebooks = self.codebooks
        description = {
            "class": type(self).__name__,
            "parameters": self._described_parameters(),
            "history": self.history,
            "more": self._described_results(),
        }
        write_codebooks(
            codebooks, path, more={"quantizer": description}, start=self._described_start()
        )

    @classmethod
    def load(cls: type[Q], path: str | os.PathLike[str]) -> Q:
        """Read what `save` of the same class wrote.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged or holds no quantizer of this class (naming the file).
        """
        codebooks, described, start = read_codebooks(path)
        try:
            description = described.get("quantizer", {})
            name = description.get("class")
            if name != cls.__name__:
                what = f"a {name}" if name else "codebooks alone"
                raise ValueError(f"it holds {what}; a {cls.__name__} is needed")
            parameters = cls._parameters_from(description["parameters"], codebooks)
            quantizer = cls(**parameters | ({} if start is None else {"start": start}))
            quantizer._history = tuple(tuple(map(float, level)) for level in description["history"])
            quantizer._take_results(description["more"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error
        quantizer._codebooks = codebooks
        return quantizer

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, as given. `deep` is there for scikit-learn."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self: Q, **parameters: Any) -> Q:
        """Set some parameters by name, forget what was trained, and return itself.

        Raises
        ------
        TypeError, ValueError
            If there is no such parameter, or as the constructor.
        """
        # Any names, because scikit-learn's tools call it so; each is checked.
        known = self._parameter_names()
        for name in parameters:
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}"
                )
        fresh = type(self)(**self.get_params() | parameters)
        self.__dict__.clear()
        self.__dict__.update(fresh.__dict__)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        shown = []
        for name, value in self.get_params().items():
            if isinstance(value, np.ndarray):
                shown.append(f"{name}=<array of shape {value.shape}>")
            elif isinstance(value, (list, tuple)) and any(hasattr(part, "shape") for part in value):
                shapes = ", ".join(str(np.shape(part)) for part in value)
                shown.append(f"{name}=<arrays of the shapes {shapes}>")
            elif value != defaults[name].default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def _described_parameters(self) -> dict[str, Any]:
        """Parameters that JSON can hold."""
        return self.get_params()

    @classmethod
    def _parameters_from(cls, described: dict[str, Any], codebooks: Codebooks) -> dict[str, Any]:
        """Return the parameters that `_described_parameters` described."""
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in described.items()
        }

    def _described_start(self) -> Codebooks | None:
        """Return the codebooks of the parameter `start`, where there is one."""
        return None

    def _described_results(self) -> dict[str, Any]:
        """Return what else a file keeps of training."""
        return {}

    def _take_results(self, described: dict[str, Any]) -> None:  # noqa: B027 (most have none)
        """Take what `_described_results` described."""


def seed(value: Any) -> int:
    """Return a `random_state` checked. TypeError, ValueError."""
    number = integer(value, "random_state", 0)
    if number >= 2**64:
        raise ValueError(f"random_state is {number}; it must be below 2**64")
    return number


def codebook_sizes(n_levels: int, codebook_size: Any) -> list[int]:
    """Return the codewords of each level, from one number or several. TypeError, ValueError."""
    if not isinstance(codebook_size, Sequence):
        return [integer(codebook_size, "codebook_size", 1)] * n_levels
    if len(codebook_size) != n_levels:
        raise ValueError(f"codebook_size has {len(codebook_size)} entries; n_levels is {n_levels}")
    return [integer(size, f"codebook_size[{i}]", 1) for i, size in enumerate(codebook_size)]


def training_rows(vectors: Any, codewords: int, n_levels: int) -> Floats:
    """Return vectors as float32, enough of them and usable. TypeError, ValueError."""
    rows = float_matrix(rows_at_once(vectors), "vectors")
    check_count(len(rows), codewords)
    check_values(rows, 0, n_levels)
    return rows


def check_count(items: int, codewords: int) -> None:
    """Refuse fewer rows than codewords. ValueError."""
    if items < codewords:
        raise ValueError(
            f"vectors has {items} rows; a codebook of {codewords} codewords needs at least as many"
        )


def check_values(rows: Floats, first: int, n_levels: int) -> None:
    """Refuse NaN, infinity and what overflows, naming the row; `first` is the first's number."""
    # A level's codewords and residuals stay within 2**level times the largest value; nor do the
    # squares of all residuals ever grow in sum, which bounds them where there are many levels.
    growth = 2.0 ** min(n_levels + 1, 32)
    most = math.sqrt(np.finfo(np.float32).max / (4 * rows.shape[1])) / growth
    if rows.size == 0 or (rows.max() <= most and rows.min() >= -most):  # no NaN passes this
        return
    row, column = np.argwhere(~(np.abs(rows) <= most))[0]
    value, place = rows[row, column], f"vectors[{first + int(row)}]"
    if np.isfinite(value):
        raise ValueError(
            f"{place} has a value beyond {most:.6g}, whose squared distances overflow float32; "
            "scale vectors down"
        )
    what = "NaN" if np.isnan(value) else "an infinity (in float32)"
    raise ValueError(f"{place} has {what} in column {column}; every value must be finite")
