"""Codebooks in: nothing in a file is run, and what cannot be loaded says why."""

import argparse
import os
import pickle
import zipfile

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch, which writes these files, is not installed")

import torch

import puresid
from layouts import DIM, RAW, books, lc_rec, rq_state, tensor
from puresid.files import CorruptFileError
from puresid.formats import load_codebooks


@pytest.fixture
def rng():
    torch.manual_seed(5)
    return np.random.default_rng(5)


class Trap:
    """Would leave a file behind if a pickle of it were opened."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Foreign:
    """A class of somebody else's project."""


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_never_run(tmp_path, rng, zipped):
    trap = tmp_path / "sprung"
    state = {"centroids.0": tensor(books(rng)[0])}
    torch.save(
        {"args": Trap(trap), "state_dict": state},
        tmp_path / "bad.pth",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(ValueError, match=r"bad\.pth holds pickled objects besides tensors"):
        load_codebooks(tmp_path / "bad.pth")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Trap(trap), protocol=2))
    with pytest.raises(ValueError, match=r"plain\.pkl (holds pickled|cannot be read)"):
        load_codebooks(tmp_path / "plain.pkl")
    np.savez(tmp_path / "bad.npz", codebook_0=np.array([Trap(trap)], dtype=object))
    with pytest.raises(CorruptFileError, match=r"bad\.npz cannot be read as \.npz: .*pickle"):
        load_codebooks(tmp_path / "bad.npz")
    assert not trap.exists()


def test_what_namespace_carries_is_not_run_either(tmp_path, rng):
    trap = tmp_path / "sprung"
    args = argparse.Namespace(harmless=1, harmful=Trap(trap))
    state = {"centroids.0": tensor(books(rng)[0])}
    torch.save({"args": args, "state_dict": state}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match="holds pickled objects"):
        load_codebooks(tmp_path / "bad.pth")
    assert not trap.exists()


def test_a_foreign_class_is_named_with_the_way_out(tmp_path, rng):
    state = {"centroids.0": tensor(books(rng)[0])}
    torch.save({"model_config": Foreign(), "model": state}, tmp_path / "c.pth")
    with pytest.raises(ValueError, match=r"\(.*Foreign\).*weights_only=False.*torch\.save"):
        load_codebooks(tmp_path / "c.pth")
    checkpoint = torch.load(tmp_path / "c.pth", weights_only=False)  # what the message says
    torch.save(checkpoint["model"], tmp_path / "new.pth")
    np.testing.assert_array_equal(load_codebooks(tmp_path / "new.pth")[0], state["centroids.0"])


def test_torch_with_known_holes_is_not_used(tmp_path, rng, monkeypatch):
    case = lc_rec(tmp_path, rng)
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(ImportError, match=r"needs torch 2\.10 or later.*CVE-2026-24747.*2\.9\.1"):
        load_codebooks(case.path)


def test_without_torch(tmp_path, rng, run_python):
    case = lc_rec(tmp_path, rng)
    script = f"""
import sys
sys.modules["torch"] = None
import puresid
try:
    puresid.load_codebooks({str(case.path)!r})
except ImportError as error:
    print(error)
"""
    assert "needs torch: pip install 'puresid[torch]'" in run_python(script)


def test_reading_npz_imports_no_torch(tmp_path, rng, run_python):
    np.savez(tmp_path / "c.npz", codebook_0=books(rng)[0])
    script = f"""
import sys
import puresid
puresid.load_codebooks({str(tmp_path / "c.npz")!r})
print("torch" in sys.modules)
"""
    assert run_python(script).split() == ["False"]


@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_file_that_is_cut_short(tmp_path, rng, kept):
    content = lc_rec(tmp_path, rng).path.read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CorruptFileError, match=r"cut\.pth is cut short or damaged"):
        load_codebooks(tmp_path / "cut.pth")


