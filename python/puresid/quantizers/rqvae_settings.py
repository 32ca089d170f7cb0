"""What an RQ-VAE is told: its options, checked once and kept together."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from puresid.checks import integer

CODEBOOKS = ("ema", "gradient")
SELECTIONS = ("score", "distortion", "conflict_rate")

# These decide how long a fit goes on, not what an epoch does, so a checkpoint may be continued
# with others.
_MAY_DIFFER = ("epochs", "patience", "tolerance")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides what a fit gives. The names are those of `RQVAE`."""

    n_levels: int
    codebook_size: int | tuple[int, ...]
    hidden: tuple[int, ...]
    decoder_hidden: tuple[int, ...] | None
    latent_dim: int
    codebook: str
    decay: float
    commitment: float
    shared_codebook: bool
    kmeans_init: bool
    restart_dead: bool
    standardize: bool
    epochs: int
    batch_size: int
    lr: float
    patience: int | None
    tolerance: float
    selection: str
    random_state: int

    def __post_init__(self) -> None:
        for name in ("n_levels", "latent_dim", "epochs", "batch_size"):
            self._set(name, integer(getattr(self, name), name, 1))
        if self.patience is not None:
            self._set("patience", integer(self.patience, "patience", 1))
        if isinstance(self.codebook_size, (list, tuple)):
            self._set("codebook_size", _integers(self.codebook_size, "codebook_size"))
        else:
            self._set("codebook_size", integer(self.codebook_size, "codebook_size", 1))
        self._set("hidden", _integers(self.hidden, "hidden"))
        if self.decoder_hidden is not None:
            self._set("decoder_hidden", _integers(self.decoder_hidden, "decoder_hidden"))
        self._set("random_state", integer(self.random_state, "random_state", 0))
        if self.random_state >= 2**64:
            raise ValueError(f"random_state is {self.random_state}; it must be below 2**64")
        self._set("lr", _number(self.lr, "lr"))
        if self.lr == 0:
            raise ValueError("lr is 0.0; it must be above 0")
        for name in ("commitment", "tolerance", "decay"):
            self._set(name, _number(getattr(self, name), name))
        for name in ("decay", "tolerance"):
            if getattr(self, name) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be below 1")
        for name in ("shared_codebook", "kmeans_init", "restart_dead", "standardize"):
            self._set(name, bool(getattr(self, name)))
        one_of(self.codebook, "codebook", CODEBOOKS)
        one_of(self.selection, "selection", SELECTIONS)
        self._check_sizes()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_sizes(self) -> None:
        if isinstance(self.codebook_size, int):
            return
        if len(self.codebook_size) != self.n_levels:
            raise ValueError(
                f"codebook_size has {len(self.codebook_size)} entries; n_levels is {self.n_levels}"
            )
        if self.shared_codebook and len(set(self.codebook_size)) > 1:
            raise ValueError(
                f"codebook_size is {self.codebook_size}; shared_codebook=True needs one size"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codewords per level."""
        if isinstance(self.codebook_size, int):
            return (self.codebook_size,) * self.n_levels
        return self.codebook_size

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return asdict(self)

    @classmethod
    def among(cls, arguments: dict[str, Any]) -> Settings:
        """Build from arguments of which some are no settings."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in arguments.items() if name in names})

    @classmethod
    def from_json(cls, values: Any) -> Settings:
        """Build from what `to_json` gave. Raises ValueError for anything else."""
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            raise ValueError(f"its settings are {values!r}; {sorted(names)} are needed")
        return cls(**values)

    def differing(self, other: Settings) -> str:
        """Name the settings by which an epoch of `other` would be another one; "" for none."""
        return ", ".join(
            f"{field.name}={getattr(other, field.name)!r}, not {getattr(self, field.name)!r}"
            for field in fields(self)
            if field.name not in _MAY_DIFFER
            and getattr(self, field.name) != getattr(other, field.name)
        )


def one_of(value: Any, name: str, known: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is among the known words."""
    if value not in known:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, known))}")


def _integers(values: Any, name: str) -> tuple[int, ...]:
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} is {values!r}; a sequence of integers is needed")
    return tuple(integer(value, f"{name}[{number}]", 1) for number, value in enumerate(values))


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; a number is needed") from None
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} is {value}; a finite number of at least 0 is needed")
    return number
