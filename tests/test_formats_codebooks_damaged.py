"""Codebooks in: files and mappings that are damaged or odd, and errors that name them."""

import numpy as np
import pytest

import puresid
from puresid.files import CorruptFileError
from puresid.formats import import_sids, load_codebooks
from puresid.report.items import read_items

BOOK = {"centroids.0": np.eye(4)}
GRID = {"quantization_layer_list.0.centroids": np.eye(4)}
NORM = {
    "normalization_layer.running_mean": np.zeros(4),
    "normalization_layer.running_var": np.ones(4),
}
RECOMMENDER = {"layers.0.embedding.weight": np.eye(4), "encoder.mlp.0.weight": np.ones((4, 4))}
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch, which writes these, is not installed")


@pytest.fixture
def old_layout(tmp_path, torch):
    state = {"centroids.0": torch.eye(4)}
    torch.save(state, tmp_path / "whole.pt", _use_new_zipfile_serialization=False)
    return (tmp_path / "whole.pt").read_bytes()


def test_a_file_of_the_old_layout_cut_anywhere(tmp_path, old_layout):
    path = tmp_path / "cut.pt"
    for length in range(16, len(old_layout), 7):
        path.write_bytes(old_layout[:length])
        with pytest.raises(ValueError, match=r"cut\.pt (cannot be read as|holds pickled ob)"):
            load_codebooks(path)


def test_a_file_of_the_old_layout_with_other_bytes(tmp_path, old_layout):
    path = tmp_path / "odd.pt"
    rng = np.random.default_rng(0)
    refused = []
    for _ in range(150):
        content = bytearray(old_layout)
        for place in rng.integers(1, len(content), 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            load_codebooks(path)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert [said for said in refused if "odd.pt" not in said] == []


@pytest.mark.parametrize("name", ["c.npz", "c.pth"])
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [(6, 200, "is cut short or damaged: zip file version 20"), (10, 77, "cannot be read as")],
)
def test_an_archive_of_a_kind_that_is_not_known(tmp_path, name, field, value, message, request):
    path = tmp_path / name
    if name == "c.npz":
        np.savez(path, codebook_0=np.eye(4))
    else:
        request.getfixturevalue("torch").save({"centroids.0": np.eye(4).tolist()}, path)
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")
    while entry >= 0:  # the version, or the compression, of each entry of the directory
        content[entry + field] = value
        local = int.from_bytes(content[entry + 42 : entry + 46], "little")
        content[local + field - 2] = value
        entry = content.find(b"PK\x01\x02", entry + 1)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=rf"c\.(npz|pth) {message}"):
        load_codebooks(path)


def described(path, text):
    from safetensors.numpy import save_file

    save_file({"codebook_0": np.eye(2)}, path, metadata={"description": text})


def test_json_that_is_nested_too_deeply(tmp_path):
    described(tmp_path / "c.safetensors", DEEP)
    with pytest.raises(ValueError, match=r"c\.safetensors is not an intact safetensors file: maxi"):
        puresid.Codebooks.load(tmp_path / "c.safetensors")
    assert load_codebooks(tmp_path / "c.safetensors").sizes == (2,)  # as a file of somebody else's
    (tmp_path / "i.json").write_text(DEEP)
    with pytest.raises(ValueError, match=r"i\.json is not JSON: maximum recursion"):
        read_items(tmp_path / "i.json")
    (tmp_path / "i.jsonl").write_text('{"key": 1, "text": "a"}\n{"key": ' + "1" * 5000 + "}\n")
    with pytest.raises(ValueError, match=r"i\.jsonl, line 2 is not JSON: Exceeds the limit"):
        read_items(tmp_path / "i.jsonl")
    (tmp_path / "metadata.json").write_text(DEEP)
    with pytest.raises(ValueError, match=r"a folder without a metadata\.json of semantic-id"):
        load_codebooks(tmp_path)


@pytest.mark.parametrize("sizes", ['"33"', "[3.5, 2]", "[0, 2]", DEEP])
def test_a_manifest_of_something_else(tmp_path, sizes):
    pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
    (tmp_path / "manifest.json").write_text('{"codebook": ' + sizes + "}")
    with pytest.raises(CorruptFileError, match=r"manifest\.json is no manifest: "):
        import_sids(tmp_path, format="torcheasyrec-sets")