def test_damaged_files(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "b.safetensors").write_bytes((9).to_bytes(8, "little") + b"{ nothing")
    with zipfile.ZipFile(tmp_path / "c.pth", "w") as archive:
        archive.writestr("data.pkl", b"")
    (tmp_path / "d.npz").write_bytes(b"PK\x05\x06" + bytes(18))
    for name, message in (
        ("a.pth", "cannot be read as a torch checkpoint|has no tensors"),
        ("b.safetensors", "cannot be read as safetensors"),
        ("c.pth", "cannot be read as a torch checkpoint"),
        ("d.npz", "is no file that codebooks are known to be in"),
    ):
        with pytest.raises(ValueError, match=message):
            load_codebooks(tmp_path / name)


def test_a_type_of_numbers_that_numpy_lacks(tmp_path):
    from safetensors.torch import save_file

    save_file({"centroids.0": torch.ones(2, 3).bfloat16()}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x\.safetensors has a type of numbers that NumPy lacks"):
        load_codebooks(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("state", "options", "error", "message"),
    [
        ({"a.weight": 1.0}, {}, ValueError, "no tensors at its top, and none below; its keys: a"),
        ({"w": "eye"}, {}, ValueError, r"of no format that is known \(rqvae, .*its tensors: w \(2"),
        ({"w": "eye"}, {"format": "grid"}, ValueError, "no tensors of the format 'grid'; its ten"),
        ({"w": "eye"}, {"format": "gird"}, ValueError, "format is 'gird'; it must be one of 'auto"),
        ({"w": "eye"}, {"metric": "dot"}, ValueError, "metric is 'dot'; it must be one of"),
        ({"centroids.0": "eye", "centroids.2": "eye"}, {}, ValueError, r"has the levels \[0, 2\]"),
        ({"centroids.0": "eye"}, {"n_levels": 2}, ValueError, "n_levels means nothing for the"),
        ({"centroids.0": "eye"}, {"encoder": False}, ValueError, "encoder means nothing for the"),
        ({"centroids.0": "eye"}, {"activation": "relu"}, ValueError, "activation means nothing"),
        ({"centroids.0": "words"}, {}, ValueError, "'centroids.0' has dtype <U1; real numbers"),
        ({"centroids.0": "cube"}, {}, ValueError, r"codebooks\[0\] has 3 dimensions"),
        (
            {
                "a.rq.vq_layers.0.embedding.weight": "eye",
                "b.rq.vq_layers.0.embedding.weight": "eye",
            },
            {},
            ValueError,
            r"several quantizers, below a\., b\.; pass the tensors of one",
        ),
        ({"rq.vq_layers.0.embedding.weight": "eye"}, {}, ValueError, "no tensors encoder.mlp_lay"),
        (
            {"_quantizer._embedding.weight": "eye"},
            {},
            ValueError,
            "not say how many.*n_levels",
        ),
        (
            {"_quantizer._embedding.weight": "eye"},
            {"n_levels": 0},
            ValueError,
            "n_levels is 0; at least 1",
        ),
        (
            {"_quantizer._embedding.weight": "eye"},
            {"n_levels": "3"},
            TypeError,
            "n_levels is '3'; an integer is needed",
        ),
        (
            {"_quantizer._embedding.weight": "eye"},
            {"n_levels": 2},
            ValueError,
            "no tensor '_encoder._linear1.weight'",
        ),
        (
            {"quantization_layer_list.0.centroids": "eye"},
            {},
            ValueError,
            "does not say whether residuals are normalised.*GRID",
        ),
        (
            {"_quantizer.layers.0.centroids": "eye"},
            {},
            ValueError,
            "does not say whether residuals are normalised.*default there is False",
        ),
        (
            {"_quantizer.layers.0.centroids": "eye", "_encoder.0.weight": "eye"},
            {"normalize_residuals": False},
            ValueError,
            r"an encoder with layers that are not known: \['_encoder.0.weight'\]",
        ),
        (
            {"layers.0._codebook.embed": "batch", "mlps.0.proj_in.weight": "eye"},
            {},
            ValueError,
            "implicit neural codebooks",
        ),
        (
            {"layers.0._codebook.embed": "batch", "layers.0._codebook.codebook_mean": "eye"},
            {},
            ValueError,
            "changes its codebooks or vectors by .*codebook_mean",
        ),
        ({"layers.0._codebook.embed": "cube"}, {}, ValueError, r"level 0 has shape \(2, 2, 2\)"),
        (
            {"rq_model.quantizer.codebooks.0.weight": "eye", "rq_model.encoder.0.weight": "eye"},
            {},
            ValueError,
            "has an encoder whose layers are not known",
        ),
        (
            {"rq_model.quantizer.codebooks.0.weight": "row"},
            {},
            ValueError,
            "level 0 has 1 rows; one codeword and the row for padding",
        ),
        (
            {"layers.0.embedding.weight": "eye", "encoder.mlp.0.weight": "cube"},
            {},
            ValueError,
            r"encoder\.mlp\.0 is of a kind that is not known; it has \['weight'\]",
        ),
        (
            {"quantization_layer_list.0.centroids": "eye", "normalization_layer.gain": "eye"},
            {"normalize_residuals": True},
            ValueError,
            r"normalization_layer\.\* is a normalisation that is not known: \['gain'\]",
        ),
    ],
)
def test_what_cannot_be_loaded_says_why(state, options, error, message):
    arrays = {
        "eye": np.eye(2),
        "cube": np.ones((2, 2, 2)),
        "batch": np.ones((1, 2, 2)),
        "row": np.ones((1, 2)),
        "words": np.array([["a"]]),
    }
    filled = {name: arrays.get(value, value) for name, value in state.items()}
    with pytest.raises(error, match=message):
        load_codebooks(filled, **options)


def test_a_batch_norm_after_an_activation_is_not_guessed(rng):
    state = {
        "layers.0.embedding.weight": books(rng)[0],
        "encoder.mlp.0.weight": np.eye(DIM),
        "encoder.mlp.2.running_mean": np.zeros(DIM),
        "encoder.mlp.2.running_var": np.ones(DIM),
    }
    with pytest.raises(ValueError, match=r"encoder\.mlp\.2 is a batch normalisation that follows"):
        load_codebooks(state)


def test_a_tensor_instead_of_a_mapping(tmp_path):
    torch.save(torch.ones(2, 3), tmp_path / "t.pt")
    with pytest.raises(ValueError, match=r"t\.pt holds a Tensor; tensors by name are needed"):
        load_codebooks(tmp_path / "t.pt")


def test_folders(tmp_path):
    with pytest.raises(ValueError, match=r"a folder without a metadata\.json of semantic-id"):
        load_codebooks(tmp_path)
    (tmp_path / "metadata.json").write_text('{"type": "other"}')
    with pytest.raises(ValueError, match=r"a folder without a metadata\.json of semantic-id"):
        load_codebooks(tmp_path)
    (tmp_path / ".metadata").write_bytes(b"")
    with pytest.raises(ValueError, match=r"distributed checkpoint of torch.*dcp_to_torch"):
        load_codebooks(tmp_path)


def test_files_of_other_kinds(tmp_path):
    (tmp_path / "x.txt").write_text("codebooks")
    with pytest.raises(ValueError, match=r"x\.txt is no file that codebooks are known to be in"):
        load_codebooks(tmp_path / "x.txt")
    with pytest.raises(FileNotFoundError, match="absent"):
        load_codebooks(tmp_path / "absent.pth")
    np.savez(tmp_path / "c.npz", codebook_0=np.eye(2))
    with pytest.raises(ValueError, match=r"c\.npz is no \.safetensors file"):
        load_codebooks(tmp_path / "c.npz", "puresid")
    puresid.Codebooks([np.eye(2)]).save(tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match="options mean nothing for the format 'puresid'"):
        load_codebooks(tmp_path / "own.safetensors", metric="cosine")


def test_an_encoder_that_does_not_fit_its_codebooks(rng):
    state = rq_state(books(rng), torch.nn.Module())
    state["encoder.mlp_layers.1.weight"] = np.ones((DIM + 1, RAW))
    with pytest.raises(ValueError, match="gives vectors of dimension 7; the codebooks take 6"):
        load_codebooks(state)
