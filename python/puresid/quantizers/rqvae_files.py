"""An RQ-VAE's files: safetensors, what the tensors mean as JSON beside them. Nothing is pickled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from puresid._described import check_format, read_described, write_described
from puresid.quantizers.rqvae_history import RQVAEEpoch, read_history
from puresid.quantizers.rqvae_model import Fitted, Floats, Model, parts
from puresid.quantizers.rqvae_settings import Settings

MODEL = "puresid.rqvae"
CHECKPOINT = "puresid.rqvae.checkpoint"


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description and the tensors of a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or of another kind (naming the file).
    """
    description, tensors = read_described(path)
    check_format(path, description, kind)
    return description, tensors


def fingerprint(rows: Floats) -> str:
    """SHA-256 of the shape and the values."""
    digest = hashlib.sha256(repr(rows.shape).encode())
    for part in parts(len(rows)):
        digest.update(np.ascontiguousarray(rows[part]).tobytes())
    return digest.hexdigest()


def save_model(
    path: str | os.PathLike[str],
    settings: Settings,
    history: Sequence[RQVAEEpoch],
    fitted: Fitted,
) -> None:
    """Write what encodes and decodes. Raises OSError where it cannot be written."""
    description, tensors = fitted.to_tensors()
    content = {
        "settings": settings.to_json(),
        "history": [asdict(epoch) for epoch in history],
        "model": description,
    }
    write_described(path, MODEL, content, tensors)


def load_model(
    path: str | os.PathLike[str],
) -> tuple[Settings, tuple[RQVAEEpoch, ...], Fitted]:
    """Read what `save_model` wrote.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or holds no RQ-VAE (naming the file).
    """
    content, tensors = read(path, MODEL)
    try:
        return (
            Settings.from_json(content.get("settings")),
            tuple(read_history(content.get("history"))),
            Fitted.from_tensors(content.get("model"), tensors),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def save_checkpoint(
    path: str | os.PathLike[str],
    settings: Settings,
    digest: str,
    model: Model,
    history: Sequence[RQVAEEpoch],
    best: Fitted,
) -> None:
    """Write all that a fit needs to go on. Raises OSError where it cannot be written."""
    description, kept = best.to_tensors()
    tensors = {f"best_{name}": array for name, array in kept.items()}
    tensors |= {f"model_{name}": array for name, array in model.state().items()}
    content = {
        "settings": settings.to_json(),
        "vectors_sha256": digest,
        "history": [asdict(epoch) for epoch in history],
        "best": description,
    }
    write_described(path, CHECKPOINT, content, tensors)


def resume_checkpoint(
    path: str | os.PathLike[str],
    settings: Settings,
    digest: str,
    model: Model,
    history: list[RQVAEEpoch],
) -> Fitted:
    """Put model and history back as `save_checkpoint` found them; return the best state so far.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged, or of a fit of other vectors or with other settings (naming the file).
    """
    content, tensors = read(path, CHECKPOINT)
    try:
        before = Settings.from_json(content.get("settings"))
        different = before.differing(settings)
        if different:
            raise ValueError(f"it is of a fit with other settings; this one has {different}")
        if content.get("vectors_sha256") != digest:
            raise ValueError("it is of a fit of other vectors")
        history.extend(read_history(content.get("history")))
        if len(history) > settings.epochs:
            raise ValueError(f"it has {len(history)} epochs; epochs is {settings.epochs}")
        model.restore(_with_prefix(tensors, "model_"))
        return Fitted.from_tensors(content.get("best"), _with_prefix(tensors, "best_"))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"checkpoint {os.fspath(path)}: {error}; remove it to start anew"
        ) from error


def _with_prefix(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }
