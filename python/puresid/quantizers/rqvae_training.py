"""How an RQ-VAE is trained: epochs, what is measured after each, which one is kept, checkpoints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._torch import import_torch, torch_threads
from puresid.assignment import assign
from puresid.codebooks import Codebooks
from puresid.config import progress_bar
from puresid.quantizers import rqvae_files as files
from puresid.quantizers.rqkmeans import RQKMeans
from puresid.quantizers.rqvae_history import RQVAEEpoch, best_of, stalled
from puresid.quantizers.rqvae_model import (
    BATCHES,
    RESTARTS,
    SAMPLE,
    SMOOTHING,
    Fitted,
    Floats,
    Model,
    Scaling,
    parts,
)
from puresid.quantizers.rqvae_settings import Settings

KMEANS_ITERATIONS = 10
KMEANS_ROWS = 65_536


@dataclass(frozen=True)
class Run:
    """Where and how visibly a fit runs."""

    device: str
    threads: int
    progress: bool
    checkpoint: str | os.PathLike[str] | None
    checkpoint_every: int


@dataclass(frozen=True)
class Measured:
    """All rows after an epoch."""

    latents: Floats
    tokens: npt.NDArray[Any]
    distortion: float
    latent_distortion: float
    conflict_rate: float
    utilisation: tuple[float, ...]


def train(rows: Floats, settings: Settings, run: Run) -> tuple[Fitted, tuple[RQVAEEpoch, ...]]:
    """Return the best epoch's state, and what all epochs came to."""
    torch = import_torch("RQVAE")
    device = find_device(run.device)
    with torch_threads(run.threads):
        scaling = Scaling.of(rows, standardize=settings.standardize)
        model = Model(settings, scaling, device)
        history: list[RQVAEEpoch] = []
        digest = "" if run.checkpoint is None else files.fingerprint(rows)
        best = model.fitted()  # until there is an epoch
        if run.checkpoint is not None and Path(run.checkpoint).exists():
            best = files.resume_checkpoint(run.checkpoint, settings, digest, model, history)
        elif settings.kmeans_init:
            start_from_kmeans(model, rows, run.threads)
        with progress_bar(run.progress, unit="epoch") as report:
            while len(history) < settings.epochs and not stalled(
                history, settings.patience, settings.tolerance
            ):
                losses = run_epoch(model, rows, len(history) + 1, torch)
                fitted, measured = state_after(model, rows, len(history) + 1, run.threads)
                epoch = _epoch(len(history) + 1, losses, measured, scaling)
                if settings.restart_dead:
                    moved = restart_dead(model, fitted, measured, epoch.epoch)
                    epoch = replace(epoch, restarts=moved)
                history.append(epoch)
                if best_of(history, settings.selection) is epoch:
                    best = fitted
                last = len(history) == settings.epochs or stalled(
                    history, settings.patience, settings.tolerance
                )
                if run.checkpoint is not None and (
                    last or len(history) % run.checkpoint_every == 0
                ):
                    files.save_checkpoint(run.checkpoint, settings, digest, model, history, best)
                if report is not None:
                    report("RQ-VAE", len(history), settings.epochs)
    return best, tuple(history)


def find_device(name: str) -> Any:
    """Return the torch device of a name; ``"auto"`` is CUDA where there is any, else the CPU.

    Raises
    ------
    ValueError
        If torch knows no such device or cannot use it here.
    """
    torch = import_torch("RQVAE")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"device is {name!r}, which torch cannot use here: {first}") from error
    return device


def run_epoch(model: Model, rows: Floats, epoch: int, torch: Any) -> tuple[float, float]:
    """Train on all rows once, in an order of the seed and the epoch; return the mean losses.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    settings = model.settings
    order = np.random.default_rng((settings.random_state, BATCHES, epoch)).permutation(len(rows))
    total = torch.zeros(2, dtype=torch.float64, device=model.device)
    for start in range(0, len(rows), settings.batch_size):
        batch = rows[order[start : start + settings.batch_size]]
        total += torch.stack(model.step(batch)) * len(batch)
    reconstruction, commitment = (total / len(rows)).tolist()
    if not np.isfinite([reconstruction, commitment]).all():
        raise _diverged(settings, epoch)
    return reconstruction, commitment


def _diverged(settings: Settings, epoch: int) -> FloatingPointError:
    return FloatingPointError(
        f"training diverged in epoch {epoch} with lr={settings.lr} and "
        f"standardize={settings.standardize}; a smaller lr or standardize=True may help"
    )


def state_after(model: Model, rows: Floats, epoch: int, threads: int) -> tuple[Fitted, Measured]:
    """Copy out what is trained and measure it.

    Raises
    ------
    FloatingPointError
        If it has values that are not finite, or too large to work with.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            fitted = model.fitted()
            measured = measure(fitted, rows, threads)
    except ValueError as error:
        raise _diverged(model.settings, epoch) from error
    if not np.isfinite(measured.distortion):
        raise _diverged(model.settings, epoch)
    return fitted, measured


