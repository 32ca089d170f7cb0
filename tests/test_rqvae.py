"""RQVAE: it learns, its network is what torch makes of it, and its codewords find a use."""

from itertools import pairwise

import numpy as np
import pytest

import puresid
from puresid.quantizers import rqvae_training
from rqvae_cases import clustered, same, small

torch = pytest.importorskip("torch", reason="torch is not installed: RQVAE trains with it")


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered()


@pytest.fixture(scope="module")
def trained(vectors) -> puresid.RQVAE:
    return small(epochs=20).fit(vectors)


# --- what it learns -------------------------------------------------------------------------------


def test_what_it_makes(vectors, trained):
    assert trained.codebooks.sizes == (16, 16)
    assert trained.codebooks.dim == 6
    assert trained.codebooks.input_dim == 10
    sids = trained.encode(vectors)
    assert sids.shape == (600, 2)
    assert sids.dtype == np.uint16
    assert trained.decode(sids).shape == vectors.shape
    assert trained.decode(sids).dtype == np.float32
    assert [epoch.epoch for epoch in trained.history] == list(range(1, 21))
    assert "16" in repr(trained)


def test_the_loss_falls(trained):
    losses = [epoch.reconstruction_loss for epoch in trained.history]
    assert losses[-1] < 0.6 * losses[0]
    assert trained.history[-1].distortion < 0.6 * trained.history[0].distortion


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
@pytest.mark.parametrize("shared", [False, True])
def test_each_kind_of_codebook_learns(vectors, codebook, shared):
    model = small(epochs=20, codebook=codebook, shared_codebook=shared).fit(vectors)
    variance = np.square(vectors - vectors.mean(0)).sum(1).mean()
    assert model.best_epoch.distortion < 0.5 * variance
    assert model.best_epoch.distortion < 0.7 * model.history[0].distortion


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_codewords_move(vectors, codebook):
    first, later = (
        small(epochs=n, codebook=codebook, restart_dead=False, selection="distortion").fit(vectors)
        for n in (1, 8)
    )
    assert not np.array_equal(first.codebooks[0], later.codebooks[0])


def test_the_history_is_what_encode_and_decode_give(vectors, trained):
    best = trained.best_epoch
    sids = trained.encode(vectors)
    assert best.conflict_rate == 1 - len(np.unique(sids, axis=0)) / len(sids)
    assert best.utilisation == tuple(len(np.unique(column)) / 16 for column in sids.T)
    errors = np.square(vectors.astype(np.float64) - trained.decode(sids)).sum(1)
    assert best.distortion == pytest.approx(errors.mean(), rel=1e-12)
    latents = trained.codebooks.transform(vectors)
    left = np.square(latents.astype(np.float64) - trained.codebooks.decode(sids)).sum(1)
    assert best.latent_distortion == pytest.approx(left.mean(), rel=1e-5)
    variance = np.square(vectors - vectors.mean(0, dtype=np.float64)).sum(1).mean()
    assert best.score == pytest.approx(best.distortion / variance + best.conflict_rate, rel=1e-6)


def test_its_latents_give_unique_sids(vectors, trained):
    books = trained.codebooks
    for method in ("ecm", "rrs"):
        found = puresid.assign(books.transform(vectors)[:200], books.latent, method)
        assert len(np.unique(found.sids, axis=0)) == 200


def test_encode_is_the_nearest_sid_of_the_latents(vectors, trained):
    books = trained.codebooks
    nearest = puresid.assign(books.transform(vectors), books.latent, "nearest").sids
    np.testing.assert_array_equal(trained.encode(vectors), nearest)


def test_no_rows_to_encode(trained):
    assert trained.encode(np.empty((0, 10), np.float32)).shape == (0, 2)
    assert trained.decode(np.empty((0, 2), np.uint16)).shape == (0, 10)


def test_a_size_per_level(vectors):
    assert small(codebook_size=(16, 8), epochs=1).fit(vectors).codebooks.sizes == (16, 8)


def test_layout_and_type_do_not_matter(vectors):
    expected = small(epochs=2).fit(vectors)
    for given in (np.asfortranarray(vectors), vectors.astype(np.float64), torch.tensor(vectors)):
        assert same(small(epochs=2).fit(given), expected, vectors)


