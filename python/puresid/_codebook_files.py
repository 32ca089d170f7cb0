"""Codebooks as safetensors: what `Codebooks.save` and `Codebooks.load` do."""

from __future__ import annotations

import itertools
import os
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
    tensors = {f"codebook_{number}": level for number, level in enumerate(codebooks)}
    if start is not None:
        tensors |= {f"start_{number}": level for number, level in enumerate(start)}
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
    write_described(path, FORMAT, description | (more or {}), tensors)


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
        levels, start = _numbered(tensors, "codebook"), _numbered(tensors, "start")
        others = tensors.keys() - _names("codebook", levels) - _names("start", start)
        codebooks = _from_tensors(tensors, levels, others, description)
        return codebooks, description, Codebooks(start) if start else None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def _numbered(tensors: dict[str, Any], word: str) -> list[Any]:
    """Return ``word_0``, ``word_1``, … as far as they go."""
    names = itertools.takewhile(tensors.__contains__, (f"{word}_{n}" for n in itertools.count()))
    return [tensors[name] for name in names]


def _names(word: str, levels: list[Any]) -> set[str]:
    return {f"{word}_{number}" for number in range(len(levels))}


def _from_tensors(
    tensors: dict[str, Any], levels: list[Any], others: set[str], description: dict[str, Any]
) -> Codebooks:
    encoder = None
    if "encoder" in description:
        encoder = Encoder.from_tensors(description["encoder"], tensors)
        others = others - encoder.to_tensors()[1].keys()
    if not levels or others - {"rotation"}:
        raise ValueError(
            f"it holds the tensors {sorted(tensors)}; "
            "codebook_0, codebook_1, … and nothing else are needed"
        )
    return Codebooks(
        levels,
        space=description.get("space", "residual"),
        metric=description.get("metric", "euclidean"),
        normalize_residuals=description.get("normalize_residuals", False),
        rotation=tensors.get("rotation"),
        encoder=encoder,
    )
