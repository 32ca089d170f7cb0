"""Options of `assign`: what they take, and what of them is refused."""

import numpy as np
import pytest

import oracles
import puresid
from oracles import same

LEVELS, SIZE, DIM = 3, 4, 2
EQUAL = np.ones((6, DIM), np.float32)


def books() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(-4, 5, (SIZE, DIM)).astype(np.float32) for _ in range(LEVELS)]


def whole_vectors(n: int = 8) -> np.ndarray:
    return np.random.default_rng(1).integers(-4, 5, (n, DIM)).astype(np.float32)


# --- priority -------------------------------------------------------------------------------------


def test_higher_priority_comes_first():
    result = puresid.assign(EQUAL, books(), priority=[1, 5, 3, 5, -2, 0])
    expected = oracles.assign(EQUAL, books(), priority=[1, 5, 3, 5, -2, 0])
    assert result.stages.tolist().index(0) == 1
    np.testing.assert_array_equal(result.sids, expected.sids)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "float16", "float32", ">i8"])
def test_priority_of_any_number_type(dtype):
    numbers = [1, 5, 3, 5, 2, 0]
    expected = puresid.assign(EQUAL, books(), priority=np.array(numbers, np.float64))
    assert same(puresid.assign(EQUAL, books(), priority=np.array(numbers, dtype)), expected)
    assert same(puresid.assign(EQUAL, books(), priority=numbers), expected)


@pytest.mark.parametrize(
    "priority",
    [
        np.array([0, 2**53, 2**53 + 1, 2**53 + 2, 2**53 + 1, -1]),
        np.array([2**63, 2**63 + 1, 2**64 - 1, 2**64 - 2, 0, 1], np.uint64),
        np.array([-(2**63), -(2**63) + 1, 2**63 - 1, 2**63 - 2, 0, 1]),
    ],
)
def test_priorities_beyond_what_a_float_can_hold(priority):
    """Timestamps in nanoseconds are such numbers."""
    result = puresid.assign(EQUAL, books(), priority=priority)
    expected = oracles.assign(EQUAL, books(), priority=priority)
    np.testing.assert_array_equal(result.sids, expected.sids)


def test_infinite_priority_is_a_priority():
    priority = np.array([0, -np.inf, 1, np.inf, np.inf, -np.inf])
    result = puresid.assign(EQUAL, books(), priority=priority)
    expected = oracles.assign(EQUAL, books(), priority=priority)
    np.testing.assert_array_equal(result.sids, expected.sids)


@pytest.mark.parametrize("n", [0, 5, 7])
def test_priority_of_wrong_length(n):
    with pytest.raises(ValueError, match=rf"priority.*{n}.*6"):
        puresid.assign(EQUAL, books(), priority=np.zeros(n))


def test_priority_of_wrong_rank():
    with pytest.raises(ValueError, match=r"priority.*\(6, 1\)|priority.*2"):
        puresid.assign(EQUAL, books(), priority=np.zeros((6, 1)))


def test_priority_that_is_not_a_number():
    with pytest.raises(ValueError, match=r"priority\[2\].*NaN"):
        puresid.assign(EQUAL, books(), priority=[0, 1, np.nan, 2, np.nan, 3])


@pytest.mark.parametrize("dtype", ["U3", "complex128", "O"])
def test_priority_that_cannot_be_ordered(dtype):
    with pytest.raises(TypeError, match="priority"):
        puresid.assign(EQUAL, books(), priority=np.zeros(6, dtype))


# --- other options --------------------------------------------------------------------------------


def test_unknown_method():
    with pytest.raises(
        ValueError, match=r"method.*'faiss'.*ecm.*rrs.*beam.*optimal.*nearest.*suffix"
    ):
        puresid.assign(whole_vectors(), books(), "faiss")


@pytest.mark.parametrize("method", [None, 3, b"ecm"])
def test_method_of_another_type(method):
    with pytest.raises((TypeError, ValueError), match="method"):
        puresid.assign(whole_vectors(), books(), method)


def test_options_are_keywords_only():
    with pytest.raises(TypeError, match="positional"):
        puresid.assign(whole_vectors(), books(), "ecm", None)


@pytest.mark.parametrize("value", [-1.0, np.nan, -np.inf])
def test_max_distortion_below_nothing(value):
    with pytest.raises(ValueError, match=r"max_distortion.*(-1|nan|-inf)"):
        puresid.assign(EQUAL, books(), max_distortion=value)


@pytest.mark.parametrize("value", ["1", [1.0], object()])
def test_max_distortion_of_another_type(value):
    with pytest.raises(TypeError, match="max_distortion"):
        puresid.assign(EQUAL, books(), max_distortion=value)


@pytest.mark.parametrize("value", [3, np.float32(3), np.int64(3)])
def test_max_distortion_of_any_number_type(value):
    expected = puresid.assign(EQUAL, books(), max_distortion=3.0)
    assert same(puresid.assign(EQUAL, books(), max_distortion=value), expected)


@pytest.mark.parametrize("threads", [0, -1, -(2**40)])
def test_threads_below_one(threads):
    with pytest.raises(ValueError, match=rf"threads.*{threads}"):
        puresid.assign(EQUAL, books(), threads=threads)


@pytest.mark.parametrize("threads", [1.5, "2"])
def test_threads_of_another_type(threads):
    with pytest.raises(TypeError, match="threads"):
        puresid.assign(EQUAL, books(), threads=threads)


@pytest.mark.parametrize("method", ["ecm", "rrs", "beam", "optimal", "nearest", "suffix"])
def test_more_threads_than_items(method):
    one = puresid.assign(EQUAL[:2], books(), method, threads=1)
    assert same(puresid.assign(EQUAL[:2], books(), method, threads=64), one)


def test_silent_unless_progress_is_asked_for(capfd):
    puresid.assign(EQUAL, books())
    assert capfd.readouterr() == ("", "")


def test_progress_changes_no_result(capfd):
    shown = puresid.assign(EQUAL, books(), progress=True)
    assert capfd.readouterr().out == ""
    assert same(shown, puresid.assign(EQUAL, books()))