def measure(fitted: Fitted, rows: Floats, threads: int) -> Measured:
    """Encode and decode all rows."""
    latents = fitted.latents(rows, threads)
    found = assign(latents, fitted.codebooks.latent, "nearest", threads=threads)
    squares = 0.0
    for part in parts(len(rows)):
        decoded = fitted.decode(found.sids[part], threads)
        squares += float(np.square(rows[part].astype(np.float64) - decoded).sum())
    return Measured(
        latents=latents,
        tokens=found.sids,
        distortion=squares / len(rows),
        latent_distortion=float(found.distortion.mean(dtype=np.float64)),
        conflict_rate=float((found.stages < 0).mean()),
        utilisation=tuple(
            len(np.unique(found.sids[:, number])) / len(level)
            for number, level in enumerate(fitted.levels)
        ),
    )


def _epoch(
    number: int, losses: tuple[float, float], measured: Measured, scaling: Scaling
) -> RQVAEEpoch:
    relative = measured.distortion / scaling.variance if scaling.variance else measured.distortion
    return RQVAEEpoch(
        epoch=number,
        reconstruction_loss=losses[0],
        commitment=losses[1],
        distortion=measured.distortion,
        latent_distortion=measured.latent_distortion,
        conflict_rate=measured.conflict_rate,
        utilisation=measured.utilisation,
        restarts=0,
        score=relative + measured.conflict_rate,
    )


def _inputs(
    latents: Floats, levels: Sequence[Floats], tokens: npt.NDArray[Any]
) -> tuple[list[Floats], list[Floats]]:
    """Return what each level quantises and what it leaves."""
    before, after = [], []
    residual = latents
    for number, level in enumerate(levels):
        before.append(residual)
        residual = residual - level[tokens[:, number]]
        after.append(residual)
    return before, after


def start_from_kmeans(model: Model, rows: Floats, threads: int) -> None:
    """Put the codewords where residual k-means on the untrained encoder's latents puts them.

    A shared codebook is a k-means of what all levels quantise, taken together.
    """
    settings = model.settings
    seed = settings.random_state
    sample = rows
    most = max(KMEANS_ROWS, 16 * max(settings.sizes))
    if len(rows) > most:
        chosen = np.random.default_rng((seed, SAMPLE)).permutation(len(rows))[:most]
        sample = rows[np.sort(chosen)]
    latents = model.fitted().latents(sample, threads)
    quantizer = RQKMeans(
        settings.n_levels,
        settings.sizes,
        n_iter=KMEANS_ITERATIONS,
        random_state=seed,
        threads=threads,
    )
    levels = quantizer.fit(latents).codebooks.levels
    tokens = assign(latents, Codebooks(levels), "nearest", threads=threads).sids
    if settings.shared_codebook:
        pooled = np.concatenate(_inputs(latents, levels, tokens)[0])
        one = RQKMeans(
            1, settings.sizes[0], n_iter=KMEANS_ITERATIONS, random_state=seed, threads=threads
        )
        levels = one.fit(pooled).codebooks.levels
        tokens = assign(pooled, Codebooks(levels), "nearest", threads=threads).sids
    batches = len(latents) / min(settings.batch_size, len(rows))
    for number, level in enumerate(levels):
        rows_of = np.bincount(tokens[:, number], minlength=len(level)) / batches
        counts = np.maximum(rows_of, SMOOTHING).astype(np.float32)
        model.put(number, np.arange(len(level)), level.copy(), counts)


def restart_dead(model: Model, fitted: Fitted, measured: Measured, epoch: int) -> int:
    """Put codewords without a row where rows are served badly; return how many.

    Rows are drawn without replacement, with weights of the squared distances they are left with.
    """
    settings = model.settings
    random = np.random.default_rng((settings.random_state, RESTARTS, epoch))
    before, after = _inputs(measured.latents, fitted.levels, measured.tokens)
    moved = 0
    for number in range(len(model.books)):
        users = [level for level in range(settings.n_levels) if model.book(level) == number]
        used = np.unique(measured.tokens[:, users])
        size = settings.sizes[number]
        dead = np.setdiff1d(np.arange(size), used)
        if not len(dead):
            continue
        weights = np.concatenate([np.square(after[level]).sum(axis=1) for level in users])
        weights = weights.astype(np.float64)
        dead = dead[: np.count_nonzero(weights)]
        if not len(dead):
            continue
        drawn = random.choice(len(weights), len(dead), replace=False, p=weights / weights.sum())
        pool = np.concatenate([before[level] for level in users])
        # Counted as an average codeword is, so that it lives long enough to find its rows.
        batch = min(settings.batch_size, len(measured.tokens))
        counts = np.full(len(dead), batch * len(users) / size, dtype=np.float32)
        model.put(number, dead, pool[drawn], counts)
        moved += len(dead)
    return moved
