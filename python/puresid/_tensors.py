"""Safetensors files: arrays by name, and strings about them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the arrays and the metadata of a safetensors file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or truncated (naming the file).
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = Path(path).read_bytes()
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} is not an intact safetensors file: {error}") from error
    return tensors, metadata
