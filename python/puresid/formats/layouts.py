"""How the tensors of each project's checkpoints become codebooks and an encoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from puresid.codebooks import Codebooks
from puresid.encoder import Encoder, Normalize
from puresid.formats.layers import Layers, linear, linears, normalization, sequential
from puresid.formats.tensors import Floats, TensorFile

__all__ = ["TENSOR_FORMATS", "Options", "TensorFormat"]


@dataclass(frozen=True)
class Options:
    """What a caller of `load_codebooks` said; None where nothing."""

    n_levels: int | None = None
    normalize_residuals: bool | None = None
    normalize_codebook: bool | None = None
    metric: str | None = None
    activation: str | None = None
    encoder: bool = True


@dataclass(frozen=True)
class TensorFormat:
    """One project's layout.

    Attributes
    ----------
    name : str
    tensors : str
        A regular expression that the name of each level's tensor matches as a whole; its first
        group is what stands before, its second the level.
    build : callable
        From a file, its levels and options to codebooks.
    options : frozenset of str
        Which of `Options` mean something to it, beyond `metric` and `normalize_residuals`.
    """

    name: str
    tensors: str
    build: Callable[[TensorFile, list[Floats], str, Options], Codebooks]
    options: frozenset[str] = frozenset()

    def matches(self, file: TensorFile) -> bool:
        """Whether a file has such tensors."""
        return any(re.fullmatch(self.tensors, name) for name in file)

    def load(self, file: TensorFile, options: Options) -> Codebooks:
        """Build codebooks. Raises ValueError if levels are missing or ambiguous."""
        found: dict[str, dict[int, str]] = {}
        for name in file:
            match = re.fullmatch(self.tensors, name)
            if match:
                found.setdefault(match[1] or "", {})[int(match[2] or 0)] = name
        if not found:
            raise ValueError(
                f"{file.place} has no tensors of the format {self.name!r}; {file.listing()}"
            )
        if len(found) > 1:
            raise ValueError(
                f"{file.place} holds several quantizers, below {', '.join(sorted(found))}; "
                "pass the tensors of one of them"
            )
        ((prefix, names),) = found.items()
        if sorted(names) != list(range(len(names))):
            raise ValueError(
                f"{file.place} has the levels {sorted(names)}; 0, 1, … without a gap are needed"
            )
        levels = [file[names[level]] for level in range(len(names))]
        for number, level in enumerate(levels):
            if level.ndim < 2:
                raise ValueError(
                    f"{file.place}: {names[number]!r} has shape {level.shape}; a codebook is a "
                    "matrix, one row per codeword"
                )
        try:
            return self.build(file, levels, prefix, options)
        except ValueError as error:
            if file.place in str(error):
                raise
            raise ValueError(f"{file.place}: {error}") from error


def _codebooks(
    levels: list[Floats], options: Options, layers: Layers, skip: bool = False
) -> Codebooks:
    return Codebooks(
        levels,
        metric=options.metric or "euclidean",
        normalize_residuals=bool(options.normalize_residuals),
        encoder=Encoder(layers, skip=skip) if layers else None,
    )


def _told(options: Options, said: Any, file: TensorFile, hint: str) -> Options:
    """Return options that say whether residuals are normalised, from the file or the caller."""
    given = options.normalize_residuals
    if given is None and not isinstance(said, bool):
        raise ValueError(
            f"{file.place} does not say whether residuals are normalised before each level; pass "
            f"normalize_residuals=True or False ({hint})"
        )
    return Options(
        normalize_residuals=bool(said) if given is None else given,
        metric=options.metric,
        activation=options.activation,
        encoder=options.encoder,
    )


def _rqvae(file: TensorFile, levels: list[Floats], prefix: str, options: Options) -> Codebooks:
    plus = f"{prefix}encoder.mlp.mlp_layers."
    skip = any(name.startswith(plus) for name in file)
    layers: Layers = []
    if options.encoder:
        where = plus if skip else f"{prefix}encoder.mlp_layers."
        layers = sequential(file, where, options.activation or "relu")
    return _codebooks(levels, options, layers, skip and options.encoder)


def _plain(file: TensorFile, levels: list[Floats], prefix: str, options: Options) -> Codebooks:
    return _codebooks(levels, options, [])


def _shared(file: TensorFile, levels: list[Floats], prefix: str, options: Options) -> Codebooks:
    if options.n_levels is None:
        raise ValueError(
            f"{file.place} has one codebook for all levels and does not say how many there are; "
            "pass n_levels (the authors' --depth, 4 unless told otherwise)"
        )
    if options.n_levels < 1:
        raise ValueError(f"n_levels is {options.n_levels}; at least 1 is needed")
    layers: Layers = []
    if options.encoder:
        names = [f"{prefix}_encoder._linear{number}" for number in range(1, 5)]
        layers = linears(file, names, options.activation or "relu")
    return _codebooks(levels * options.n_levels, options, layers)


def _grid(file: TensorFile, levels: list[Floats], prefix: str, options: Options) -> Codebooks:
    configured = file.extras.get("hyper_parameters")
    said = configured.get("normalize_residuals") if isinstance(configured, dict) else None
    options = _told(options, said, file, "GRID's k-means and RVQ configurations do")
    layers: Layers = []
    if options.encoder:
        layers = normalization(file, f"{prefix}normalization_layer.")
        if any(name.startswith(f"{prefix}encoder.") for name in file):
            layers = sequential(
                file, f"{prefix}encoder.model.", options.activation or "relu", before=layers
            )
    return _codebooks(levels, options, layers)


def _torcheasyrec(
    file: TensorFile, levels: list[Floats], prefix: str, options: Options
) -> Codebooks:
    options = _told(options, None, file, "its configuration says; the default there is False")
    layers: Layers = []
    encoder = f"{prefix}_encoder."
    if options.encoder and any(name.startswith(encoder) for name in file):
        hidden = [
            name.removesuffix(".weight")
            for name in file
            if re.fullmatch(re.escape(encoder) + r"0\.mlp\.\d+\.perceptron\.0\.weight", name)
        ]
        hidden.sort(key=lambda name: int(name.split(".mlp.")[1].split(".")[0]))
        names = [*hidden, f"{encoder}1"]
        known = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
        others = sorted(n for n in file if n.startswith(encoder) and n not in known)
        if others:
            raise ValueError(
                f"{file.place} has an encoder with layers that are not known: {others}; pass "
                "encoder=False and encode vectors yourself"
            )
        layers = linears(file, names, options.activation or "relu")
    return _codebooks(levels, options, layers)


def _rqvae_recommender(
    file: TensorFile, levels: list[Floats], prefix: str, options: Options
) -> Codebooks:
    configured = file.extras.get("model_config")
    said = configured.get("codebook_normalize") if isinstance(configured, dict) else None
    if options.normalize_codebook is None and not isinstance(said, (bool, type(None))):
        raise ValueError(
            f"{file.place} says that codebook_normalize is {said!r}; pass normalize_codebook"
        )
    normalize = bool(said if options.normalize_codebook is None else options.normalize_codebook)
    for number, level in enumerate(levels):
        if level.ndim != 2:
            raise ValueError(f"level {number} has shape {level.shape}; a matrix is needed")
        name = f"{prefix}layers.{number}.out_proj.0.weight"
        projection = file.get(name)
        if projection is not None:  # SimVQ: what is looked up is a linear map of the embedding
            if projection.ndim != 2 or projection.shape[1] != level.shape[1]:
                raise ValueError(
                    f"{name!r} has shape {projection.shape}; a matrix with {level.shape[1]} "
                    f"columns is needed, as level {number} has"
                )
            levels[number] = (level.astype(np.float64) @ projection.T).astype(np.float32)
    if normalize:
        lengths = np.linalg.norm(levels[0].astype(np.float64), axis=1, keepdims=True)
        levels[0] = (levels[0] / np.maximum(lengths, 1e-12)).astype(np.float32)
    layers: Layers = []
    if options.encoder:
        layers = sequential(file, f"{prefix}encoder.mlp.", options.activation or "silu")
        if normalize:
            layers.append(Normalize())
    return _codebooks(levels, options, layers)


def _rectokens(file: TensorFile, levels: list[Floats], prefix: str, options: Options) -> Codebooks:
    layers: Layers = []
    if options.encoder:
        layers = sequential(file, f"{prefix}encoder.net.", options.activation or "relu")
    return _codebooks(levels, options, layers)


def _vector_quantize_pytorch(
    file: TensorFile, levels: list[Floats], prefix: str, options: Options
) -> Codebooks:
    if any(name.startswith(f"{prefix}mlps.") for name in file):
        raise ValueError(
            f"{file.place} has implicit neural codebooks ({prefix}mlps.*): codewords depend on the "
            "vector, so there is no codebook to take"
        )
    own = re.compile(
        re.escape(prefix) + r"layers\.\d+\._codebook\.(embed|embed_avg|initted|cluster_size)"
    )
    others = [n for n in file if n.startswith(f"{prefix}layers.") and not own.fullmatch(n)]
    if others:
        raise ValueError(
            f"{file.place} changes its codebooks or vectors by {sorted(others)[:4]}, which is not "
            "known; plain ResidualVQ is"
        )
    for number, level in enumerate(levels):
        if level.ndim != 3 or len(level) != 1:
            raise ValueError(
                f"{file.place}: level {number} has shape {level.shape}; (1, K, D) is needed, "
                "one head"
            )
    layers: Layers = []
    if options.encoder and f"{prefix}project_in.weight" in file:
        layers = [linear(file, f"{prefix}project_in")]
    return _codebooks([level[0] for level in levels], options, layers)


def _forge(file: TensorFile, levels: list[Floats], prefix: str, options: Options) -> Codebooks:
    if options.encoder and any(name.startswith(f"{prefix}rq_model.encoder") for name in file):
        raise ValueError(
            f"{file.place} has an encoder whose layers are not known; pass encoder=False and "
            "encode vectors yourself"
        )
    for number, level in enumerate(levels):
        if len(level) < 2:
            raise ValueError(
                f"{file.place}: level {number} has {len(level)} rows; one codeword and the row "
                "for padding are needed"
            )
    return _codebooks([level[:-1] for level in levels], options, [])


_ENCODED = frozenset({"encoder", "activation"})

# In the order in which "auto" looks: no tensor name matches two of them.
TENSOR_FORMATS = (
    TensorFormat("rqvae", r"(.*?)rq\.vq_layers\.(\d+)\.embedding\.weight", _rqvae, _ENCODED),
    TensorFormat("npz", r"()codebook_(\d+)", _plain),
    TensorFormat(
        "purelysemanticids",
        r"(.*?)_quantizer\._embedding\.weight()",
        _shared,
        _ENCODED | {"n_levels"},
    ),
    TensorFormat("grid", r"(.*?)quantization_layer_list\.(\d+)\.centroids", _grid, _ENCODED),
    TensorFormat(
        "torcheasyrec",
        r"(.*?)_quantizer\.layers\.(\d+)\.(?:centroids|embedding\.weight)",
        _torcheasyrec,
        _ENCODED,
    ),
    TensorFormat(
        "rqvae-recommender",
        r"()layers\.(\d+)\.embedding\.weight",
        _rqvae_recommender,
        _ENCODED | {"normalize_codebook"},
    ),
    TensorFormat(
        "rectokens",
        r"(.*?)rq\._module_levels\.(\d+)\._codebook\.embeddings",
        _rectokens,
        _ENCODED,
    ),
    TensorFormat(
        "vector-quantize-pytorch",
        r"(.*?)layers\.(\d+)\._codebook\.embed",
        _vector_quantize_pytorch,
        frozenset({"encoder"}),
    ),
    TensorFormat(
        "forge",
        r"(.*?)rq_model\.quantizer\.codebooks\.(\d+)\.weight",
        _forge,
        frozenset({"encoder"}),
    ),
    TensorFormat("openonerec", r"()centroids\.(\d+)", _plain),
)
