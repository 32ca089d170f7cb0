"""What users have, turned into what the core takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puresid import arrays


@given(
    tops=st.lists(st.sampled_from([1, 2, 5, 2**16, 2**32]), min_size=1, max_size=5),
    rows=st.integers(0, 30),
    seed=st.integers(0, 999),
)
def test_distinct_sids(tops, rows, seed):
    rng = np.random.default_rng(seed)
    sids = np.stack([rng.integers(0, top, rows) for top in tops], axis=1).astype(np.uint32)
    sids = np.concatenate([sids, sids[: rows // 2], sids[-1:]])
    if rows:
        sids[0] = np.array(tops) - 1
    known, first = np.unique(sids, axis=0, return_index=True)
    assert arrays.count_distinct(sids) == len(known)
    assert arrays.distinct_rows(sids).tolist() == first.tolist()


def test_as_many_sids_as_64_bits_have():
    sids = np.array([[2**32 - 1, 2**32 - 1], [0, 0], [2**32 - 1, 2**32 - 1]], dtype=np.uint32)
    assert arrays.count_distinct(sids) == 2
    assert arrays.distinct_rows(sids).tolist() == [1, 0]


def test_token_matrix_without_rows():
    for empty in ([], np.empty((0, 3)), np.empty(0)):
        assert arrays.token_matrix(empty, 3, "sids").shape == (0, 3)
    with pytest.raises(ValueError, match=r"sids has shape \(2, 0\); \(rows, 3\) is needed"):
        arrays.token_matrix([[], []], 3, "sids")


def test_token_prefix():
    assert arrays.token_prefix([], 3, "tokens").shape == (0,)
    assert arrays.token_prefix((2, 2**32 - 1), 3, "tokens").tolist() == [2, 2**32 - 1]
    with pytest.raises(ValueError, match=r"tokens has shape \(4,\); from 0 to 3 tokens are needed"):
        arrays.token_prefix([1, 2, 3, 4], 3, "tokens")
    with pytest.raises(TypeError, match="tokens has dtype float64; integer tokens are needed"):
        arrays.token_prefix([0.5], 3, "tokens")
