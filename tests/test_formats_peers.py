"""The projects themselves, where PyPI has them: their models give their codes.

Install them with the extra ``peers``. faiss has a file of its own.
"""

import importlib
import warnings

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch, which these projects need, is not installed")

import torch

import puresid
from puresid.formats import load_codebooks

RAW = 24


def peer(name):
    """Import a project's module, or skip and say why."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports' own business
        pytest.importorskip(
            name.split(".")[0], reason=f"{name.split('.')[0]} is not installed (extra 'peers')"
        )
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def vectors():
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    mixed = rng.standard_normal((600, RAW)) @ rng.standard_normal((RAW, RAW))
    return (mixed / np.sqrt(RAW)).astype(np.float32)


def agree(vectors, codebooks, codes):
    """Assert that greedy tokens are the project's, which rounds otherwise in float32."""
    codes = np.asarray(codes)
    assert len(np.unique(codes, axis=0)) > 30
    found = puresid.assign(vectors, codebooks, method="nearest").sids
    assert (found != codes).any(axis=1).sum() <= 1


class TestVectorQuantizePytorch:
    @pytest.mark.parametrize(
        "kinds",
        [
            {"codebook_size": (16, 8, 4)},
            {"codebook_size": 16, "num_quantizers": 3, "codebook_dim": 10},
            {"codebook_size": 16, "num_quantizers": 3, "shared_codebook": True},
            {"codebook_size": 16, "num_quantizers": 3, "use_cosine_sim": True},
            {"codebook_size": 16, "num_quantizers": 2, "kmeans_init": True},
        ],
        ids=lambda kinds: ", ".join(kinds),
    )
    def test_residual_vq(self, vectors, tmp_path, kinds):
        model = peer("vector_quantize_pytorch").ResidualVQ(dim=RAW, **kinds)
        rows = torch.from_numpy(vectors)[None]
        for _ in range(4):
            model(rows)
        model.eval()
        with torch.no_grad():
            codes = model(rows)[1][0]
        torch.save(model.state_dict(), tmp_path / "vq.pt")
        codebooks = load_codebooks(tmp_path / "vq.pt")
        assert (codebooks.encoder is not None) == ("codebook_dim" in kinds)
        assert codebooks.input_dim == RAW
        agree(vectors, codebooks, codes)
        inside = {f"quantizer.{name}": value for name, value in model.state_dict().items()}
        assert load_codebooks(inside) == codebooks
        if "use_cosine_sim" in kinds:
            agree(vectors, load_codebooks(tmp_path / "vq.pt", metric="cosine"), codes)

    @pytest.mark.parametrize(
        ("kinds", "message"),
        [
            ({"implicit_neural_codebook": True}, "implicit neural codebooks"),
            ({"affine_param": True}, "changes its codebooks or vectors by .*codebook_mean"),
        ],
    )
    def test_what_has_no_plain_codebooks(self, kinds, message):
        model = peer("vector_quantize_pytorch").ResidualVQ(
            dim=8, num_quantizers=2, codebook_size=4, **kinds
        )
        with pytest.raises(ValueError, match=message):
            load_codebooks(model.state_dict())


class TestSemanticId:
    def test_rq_kmeans(self, vectors, tmp_path):
        model = peer("semantic_id").RQKMeans(n_levels=3, n_clusters=[16, 8, 4], random_state=0)
        model.fit(vectors)
        model.save(str(tmp_path))
        codebooks = load_codebooks(tmp_path)
        assert codebooks == load_codebooks(tmp_path / "codebooks.npz")
        agree(vectors, codebooks, model.encode(vectors))

    @pytest.mark.parametrize("batch_norm", [False, True])
    def test_rq_vae(self, vectors, tmp_path, batch_norm):
        model = peer("semantic_id").RQVAE(
            in_dim=RAW,
            num_emb_list=[16, 16, 8],
            e_dim=8,
            layers=[20, 12],
            bn=batch_norm,
            kmeans_init=True,
            kmeans_iters=10,
            epochs=3,
            lr=1e-3,
            batch_size=200,
        )
        model.fit(vectors)
        model.save(str(tmp_path))
        codebooks = load_codebooks(tmp_path)
        assert codebooks.encoder is not None
        assert codebooks == load_codebooks(tmp_path / "model.pt", "rqvae")
        agree(vectors, codebooks, model.encode(vectors))

    def test_rq_kmeans_plus(self, vectors, tmp_path):
        package = peer("semantic_id")
        start = package.RQKMeans(n_levels=2, n_clusters=[16, 8], random_state=0).fit(vectors)
        start.save(str(tmp_path))
        model = package.RQVAE(in_dim=RAW, num_emb_list=[16, 8], e_dim=RAW, layers=[20])
        strategy = importlib.import_module("semantic_id.algorithms").apply_rqkmeans_plus_strategy
        strategy(model.module, str(tmp_path / "codebooks.npz"), "cpu")
        with torch.no_grad():  # the strategy begins with zeros; training moves away from them
            for parameter in model.module.encoder.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        torch.save(model.module.state_dict(), tmp_path / "plus.pt")
        codebooks = load_codebooks(tmp_path / "plus.pt")
        assert codebooks.encoder.skip
        agree(vectors, codebooks, model.encode(vectors))

    def test_strings(self):
        codes = np.array([[3, 9, 1], [0, 255, 17]])
        write = peer("semantic_id.core").codes_to_ids
        assert puresid.token_strings(codes, "semantic-id") == write(codes)
        assert puresid.token_strings(codes, "lc-rec") == write(codes, fmt="token")


class TestRecTokens:
    def test_rq_vae(self, vectors, tmp_path):
        model = peer("rectokens.tokenizers.rqvae").RQVAETokenizer(
            RAW, latent_dim=8, hidden_dim=16, num_levels=3, codebook_size=16
        )
        rows = torch.from_numpy(vectors)
        with torch.no_grad():  # codewords where vectors are; training would take a compiler
            for number, level in enumerate(model.rq.levels):
                picked = model.encoder(rows)[number * 16 : number * 16 + 16] / (1 + 2 * number)
                level.codebook.embeddings.copy_(picked)
        model.eval()
        model.save(str(tmp_path / "tok.pt"))
        codebooks = load_codebooks(tmp_path / "tok.pt")
        agree(vectors, codebooks, model.encode(rows).codes)

    def test_its_pickled_tokenizer_is_refused(self, tmp_path):
        model = peer("rectokens.tokenizers.rq_kmeans").RQKMeansTokenizer(2, 4, 8)
        model.save(str(tmp_path / "tok.pt"))
        with pytest.raises(
            ValueError, match=r"holds pickled objects.*rectokens.*RQKMeansTokenizer"
        ):
            load_codebooks(tmp_path / "tok.pt")
