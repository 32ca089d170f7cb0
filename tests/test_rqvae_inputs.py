"""RQVAE's files, and what it says of input that cannot work."""

import builtins
from dataclasses import replace

import numpy as np
import pytest

import puresid
from rqvae_cases import clustered, rewrite, same, small

torch = pytest.importorskip("torch", reason="torch is not installed: RQVAE trains with it")


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered()


@pytest.fixture(scope="module")
def trained(vectors) -> puresid.RQVAE:
    return small(epochs=20).fit(vectors)


# --- files ----------------------------------------------------------------------------------------


def test_files_come_back_as_they_were(vectors, trained, tmp_path):
    path = tmp_path / "model.safetensors"
    trained.save(path)
    loaded = puresid.RQVAE.load(path)
    assert same(loaded, trained, vectors)
    assert loaded.settings == trained.settings
    assert loaded.best_epoch == trained.best_epoch
    trained.codebooks.save(tmp_path / "codebooks")
    assert puresid.Codebooks.load(tmp_path / "codebooks") == trained.codebooks


def test_loading_and_encoding_need_no_torch(vectors, trained, tmp_path, run_python):
    trained.save(tmp_path / "model")
    np.save(tmp_path / "vectors.npy", vectors)
    run_python(f"""
import sys
import numpy as np
import puresid
model = puresid.RQVAE.load({str(tmp_path / "model")!r})
sids = model.encode(np.load({str(tmp_path / "vectors.npy")!r}))
np.save({str(tmp_path / "sids.npy")!r}, sids)
np.save({str(tmp_path / "decoded.npy")!r}, model.decode(sids))
assert "torch" not in sys.modules
""")
    sids = trained.encode(vectors)
    np.testing.assert_array_equal(np.load(tmp_path / "sids.npy"), sids)
    np.testing.assert_array_equal(np.load(tmp_path / "decoded.npy"), trained.decode(sids))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, t: d["settings"].pop("lr"), "settings are .*lr"),
        (lambda d, t: d["settings"].update(lr="fast"), "lr is 'fast'"),
        (lambda d, t: d.pop("history"), "history is None"),
        (lambda d, t: t.pop("decoder_0_weight"), "decoder|incomplete|layer|weight"),
        (lambda d, t: t.update(codebook_0=np.zeros((16, 5), np.float32)), "dimension"),
        (
            lambda d, t: t.update(
                decoder_0_weight=np.zeros((12, 7), np.float32),
            ),
            "codewords have dimension 6; its decoder takes 7",
        ),
    ],
)
def test_files_that_are_not_whole(trained, tmp_path, change, words):
    path = tmp_path / "model"
    trained.save(path)
    rewrite(path, change)
    with pytest.raises(ValueError, match=rf"model: .*({words})"):
        puresid.RQVAE.load(path)


def test_files_of_another_kind(trained, tmp_path):
    path = tmp_path / "model"
    trained.codebooks.save(path)
    with pytest.raises(ValueError, match=r"model has the format 'puresid.codebooks'"):
        puresid.RQVAE.load(path)
    trained.save(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"model is not an intact safetensors file"):
        puresid.RQVAE.load(path)


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"n_levels": 0}, ValueError, "n_levels is 0"),
        ({"n_levels": 1.5}, TypeError, "n_levels is 1.5"),
        ({"codebook_size": 0}, ValueError, "codebook_size is 0"),
        ({"codebook_size": "16"}, TypeError, "codebook_size is '16'"),
        ({"codebook_size": (4, 4, 4)}, ValueError, "codebook_size has 3 entries; n_levels is 2"),
        ({"codebook_size": (4, 0)}, ValueError, r"codebook_size\[1\] is 0"),
        ({"codebook_size": (4, 8), "shared_codebook": True}, ValueError, "needs one size"),
        ({"hidden": (8, 0)}, ValueError, r"hidden\[1\] is 0"),
        ({"hidden": 8}, TypeError, "hidden is 8"),
        ({"decoder_hidden": (0,)}, ValueError, r"decoder_hidden\[0\] is 0"),
        ({"latent_dim": 0}, ValueError, "latent_dim is 0"),
        ({"codebook": "sgd"}, ValueError, "codebook is 'sgd'; it must be one of 'ema'"),
        ({"decay": 1}, ValueError, "decay is 1.0; it must be below 1"),
        ({"decay": -0.1}, ValueError, "decay is -0.1"),
        ({"commitment": float("nan")}, ValueError, "commitment is nan"),
        ({"epochs": 0}, ValueError, "epochs is 0"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"lr": 0}, ValueError, "lr is 0.0; it must be above 0"),
        ({"lr": "fast"}, TypeError, "lr is 'fast'"),
        ({"patience": 0}, ValueError, "patience is 0"),
        ({"tolerance": 1}, ValueError, "tolerance is 1.0"),
        ({"selection": "last"}, ValueError, "selection is 'last'"),
        ({"random_state": -1}, ValueError, "random_state is -1"),
        ({"random_state": 2**64}, ValueError, r"random_state is .*below 2\*\*64"),
        ({"device": 0}, TypeError, "device is 0"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every is 0"),
    ],
)
def test_options_out_of_range(options, kind, words):
    with pytest.raises(kind, match=words):
        small(**options)


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_devices_that_are_not_there(vectors, device):
    with pytest.raises(ValueError, match=f"device is '{device}', which torch cannot use here"):
        small(device=device).fit(vectors)