def test_parquet_without_some_keys(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
    import pyarrow.parquet as pq

    for keys in ([1, None], ["a", None]):
        pq.write_table(pa.table({"item_id": keys, "codes": [[1, 2], [3, 4]]}), tmp_path / "x")
        with pytest.raises(ValueError, match="x: the column 'item_id' has 1 rows without a value"):
            import_sids(tmp_path / "x", format="torcheasyrec")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"running_var": None}, "is a batch normalisation without running_var"),
        ({"running_mean": np.float32(0)}, r"whose running_mean has shape \(\); \(1,\) is needed"),
        ({"running_var": np.ones(3)}, r"whose running_var has shape \(3,\); \(4,\) is needed"),
        ({"weight": np.ones((4, 1))}, r"whose weight has shape \(4, 1\); \(4,\) is needed"),
        ({"bias": np.ones(5)}, r"whose bias has shape \(5,\); \(4,\) is needed"),
        ({"running_var": np.array([1, 1, -1, 1])}, "has a running_var below 0 or NaN"),
        ({"running_var": np.array([1, 1, np.nan, 1])}, "has a running_var below 0 or NaN"),
    ],
)
def test_batch_normalisations_that_do_not_fit(change, message):
    change = {f"normalization_layer.{name}": value for name, value in change.items()}
    state = {name: value for name, value in (GRID | NORM | change).items() if value is not None}
    with pytest.raises(ValueError, match=rf"the mapping: normalization_layer\.\* .*{message}"):
        load_codebooks({k: np.asarray(v) for k, v in state.items()}, normalize_residuals=True)


def test_a_batch_normalisation_wider_than_the_layer_before():
    state = RECOMMENDER | {"encoder.mlp.1.running_mean": np.zeros(3)}
    state |= {"encoder.mlp.1.running_var": np.ones(3)}
    with pytest.raises(ValueError, match=r"encoder\.mlp\.1 .* has shape \(3,\); \(4,\) is needed"):
        load_codebooks(state)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("layers.0.out_proj.0.weight", (4, 3), r"the mapping: .*\(4, 3\); a matrix with 4 columns"),
        ("layers.0.out_proj.0.weight", (4,), r"has shape \(4,\); a matrix with 4 columns"),
        ("layers.0.embedding.weight", (1, 4, 4), r"level 0 has shape \(1, 4, 4\); a matrix is"),
        ("layers.0.embedding.weight", (4,), r"has shape \(4,\); a codebook is a matrix"),
        ("layers.0.embedding.weight", (), r"has shape \(\); a codebook is a matrix"),
        ("encoder.mlp.0.bias", (3,), "the mapping: bias"),
    ],
)
def test_shapes_that_do_not_fit(name, shape, message):
    with pytest.raises(ValueError, match=message):
        load_codebooks(RECOMMENDER | {name: np.ones(shape)})


def test_a_configuration_of_the_wrong_kind():
    state = {"model": RECOMMENDER, "model_config": {"codebook_normalize": "no"}}
    with pytest.raises(ValueError, match="says that codebook_normalize is 'no'; pass normalize_c"):
        load_codebooks(state)
    assert load_codebooks(state, normalize_codebook=False).sizes == (4,)


@pytest.mark.parametrize("kind", ["meta", "sparse", "float8"])
def test_tensors_that_numpy_cannot_take(torch, kind):
    tensor = {
        "meta": lambda: torch.empty(4, 4, device="meta"),
        "sparse": lambda: torch.eye(4).to_sparse(),
        "float8": lambda: torch.eye(4).to(torch.float8_e4m3fn),
    }[kind]()
    with pytest.raises(ValueError, match=r"'centroids\.0' is of torch\.float.* NumPy cannot take"):
        load_codebooks({"centroids.0": tensor})


def test_sparse_sids(tmp_path, torch):
    torch.save(torch.ones(2, 3, dtype=torch.int64).to_sparse(), tmp_path / "t.pt")
    with pytest.raises(ValueError, match=r"t\.pt is no matrix of integers, one column per item"):
        import_sids(tmp_path / "t.pt", format="grid")


def test_values_beyond_float32_are_refused_with_their_place():
    with pytest.raises(ValueError, match=r"the mapping: codebooks\[0\]"):
        load_codebooks({"centroids.0": np.full((2, 2), 1e300)})


@pytest.mark.parametrize("value", ["no", 1, 0.0])
def test_what_is_true_or_false(value):
    for name in ("normalize_residuals", "normalize_codebook"):
        with pytest.raises(TypeError, match=f"{name} is {value!r}; True, False or None is needed"):
            load_codebooks(BOOK, **{name: value})
    with pytest.raises(TypeError, match=f"encoder is {value!r}; True or False is needed"):
        load_codebooks(BOOK, encoder=value)
    assert load_codebooks(BOOK, normalize_residuals=np.bool_(True)).normalize_residuals
