"""Codebooks: what they hold, decoding, and files that come back as they were or not at all."""

import numpy as np
import pytest

import puresid


@pytest.fixture
def arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((k, 6), dtype=np.float32) for k in (5, 3, 7)]


def test_what_they_hold(arrays):
    codebooks = puresid.Codebooks(arrays)
    assert len(codebooks) == codebooks.n_levels == 3
    assert codebooks.sizes == (5, 3, 7)
    assert codebooks.dim == 6
    assert codebooks.capacity == 105
    assert isinstance(codebooks.levels, tuple)
    for level, array in enumerate(arrays):
        np.testing.assert_array_equal(codebooks[level], array)
        np.testing.assert_array_equal(codebooks.levels[level], array)
    for word in ("5", "3", "7", "6"):
        assert word in repr(codebooks)


def test_capacity_is_a_python_number():
    line = np.arange(65_536, dtype=np.float32)[:, None]
    assert puresid.Codebooks([line] * 4).capacity == 2**64


def test_one_array_for_all_levels_may_repeat(arrays):
    codebooks = puresid.Codebooks([arrays[0]] * 3)
    assert codebooks.sizes == (5, 5, 5)


def test_they_are_copies_that_cannot_be_written(arrays):
    codebooks = puresid.Codebooks(arrays)
    before = codebooks[0][0, 0]
    arrays[0][0, 0] = 99
    assert codebooks[0][0, 0] == before
    with pytest.raises(ValueError, match="read-only"):
        codebooks[0][0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        codebooks.levels[2][:] = 0


def test_any_layout_becomes_float32_in_c_order(arrays):
    plain = puresid.Codebooks(arrays)
    for given in (
        [np.asfortranarray(a) for a in arrays],
        [a.astype(np.float64) for a in arrays],
        [a.astype(">f4") for a in arrays],
        [np.repeat(a, 2, axis=0)[::2] for a in arrays],
        [a.tolist() for a in arrays],
        tuple(arrays),
    ):
        codebooks = puresid.Codebooks(given)
        assert codebooks == plain
        for level in codebooks.levels:
            assert level.dtype == np.float32
            assert level.dtype.isnative
            assert level.flags.c_contiguous


def test_equality(arrays):
    codebooks = puresid.Codebooks(arrays)
    assert codebooks == puresid.Codebooks([a.copy() for a in arrays])
    assert codebooks != puresid.Codebooks(arrays[:2])
    assert codebooks != puresid.Codebooks([arrays[0], arrays[1], arrays[2] + 1])
    assert codebooks != puresid.Codebooks([a[:, :5] for a in arrays])
    assert codebooks != "codebooks"


# --- decode -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int64", "int8", ">u2"])
def test_decode_adds_the_codewords(arrays, dtype):
    sids = np.array([[0, 0, 0], [4, 2, 6], [1, 0, 3]], dtype)
    decoded = puresid.Codebooks(arrays).decode(sids)
    assert decoded.dtype == np.float32
    expected = sum(a.astype(np.float64)[sids[:, i].astype(int)] for i, a in enumerate(arrays))
    np.testing.assert_allclose(decoded, expected, rtol=1e-6, atol=1e-6)


def test_decode_is_exact_on_whole_numbers():
    rng = np.random.default_rng(1)
    books = [rng.integers(-9, 10, (8, 3)) for _ in range(4)]
    sids = rng.integers(0, 8, (100, 4))
    expected = sum(book[sids[:, level]] for level, book in enumerate(books))
    np.testing.assert_array_equal(puresid.Codebooks(books).decode(sids), expected)


def test_decode_nothing(arrays):
    assert puresid.Codebooks(arrays).decode(np.empty((0, 3), np.uint16)).shape == (0, 6)


@pytest.mark.parametrize("shape", [(3,), (4, 2), (4, 4), (1, 1, 3)])
def test_decode_sids_of_wrong_shape(arrays, shape):
    with pytest.raises(ValueError, match=r"sids.*3"):
        puresid.Codebooks(arrays).decode(np.zeros(shape, int))


@pytest.mark.parametrize("token", [3, -1, 65_537])
def test_decode_tokens_out_of_range(arrays, token):
    sids = np.array([[0, 0, 0], [0, 1, 0], [0, token, 0]])
    with pytest.raises(ValueError, match=rf"sids\[2\].*token {token}\b"):
        puresid.Codebooks(arrays).decode(sids)


@pytest.mark.parametrize("dtype", ["float32", "bool", "U1"])
def test_decode_what_is_no_whole_number(arrays, dtype):
    with pytest.raises(TypeError, match="sids"):
        puresid.Codebooks(arrays).decode(np.zeros((2, 3), dtype))


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_text", [True, False])
def test_a_file_comes_back_as_it_was(arrays, tmp_path, as_text):
    path = tmp_path / "codebooks.safetensors"
    given = str(path) if as_text else path
    codebooks = puresid.Codebooks(arrays)
    codebooks.save(given)
    loaded = puresid.Codebooks.load(given)
    assert loaded == codebooks
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    vectors = np.ones((9, 6), np.float32)
    np.testing.assert_array_equal(
        puresid.assign(vectors, loaded).sids, puresid.assign(vectors, codebooks).sids
    )


def test_the_file_is_safetensors_with_a_tensor_per_level(arrays, tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "codebooks.safetensors"
    puresid.Codebooks(arrays).save(path)
    tensors = load_file(path)
    assert sorted(tensors) == ["codebook_0", "codebook_1", "codebook_2"]
    for level, array in enumerate(arrays):
        np.testing.assert_array_equal(tensors[f"codebook_{level}"], array)


def test_more_than_ten_levels_keep_their_order(tmp_path):
    books = [np.full((2, 1), level, np.float32) for level in range(12)]
    path = tmp_path / "codebooks.safetensors"
    puresid.Codebooks(books).save(path)
    assert puresid.Codebooks.load(path) == puresid.Codebooks(books)


def test_saving_replaces_a_file(arrays, tmp_path):
    path = tmp_path / "codebooks.safetensors"
    path.write_bytes(b"old")
    puresid.Codebooks(arrays).save(path)
    assert puresid.Codebooks.load(path) == puresid.Codebooks(arrays)


@pytest.mark.parametrize("kept", [0, 4, 8, 40, 0.5, -1])
def test_a_truncated_file(arrays, tmp_path, kept):
    path = tmp_path / "short.safetensors"
    puresid.Codebooks(arrays).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(ValueError, match=r"short\.safetensors"):
        puresid.Codebooks.load(path)


@pytest.mark.parametrize("content", [b"not a codebook at all", b"\xff" * 64, b"\x93NUMPY" * 9])
def test_a_file_of_something_else(tmp_path, content):
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"garbage\.safetensors"):
        puresid.Codebooks.load(path)


@pytest.mark.parametrize("names", [["weights"], ["codebook_1", "codebook_2"], []])
def test_a_file_of_other_tensors(arrays, tmp_path, names):
    from safetensors.numpy import save_file

    path = tmp_path / "other.safetensors"
    save_file({name: arrays[0] for name in names}, path)
    with pytest.raises(ValueError, match=r"other\.safetensors.*codebook_0"):
        puresid.Codebooks.load(path)


def test_a_file_of_numbers_that_are_not_finite(arrays, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "broken.safetensors"
    arrays[1][2, 3] = np.nan
    save_file({f"codebook_{level}": a for level, a in enumerate(arrays)}, path)
    with pytest.raises(ValueError, match=r"codebooks\[1\].*NaN"):
        puresid.Codebooks.load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        puresid.Codebooks.load(tmp_path / "absent.safetensors")


def test_a_folder_that_is_not_there(arrays, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        puresid.Codebooks(arrays).save(tmp_path / "absent" / "codebooks.safetensors")
