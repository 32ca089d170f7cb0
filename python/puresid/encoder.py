"""Encoders: what turns a catalogue's raw vectors into those that its codebooks quantise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid.arrays import float_matrix
from puresid.config import simd, thread_count

__all__ = ["Activation", "Encoder", "LayerNorm", "Linear", "Normalize"]

Floats = npt.NDArray[np.float32]

BLOCK_NUMBERS = 1 << 19
"""Numbers of the widest layer that are held at a time."""

_ACTIVATIONS = ("relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid")


def _vector(values: Any, size: int, name: str) -> Floats:
    with np.errstate(over="ignore"):  # refused below
        array = np.array(values, dtype=np.float32)
    if array.shape != (size,):
        raise ValueError(f"{name} has shape {array.shape}; ({size},) is needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has a value that is not finite")
    array.flags.writeable = False
    return array


def _epsilon(value: Any) -> None:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"epsilon is {value!r}; a number above 0 is needed")


@dataclass(frozen=True, eq=False)
class Linear:
    """``x @ weight.T + bias``: weight of shape (outputs, inputs), bias of shape (outputs,)."""

    weight: Floats
    bias: Floats | None = None

    def __post_init__(self) -> None:
        weight = float_matrix(self.weight, "weight").copy()
        if not np.isfinite(weight).all():
            raise ValueError("weight has a value that is not finite")
        weight.flags.writeable = False
        object.__setattr__(self, "weight", weight)
        if self.bias is not None:
            object.__setattr__(self, "bias", _vector(self.bias, len(weight), "bias"))


@dataclass(frozen=True)
class Activation:
    """An elementwise function: relu, leaky_relu (slope 0.01), gelu, silu, tanh or sigmoid."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in _ACTIVATIONS:
            raise ValueError(f"activation is {self.name!r}; it must be one of {_ACTIVATIONS}")


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """``(x - mean) / sqrt(var + epsilon) * weight + bias`` over each vector."""

    weight: Floats
    bias: Floats
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _epsilon(self.epsilon)
        size = len(np.atleast_1d(self.weight))
        object.__setattr__(self, "weight", _vector(self.weight, size, "weight"))
        object.__setattr__(self, "bias", _vector(self.bias, size, "bias"))


@dataclass(frozen=True)
class Normalize:
    """Each vector over its length, or over `epsilon` where it is shorter."""

    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        _epsilon(self.epsilon)


Layer = Linear | Activation | LayerNorm | Normalize


