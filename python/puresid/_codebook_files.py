"""Codebooks as safetensors: what `Codebooks.save` and `Codebooks.load` do."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from puresid.atomic import atomic_write
from puresid.codebooks import Codebooks
from puresid.encoder import Encoder


def write_codebooks(
    codebooks: Codebooks, path: str | os.PathLike[str], *, more: dict[str, str] | None = None
) -> None:
    """Write them; see `Codebooks.save`. `more` goes to the metadata."""
    from safetensors.numpy import save

    tensors = {f"codebook_{number}": level for number, level in enumerate(codebooks)}
    description: dict[str, Any] = {
        "space": codebooks.space,
        "metric": codebooks.metric,
        "normalize_residuals": codebooks.normalize_residuals,
    }
    if codebooks.rotation is not None:
        tensors["rotation"] = codebooks.rotation
    if codebooks.encoder is not None:
        description["encoder"], layers = codebooks.encoder.to_tensors()
        tensors |= layers
    metadata = {"format": "puresid.codebooks", "description": json.dumps(description)}
    metadata = (more or {}) | metadata
    with atomic_write(path) as handle:
        handle.write(save(tensors, metadata=metadata))


def read_codebooks(path: str | os.PathLike[str]) -> Codebooks:
    """Read what `write_codebooks` wrote; see `Codebooks.load`."""
    tensors, metadata = read_tensors(path)
    try:
        return _from_tensors(tensors, metadata)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the arrays and the metadata of a safetensors file. OSError, ValueError."""
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


def _from_tensors(tensors: dict[str, Any], metadata: dict[str, str]) -> Codebooks:
    description = json.loads(metadata.get("description", "{}"))
    if not isinstance(description, dict):
        raise ValueError(f"its description is {description!r}; an object is needed")
    names = {
        int(match[1]): name for name in tensors if (match := re.fullmatch(r"codebook_(\d+)", name))
    }
    others = tensors.keys() - set(names.values()) - {"rotation"}
    encoder = None
    if "encoder" in description:
        encoder = Encoder.from_tensors(description["encoder"], tensors)
        others -= encoder.to_tensors()[1].keys()
    if sorted(names) != list(range(len(names))) or not names or others:
        raise ValueError(
            f"it holds the tensors {sorted(tensors)}; "
            "codebook_0, codebook_1, … and nothing else are needed"
        )
    return Codebooks(
        [tensors[names[number]] for number in range(len(names))],
        space=description.get("space", "residual"),
        metric=description.get("metric", "euclidean"),
        normalize_residuals=description.get("normalize_residuals", False),
        rotation=tensors.get("rotation"),
        encoder=encoder,
    )
