"""The tables of a config, as frozen dataclasses that check each key; see `config.load_config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from puresid.decoding.logits import NORMALIZATIONS
from puresid.evaluation._rules import (
    ConfigError,
    FilePath,
    Rule,
    check_names,
    check_options,
    choice,
    flag,
    plain_table,
    real,
    several,
    sizes,
    whole,
)
from puresid.evaluation.arms import ARMS
from puresid.evaluation.loaders import LOADERS
from puresid.evaluation.measures import METRICS

QUANTIZERS = ("rqkmeans", "rqvae", "hierarchical", "product", "file")
MODELS = ("decoder", "t5", "seq2seq", "causal")
PRETRAINED = ("seq2seq", "causal")
SCHEDULES = ("linear", "cosine", "constant", "constant_with_warmup", "inverse_sqrt")

# What a trainer of codebooks is told elsewhere: other keys, or how the run was called.
_NOT_OPTIONS = ("random_state", "threads", "progress", "device", "checkpoint", "checkpoint_every")

T = TypeVar("T", bound="Table")


def key(
    rule: Rule, default: Any = MISSING, *, factory: Any = MISSING, optional: bool = False
) -> Any:
    """Make a field with its rule; `optional`: None, which a file cannot say, stays None."""
    rules = {"rule": rule, "optional": optional}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=rules)
    return field(default=default, metadata=rules)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the config: each field is held to its rule, then all of them together."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if "rule" in each.metadata and not (value is None and each.metadata["optional"]):
                place = f"{self._place()} {each.name}"
                object.__setattr__(self, each.name, each.metadata["rule"](value, place))
        self._check()

    def _check(self) -> None:
        """Refuse values that do not go together."""

    @classmethod
    def _place(cls) -> str:
        return f"[{cls.__name__.removesuffix('Config').lower()}]"

    @classmethod
    def _located(cls, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Return the values of a file in `folder` with paths in place of their texts."""
        return values

    @classmethod
    def from_values(cls: type[T], values: Any, folder: Path) -> T:
        """Make it from the values of a file that lies in `folder`."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"{cls._place()} is {values!r}; a table is needed")
        check_names(values, [each.name for each in fields(cls)], cls._place())
        for each in fields(cls):
            needed = each.default is MISSING and each.default_factory is MISSING
            if needed and each.name not in values:
                raise ConfigError(f"{cls._place()} has no {each.name}, which it needs")
        return cls(**cls._located(dict(values), folder))


def _file(value: Any, place: str) -> FilePath:
    return FilePath.of(value, place)


def _files(value: Any, place: str) -> dict[str, FilePath]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place} is {value!r}; a table of names and paths is needed")
    return {name: FilePath.of(path, f"{place} {name}") for name, path in value.items()}


def _vectors(value: Any, place: str) -> Any:
    return value if value == "tfidf" else FilePath.of(value, place)


def _folder_or_name(value: Any, place: str) -> FilePath | str:
    if isinstance(value, FilePath):
        return value
    return "" if value == "" else _model_path(value, place, Path())


def _model_path(value: Any, place: str, folder: Path) -> FilePath | str:
    """Return a folder, or the name of a model where the text is not meant as a folder."""
    found = FilePath.of(value, place, folder)
    meant = found.written.startswith((".", "/", "~", "$")) or found.written.count("/") > 1
    return found if meant or found.path.is_dir() else found.written


@dataclass(frozen=True, kw_only=True)
class Primary(Table):
    """What the run is to show, written down before it.

    `metric` of the arm `arm` is compared with that of the arm `against`.
    """

    metric: str = key(choice(*METRICS), "R@10")
    arm: str = key(choice(*ARMS), "ecm")
    against: str = key(choice(*ARMS), "suffix")

    def _check(self) -> None:
        if self.arm == self.against:
            raise ConfigError(f"[primary] arm and against are both {self.arm!r}")


@dataclass(frozen=True, kw_only=True)
class TaskConfig(Table):
    """What is asked, and what the model sees of it.

    Attributes
    ----------
    loader : str
        What reads the files; ``demo`` needs none.
    files : mapping of str to FilePath
        By the loader's names for them.
    options : mapping
        Further keyword arguments of the loader.
    vectors : FilePath, "tfidf" or None
        Of the items: a file, or made from their texts. None for those that the loader has.
    dim : int
        Dimension of ``tfidf`` vectors.
    source : str
        How a history is given to the model: by the items' SIDs (``ids``) or texts (``text``).
    max_history : int
        Items of a history, the latest.
    text_task : bool
        Whether the model learns to name each item from its text besides.
    ask : str
        Which queries are asked: ``test``, or ``validation`` to choose settings by.
    limit_queries : int
        So many queries, the first; 0 for all.
    """

    loader: str = key(choice("demo", *LOADERS))
    files: Mapping[str, FilePath] = key(_files, factory=dict)
    options: Mapping[str, Any] = key(plain_table, factory=dict)
    vectors: FilePath | str | None = key(_vectors, None, optional=True)  # noqa: RUF009
    dim: int = key(whole(1), 64)
    source: str = key(choice("ids", "text"), "ids")
    max_history: int = key(whole(1), 20)
    text_task: bool = key(flag, False)
    ask: str = key(choice("test", "validation"), "test")
    limit_queries: int = key(whole(0), 0)

    def _check(self) -> None:
        if self.loader == "demo" and self.files:
            raise ConfigError("[task] files are given; the loader 'demo' reads none")
        if self.loader != "demo" and not self.files:
            raise ConfigError(f"[task] files is empty; the loader {self.loader!r} needs some")

    @classmethod
    def _located(cls, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        if isinstance(values.get("files"), Mapping):
            values["files"] = {
                name: FilePath.of(path, f"[task] files {name}", folder)
                for name, path in values["files"].items()
            }
        if values.get("vectors", "tfidf") != "tfidf":
            values["vectors"] = FilePath.of(values["vectors"], "[task] vectors", folder)
        return values


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig(Table):
    """The codebooks that all arms share.

    Attributes
    ----------
    kind : str
        What trains them, or ``file`` to read them from `codebooks`, with levels and sizes.
    levels : int
        Levels, L.
    size : int or tuple of int
        Codewords per level, K_l.
    random_state : int
        Seed of the training.
    options : mapping
        Further keyword arguments of the quantizer's class, such as `epochs` of `puresid.RQVAE`.
    codebooks : FilePath or None
        A file for `puresid.Codebooks.load`.
    """

    kind: str = key(choice(*QUANTIZERS), "rqkmeans")
    levels: int = key(whole(1), 2)
    size: int | tuple[int, ...] = key(sizes, 256)
    random_state: int = key(whole(0, 2**64 - 1), 0)
    options: Mapping[str, Any] = key(plain_table, factory=dict)
    codebooks: FilePath | None = key(_file, None, optional=True)  # noqa: RUF009

    def _check(self) -> None:
        if isinstance(self.size, tuple) and len(self.size) != self.levels:
            raise ConfigError(
                f"[quantizer] size has {len(self.size)} sizes; levels is {self.levels}"
            )
        if (self.kind == "file") != (self.codebooks is not None):
            raise ConfigError("[quantizer] codebooks is needed for kind 'file', and for no other")
        trainer = self.trainer()
        if trainer is not None:
            check_options(trainer, self.options, _NOT_OPTIONS, "[quantizer] options")
        else:
            check_names(self.options, [], "[quantizer] options")

    def trainer(self) -> Any:
        """Return the class of `puresid.quantizers` that trains them, None for a file."""
        from puresid import quantizers

        return {
            "rqkmeans": quantizers.RQKMeans,
            "rqvae": quantizers.RQVAE,
            "hierarchical": quantizers.HierarchicalKMeans,
            "product": quantizers.ProductQuantizer,
            "file": None,
        }[self.kind]

    @classmethod
    def _located(cls, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        if "codebooks" in values:
            values["codebooks"] = FilePath.of(values["codebooks"], "[quantizer] codebooks", folder)
        return values


@dataclass(frozen=True, kw_only=True)
class ArmsConfig(Table):
    """Which ways to make SIDs are compared."""

    names: tuple[str, ...] = key(several(choice(*ARMS)), ARMS)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Table):
    """The language model; see `puresid.evaluation.models.build`.

    Attributes
    ----------
    kind : str
        ``decoder`` (Llama-like) and ``t5`` start from random weights of the sizes given here;
        ``seq2seq`` and ``causal`` are pretrained and lie at `path`.
    path : FilePath or str
        A folder as transformers saves it, or the name of a model in its cache.
    dim, layers, heads, ff : int
        From scratch: width, layers (of T5: on each side), heads and the width inside a layer.
    d_kv : int
        T5: width of a head; 0 for ``dim // heads``.
    dropout : float
        From scratch.
    vocabulary : int
        Tokens of a tokenizer that is trained on the task's texts.
    lora_rank : int
        Pretrained: rank of the adapters that are trained; 0 trains all.
    random_weights : bool
        Pretrained: whether only the shape is taken from `path` and the weights are random.
    override : mapping
        With `random_weights`: changes to the shape, such as ``num_layers = 2``.
    """

    kind: str = key(choice(*MODELS))
    path: FilePath | str = key(_folder_or_name, "")  # noqa: RUF009
    dim: int = key(whole(1), 64)
    layers: int = key(whole(1), 2)
    heads: int = key(whole(1), 4)
    ff: int = key(whole(1), 256)
    d_kv: int = key(whole(0), 0)
    dropout: float = key(real(0, 1), 0.1)
    vocabulary: int = key(whole(300), 8000)
    lora_rank: int = key(whole(0), 0)
    random_weights: bool = key(flag, False)
    override: Mapping[str, Any] = key(plain_table, factory=dict)

    def _check(self) -> None:
        if self.kind in PRETRAINED:
            if not self.path:
                raise ConfigError(f"[model] path is empty; the kind {self.kind!r} needs a folder")
        elif self.path or self.lora_rank or self.random_weights:
            raise ConfigError(
                "[model] path, lora_rank and random_weights are for the kinds seq2seq and causal; "
                f"kind is {self.kind!r}"
            )
        elif self.dim % self.heads and not (self.kind == "t5" and self.d_kv):
            raise ConfigError(f"[model] dim is {self.dim}; heads is {self.heads}, not a divisor")
        elif self.kind == "decoder" and self.dim // self.heads % 2:
            raise ConfigError(
                f"[model] dim / heads is {self.dim // self.heads}; rotary positions need it even"
            )
        if self.override and not self.random_weights:
            raise ConfigError("[model] override is given; it needs random_weights = true")

    @classmethod
    def _located(cls, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        if values.get("path", "") != "":
            values["path"] = _model_path(values["path"], "[model] path", folder)
        return values


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Table):
    """How each arm's model is trained, once for each seed.

    Attributes
    ----------
    seeds : tuple of int
        The same for every arm, so that runs pair.
    epochs, steps : int
        Passes over the training examples; or, where it is not 0, the number of `steps`.
    batch_size : int
        Examples a step.
    learning_rate, weight_decay : float
        Of AdamW.
    warmup : float
        Share of the steps over which the learning rate rises.
    schedule : str
        How it changes then, as transformers names it.
    max_tokens : int
        Of a source; what is longer is cut.
    subsequences : int
        Recommendation with an encoder: random sub-sequences of a user, drawn once; 0 for every
        position.
    """

    seeds: tuple[int, ...] = key(several(whole(0, 2**32 - 1)), (0, 1, 2, 3))
    epochs: int = key(whole(0), 20)
    steps: int = key(whole(0), 0)
    batch_size: int = key(whole(1), 256)
    learning_rate: float = key(real(0, positive=True), 1e-3)
    warmup: float = key(real(0, 1), 0.05)
    schedule: str = key(choice(*SCHEDULES), "cosine")
    weight_decay: float = key(real(0), 0.01)
    max_tokens: int = key(whole(1), 1024)
    subsequences: int = key(whole(0), 0)

    def _check(self) -> None:
        if not self.epochs and not self.steps:
            raise ConfigError("[training] epochs and steps are both 0; one of them is needed")


@dataclass(frozen=True, kw_only=True)
class DecodingConfig(Table):
    """How test queries are answered.

    Attributes
    ----------
    beams : int
        Beams a query, and so results.
    normalize : str
        As for `puresid.decoding.SidLogitsProcessor`.
    exact : bool
        Whether every SID is scored, in place of a beam search.
    batch_size : int
        Queries at a time.
    """

    beams: int = key(whole(1), 20)
    normalize: str = key(choice(*NORMALIZATIONS), "vocabulary")
    exact: bool = key(flag, False)
    batch_size: int = key(whole(1), 256)
