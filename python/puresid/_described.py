"""Safetensors files that say what they hold: arrays, and one JSON object in the metadata."""

from __future__ import annotations

import json
import operator
import os
from pathlib import Path
from typing import Any

import numpy as np

from puresid.atomic import atomic_write


def write_described(
    path: str | os.PathLike[str], kind: str, description: dict[str, Any], tensors: dict[str, Any]
) -> None:
    """Write a file, whole or not at all; the same bytes for the same content.

    Parameters
    ----------
    path : str or path
    kind : str
        The entry ``"format"`` of the object.
    description : dict
        The rest of it: what JSON takes, and NumPy's integers.
    tensors : dict of str to ndarray

    Raises
    ------
    OSError
        If it cannot be written. An older file of the name is then left as it was.
    """
    from safetensors.numpy import save

    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    # One entry, because safetensors writes several in an order that changes from call to call.
    text = json.dumps({"format": kind} | description, default=operator.index)
    with atomic_write(path) as handle:
        handle.write(save(arrays, metadata={"description": text}))


def read_described(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description, empty where there is none, and the tensors of a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged (naming the file).
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = Path(path).read_bytes()
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        description = json.loads((header.get("__metadata__") or {}).get("description", "{}"))
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)} is not an intact safetensors file: {error}") from error
    if not isinstance(description, dict):
        raise ValueError(
            f"{os.fspath(path)}: its description is {description!r}; an object is needed"
        )
    return description, tensors


def check_format(path: str | os.PathLike[str], description: dict[str, Any], kind: str) -> None:
    """Raise ValueError where the description is of another kind of file."""
    found = description.get("format")
    if found != kind:
        raise ValueError(f"{os.fspath(path)} has the format {found!r}; {kind!r} is needed")