def test_threads_below_one(vectors):
    with pytest.raises(ValueError, match="threads is 0"):
        small(threads=0).fit(vectors)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "an infinity")])
def test_vectors_that_are_not_finite(vectors, trained, value, word):
    broken = vectors.copy()
    broken[17, 2] = value
    for call in (small().fit, trained.encode):
        with pytest.raises(ValueError, match=rf"vectors\[17\] has {word}.* in column 2"):
            call(broken)


def test_vectors_of_the_wrong_shape(vectors, trained):
    with pytest.raises(ValueError, match="vectors has 1 dimension"):
        small().fit(vectors[0])
    with pytest.raises(ValueError, match="vectors has 15 rows; codebook_size asks for 16"):
        small().fit(vectors[:15])
    with pytest.raises(ValueError, match="vectors have dimension 9; this RQVAE takes 10"):
        trained.encode(vectors[:, :9])


def test_tokens_out_of_range(trained):
    with pytest.raises(ValueError, match=r"sids\[1\] has token 16 at level 0"):
        trained.decode([[0, 0], [16, 0]])
    with pytest.raises(ValueError, match="sids has shape"):
        trained.decode([[0, 0, 0]])


@pytest.mark.parametrize("name", ["codebooks", "history", "best_epoch"])
def test_results_before_fit(name):
    with pytest.raises(AttributeError, match=r"not trained yet; call fit"):
        getattr(small(), name)


def test_calls_before_fit(vectors, tmp_path):
    for call in (
        lambda model: model.encode(vectors),
        lambda model: model.decode([[0, 0]]),
        lambda model: model.save(tmp_path / "model"),
    ):
        with pytest.raises(AttributeError, match=r"not trained yet; call fit"):
            call(small())


@pytest.mark.parametrize("lr", [1e4, 1e30])
def test_training_that_diverges(vectors, lr):
    with pytest.raises(FloatingPointError, match=r"diverged in epoch \d+ with lr=1"):
        small(lr=lr, epochs=20, batch_size=600 if lr > 1e6 else 64).fit(1e15 * vectors)


def test_without_torch(vectors, monkeypatch):
    plain = builtins.__import__

    def missing(name, *arguments, **options):
        if name == "torch":
            raise ImportError(name)
        return plain(name, *arguments, **options)

    model = small()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"puresid\[torch\]"):
        model.fit(vectors)


def test_importing_puresid_and_making_one_imports_no_torch(run_python):
    script = "import sys, puresid; puresid.RQVAE(); print('torch' in sys.modules)"
    assert run_python(script).strip() == "False"


def test_a_failed_fit_leaves_the_model_as_it_was(vectors, tmp_path):
    model = small(epochs=2).fit(vectors)
    before = model.encode(vectors)
    with pytest.raises(ValueError, match="rows"):
        model.fit(vectors[:3])
    np.testing.assert_array_equal(model.encode(vectors), before)


def test_progress_is_drawn(vectors, capfd):
    small(epochs=2, progress=True).fit(vectors)
    assert "RQ-VAE" in capfd.readouterr().err


def test_parameters_by_name():
    model = small(hidden=[24, 12])
    assert model.get_params()["hidden"] == [24, 12]
    assert model.get_params()["device"] == "cpu"
    assert model.set_params(lr=0.25, n_levels=3) is model
    assert model.settings.lr == 0.25
    assert model.settings.sizes == (16, 16, 16)
    assert model.settings.hidden == (24, 12)
    assert repr(puresid.RQVAE(lr=0.25)) == "RQVAE(lr=0.25)"
    with pytest.raises(ValueError, match="RQVAE has no parameter 'depth'; it has n_levels, "):
        model.set_params(depth=3)
    with pytest.raises(ValueError, match="epochs is 0"):
        model.set_params(epochs=0)
    assert model.settings.epochs == 6


def test_new_parameters_forget_what_was_trained(vectors):
    model = small(epochs=1).fit(vectors).set_params(epochs=2)
    with pytest.raises(AttributeError, match="not trained yet"):
        model.encode(vectors)


def test_scikit_learn_can_clone_it():
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    model = small(hidden=(24, 12))
    assert base.clone(model).settings == model.settings


def test_settings_that_differ():
    settings = small().settings
    assert settings.differing(replace(settings, epochs=99, patience=None, tolerance=0.5)) == ""
    assert settings.differing(replace(settings, decay=0.5)) == "decay=0.5, not 0.99"
