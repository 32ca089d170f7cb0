"""Odd input gives an exact result, or an error that says what, and where."""

import numpy as np
import pytest

import oracles
import puresid
from oracles import same

LEVELS, SIZE, DIM = 3, 4, 2


def books(dtype: type = np.float32) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(-4, 5, (SIZE, DIM)).astype(dtype) for _ in range(LEVELS)]


def whole_vectors(n: int = 8) -> np.ndarray:
    return np.random.default_rng(1).integers(-4, 5, (n, DIM)).astype(np.float32)


ALL_METHODS = pytest.mark.parametrize(
    "method", ["ecm", "rrs", "beam", "optimal", "nearest", "suffix"]
)


# --- vectors: exact results -----------------------------------------------------------------------


@ALL_METHODS
def test_no_items(method):
    result = puresid.assign(np.empty((0, DIM), np.float32), books(), method)
    assert result.sids.shape == (0, LEVELS + (method == "suffix"))
    assert result.stages.shape == result.distortion.shape == (0,)
    assert (result.sids.dtype, result.stages.dtype) == (np.uint16, np.int8)
    summary = result.summary()
    assert summary.items == summary.conflicts == summary.unique == 0
    assert "0" in str(summary)


@ALL_METHODS
def test_one_item(method):
    result = puresid.assign(np.ones((1, DIM), np.float32), books(), method)
    nearest = puresid.assign(np.ones((1, DIM), np.float32), books(), "nearest")
    moved = bool((result.sids[:, :LEVELS] != nearest.sids).any())
    assert len(result.sids) == 1
    assert result.stages.tolist() == [moved]
    if method == "optimal":  # greedily one does not find the closest SID here
        assert result.distortion[0] < nearest.distortion[0]
    else:
        assert not moved


@pytest.mark.parametrize("method", ["ecm", "rrs"])
def test_zero_vectors(method):
    result = puresid.assign(np.zeros((20, DIM), np.float32), books(), method)
    assert len(np.unique(result.sids, axis=0)) == 20


@pytest.mark.parametrize(
    "dtype",
    [
        "int8",
        "uint8",
        "int16",
        "int32",
        "int64",
        "uint64",
        "float16",
        "float64",
        ">f4",
        ">f8",
        ">i4",
    ],
)
def test_number_types_are_converted(dtype):
    vectors = np.abs(whole_vectors())
    assert same(puresid.assign(vectors.astype(dtype), books()), puresid.assign(vectors, books()))


def test_codebooks_of_any_number_type():
    expected = puresid.assign(whole_vectors(), books())
    for dtype in ("int64", "float16", "float64", ">f4"):
        assert same(puresid.assign(whole_vectors(), books(dtype)), expected)


def test_lists_are_arrays():
    plain = [book.tolist() for book in books()]
    assert same(
        puresid.assign(whole_vectors().tolist(), plain), puresid.assign(whole_vectors(), books())
    )


def test_read_only_and_unaligned_vectors():
    expected = puresid.assign(whole_vectors(), books())
    frozen = whole_vectors()
    frozen.setflags(write=False)
    assert same(puresid.assign(frozen, books()), expected)
    raw = np.frombuffer(b"x" + whole_vectors().tobytes(), dtype=np.uint8)[1:]
    unaligned = raw.view(np.float32).reshape(-1, DIM)
    assert not unaligned.flags.aligned
    assert same(puresid.assign(unaligned, books()), expected)


def test_negative_zero_and_subnormal_numbers():
    vectors = np.array([[-0.0, 0.0], [1e-45, -1e-45], [0.0, -0.0]], np.float32)
    result = puresid.assign(vectors, books())
    zero = puresid.assign(np.zeros((3, DIM), np.float32), books())
    np.testing.assert_array_equal(result.sids, zero.sids)


# --- vectors: errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infin"), (-np.inf, "infin")]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_not_finite_vectors_are_refused(value, word, dtype):
    vectors = whole_vectors().astype(dtype)
    vectors[3, 1] = value
    vectors[5] = value
    with pytest.raises(ValueError, match=rf"vectors\[3\].*{word}"):
        puresid.assign(vectors, books())


def test_not_finite_vectors_are_found_far_down():
    vectors = np.zeros((100_000, DIM), np.float32)
    vectors[77_777, 0] = np.nan
    vectors[99_999, 0] = np.nan
    with pytest.raises(ValueError, match=r"vectors\[77,?777\].*NaN"):
        puresid.assign(vectors, books(), "nearest", threads=2)


@pytest.mark.parametrize("value", [1e30, -3e38])
def test_squares_beyond_float32_are_refused(value):
    vectors = whole_vectors()
    vectors[4, 0] = value
    with pytest.raises(ValueError, match=r"vectors\[4\].*overflow float32"):
        puresid.assign(vectors, books())


def test_float64_beyond_float32_is_refused():
    vectors = whole_vectors().astype(np.float64)
    vectors[2, 0] = 1e300
    with pytest.raises(ValueError, match=r"vectors\[2\].*(infinity|overflow float32)"):
        puresid.assign(vectors, books())


