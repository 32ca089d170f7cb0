"""An RQ-VAE's numbers while it trains, in torch, and once it is trained, in NumPy.

torch is imported by the functions that train. What comes out (`Fitted`) runs on the core alone.
Randomness is a function of the seed, a purpose and the number of the epoch, never of what ran
before, so an interrupted fit needs no state of a generator to go on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from puresid._torch import import_torch
from puresid.codebooks import Codebooks
from puresid.encoder import Activation, Encoder, Linear
from puresid.quantizers.rqvae_settings import Settings

Floats = npt.NDArray[np.float32]
Tensor: TypeAlias = Any  # torch.Tensor, which is not imported before it is needed
Layers: TypeAlias = list[tuple[Tensor, Tensor]]

BLOCK = 8192
SMOOTHING = 1e-5
"""Added to the rows that a codeword is counted for, as in the paper's code."""

# Purposes of random numbers.
WEIGHTS, CODEWORDS, TOTALS, BATCHES, RESTARTS, SAMPLE = range(6)


@dataclass(frozen=True)
class Fitted:
    """A trained RQ-VAE: what encodes, what decodes, and one (K_l, latent_dim) array per level."""

    encoder: Encoder
    decoder: Encoder
    levels: tuple[Floats, ...]
    codebooks: Codebooks = field(init=False)
    """The levels, with the encoder before them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "codebooks", Codebooks(self.levels, encoder=self.encoder))

    def latents(self, rows: Floats, threads: int | None) -> Floats:
        """Encode, a block at a time: hidden layers are wide."""
        blocks = [self.encoder(rows[part], threads=threads) for part in parts(len(rows))]
        return np.concatenate(blocks) if blocks else np.empty((0, self.encoder.dim), np.float32)

    def decode(self, tokens: npt.NDArray[Any], threads: int | None) -> Floats:
        """Return the inputs that checked tokens stand for."""
        summed = np.zeros((len(tokens), self.encoder.dim), dtype=np.float32)
        for number, level in enumerate(self.levels):
            summed += level[tokens[:, number]]
        return self.decoder(summed, threads=threads)

    def to_tensors(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return a description and the arrays by name, for a file."""
        encoder, tensors = self.encoder.to_tensors()
        decoder, others = self.decoder.to_tensors()
        named = {name: np.asarray(array) for name, array in tensors.items()}
        named |= {name.replace("encoder_", "decoder_"): array for name, array in others.items()}
        named |= {f"codebook_{number}": level for number, level in enumerate(self.levels)}
        return {"encoder": encoder, "decoder": decoder, "n_levels": len(self.levels)}, named

    @classmethod
    def from_tensors(cls, description: Any, tensors: dict[str, Any]) -> Fitted:
        """Build from what `to_tensors` gave. Raises ValueError for anything else."""
        others = {
            name.replace("decoder_", "encoder_"): array
            for name, array in tensors.items()
            if name.startswith("decoder_")
        }
        try:
            fitted = cls(
                Encoder.from_tensors(description["encoder"], tensors),
                Encoder.from_tensors(description["decoder"], others),
                tuple(tensors[f"codebook_{n}"] for n in range(description["n_levels"])),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"its description or its tensors are incomplete: {error!r}") from error
        if fitted.codebooks.dim != fitted.decoder.input_dim:
            raise ValueError(
                f"its codewords have dimension {fitted.codebooks.dim}; "
                f"its decoder takes {fitted.decoder.input_dim}"
            )
        return fitted


@dataclass(frozen=True)
class Scaling:
    """``(x - mean) / scale``: one scale for all columns, so distances keep their order."""

    mean: npt.NDArray[np.float64]
    scale: float
    variance: float
    """Mean squared distance of the rows to their mean."""

    @classmethod
    def of(cls, rows: Floats, *, standardize: bool) -> Scaling:
        """Measure rows; a scaling that changes nothing unless `standardize`."""
        mean = sum(
            (rows[part].sum(axis=0, dtype=np.float64) for part in parts(len(rows))),
            start=np.zeros(rows.shape[1]),
        ) / len(rows)
        squares = sum(float(np.square(rows[part] - mean).sum()) for part in parts(len(rows)))
        variance = squares / len(rows)
        if not standardize:
            return cls(np.zeros(rows.shape[1]), 1.0, variance)
        return cls(mean, float(np.sqrt(variance / rows.shape[1])) or 1.0, variance)


