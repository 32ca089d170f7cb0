"""HierarchicalKMeans: every node is k-means, and every node has all its codewords."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import puresid
from puresid import HierarchicalKMeans, RQKMeans


@pytest.fixture(scope="module")
def clustered() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((60, 5), dtype=np.float32)
    noise = rng.standard_normal((2000, 5), dtype=np.float32)
    return centres[rng.integers(0, 60, 2000)] + noise


def test_what_it_makes(clustered):
    model = HierarchicalKMeans((8, 4, 3), n_iter=6).fit(clustered)
    books = model.codebooks
    assert (books.space, books.sizes, books.capacity) == ("tree", (8, 4, 3), 96)
    assert [level.shape for level in books] == [(8, 5), (8, 4, 5), (8, 4, 3, 5)]
    assert [len(level) for level in model.history] == [7, 7, 7]


def test_the_root_is_plain_k_means(clustered):
    root = HierarchicalKMeans((16, 2), n_iter=6, random_state=5).fit(clustered)
    plain = RQKMeans(1, 16, n_iter=6, random_state=5).fit(clustered)
    np.testing.assert_array_equal(root.codebooks[0], plain.codebooks[0])
    assert root.history[0] == plain.history[0]


def test_codewords_are_near_the_means_of_their_rows(clustered):
    """Lloyd's to its end: each codeword is the mean of the rows below it, at every level."""
    model = HierarchicalKMeans((6, 4), n_iter=500).fit(clustered)
    sids = model.encode(clustered)
    for a in range(6):
        mine = clustered[sids[:, 0] == a]
        np.testing.assert_allclose(model.codebooks[0][a], mine.mean(0), atol=1e-4)
        for b in range(4):
            mine = clustered[(sids == (a, b)).all(1)]
            np.testing.assert_allclose(model.codebooks[1][a, b], mine.mean(0), atol=1e-4)


def test_history_is_of_all_rows(clustered):
    model = HierarchicalKMeans((6, 4, 3), n_iter=5).fit(clustered)
    sids = model.encode(clustered)
    for level, history in enumerate(model.history):
        words = model.codebooks[level][tuple(sids[:, : level + 1].T)]
        distance = np.square(clustered - words.astype(np.float64)).sum(1).mean()
        np.testing.assert_allclose(history[-1], distance, rtol=1e-4)
    ends = [level[-1] for level in model.history]
    assert ends == sorted(ends, reverse=True)


def test_a_level_more_is_finer(clustered):
    coarse = HierarchicalKMeans((8,), n_iter=5).fit(clustered)
    fine = HierarchicalKMeans((8, 8), n_iter=5).fit(clustered)
    np.testing.assert_array_equal(coarse.codebooks[0], fine.codebooks[0])
    assert fine.history[-1][-1] < 0.7 * coarse.history[-1][-1]


def test_nodes_with_few_rows_have_them_and_their_centre():
    rows = np.array([[0, 0], [0, 1], [9, 9], [0, 1], [0, 0], [9, 9]], np.float32)
    model = HierarchicalKMeans((2, 4)).fit(rows)
    root, below = model.codebooks
    corner = int(root[:, 0].argmax())
    np.testing.assert_array_equal(root[corner], [9, 9])
    np.testing.assert_array_equal(root[1 - corner], [0, 0.5])
    # Different rows in the order in which they come, then the centre.
    np.testing.assert_array_equal(below[1 - corner], [[0, 0], [0, 1], [0, 0.5], [0, 0.5]])
    np.testing.assert_array_equal(below[corner], [[9, 9]] * 4)
    assert model.history[1][-1] == 0


def test_all_rows_equal():
    model = HierarchicalKMeans((3, 2)).fit(np.full((10, 2), 7, np.float32))
    assert model.codebooks.capacity == 6
    assert all((level == 7).all() for level in model.codebooks)
    assert (model.encode([[7, 7]]) == 0).all()


def test_one_row_is_enough():
    model = HierarchicalKMeans((3, 2)).fit([[1.0, 2.0]])
    assert (model.codebooks[1] == np.array([1, 2], np.float32)).all()


@given(
    rows=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 30), st.integers(1, 3)),
        elements=st.integers(-2, 2).map(float),
    ),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    seed=st.integers(0, 3),
)
def test_properties(rows, sizes, seed):
    model = HierarchicalKMeans(sizes, n_iter=3, random_state=seed).fit(rows)
    books = model.codebooks
    assert books.sizes == tuple(sizes)
    assert books.capacity == np.prod(sizes)
    for level, history in enumerate(model.history):
        assert np.isfinite(books[level]).all()
        assert (np.diff(history) <= 1e-5).all()
    lowest, highest = rows.min(0) - 1e-5, rows.max(0) + 1e-5
    assert all(((level >= lowest) & (level <= highest)).all() for level in books)
    if len(np.unique(rows, axis=0)) <= sizes[-1]:
        np.testing.assert_array_equal(model.decode(model.encode(rows)), rows)
    if len(rows) <= books.capacity:
        sids = puresid.assign(rows, books).sids
        assert len(np.unique(sids, axis=0)) == len(rows)


def test_the_paper_s_setting(data_folder):
    """256 and 96 codewords: every item of Office gets a SID of its own."""
    vectors = np.load(data_folder / "office" / "minilm_384d.npy")
    model = HierarchicalKMeans((256, 96), n_iter=10).fit(vectors)
    nearest = model.encode(vectors)
    assert len(np.unique(nearest, axis=0)) < len(vectors)
    found = puresid.assign(vectors, model.codebooks)
    assert len(np.unique(found.sids, axis=0)) == len(vectors)
    kept = (found.sids == nearest).all(1)
    assert kept.mean() > 0.99


@pytest.mark.parametrize("sizes", [256, "256", None, 2.5])
def test_sizes_that_are_no_sequence(sizes):
    with pytest.raises(TypeError, match=r"sizes is .*; one integer per level is needed"):
        HierarchicalKMeans(sizes)


def test_sizes_that_are_none():
    with pytest.raises(ValueError, match=r"sizes is empty; at least one level is needed"):
        HierarchicalKMeans(())
    with pytest.raises(ValueError, match=r"sizes\[1\] is 0; at least 1 is needed"):
        HierarchicalKMeans((4, 0))
    with pytest.raises(TypeError, match=r"sizes\[0\] is 4\.0; an integer is needed"):
        HierarchicalKMeans((4.0, 2))


def test_no_rows():
    with pytest.raises(ValueError, match=r"vectors has 0 rows"):
        HierarchicalKMeans((4, 2)).fit(np.empty((0, 3), np.float32))


def test_rows_whose_distances_underflow():
    tree = HierarchicalKMeans((2,)).fit([[0.0], [1e-30], [2e-30]])
    assert tree.codebooks.sizes == (2,)