class Encoder:
    """Layers that are applied one after the other.

    A vector's result does not depend on the vectors beside it, on the threads or on the instruction
    set: linear layers run on the core's kernel, the rest in float64.

    Parameters
    ----------
    layers : sequence of Linear, Activation, LayerNorm or Normalize
        At least one `Linear`. A batch normalisation in evaluation mode is a `Linear`.
    skip : bool
        Whether the input is added to the result.

    Raises
    ------
    TypeError
        If a layer is of another kind.
    ValueError
        If a layer does not take what the one before gives (naming the layer).

    Examples
    --------
    >>> encoder = Encoder([Linear([[1.0, -1.0]]), Activation("relu")])
    >>> encoder([[3.0, 1.0], [1.0, 3.0]]).tolist()
    [[2.0], [0.0]]
    """

    def __init__(self, layers: Sequence[Layer], *, skip: bool = False) -> None:
        self.layers = tuple(layers)
        self.skip = bool(skip)
        first, width = None, None
        for number, layer in enumerate(self.layers):
            if not isinstance(layer, Linear | Activation | LayerNorm | Normalize):
                raise TypeError(f"layer {number} is {layer!r}; Linear, Activation, … are needed")
            takes = None
            if isinstance(layer, Linear):
                takes, gives = layer.weight.shape[1], layer.weight.shape[0]
            elif isinstance(layer, LayerNorm):
                takes = gives = len(layer.weight)
            if takes is None:
                continue
            if width is not None and takes != width:
                raise ValueError(
                    f"layer {number} takes {takes} values; the one before gives {width}"
                )
            first, width = first if first is not None else takes, gives
        if first is None or width is None:
            raise ValueError("an encoder needs at least one Linear layer")
        if self.skip and first != width:
            raise ValueError(f"skip adds {first} values to {width}")
        self._input_dim, self._dim = int(first), int(width)
        widths = [layer.weight.shape[0] for layer in self.layers if isinstance(layer, Linear)]
        self._block_rows = max(256, BLOCK_NUMBERS // max(self._input_dim, *widths))

    @property
    def input_dim(self) -> int:
        """Dimension of the vectors that it takes."""
        return self._input_dim

    @property
    def dim(self) -> int:
        """Dimension of the vectors that it gives."""
        return self._dim

    def __call__(self, vectors: Any, *, threads: int | None = None) -> Floats:
        """Encode.

        Parameters
        ----------
        vectors : array_like, shape (N, input_dim)
        threads : int, optional
            Default: as many as the process may use.

        Returns
        -------
        ndarray, shape (N, dim), float32

        Raises
        ------
        ValueError
            If the dimension is another.
        """
        rows = float_matrix(vectors, "vectors")
        if rows.shape[1] != self.input_dim:
            raise ValueError(
                f"vectors have dimension {rows.shape[1]}; the encoder takes {self.input_dim}"
            )
        encoded = np.empty((len(rows), self.dim), dtype=np.float32)
        for first in range(0, len(rows), self._block_rows):
            block = slice(first, first + self._block_rows)
            encoded[block] = self._encode_block(rows[block], threads)
        return encoded

    def _encode_block(self, rows: Floats, threads: int | None) -> Floats:
        values = rows
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for layer in self.layers:
                if isinstance(layer, Linear):
                    values = apply_linear(values, layer.weight, layer.bias, threads=threads)
                else:
                    values = _elementwise(layer, values.astype(np.float64)).astype(np.float32)
            return values + rows if self.skip else values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Encoder):
            return NotImplemented
        mine, theirs = self.to_tensors(), other.to_tensors()
        return (
            mine[0] == theirs[0]
            and mine[1].keys() == theirs[1].keys()
            and all(np.array_equal(mine[1][name], theirs[1][name]) for name in mine[1])
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Encoder(input_dim={self.input_dim}, dim={self.dim}, layers={len(self.layers)})"

    def to_tensors(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """Return what describes it, ready for JSON, and its arrays by name."""
        described: list[dict[str, Any]] = []
        tensors: dict[str, Floats] = {}
        for number, layer in enumerate(self.layers):
            if isinstance(layer, Linear):
                described.append({"kind": "linear", "bias": layer.bias is not None})
                tensors[f"encoder_{number}_weight"] = layer.weight
                if layer.bias is not None:
                    tensors[f"encoder_{number}_bias"] = layer.bias
            elif isinstance(layer, LayerNorm):
                described.append({"kind": "layer_norm", "epsilon": layer.epsilon})
                tensors[f"encoder_{number}_weight"] = layer.weight
                tensors[f"encoder_{number}_bias"] = layer.bias
            elif isinstance(layer, Normalize):
                described.append({"kind": "normalize", "epsilon": layer.epsilon})
            else:
                described.append({"kind": "activation", "name": layer.name})
        return {"layers": described, "skip": self.skip}, tensors

    @classmethod
    def from_tensors(cls, description: dict[str, Any], tensors: dict[str, Any]) -> Encoder:
        """Build what `to_tensors` described. Raises ValueError for what it cannot have written."""
        layers: list[Layer] = []
        try:
            for number, layer in enumerate(description["layers"]):
                weight: Any = tensors.get(f"encoder_{number}_weight")
                bias: Any = tensors.get(f"encoder_{number}_bias")
                kind = layer["kind"]
                if kind == "linear":
                    layers.append(Linear(weight, bias if layer["bias"] else None))
                elif kind == "layer_norm":
                    layers.append(LayerNorm(weight, bias, float(layer["epsilon"])))
                elif kind == "normalize":
                    layers.append(Normalize(float(layer["epsilon"])))
                elif kind == "activation":
                    layers.append(Activation(layer["name"]))
                else:
                    raise ValueError(f"layer {number} is of the kind {kind!r}")
            return cls(layers, skip=bool(description["skip"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"the encoder's description is incomplete: {error!r}") from error


def apply_linear(
    rows: Floats, weight: Floats, bias: Floats | None = None, *, threads: int | None = None
) -> Floats:
    """Return ``rows @ weight.T + bias``, each row's bits the same whatever the others are."""
    return _core.linear(rows, weight, bias, threads=thread_count(threads), simd=simd())


def _elementwise(
    layer: Activation | LayerNorm | Normalize, values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    if isinstance(layer, Normalize):
        lengths = np.sqrt((values * values).sum(axis=1, keepdims=True))
        return np.asarray(values / np.maximum(lengths, layer.epsilon))
    if isinstance(layer, LayerNorm):
        centred = values - values.mean(axis=1, keepdims=True)
        variance = (centred * centred).mean(axis=1, keepdims=True)
        return np.asarray(centred / np.sqrt(variance + layer.epsilon) * layer.weight + layer.bias)
    if layer.name == "relu":
        return np.asarray(np.maximum(values, 0))
    if layer.name == "leaky_relu":
        return np.where(values < 0, 0.01 * values, values)
    if layer.name == "tanh":
        return np.tanh(values)
    if layer.name == "gelu":
        return np.asarray(values * 0.5 * (1 + _erf(values / np.sqrt(2))))
    sigmoid = 1 / (1 + np.exp(-values))
    return np.asarray(sigmoid if layer.name == "sigmoid" else values * sigmoid)


def _erf(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the error function; NumPy has none."""
    flat = np.fromiter(map(math.erf, values.ravel()), dtype=np.float64, count=values.size)
    return flat.reshape(values.shape)