def test_equal_rows(vectors):
    """No variance to divide by, and nothing to learn: still numbers, and a SID for all."""
    rows = np.repeat(vectors[:1], 40, axis=0)
    model = small(epochs=2).fit(rows)
    assert np.isfinite([epoch.score for epoch in model.history]).all()
    assert model.best_epoch.conflict_rate == 39 / 40


def test_standardize_does_not_depend_on_units(vectors):
    """Powers of two scale without rounding, so both fits see the same standardised numbers."""
    one, other = (small(epochs=3).fit(scale * vectors) for scale in (1, 2.0**-10))
    np.testing.assert_array_equal(one.encode(vectors), other.encode(2.0**-10 * vectors))
    assert other.best_epoch.score == pytest.approx(one.best_epoch.score, rel=1e-6)


# --- the encoder in torch and on the core ---------------------------------------------------------


def test_encoder_and_decoder_are_torchs(vectors):
    """A module of torch with the unfolded weights gives what the folded layers give."""
    settings = small().settings
    scaling = rqvae_training.Scaling.of(vectors, standardize=True)
    model = rqvae_training.Model(settings, scaling, torch.device("cpu"))
    for _ in range(5):
        model.step(vectors[:64])
    fitted = model.fitted()

    def module(layers: list) -> torch.nn.Sequential:
        stack = []
        for weight, bias in layers:
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
            layer.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
            stack += [layer, torch.nn.ReLU()]
        return torch.nn.Sequential(*stack[:-1])

    with torch.no_grad():
        inputs = (torch.tensor(vectors) - model.mean) / scaling.scale
        latents = module(model.encoder)(inputs)
        decoded = module(model.decoder)(latents) * scaling.scale + model.mean
    ours = fitted.codebooks.transform(vectors)
    np.testing.assert_allclose(ours, latents.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fitted.decoder(ours), decoded.numpy(), rtol=1e-4, atol=1e-3)


def test_a_step_follows_the_formula(vectors):
    """One EMA step of one level against NumPy in float64, from a start that is not k-means."""
    model = rqvae_training.Model(
        small(n_levels=1, decay=0.9).settings,
        rqvae_training.Scaling.of(vectors, standardize=False),
        torch.device("cpu"),
    )
    fitted, before = model.fitted(), model.state()
    latents = fitted.encoder(vectors[:64]).astype(np.float64)
    book = before["book_0"].astype(np.float64)
    tokens = np.square(latents[:, None] - book[None]).sum(2).argmin(1)
    quantised = book[tokens]
    reconstruction, commitment = model.step(vectors[:64])
    decoded = fitted.decoder(quantised)
    assert float(reconstruction) == pytest.approx(
        np.square(decoded - vectors[:64]).mean(), rel=1e-4
    )
    assert float(commitment) == pytest.approx(np.square(latents - quantised).mean(), rel=1e-4)

    hits = np.eye(16)[tokens]
    counts = 0.9 * before["counts_0"] + 0.1 * hits.sum(0)
    sums = 0.9 * before["sums_0"] + 0.1 * hits.T @ latents
    smooth = (counts + 1e-5) / (counts.sum() + 16e-5) * counts.sum()
    after = model.state()
    np.testing.assert_allclose(after["counts_0"], smooth, rtol=1e-4)
    np.testing.assert_allclose(after["book_0"], sums / smooth[:, None], rtol=1e-3, atol=1e-4)


def test_the_shape_of_the_network():
    def widths(encoder: puresid.Encoder) -> list[int]:
        shapes = [layer.weight.shape for layer in encoder.layers if hasattr(layer, "weight")]
        assert all(one[0] == other[1] for one, other in pairwise(shapes))
        return [shapes[0][1], *(shape[0] for shape in shapes)]

    scaling = rqvae_training.Scaling.of(np.eye(20, 10, dtype=np.float32), standardize=True)
    for options, decoder in (({}, [6, 12, 24, 10]), ({"decoder_hidden": (9,)}, [6, 9, 10])):
        model = rqvae_training.Model(small(**options).settings, scaling, torch.device("cpu"))
        fitted = model.fitted()
        assert widths(fitted.encoder) == [10, 24, 12, 6]
        assert widths(fitted.decoder) == decoder


