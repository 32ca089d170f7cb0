"""Encoders from the tensors of trained networks, in evaluation mode."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from puresid.encoder import Activation, LayerNorm, Linear, Normalize
from puresid.formats.tensors import Floats, TensorFile

__all__ = ["linear", "linears", "normalization", "sequential"]

Layers = list[Linear | Activation | LayerNorm | Normalize]

# What torch uses unless told otherwise; a state_dict does not keep it.
_EPSILON = 1e-5


def linear(file: TensorFile, name: str) -> Linear:
    """Return the linear layer whose weight is ``{name}.weight``."""
    return Linear(file[f"{name}.weight"], file.get(f"{name}.bias"))


def linears(file: TensorFile, names: Sequence[str], activation: str) -> Layers:
    """Return linear layers with an activation between each two."""
    layers: Layers = []
    for name in names:
        if layers:
            layers.append(Activation(activation))
        layers.append(linear(file, name))
    return layers


def sequential(
    file: TensorFile, prefix: str, activation: str, *, before: Layers | None = None
) -> Layers:
    """Return the layers of a ``torch.nn.Sequential``.

    Parameters
    ----------
    file : TensorFile
    prefix : str
        Tensors are called ``{prefix}{index}.{weight, bias, …}``; layers without any (dropout,
        activations) leave a gap in the indices. An activation is assumed where a gap lies between
        two linear layers, as in all sources that are known.
    activation : str
        Which, as `Activation` calls it.
    before : list of layers, optional
        What comes first.

    Returns
    -------
    list of layers
        A batch normalisation is part of the linear layer before it; one that has none before it is
        a diagonal linear layer.

    Raises
    ------
    ValueError
        If there are no such tensors, or a layer is of a kind that is not known.
    """
    layers: Layers = list(before or [])
    previous: int | None = None
    for index, module in _modules(file, prefix):
        name = f"{file.place}: {prefix}{index}"
        weight = module.get("weight")
        gap = previous is not None and index > previous + 1
        if "running_mean" in module:
            if gap:
                raise ValueError(f"{name} is a batch normalisation that follows no linear layer")
            _fold_batch_norm(layers, module, name)
        elif weight is not None and weight.ndim == 2:
            if gap:
                layers.append(Activation(activation))
            layers.append(Linear(weight, module.get("bias")))
        elif weight is not None and weight.ndim == 1 and not gap and "bias" in module:
            layers.append(LayerNorm(weight, module["bias"], _EPSILON))
        else:
            raise ValueError(f"{name} is of a kind that is not known; it has {sorted(module)}")
        previous = index
    if previous is None:
        raise ValueError(f"{file.place} has no tensors {prefix}0.weight …; {file.listing()}")
    return layers


def normalization(file: TensorFile, prefix: str) -> Layers:
    """Return the normalisation before an encoder, called ``{prefix}weight`` …; [] if there is none.

    Raises
    ------
    ValueError
        If it is neither a batch nor a layer normalisation.
    """
    module = {
        name.removeprefix(prefix): file[name]
        for name in file
        if name.startswith(prefix) and not name.endswith("num_batches_tracked")
    }
    layers: Layers = []
    if "running_mean" in module:
        _fold_batch_norm(layers, module, f"{file.place}: {prefix}*")
    elif module.keys() == {"weight", "bias"} and module["weight"].ndim == 1:
        layers.append(LayerNorm(module["weight"], module["bias"], _EPSILON))
    elif module:
        raise ValueError(
            f"{file.place}: {prefix}* is a normalisation that is not known: {sorted(module)}"
        )
    return layers


def _modules(file: TensorFile, prefix: str) -> list[tuple[int, dict[str, Floats]]]:
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.(.+)")
    modules: dict[int, dict[str, Floats]] = {}
    for name in file:
        match = pattern.fullmatch(name)
        if match and match[2] != "num_batches_tracked":
            modules.setdefault(int(match[1]), {})[match[2]] = file[name]
    return sorted(modules.items())


def _fold_batch_norm(layers: Layers, module: dict[str, Floats], name: str) -> None:
    """Apply ``(x - mean) / sqrt(var + epsilon) * weight + bias``, in float64 and rounded once."""
    before = layers[-1] if layers else None
    width = len(before.weight) if isinstance(before, Linear) else module["running_mean"].size
    for part in ("running_mean", "running_var", "weight", "bias"):
        if part == "running_var" and part not in module:
            raise ValueError(f"{name} is a batch normalisation without running_var")
        if part in module and module[part].shape != (width,):
            raise ValueError(
                f"{name} is a batch normalisation whose {part} has shape {module[part].shape}; "
                f"({width},) is needed"
            )
    if not (module["running_var"] >= 0).all():
        raise ValueError(f"{name} has a running_var below 0 or NaN")
    mean = module["running_mean"].astype(np.float64)
    scale = 1 / np.sqrt(module["running_var"].astype(np.float64) + _EPSILON)
    if "weight" in module:
        scale = scale * module["weight"]
    shift = -mean * scale
    if "bias" in module:
        shift = shift + module["bias"]
    if isinstance(before, Linear):
        weight = before.weight * scale[:, None]
        if before.bias is not None:
            shift = shift + before.bias * scale
        layers[-1] = Linear(weight.astype(np.float32), shift.astype(np.float32))
    else:
        layers.append(Linear(np.diag(scale).astype(np.float32), shift.astype(np.float32)))
