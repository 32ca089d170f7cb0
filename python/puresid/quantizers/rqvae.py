"""RQ-VAE: an autoencoder whose code is a sum of codewords."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._torch import import_torch
from puresid.arrays import SidsArray, check_finite, float_matrix
from puresid.assignment import assign
from puresid.checks import integer, rows_at_once
from puresid.codebooks import Codebooks
from puresid.config import thread_count
from puresid.quantizers import rqvae_files as files
from puresid.quantizers.rqvae_history import RQVAEEpoch, best_of
from puresid.quantizers.rqvae_model import Fitted, Floats, parts
from puresid.quantizers.rqvae_settings import Settings
from puresid.quantizers.rqvae_training import Run, train


class RQVAE:
    """An autoencoder whose latent vectors are sums of codewords, one from each level.

    The defaults have the architecture of the paper (arXiv 2509.16446): a perceptron with ReLU, its
    mirror image as decoder, mean squared error plus `commitment`, Adam. Its authors' code is
    ``shared_codebook=True, kmeans_init=False, restart_dead=False, standardize=False,
    decoder_hidden=(512, 256, 128), patience=None``, and keeps the last epoch.

    Only `fit` needs torch (``pip install 'puresid[torch]'``); encoding and decoding run on the
    core. On a CPU a fit gives the same bytes each time for the same vectors, settings, number of
    threads, torch and machine. On CUDA it does not promise that.

    Parameters
    ----------
    n_levels : int
        Number of levels, L.
    codebook_size : int or sequence of int
        Codewords per level; a sequence gives one size for each of the `n_levels`.
    hidden : sequence of int
        Widths of the encoder's hidden layers.
    latent_dim : int
        Dimension of what is quantised.
    decoder_hidden : sequence of int, optional
        Widths of the decoder's hidden layers. Default: those of the encoder, reversed.
    codebook : {"ema", "gradient"}
        How codewords learn: as moving averages of their rows, or by Adam from their squared
        distance to them.
    decay : float
        Of the moving averages, per batch; from 0, below 1.
    commitment : float
        Weight of the squared distance between what each level is given and its codeword.
    shared_codebook : bool
        Whether all levels use one codebook.
    kmeans_init : bool
        Whether codewords start from residual k-means on the untrained encoder's latents, instead
        of from normally distributed numbers.
    restart_dead : bool
        Whether codewords that are no row's nearest after an epoch are put where rows are served
        badly.
    standardize : bool
        Whether the network sees vectors less their mean, over one scale for all columns. Without,
        vectors of small values (those of length 1, say) leave the reconstruction little weight
        beside the commitment. Folded into the layers of the result, which takes vectors as they
        are.
    epochs : int
        At most.
    batch_size : int
        Rows a step.
    lr : float
        Adam's step size.
    patience : int, optional
        Stop after so many epochs in which neither the distortion nor the conflict rate fell by more
        than the share `tolerance` below its best before. None: never.
    tolerance : float
        From 0, below 1.
    selection : {"score", "distortion", "conflict_rate"}
        Which epoch's state is kept: the one where this is lowest on the training vectors, the
        first among equals. ``"score"`` is distortion over variance, plus conflict rate: both are
        shares, so a point of one weighs as much as a point of the other.
    random_state : int
        Seed, from 0 to 2**64 - 1. The generators of torch and NumPy are neither used nor changed.
    device : str
        ``"auto"`` (CUDA where there is any), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, …
    threads : int or None
        None for as many as the process may use. torch is held to them meanwhile.
    checkpoint : str or path, optional
        A file that `fit` goes on from where it exists, and writes every `checkpoint_every` epochs
        and at the end. On a CPU an interrupted fit that goes on ends in the same bytes as one that
        was never interrupted; `epochs`, `patience` and `tolerance` may be others than before.
    checkpoint_every : int
        Epochs.
    progress : bool
        Whether to draw a bar on stderr.

    Attributes
    ----------
    codebooks : Codebooks
        After `fit`: of the latent space, with the encoder before them, so that `assign` takes raw
        vectors.
    history : tuple of RQVAEEpoch
        After `fit`.
    best_epoch : RQVAEEpoch
        After `fit`: the one whose state this is.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If one is out of range, or they do not go together.

    References
    ----------
    Lee et al., "Autoregressive image generation using residual quantization", CVPR 2022; Rajput et
    al., "Recommender systems with generative retrieval", NeurIPS 2023; van den Oord et al., "Neural
    discrete representation learning", NeurIPS 2017 (moving averages: its appendix A.1).
    """

    def __init__(
        self,
        n_levels: int = 3,
        codebook_size: int | Sequence[int] = 256,
        *,
        hidden: Sequence[int] = (512, 256, 128),
        latent_dim: int = 32,
        decoder_hidden: Sequence[int] | None = None,
        codebook: str = "ema",
        decay: float = 0.99,
        commitment: float = 0.25,
        shared_codebook: bool = False,
        kmeans_init: bool = True,
        restart_dead: bool = True,
        standardize: bool = True,
        epochs: int = 200,
        batch_size: int = 256,
        lr: float = 1e-3,
        patience: int | None = 30,
        tolerance: float = 1e-3,
        selection: str = "score",
        random_state: int = 0,
        device: str = "auto",
        threads: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 10,
        progress: bool = False,
    ) -> None:
        self._given = {name: value for name, value in locals().items() if name != "self"}
        self._settings = Settings.among(self._given)
        if not isinstance(device, str):
            raise TypeError(f"device is {device!r}; a string such as 'cpu' is needed")
        self.n_levels = self._settings.n_levels
        self.codebook_size = self._settings.codebook_size
        self.random_state = self._settings.random_state
        self.device = device
        self.threads = threads
        self.checkpoint = checkpoint
        self.checkpoint_every = integer(checkpoint_every, "checkpoint_every", 1)
        self.progress = progress
        self._fitted: Fitted | None = None
        self._history: tuple[RQVAEEpoch, ...] = ()

    @property
    def settings(self) -> Settings:
        """The arguments that decide what a fit gives, by name; read-only."""
        return self._settings

    def fit(self, vectors: Any) -> RQVAE:
        """Train on vectors.

        Parameters
        ----------
        vectors : array_like, shape (N, D)
            Real numbers or a torch tensor; converted to float32. N must be at least the largest
            codebook size.

        Returns
        -------
        RQVAE
            Itself.

        Raises
        ------
        ImportError
            If torch is not installed.
        TypeError
            If the vectors are not real numbers.
        ValueError
            If there are fewer vectors than codewords, a value is not finite (naming the row), torch
            cannot use the device, or the checkpoint is damaged or of another fit.
        FloatingPointError
            If training diverges.
        OSError
            If the checkpoint cannot be read or written.
        """
        import_torch("RQVAE")
        rows = float_matrix(rows_at_once(vectors), "vectors")
        _check_rows(rows, max(self._settings.sizes))
        run = Run(
            device=self.device,
            threads=thread_count(self.threads),
            progress=bool(self.progress),
            checkpoint=self.checkpoint,
            checkpoint_every=self.checkpoint_every,
        )
        fitted, history = train(rows, self._settings, run)
        self._fitted, self._history = fitted, history
        return self

    def encode(self, vectors: Any) -> SidsArray:
        """Return the nearest SID of each vector, conflicts and all.

        Parameters
        ----------
        vectors : array_like, shape (N, D)

        Returns
        -------
        ndarray, shape (N, L), uint16 or uint32
            As ``assign(vectors, codebooks, method="nearest").sids``.

        Raises
        ------
        TypeError
            If the vectors are not real numbers.
        ValueError
            If the dimension is another or a value is not finite (naming the row).
        """
        fitted = self._trained()
        rows = float_matrix(rows_at_once(vectors), "vectors")
        if rows.shape[1] != fitted.encoder.input_dim:
            raise ValueError(
                f"vectors have dimension {rows.shape[1]}; "
                f"this RQVAE takes {fitted.encoder.input_dim}"
            )
        _check_rows(rows, 0)
        threads = thread_count(self.threads)
        latents = fitted.latents(rows, threads)
        return assign(latents, self.codebooks.latent, "nearest", threads=threads).sids

    def decode(self, sids: Any) -> Floats:
        """Return the vectors that SIDs stand for, through the decoder.

        Parameters
        ----------
        sids : array_like of int, shape (M, L)

        Returns
        -------
        ndarray, shape (M, D), float32

        Raises
        ------
        TypeError
            If tokens are not integers.
        ValueError
            If the shape is another or a token is out of range (naming the row).
        """
        fitted = self._trained()
        tokens = self.codebooks.checked_tokens(sids)
        threads = thread_count(self.threads)
        vectors = np.empty((len(tokens), fitted.decoder.dim), dtype=np.float32)
        for part in parts(len(tokens)):
            vectors[part] = fitted.decode(tokens[part], threads)
        return vectors

    @property
    def codebooks(self) -> Codebooks:
        """The trained codebooks, with their encoder."""
        return self._trained().codebooks

    @property
    def history(self) -> tuple[RQVAEEpoch, ...]:
        """What each epoch came to."""
        self._trained()
        return self._history

    @property
    def best_epoch(self) -> RQVAEEpoch:
        """The epoch whose state was kept."""
        self._trained()
        return best_of(self._history, self._settings.selection)

    def _trained(self) -> Fitted:
        if self._fitted is None:
            raise AttributeError("this RQVAE is not trained yet; call fit(vectors) first")
        return self._fitted

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file; atomically.

        Tensors: ``codebook_0``, …, and those of the encoder and the decoder. Settings and history
        are JSON in the metadata. Enough to encode and decode; `checkpoint` is for training on.

        Raises
        ------
        OSError
            If the file cannot be written. An older file of the name is then left as it was.
        """
        files.save_model(path, self._settings, self.history, self._trained())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RQVAE:
        """Read what `save` wrote. Needs no torch.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, truncated or holds no RQ-VAE (naming the file).
        """
        settings, history, fitted = files.load_model(path)
        model = cls(**settings.to_json())
        model._fitted, model._history = fitted, history
        return model

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments by name, as given. `deep` is there for scikit-learn."""
        return dict(self._given)

    def set_params(self, **parameters: Any) -> RQVAE:
        """Change arguments by name, forget what was trained, and return itself.

        Raises
        ------
        TypeError, ValueError
            If there is no such argument, or as the constructor.
        """
        # Any names, because scikit-learn's tools call it so; each is checked.
        for name in parameters:
            if name not in self._given:
                known = ", ".join(self._given)
                raise ValueError(f"RQVAE has no parameter {name!r}; it has {known}")
        self.__dict__ = type(self)(**self._given | parameters).__dict__
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        shown = (
            f"{name}={value!r}"
            for name, value in self._given.items()
            if value != defaults[name].default
        )
        return f"RQVAE({', '.join(shown)})"


def _check_rows(rows: npt.NDArray[np.float32], least: int) -> None:
    if len(rows) < least:
        raise ValueError(f"vectors has {len(rows)} rows; codebook_size asks for {least}")
    for part in parts(len(rows)):
        check_finite(rows[part], part.start)