def test_wrong_dimension():
    with pytest.raises(ValueError, match=r"codebooks.*dimension 2.*vectors.*dimension 5"):
        puresid.assign(np.zeros((3, 5), np.float32), books())


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), ()])
def test_vectors_of_wrong_rank(shape):
    with pytest.raises(ValueError, match=rf"vectors.*{len(shape)}"):
        puresid.assign(np.zeros(shape, np.float32), books())


def test_vectors_of_no_dimension():
    with pytest.raises(ValueError, match=r"dimension 0|0 dimensions|shape \(3, 0\)"):
        puresid.assign(np.zeros((3, 0), np.float32), books())


@pytest.mark.parametrize("dtype", ["bool", "complex64", "U3", "O", "M8[s]"])
def test_what_is_no_real_number_is_refused(dtype):
    with pytest.raises(TypeError, match=r"vectors.*(bool|complex|<U3|str|object|datetime)"):
        puresid.assign(np.zeros((3, DIM), dtype), books())


def test_ragged_lists_are_refused():
    with pytest.raises((TypeError, ValueError), match="vectors"):
        puresid.assign([[1.0, 2.0], [3.0]], books())


# --- codebooks ------------------------------------------------------------------------------------


def test_codebook_of_another_dimension():
    odd = [*books()[:2], np.zeros((3, DIM + 1), np.float32)]
    with pytest.raises(ValueError, match=r"codebooks\[2\].*dimension 3.*dimension 2"):
        puresid.Codebooks(odd)


def test_level_without_codewords():
    with pytest.raises(ValueError, match=r"codebooks\[1\].*(no|0) codeword"):
        puresid.Codebooks([books()[0], np.zeros((0, DIM), np.float32)])


def test_no_levels():
    with pytest.raises(ValueError, match=r"codebooks.*(level|empty)"):
        puresid.Codebooks([])


def test_codewords_of_no_dimension():
    with pytest.raises(ValueError, match=r"codebooks\[0\].*(dimension 0|\(3, 0\))"):
        puresid.Codebooks([np.zeros((3, 0), np.float32)])


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (1e30, "overflow float32")]
)
def test_codewords_that_cannot_be_measured(value, word):
    odd = books()
    odd[1][2, 0] = value
    with pytest.raises(ValueError, match=rf"codebooks\[1\].*{word}"):
        puresid.Codebooks(odd)


@pytest.mark.parametrize("dtype", ["bool", "complex64", "U3", "O"])
def test_codewords_that_are_no_real_numbers(dtype):
    with pytest.raises(TypeError, match=r"codebooks\[0\]"):
        puresid.Codebooks([np.zeros((3, DIM), dtype)])


def test_codebook_of_wrong_rank():
    with pytest.raises(ValueError, match=r"codebooks\[0\].*1"):
        puresid.Codebooks([np.zeros(3, np.float32)])


def test_more_than_64_bits_are_refused():
    wide = [np.zeros((65_536, 1), np.float32)] * 5
    with pytest.raises(ValueError, match=r"need \d+ bits a SID .*more than 64"):
        puresid.assign(np.zeros((1, 1), np.float32), wide)
    with pytest.raises(ValueError, match=r"need \d+ bits a SID .*more than 64"):
        puresid.assign(np.zeros((1, 1), np.float32), [np.zeros((2, 1), np.float32)] * 65)


def test_a_size_between_powers_of_two_takes_the_bits_of_the_next():
    with pytest.raises(ValueError, match=r"need \d+ bits a SID .*more than 64"):
        puresid.assign(np.zeros((1, 1), np.float32), [np.zeros((5, 1), np.float32)] * 22)
    puresid.assign(np.zeros((1, 1), np.float32), [np.zeros((5, 1), np.float32)] * 21)


@pytest.mark.parametrize(("size", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_tokens_beyond_16_bits(size, dtype):
    grid = np.stack(np.divmod(np.arange(size), 300), axis=1).astype(np.float32)
    vectors = np.repeat(grid[-1:], 3, axis=0)
    result = puresid.assign(vectors, [grid])
    assert result.sids.dtype == dtype
    assert result.sids[0] == size - 1
    assert same(result, oracles.assign(vectors, [grid]))


# --- torch ----------------------------------------------------------------------------------------


def torch_module():
    return pytest.importorskip("torch", reason="torch is not installed")


def test_torch_tensors():
    torch = torch_module()
    expected = puresid.assign(whole_vectors(), books())
    tensor = torch.from_numpy(whole_vectors())
    for given in (
        tensor,
        tensor.clone().requires_grad_(),
        tensor.to(torch.bfloat16),
        tensor.to(torch.float16),
        tensor.to(torch.float64),
        tensor.to(torch.int64),
        tensor.T.contiguous().T,
        torch.nn.Parameter(tensor.clone()),
    ):
        assert same(puresid.assign(given, books()), expected)
    assert same(puresid.assign(tensor, [torch.from_numpy(book) for book in books()]), expected)


def test_torch_tensors_that_are_no_real_numbers():
    torch = torch_module()
    with pytest.raises(TypeError, match=r"vectors.*bool"):
        puresid.assign(torch.zeros((3, DIM), dtype=torch.bool), books())
