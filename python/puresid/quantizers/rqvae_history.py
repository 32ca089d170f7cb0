"""What an RQ-VAE's epochs came to, which is the best, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class RQVAEEpoch:
    """What one epoch came to.

    The two losses are means over the epoch's batches, while the weights moved. All else was
    measured on all rows after the epoch, as `RQVAE.encode` and `RQVAE.decode` see them.

    Attributes
    ----------
    epoch : int
        From 1.
    reconstruction_loss : float
        Mean squared error per value; of standardised values where ``standardize=True``.
    commitment : float
        Mean squared error per value between residuals and codewords, added over the levels, before
        it is multiplied by `RQVAE`'s ``commitment``.
    distortion : float
        Mean of ``||x - decode(encode(x))||^2``, in the units of the vectors.
    latent_distortion : float
        Mean of ``||z - sum of codewords||^2``. Not comparable between models.
    conflict_rate : float
        Share of the rows whose nearest SID has another owner.
    utilisation : tuple of float
        Per level, the share of the codewords that are some row's nearest.
    restarts : int
        Codewords that were without a row and were put elsewhere after the measurement.
    score : float
        ``distortion / variance + conflict_rate``, where the variance is the mean squared distance
        of the rows to their mean.
    """

    epoch: int
    reconstruction_loss: float
    commitment: float
    distortion: float
    latent_distortion: float
    conflict_rate: float
    utilisation: tuple[float, ...]
    restarts: int
    score: float


def best_of(history: Sequence[RQVAEEpoch], selection: str) -> RQVAEEpoch:
    """Return the epoch of the lowest `selection`, the first among equals."""

    def value(epoch: RQVAEEpoch) -> float:
        return float(getattr(epoch, selection))

    return min(history, key=value)


def stalled(history: Sequence[RQVAEEpoch], patience: int | None, tolerance: float) -> bool:
    """Whether `patience` epochs brought neither the distortion nor the conflict rate down.

    An epoch counts that is below the best before it by more than the share `tolerance`.
    """
    if patience is None:
        return False
    since, distortion, conflicts = 0, np.inf, np.inf
    for epoch in history:
        since += 1
        if epoch.distortion < distortion * (1 - tolerance):
            since, distortion = 0, epoch.distortion
        if epoch.conflict_rate < conflicts * (1 - tolerance):
            since, conflicts = 0, epoch.conflict_rate
    return since >= patience


def read_history(values: Any) -> list[RQVAEEpoch]:
    """Build epochs from JSON. Raises ValueError for what `save` cannot have written."""
    names = {field.name for field in fields(RQVAEEpoch)}
    if not isinstance(values, list) or not values:
        raise ValueError(f"its history is {values!r}; a list of epochs is needed")
    for value in values:
        if not isinstance(value, dict) or value.keys() != names:
            raise ValueError(f"its history has {value!r}; {sorted(names)} are needed")
    return [RQVAEEpoch(**value | {"utilisation": tuple(value["utilisation"])}) for value in values]
