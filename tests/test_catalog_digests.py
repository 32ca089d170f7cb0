"""Digests of vectors against BLAKE2b of the standard library."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puresid.catalog.digests import vector_digests


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(0, 5))
def test_digests_are_blake2b(seed, dim, rows):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (rows, dim)).astype(np.float32) * np.float32(-0.5)
    plain = vectors + np.float32(0)  # without a -0
    for threads in (1, 2):
        digests = vector_digests(vectors, threads=threads)
        assert digests.shape == (rows, 2)
        assert digests.dtype == np.uint64
        for row in range(rows):
            expected = hashlib.blake2b(plain[row].astype("<f4").tobytes(), digest_size=16)
            assert digests[row].astype("<u8").tobytes() == expected.digest()


def test_digests_are_those_of_the_values():
    values = np.arange(12.0).reshape(3, 4)
    expected = vector_digests(values)
    assert len(np.unique(expected, axis=0)) == 3
    for same in (
        values.tolist(),
        values.astype(np.float16),
        values.astype(">f4"),
        values.T.copy().T,
    ):
        assert np.array_equal(vector_digests(same), expected)
    assert not np.array_equal(
        vector_digests(np.nextafter(values, np.inf, dtype=np.float32)), expected
    )


def test_vectors_that_have_no_digest_are_refused():
    with pytest.raises(ValueError, match=r"vectors\[1\] has NaN in column 0"):
        vector_digests([[0.0], [np.nan]])
    with pytest.raises(ValueError, match="vectors has 1 dimension; 2 are needed"):
        vector_digests([0.0])
    with pytest.raises(TypeError, match="vectors has dtype <U1; real numbers are needed"):
        vector_digests([["a"]])
