"""Files as other projects write them, with what should come out of them.

The modules have the projects' names for their tensors and the projects' arithmetic, and nothing
else of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, which writes these files, is not installed")
nn = torch.nn

RAW, HIDDEN, DIM, SIZES = 12, (10, 8), 6, (7, 5, 4)


@dataclass
class Case:
    """A file, how it is loaded, and what should come out."""

    path: Any
    levels: list[np.ndarray]
    encode: Callable[[np.ndarray], np.ndarray] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    normalize_residuals: bool = False


class Named(nn.Module):
    """A module whose parts are called as the keywords say."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, torch.Tensor):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)


def books(rng: np.random.Generator, sizes=SIZES, dim: int = DIM) -> list[np.ndarray]:
    return [
        (rng.standard_normal((size, dim)) / (1 + level)).astype(np.float32)
        for level, size in enumerate(sizes)
    ]


def tensor(array: np.ndarray) -> Any:
    return torch.from_numpy(np.array(array))


def embedding(level: np.ndarray) -> Any:
    return nn.Embedding.from_pretrained(tensor(level))


def network(module: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Run a module in float64, in evaluation mode."""
    import copy

    exact = copy.deepcopy(module).double().eval()

    def run(vectors: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return exact(torch.from_numpy(vectors.astype(np.float64))).numpy()

    return run


def greedy(case: Case, vectors: np.ndarray) -> np.ndarray:
    """Quantise in float64, level by level."""
    rest = vectors.astype(np.float64) if case.encode is None else case.encode(vectors)
    tokens = []
    for level in case.levels:
        if case.normalize_residuals:
            rest = rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-12)
        found = ((rest[:, None] - level.astype(np.float64)) ** 2).sum(axis=2).argmin(axis=1)
        tokens.append(found)
        rest = rest - level[found]
    return np.stack(tokens, axis=1)


def mlp(*, batch_norm: bool = False, raw: int = RAW, out: int = DIM) -> Any:
    """Dropout, linear, batch normalisation, ReLU; the last without what follows."""
    sizes = (raw, *HIDDEN, out)
    parts: list[Any] = []
    for number, (a, b) in enumerate(pairwise(sizes)):
        parts += [nn.Dropout(0.1), nn.Linear(a, b)]
        if number < len(HIDDEN):
            if batch_norm:
                norm = nn.BatchNorm1d(b)
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2)
                nn.init.normal_(norm.weight)
                nn.init.normal_(norm.bias)
                parts.append(norm)
            parts.append(nn.ReLU())
    return nn.Sequential(*parts)


def rq_state(levels: list[np.ndarray], encoder: Any) -> dict[str, Any]:
    layers = nn.ModuleList([Named(embedding=embedding(level)) for level in levels])
    model = Named(encoder=encoder, rq=Named(vq_layers=layers), decoder=mlp(raw=DIM, out=RAW))
    return model.state_dict()


def lc_rec(folder: Path, rng: np.random.Generator, **kinds: bool) -> Case:
    levels, inner = books(rng), mlp(batch_norm=kinds.get("batch_norm", False))
    state = rq_state(levels, Named(mlp_layers=inner))
    if kinds.get("distributed"):
        state = {f"module.{name}": value for name, value in state.items()}
    checkpoint = {
        "args": argparse.Namespace(lr=1e-3, num_emb_list=[7, 5, 4], device="cuda:0"),
        "epoch": 3,
        "best_loss": 0.1,
        "best_collision_rate": 0.01,
        "state_dict": state,
        "optimizer": torch.optim.Adam(inner.parameters()).state_dict(),
    }
    torch.save(checkpoint, folder / "best.pth")
    return Case(folder / "best.pth", levels, network(inner))


def mini_one_rec_plus(folder: Path, rng: np.random.Generator) -> Case:
    levels, inner = books(rng, dim=RAW), mlp(out=RAW)
    state = rq_state(levels, Named(mlp=Named(mlp_layers=inner)))
    torch.save({"model_state_dict": state, "epoch": 1}, folder / "plus.pth")
    inside = network(inner)
    return Case(folder / "plus.pth", levels, lambda vectors: vectors + inside(vectors))


def semantic_id_folder(folder: Path, rng: np.random.Generator) -> Case:
    levels, inner = books(rng), mlp()
    torch.save(rq_state(levels, Named(mlp_layers=inner)), folder / "model.pt")
    (folder / "metadata.json").write_text('{"type": "RQVAE", "in_dim": 12}')
    return Case(folder, levels, network(inner))


def npz(folder: Path, rng: np.random.Generator) -> Case:
    levels = books(rng)
    np.savez(folder / "c.npz", **{f"codebook_{n}": level for n, level in enumerate(levels)})
    return Case(folder / "c.npz", levels)


def purely_semantic_ids(folder: Path, rng: np.random.Generator) -> Case:
    shared = books(rng)[0]
    sizes = (RAW, 9, 8, 7, DIM)
    lines = {
        f"_linear{number}": nn.Linear(a, b)
        for number, (a, b) in enumerate(pairwise(sizes), start=1)
    }
    parts: list[Any] = []
    for line in lines.values():
        parts += [line, nn.ReLU()]
    quantizer = Named(
        _embedding=embedding(shared), _ema_w=torch.zeros(7, DIM), _ema_cluster_size=torch.ones(7)
    )
    model = Named(_encoder=Named(**lines), _quantizer=quantizer, _decoder=Named(**lines))
    torch.save({"model_state_dict": model.state_dict()}, folder / "rqvae-7-depth3-X.pth")
    return Case(
        folder / "rqvae-7-depth3-X.pth",
        [shared] * 3,
        network(nn.Sequential(*parts[:-1])),
        {"n_levels": 3},
    )


def grid(folder: Path, rng: np.random.Generator, *, told: bool = True) -> Case:
    levels = books(rng)
    # The start of the k-means has the same name further in, and is no codebook.
    start = Named(clustering_module=Named(centroids=torch.zeros(7, DIM)))
    layers = [Named(centroids=tensor(level), initializer=start) for level in levels]
    model = Named(quantization_layer_list=nn.ModuleList(layers))
    checkpoint: dict[str, Any] = {"epoch": 0, "state_dict": model.state_dict(), "loops": {}}
    if told:
        checkpoint["hyper_parameters"] = {"normalize_residuals": True, "n_layers": 3}
    torch.save(checkpoint, folder / "last.ckpt")
    options = {} if told else {"normalize_residuals": True}
    return Case(folder / "last.ckpt", levels, None, options, normalize_residuals=True)


def grid_rqvae(folder: Path, rng: np.random.Generator) -> Case:
    levels = books(rng)
    norm = nn.BatchNorm1d(RAW)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    inner = nn.Sequential(nn.Linear(RAW, 9), nn.ReLU(), nn.Linear(9, DIM))
    model = Named(
        normalization_layer=norm,
        encoder=Named(model=inner),
        quantization_layer_list=nn.ModuleList([Named(centroids=tensor(x)) for x in levels]),
    )
    saved = {
        "state_dict": model.state_dict(),
        "hyper_parameters": {"normalize_residuals": False},
    }
    torch.save(saved, folder / "last.ckpt")
    return Case(folder / "last.ckpt", levels, network(nn.Sequential(norm, inner)))


def torch_easy_rec(folder: Path, rng: np.random.Generator, *, vae: bool = False) -> Case:
    levels = books(rng)
    parts: dict[str, Any] = {}
    encode = None
    if vae:
        hidden = [Named(perceptron=nn.Sequential(nn.Linear(a, b))) for a, b in ((RAW, 9), (9, 8))]
        last = nn.Linear(8, DIM)
        parts["_encoder"] = nn.Sequential(Named(mlp=nn.ModuleList(hidden)), last)
        lines = [h.perceptron[0] for h in hidden]
        encode = network(nn.Sequential(lines[0], nn.ReLU(), lines[1], nn.ReLU(), last))
        layers = [Named(embedding=embedding(level)) for level in levels]
    else:
        layers = [Named(centroids=tensor(x), _is_initialized=torch.tensor([True])) for x in levels]
    parts["_quantizer"] = Named(layers=nn.ModuleList(layers))
    wrapped = Named(model=Named(**parts))
    torch.save(wrapped.state_dict(), folder / "model.pth")
    return Case(folder / "model.pth", levels, encode, {"normalize_residuals": False})


def rqvae_recommender(folder: Path, rng: np.random.Generator, **kinds: bool) -> Case:
    raw = books(rng)
    levels = [level.astype(np.float64) for level in raw]
    layers = []
    for number, level in enumerate(raw):
        projection = nn.Linear(DIM, DIM, bias=False)
        parts: dict[str, Any] = {"embedding": embedding(level)}
        if kinds.get("sim_vq"):
            parts["out_proj"] = nn.Sequential(projection, nn.Identity())
            levels[number] = network(projection)(level)
        layers.append(Named(**parts))
    inner = nn.Sequential(
        nn.Linear(RAW, 9, bias=False), nn.SiLU(), nn.Linear(9, DIM, bias=False), nn.Identity()
    )
    encode = plain = network(inner)
    if kinds.get("normalize"):
        levels[0] = levels[0] / np.linalg.norm(levels[0], axis=1, keepdims=True)

        def encode(vectors: np.ndarray) -> np.ndarray:
            inside = plain(vectors)
            return inside / np.linalg.norm(inside, axis=1, keepdims=True)

    model = Named(layers=nn.ModuleList(layers), encoder=Named(mlp=inner))
    config = {"codebook_normalize": bool(kinds.get("normalize"))} if kinds.get("told") else {}
    torch.save({"iter": 9, "model": model.state_dict(), "model_config": config}, folder / "c.pt")
    options = {"normalize_codebook": True} if kinds.get("normalize") and not config else {}
    return Case(folder / "c.pt", [level.astype(np.float32) for level in levels], encode, options)


def rec_tokens(folder: Path, rng: np.random.Generator) -> Case:
    levels = books(rng)
    inner = nn.Sequential(nn.Linear(RAW, 9), nn.ReLU(), nn.Linear(9, DIM))
    layers = [
        Named(_codebook=Named(embeddings=tensor(level)), _initialized=torch.tensor([True]))
        for level in levels
    ]
    model = Named(encoder=Named(net=inner), rq=Named(_module_levels=nn.ModuleList(layers)))
    saved = {"state_dict": model.state_dict(), "config": {"input_dim": RAW, "num_levels": 3}}
    torch.save(saved, folder / "tok.pt")
    return Case(folder / "tok.pt", levels, network(inner))


def residual_vq(folder: Path, rng: np.random.Generator) -> Case:
    levels = books(rng)
    project = nn.Linear(RAW, DIM)
    layers = [
        Named(_codebook=Named(embed=tensor(x[None]), cluster_size=torch.ones(1, len(x))))
        for x in levels
    ]
    model = Named(layers=nn.ModuleList(layers), project_in=project, project_out=nn.Linear(DIM, RAW))
    torch.save(model.state_dict(), folder / "vq.pt")
    return Case(folder / "vq.pt", levels, network(project))


def forge(folder: Path, rng: np.random.Generator) -> Case:
    levels = books(rng)
    padded = [np.vstack([level, np.full((1, DIM), 99, np.float32)]) for level in levels]
    quantizer = Named(codebooks=nn.ModuleList([embedding(level) for level in padded]))
    model = Named(rq_model=Named(quantizer=quantizer))
    torch.save({"model": model.state_dict(), "epoch": 1, "cfg": {"depth": 3}}, folder / "f.pth")
    return Case(folder / "f.pth", levels)


def open_one_rec(folder: Path, rng: np.random.Generator) -> Case:
    levels = books(rng)
    torch.save({f"centroids.{n}": tensor(x) for n, x in enumerate(levels)}, folder / "rq.pt")
    return Case(folder / "rq.pt", levels)


CASES: dict[str, tuple[str, Callable[[Path, np.random.Generator], Case]]] = {
    "lc-rec": ("rqvae", lc_rec),
    "lc-rec with batch norm": ("rqvae", lambda f, r: lc_rec(f, r, batch_norm=True)),
    "lc-rec distributed": ("rqvae", lambda f, r: lc_rec(f, r, distributed=True)),
    "minionerec plus": ("rqvae", mini_one_rec_plus),
    "semantic-id": ("rqvae", semantic_id_folder),
    "npz": ("npz", npz),
    "purelysemanticids": ("purelysemanticids", purely_semantic_ids),
    "grid": ("grid", grid),
    "grid untold": ("grid", lambda f, r: grid(f, r, told=False)),
    "grid rq-vae": ("grid", grid_rqvae),
    "torcheasyrec": ("torcheasyrec", torch_easy_rec),
    "torcheasyrec rq-vae": ("torcheasyrec", lambda f, r: torch_easy_rec(f, r, vae=True)),
    "rqvae-recommender": ("rqvae-recommender", rqvae_recommender),
    "rqvae-recommender simvq": (
        "rqvae-recommender",
        lambda f, r: rqvae_recommender(f, r, sim_vq=True, normalize=True),
    ),
    "rqvae-recommender told": (
        "rqvae-recommender",
        lambda f, r: rqvae_recommender(f, r, normalize=True, told=True),
    ),
    "rectokens": ("rectokens", rec_tokens),
    "vector-quantize-pytorch": ("vector-quantize-pytorch", residual_vq),
    "forge": ("forge", forge),
    "openonerec": ("openonerec", open_one_rec),
}