def test_shared_codebook_is_one_array(vectors):
    model = small(n_levels=3, shared_codebook=True, epochs=3).fit(vectors)
    for level in model.codebooks.levels[1:]:
        np.testing.assert_array_equal(level, model.codebooks[0])
    apart = small(n_levels=3, epochs=3).fit(vectors)
    assert not np.array_equal(apart.codebooks[0], apart.codebooks[1])


# --- start and restarts ---------------------------------------------------------------------------


def test_kmeans_puts_more_codewords_to_use(vectors):
    """After one epoch without restarts: random numbers leave most codewords far from all rows."""
    options = {"restart_dead": False, "epochs": 1, "codebook_size": 64}
    with_it = small(kmeans_init=True, **options).fit(vectors).best_epoch
    without = small(kmeans_init=False, **options).fit(vectors).best_epoch
    assert min(with_it.utilisation) > 2 * max(without.utilisation)


def test_kmeans_of_a_sample_will_do(vectors, monkeypatch):
    options = {"restart_dead": False, "epochs": 1}
    whole = small(**options).fit(vectors)
    monkeypatch.setattr(rqvae_training, "KMEANS_ROWS", 100)
    sampled = small(**options).fit(vectors)  # 16 rows for each of 16 codewords
    assert sampled.codebooks != whole.codebooks
    assert min(sampled.best_epoch.utilisation) > 0.5


def test_a_memory_map(vectors, tmp_path):
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert same(small(epochs=1).fit(mapped), small(epochs=1).fit(vectors), vectors)


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
@pytest.mark.parametrize("shared", [False, True])
def test_restarts_put_more_codewords_to_use(vectors, codebook, shared):
    options = {
        "kmeans_init": False,
        "epochs": 10,
        "codebook": codebook,
        "shared_codebook": shared,
        "selection": "conflict_rate",
    }
    with_them = small(restart_dead=True, **options).fit(vectors)
    without = small(restart_dead=False, **options).fit(vectors)
    assert sum(with_them.history[-1].utilisation) > 1.3 * sum(without.history[-1].utilisation)
    assert with_them.history[0].restarts > 0
    assert all(epoch.restarts == 0 for epoch in without.history)


def test_what_a_restart_does(vectors):
    """Codewords far from all rows, and no others, become rows that were served badly."""
    settings = small(n_levels=1).settings
    scaling = rqvae_training.Scaling.of(vectors, standardize=True)
    model = rqvae_training.Model(settings, scaling, torch.device("cpu"))
    rqvae_training.start_from_kmeans(model, vectors, 1)
    far = np.full((2, 6), 100.0, np.float32)
    model.put(0, np.array([3, 7]), far, np.ones(2, np.float32))
    fitted = model.fitted()
    measured = rqvae_training.measure(fitted, vectors, 1)
    assert rqvae_training.restart_dead(model, fitted, measured, 1) == 2
    after = model.fitted().levels[0]
    changed = (after != fitted.levels[0]).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [3, 7]
    for token in (3, 7):
        assert (measured.latents == after[token]).all(axis=1).any()
    assert set(rqvae_training.measure(model.fitted(), vectors, 1).tokens[:, 0]) >= {3, 7}


@pytest.mark.parametrize("latent_dim", [6, 10])
def test_its_file_is_one_of_codebooks_with_an_encoder(vectors, tmp_path, latent_dim):
    """Also where the latent vectors have the dimension of the raw ones."""
    model = small(epochs=2, latent_dim=latent_dim).fit(vectors)
    model.save(tmp_path / "model.safetensors")
    for load in (puresid.Codebooks.load, puresid.load_codebooks):
        codebooks = load(tmp_path / "model.safetensors")
        assert codebooks == model.codebooks
        found = puresid.assign(vectors, codebooks, "nearest").sids
        assert np.array_equal(found, model.encode(vectors))


def test_sources_are_refused(vectors, trained):
    source = puresid.Batches(lambda: [vectors], vectors.shape)
    for call in (small(epochs=2).fit, trained.encode):
        with pytest.raises(TypeError, match="all rows are needed at once"):
            call(source)
