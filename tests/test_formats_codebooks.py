"""Codebooks in: every layout gives the tokens that its project's arithmetic gives; refusals."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch, which writes these files, is not installed")

import torch

import puresid
from layouts import CASES, DIM, RAW, books, greedy, lc_rec, tensor
from puresid.formats import CODEBOOK_FORMATS, load_codebooks

WEIGHTS = ("weight", "bias")


@pytest.fixture
def rng():
    torch.manual_seed(5)
    return np.random.default_rng(5)


@pytest.fixture(params=CASES)
def made(request, tmp_path, rng):
    name, make = CASES[request.param]
    return name, make(tmp_path, rng)


def test_tokens_are_those_of_the_project(made, rng):
    _, case = made
    codebooks = load_codebooks(case.path, **case.options)
    width = RAW if case.encode is not None else DIM
    vectors = 10 * rng.standard_normal((300, width), dtype=np.float32)
    assert codebooks.input_dim == width
    assert codebooks.normalize_residuals == case.normalize_residuals
    for level, expected in zip(codebooks, case.levels, strict=True):
        np.testing.assert_allclose(level, expected, rtol=1e-6, atol=1e-7)
    if case.encode is None:
        assert codebooks.encoder is None
    else:
        np.testing.assert_allclose(
            codebooks.encoder(vectors), case.encode(vectors), rtol=1e-4, atol=1e-4
        )
    expected = greedy(case, vectors)
    assert len(np.unique(expected, axis=0)) >= 5
    found = puresid.assign(vectors, codebooks, method="nearest").sids
    np.testing.assert_array_equal(found, expected)


def test_the_format_may_be_named(made):
    name, case = made
    named = load_codebooks(case.path, name, **case.options)
    assert named == load_codebooks(case.path, **case.options)
    assert name in CODEBOOK_FORMATS


def test_codebooks_of_any_source_can_be_saved_and_loaded(made, tmp_path):
    _, case = made
    codebooks = load_codebooks(case.path, **case.options)
    codebooks.save(tmp_path / "own.safetensors")
    for format in ("auto", "puresid"):
        assert load_codebooks(tmp_path / "own.safetensors", format) == codebooks


def test_the_encoder_can_be_left_out(made):
    _, case = made
    if case.encode is None:
        pytest.skip("this layout has no encoder")
    codebooks = load_codebooks(case.path, encoder=False, **case.options)
    assert codebooks.encoder is None
    assert codebooks.input_dim == case.levels[0].shape[1]


def test_a_state_dict_in_memory(tmp_path, rng):
    case = lc_rec(tmp_path, rng)
    state = torch.load(case.path, weights_only=False)["state_dict"]
    assert load_codebooks(state) == load_codebooks(str(case.path))
    assert load_codebooks({"state_dict": state}) == load_codebooks(case.path)
    compiled = {f"_orig_mod.module.{name}": value for name, value in state.items()}
    assert load_codebooks(compiled) == load_codebooks(case.path)


def test_tensors_of_a_safetensors_file(tmp_path, rng):
    from safetensors.numpy import save_file

    levels = books(rng)
    save_file({f"centroids.{n}": x for n, x in enumerate(levels)}, tmp_path / "x.safetensors")
    assert load_codebooks(tmp_path / "x.safetensors") == puresid.Codebooks(levels)


def test_half_precision_becomes_float32(rng):
    levels = [tensor(level).bfloat16() for level in books(rng)]
    codebooks = load_codebooks({f"centroids.{n}": x for n, x in enumerate(levels)})
    np.testing.assert_array_equal(codebooks[1], levels[1].float().numpy())


def test_a_file_of_the_older_layout_of_torch(tmp_path, rng):
    level = tensor(books(rng)[0])
    torch.save({"centroids.0": level}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(load_codebooks(tmp_path / "old.pt")[0], level.numpy())


def test_more_than_ten_levels_keep_their_order(rng):
    levels = books(rng, sizes=(3,) * 12)
    state = {f"centroids.{n}": level for n, level in enumerate(levels)}
    assert load_codebooks(state) == puresid.Codebooks(levels)


def test_options_reach_the_codebooks(rng):
    levels = [level / np.linalg.norm(level, axis=1, keepdims=True) for level in books(rng)]
    state = {f"centroids.{n}": level for n, level in enumerate(levels)}
    codebooks = load_codebooks(state, metric="cosine", normalize_residuals=True)
    assert (codebooks.metric, codebooks.normalize_residuals) == ("cosine", True)


def test_another_activation(tmp_path, rng):
    case = lc_rec(tmp_path, rng)
    names = [getattr(layer, "name", "") for layer in load_codebooks(case.path).encoder.layers]
    assert names == ["", "relu", "", "relu", ""]
    changed = load_codebooks(case.path, activation="tanh").encoder.layers
    assert [getattr(layer, "name", "") for layer in changed] == ["", "tanh", "", "tanh", ""]


def test_layers_next_to_each_other_have_no_activation_between(rng):
    weights = [np.eye(DIM, dtype=np.float32)] * 2
    state = {f"encoder.net.{n}.weight": w for n, w in enumerate(weights)}
    state["rq._module_levels.0._codebook.embeddings"] = books(rng)[0]
    assert len(load_codebooks(state).encoder.layers) == 2


def test_layer_normalisation(rng):
    norm = torch.nn.LayerNorm(DIM)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    state = {
        "encoder.net.0.weight": tensor(rng.standard_normal((DIM, RAW)).astype(np.float32)),
        "encoder.net.1.weight": norm.weight,
        "encoder.net.1.bias": norm.bias,
        "rq._module_levels.0._codebook.embeddings": tensor(books(rng)[0]),
    }
    vectors = rng.standard_normal((20, RAW)).astype(np.float32)
    with torch.no_grad():
        expected = norm(tensor(vectors) @ state["encoder.net.0.weight"].T)
    np.testing.assert_allclose(load_codebooks(state).encoder(vectors), expected, atol=1e-5)


def test_layer_normalisation_before_everything(rng):
    state = {
        "quantization_layer_list.0.centroids": books(rng)[0],
        "normalization_layer.weight": rng.standard_normal(DIM).astype(np.float32),
        "normalization_layer.bias": np.ones(DIM, np.float32),
        "encoder.model.0.weight": np.eye(DIM, dtype=np.float32),
    }
    codebooks = load_codebooks(state, normalize_residuals=False)
    vectors = rng.standard_normal((20, DIM)).astype(np.float32)
    norm = torch.nn.functional.layer_norm(
        tensor(vectors), (DIM,), *(tensor(state[f"normalization_layer.{x}"]) for x in WEIGHTS)
    )
    np.testing.assert_allclose(codebooks.transform(vectors), norm, atol=1e-5)


def test_a_model_may_be_trained_further(rng):
    model = torch.nn.Linear(RAW, DIM)
    state = {"encoder.net.0.weight": model.weight, "encoder.net.0.bias": model.bias}
    state["rq._module_levels.0._codebook.embeddings"] = tensor(books(rng)[0])
    codebooks = load_codebooks(state)
    before = codebooks.encoder(np.ones((1, RAW)))
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    np.testing.assert_array_equal(codebooks.encoder(np.ones((1, RAW))), before)
    assert before.any()


# --- from a checkpoint to SIDs ------------------------------------------------------------------


def test_from_a_checkpoint_and_raw_vectors_to_a_published_index(tmp_path, rng):
    codebooks = load_codebooks(lc_rec(tmp_path, rng).path)
    vectors = 10 * rng.standard_normal((120, RAW), dtype=np.float32)
    result = puresid.assign(vectors, codebooks)
    assert len(np.unique(result.sids, axis=0)) == 120
    assert (result.stages != 0).any()
    inside = puresid.assign(codebooks.transform(vectors), codebooks.latent)
    np.testing.assert_array_equal(inside.sids, result.sids)
    puresid.export(result, tmp_path / "x.index.json", format="index.json")
    found = puresid.import_sids(tmp_path / "x.index.json", format="index.json")
    np.testing.assert_array_equal(found.sids, result.sids)