def parts(rows: int) -> Iterator[slice]:
    """Slices of `BLOCK` rows."""
    for start in range(0, rows, BLOCK):
        yield slice(start, min(start + BLOCK, rows))


class Model:
    """Weights, codebooks and the optimiser while an RQ-VAE trains."""

    def __init__(self, settings: Settings, scaling: Scaling, device: Any) -> None:
        torch = import_torch("RQVAE")
        self.settings, self.scaling, self.device = settings, scaling, device
        width = len(scaling.mean)
        mirrored = settings.hidden[::-1]
        after = mirrored if settings.decoder_hidden is None else settings.decoder_hidden
        random = np.random.default_rng((settings.random_state, WEIGHTS))
        self.encoder = self._layers(random, (width, *settings.hidden, settings.latent_dim))
        self.decoder = self._layers(random, (settings.latent_dim, *after, width))
        self.mean = self._tensor(scaling.mean.astype(np.float32))
        sizes = settings.sizes[: 1 if settings.shared_codebook else None]
        shapes = [(size, settings.latent_dim) for size in sizes]
        codewords = np.random.default_rng((settings.random_state, CODEWORDS))
        totals = np.random.default_rng((settings.random_state, TOTALS))
        self.books = [
            self._tensor(codewords.standard_normal(shape, dtype=np.float32)) for shape in shapes
        ]
        # Without k-means the averages start as the paper's code starts them: apart from the
        # codewords, and counted for no rows.
        self.sums = [
            self._tensor(totals.standard_normal(shape, dtype=np.float32)) for shape in shapes
        ]
        self.counts = [torch.zeros(size, device=device) for size in sizes]
        parameters = [tensor for layer in self.encoder + self.decoder for tensor in layer]
        if settings.codebook == "gradient":
            parameters += self.books
        for tensor in parameters:
            tensor.requires_grad_()
        self.optimizer = torch.optim.Adam(parameters, lr=settings.lr)
        self.parameters = parameters

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        torch = import_torch("RQVAE")
        # A copy: torch aligns its own memory, and with that its products repeat to the bit.
        return torch.empty(array.shape, device=self.device).copy_(torch.from_numpy(array))

    def _layers(self, random: np.random.Generator, widths: tuple[int, ...]) -> Layers:
        """Start as torch.nn.Linear does: uniform within ± 1 / sqrt(inputs)."""
        layers = []
        for takes, gives in pairwise(widths):
            bound = 1 / np.sqrt(takes)
            weight = random.uniform(-bound, bound, (gives, takes)).astype(np.float32)
            bias = random.uniform(-bound, bound, gives).astype(np.float32)
            layers.append((self._tensor(weight), self._tensor(bias)))
        return layers

    def book(self, level: int) -> int:
        """Which of `books` a level uses."""
        return 0 if self.settings.shared_codebook else level

    def step(self, rows: Floats) -> tuple[Tensor, Tensor]:
        """Train on one batch; return its reconstruction loss and its commitment."""
        torch = import_torch("RQVAE")
        mse = torch.nn.functional.mse_loss
        batch = (torch.from_numpy(rows).to(self.device) - self.mean) / self.scaling.scale
        latent = _forward(batch, self.encoder)
        residual, summed = latent, torch.zeros_like(latent)
        commitment = torch.zeros((), device=self.device)
        pull = torch.zeros((), device=self.device)
        for level in range(self.settings.n_levels):
            book = self.books[self.book(level)]
            tokens = _nearest(residual.detach(), book.detach())
            chosen = torch.nn.functional.embedding(tokens, book)
            commitment = commitment + mse(residual, chosen.detach())
            if self.settings.codebook == "gradient":
                pull = pull + mse(chosen, residual.detach())
            else:
                self._follow(self.book(level), tokens, residual.detach())
            residual = residual - chosen.detach()
            summed = summed + chosen.detach()
        # Straight through: the decoder sees codewords, the encoder its own gradient.
        decoded = _forward(latent + (summed - latent).detach(), self.decoder)
        reconstruction = mse(decoded, batch)
        loss = reconstruction + self.settings.commitment * commitment + pull
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return reconstruction.detach(), commitment.detach()

    def _follow(self, number: int, tokens: Tensor, rows: Tensor) -> None:
        """Move codewords towards the averages of their rows."""
        functional = import_torch("RQVAE").nn.functional
        book, counts, sums = self.books[number], self.counts[number], self.sums[number]
        # A product with ones and zeros, because adding rows in place has no fixed order on a GPU.
        hits = functional.one_hot(tokens, len(book)).to(rows.dtype)
        weight = 1 - self.settings.decay
        counts.mul_(self.settings.decay).add_(hits.sum(0), alpha=weight)
        sums.mul_(self.settings.decay).add_(hits.T @ rows, alpha=weight)
        total = counts.sum()
        counts.add_(SMOOTHING).mul_(total / (total + len(book) * SMOOTHING))
        book.copy_(sums / counts[:, None])

    def put(self, number: int, tokens: npt.NDArray[Any], codewords: Floats, counts: Floats) -> None:
        """Replace codewords, counted for so many rows a batch."""
        torch = import_torch("RQVAE")
        index = torch.from_numpy(np.ascontiguousarray(tokens, dtype=np.int64)).to(self.device)
        new, weight = self._tensor(codewords), self._tensor(counts)
        with torch.no_grad():
            self.books[number][index] = new
            self.counts[number][index] = weight
            self.sums[number][index] = new * weight[:, None]
            # A gradient's averages belong to the codeword that was there before.
            for name in ("exp_avg", "exp_avg_sq"):
                state = self.optimizer.state.get(self.books[number], {})
                if name in state:
                    state[name][index] = 0

    def fitted(self) -> Fitted:
        """Copy out what is trained, with the scaling folded into the first and last layer."""
        encoder = [_arrays(layer) for layer in self.encoder]
        decoder = [_arrays(layer) for layer in self.decoder]
        mean, scale = self.scaling.mean, self.scaling.scale
        weight, bias = encoder[0]
        encoder[0] = (weight / scale, bias - weight @ (mean / scale))
        weight, bias = decoder[-1]
        decoder[-1] = (weight * scale, bias * scale + mean)
        books = [book.detach().cpu().numpy().copy() for book in self.books]
        levels = (books[self.book(level)] for level in range(self.settings.n_levels))
        return Fitted(_encoder(encoder), _encoder(decoder), tuple(levels))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Copy out all that the next epoch depends on, by name."""
        tensors = dict(self._named())
        for number, parameter in enumerate(self.parameters):
            for name, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"adam_{number}_{name}"] = value
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Take over what `state` gave. Raises ValueError for anything else."""
        torch = import_torch("RQVAE")
        states: dict[int, dict[str, Tensor]] = {}
        for number, parameter in enumerate(self.parameters):
            shape = tuple(parameter.shape)
            states[number] = {
                name: torch.from_numpy(_take(arrays, f"adam_{number}_{name}", expected)).clone()
                for name, expected in (("step", ()), ("exp_avg", shape), ("exp_avg_sq", shape))
            }
        with torch.no_grad():
            for name, tensor in self._named():
                tensor.copy_(torch.from_numpy(_take(arrays, name, tuple(tensor.shape))))
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for part, layers in (("encoder", self.encoder), ("decoder", self.decoder)):
            for number, (weight, bias) in enumerate(layers):
                yield f"{part}_{number}_weight", weight
                yield f"{part}_{number}_bias", bias
        for number, book in enumerate(self.books):
            yield f"book_{number}", book
            yield f"counts_{number}", self.counts[number]
            yield f"sums_{number}", self.sums[number]


def _forward(rows: Tensor, layers: Layers) -> Tensor:
    functional = import_torch("RQVAE").nn.functional
    for number, (weight, bias) in enumerate(layers):
        rows = functional.linear(rows.relu() if number else rows, weight, bias)
    return rows


def _nearest(rows: Tensor, book: Tensor) -> Tensor:
    torch = import_torch("RQVAE")
    return torch.addmm(book.square().sum(1) / 2, rows, book.T, alpha=-1).argmin(1)


def _take(arrays: dict[str, Any], name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if name not in arrays or arrays[name].shape != shape:
        raise ValueError(f"it lacks {name} of shape {shape}")
    array: npt.NDArray[Any] = arrays[name]
    return array


def _arrays(layer: tuple[Tensor, Tensor]) -> tuple[npt.NDArray[np.float64], ...]:
    return tuple(tensor.detach().cpu().numpy().astype(np.float64) for tensor in layer)


def _encoder(layers: list[tuple[npt.NDArray[np.float64], ...]]) -> Encoder:
    stack: list[Linear | Activation] = []
    for weight, bias in layers:
        if stack:
            stack.append(Activation("relu"))
        stack.append(Linear(weight.astype(np.float32), bias.astype(np.float32)))
    return Encoder(stack)
