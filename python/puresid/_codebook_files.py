"""Codebooks as safetensors: what `Codebooks.save` and `Codebooks.load` do."""

from __future__ import annotations

import os
import re
from typing import Any

from puresid._described import check_format, read_described, write_described
from puresid.codebooks import Codebooks
from puresid.encoder import Encoder

FORMAT = "puresid.codebooks"
RQVAE_FORMAT = "puresid.rqvae"


def write_codebooks(
    codebooks: Codebooks,
    path: str | os.PathLike[str],
    *,
    more: dict[str, Any] | None = None,
    start: Codebooks | None = None,
) -> None:
    """Write them; see `Codebooks.save`. `more` goes to the description, `start` beside them."""
    description, tensors = to_tensors(codebooks)
    if start is not None:
        tensors |= {f"start_{number}": level for number, level in enumerate(start)}
    write_described(path, FORMAT, description | (more or {}), tensors)


def to_tensors(codebooks: Codebooks) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description, but for its format, and the tensors of codebooks."""
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
    return description, tensors


def read_codebooks(
    path: str | os.PathLike[str],
) -> tuple[Codebooks, dict[str, Any], Codebooks | None]:
    """Read what `write_codebooks` wrote: codebooks, the whole description, and any `start`.

    A file without a description holds residual codebooks; one of `RQVAE.save` holds those that it
    trained, encoder included.
    """
    description, tensors = read_described(path)
    if description.get("format") == RQVAE_FORMAT:
        from puresid.quantizers.rqvae import RQVAE

        return RQVAE.load(path).codebooks, description, None
    if description:
        check_format(path, description, FORMAT)
    try:
        names = sorted(name for name in tensors if re.fullmatch(r"start_\d+", name))
        start = {f"codebook_{name.removeprefix('start_')}": tensors.pop(name) for name in names}
        codebooks = from_tensors(tensors, description)
        return codebooks, description, from_tensors(start, {}) if start else None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def from_tensors(tensors: dict[str, Any], description: dict[str, Any]) -> Codebooks:
    """Make codebooks of what `to_tensors` gave.

    Raises
    ------
    TypeError, ValueError
        Tensors are missing or one too many, or as `Codebooks`.
    """
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
