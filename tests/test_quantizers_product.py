"""ProductQuantizer: k-means in slices, and a rotation that pays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import puresid
from puresid import ProductQuantizer, RQKMeans
from puresid.quantizers.rotation import nearest_rotation


@pytest.fixture(scope="module")
def correlated() -> np.ndarray:
    """Two columns in three follow from the others: PQ alone spends its bits badly."""
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((1500, 4)) * [5, 3, 2, 1]
    mixed = hidden @ rng.standard_normal((4, 12)) + 0.1 * rng.standard_normal((1500, 12))
    return mixed.astype(np.float32)


def mean_distortion(vectors: np.ndarray, model: ProductQuantizer) -> float:
    found = puresid.assign(vectors, model.codebooks, "nearest")
    return float(found.distortion.mean(dtype=np.float64))


def random_rotation(dim: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(3).standard_normal((dim, dim)))[0]


def test_what_it_makes(correlated):
    model = ProductQuantizer(3, (16, 8, 4), n_iter=4, rotation_iter=3).fit(correlated)
    books = model.codebooks
    assert (books.space, books.sizes, books.dim) == ("product", (16, 8, 4), 12)
    assert books.rotation.shape == (12, 12)
    product = books.rotation.astype(np.float64) @ books.rotation.T
    np.testing.assert_allclose(product, np.eye(12), atol=1e-5)
    assert len(model.history) == 3
    assert 1 <= len(model.rotation_history) <= 3


@pytest.mark.parametrize(
    ("dim", "levels", "widths"), [(12, 3, [4, 4, 4]), (11, 3, [4, 4, 3]), (10, 4, [3, 3, 2, 2])]
)
def test_uneven_slices(correlated, dim, levels, widths):
    model = ProductQuantizer(levels, 8, rotation="none", n_iter=3).fit(correlated[:, :dim])
    assert [level.shape[1] for level in model.codebooks] == widths
    turned = ProductQuantizer(levels, 8, n_iter=3, rotation_iter=2).fit(correlated[:, :dim])
    assert [level.shape[1] for level in turned.codebooks] == widths
    assert turned.encode(correlated[:, :dim]).shape == (len(correlated), levels)


def test_each_slice_is_k_means(correlated):
    model = ProductQuantizer(3, 8, rotation="none", n_iter=5, random_state=2).fit(correlated)
    assert model.codebooks.rotation is None
    assert model.rotation_history == ()
    plain = RQKMeans(1, 8, n_iter=5, random_state=2).fit(correlated[:, :4])
    np.testing.assert_array_equal(model.codebooks[0], plain.codebooks[0])
    assert model.history[0] == plain.history[0]


def test_history_adds_up_to_the_distortion(correlated):
    for rotation in ("none", "opq", random_rotation(12)):
        model = ProductQuantizer(3, 8, rotation=rotation, n_iter=5, rotation_iter=5).fit(correlated)
        total = sum(level[-1] for level in model.history)
        np.testing.assert_allclose(mean_distortion(correlated, model), total, rtol=1e-4)


def test_a_rotation_pays_on_correlated_columns(correlated):
    plain = ProductQuantizer(3, 16, rotation="none").fit(correlated)
    turned = ProductQuantizer(3, 16).fit(correlated)
    assert mean_distortion(correlated, turned) < 0.7 * mean_distortion(correlated, plain)
    history = np.array(turned.rotation_history)
    assert (np.diff(history) < 0).all()
    # K-means on the rotation that was found begins where the search for it ended.
    start = sum(level[0] for level in turned.history)
    np.testing.assert_allclose(start, history[-1], rtol=1e-5)


def test_alternation_is_better_than_its_start(correlated):
    once = ProductQuantizer(3, 16, rotation_iter=1).fit(correlated)
    often = ProductQuantizer(3, 16, rotation_iter=30).fit(correlated)
    assert mean_distortion(correlated, often) < 0.995 * mean_distortion(correlated, once)


@pytest.mark.parametrize("seed", range(3))
def test_a_rotation_costs_nothing_where_columns_are_alike(seed):
    """Independent columns of one spread: there is nothing to gain, nor to lose."""
    rows = np.random.default_rng(seed).standard_normal((1000, 8)).astype(np.float32)
    plain = ProductQuantizer(2, 16, rotation="none").fit(rows)
    turned = ProductQuantizer(2, 16).fit(rows)
    assert mean_distortion(rows, turned) < 1.01 * mean_distortion(rows, plain)


def test_a_given_rotation_is_kept(correlated):
    rotation = random_rotation(12)
    model = ProductQuantizer(3, 8, rotation=rotation, n_iter=4).fit(correlated)
    np.testing.assert_array_equal(model.codebooks.rotation, rotation.astype(np.float32))
    turned = model.codebooks.transform(correlated)
    plain = ProductQuantizer(3, 8, rotation="none", n_iter=4).fit(turned)
    assert all(map(np.array_equal, model.codebooks, plain.codebooks))
    np.testing.assert_array_equal(model.encode(correlated), plain.encode(turned))


def test_columns_that_say_nothing(correlated):
    """Constant and repeated columns leave the covariance without full rank."""
    rows = np.concatenate([correlated, correlated[:, :3], np.full((1500, 3), 9)], axis=1)
    model = ProductQuantizer(3, 16).fit(rows)
    assert np.isfinite(model.codebooks.rotation).all()
    plain = ProductQuantizer(3, 16, rotation="none").fit(rows)
    assert mean_distortion(rows, model) < mean_distortion(rows, plain)


def test_all_rows_equal():
    model = ProductQuantizer(2, 2).fit(np.full((9, 5), 3, np.float32))
    assert mean_distortion(np.full((9, 5), 3, np.float32), model) < 1e-8


@given(
    rows=hnp.arrays(
        np.float32,
        st.tuples(st.integers(4, 30), st.integers(3, 7)),
        elements=st.integers(-3, 3).map(float),
    ),
    levels=st.integers(1, 3),
    size=st.integers(1, 4),
    rotation=st.sampled_from(["opq", "none"]),
)
def test_properties(rows, levels, size, rotation):
    model = ProductQuantizer(levels, size, rotation=rotation, n_iter=2, rotation_iter=3).fit(rows)
    assert model.codebooks.sizes == (size,) * levels
    widths = [level.shape[1] for level in model.codebooks]
    assert sum(widths) == rows.shape[1]
    assert max(widths) - min(widths) <= 1
    assert widths == sorted(widths, reverse=True)
    sids = model.encode(rows)
    distance = np.square(rows - model.decode(sids).astype(np.float64)).sum(1).mean()
    total = sum(level[-1] for level in model.history)
    np.testing.assert_allclose(distance, total, rtol=1e-3, atol=1e-4)


def test_as_good_as_faiss(correlated):
    faiss = pytest.importorskip("faiss", reason="faiss, of the extra 'bench', is missing")
    matrix = faiss.OPQMatrix(12, 3)
    matrix.train(correlated)
    turned = matrix.apply(correlated)
    theirs = faiss.ProductQuantizer(12, 3, 6)
    theirs.train(turned)
    decoded = theirs.decode(theirs.compute_codes(turned))
    distance = np.square(turned - decoded).sum(1).mean(dtype=np.float64)
    ours = ProductQuantizer(3, 64).fit(correlated)
    assert mean_distortion(correlated, ours) < 1.01 * distance


@pytest.mark.parametrize("dim", [1, 2, 5, 40])
@pytest.mark.parametrize("decades", [0, 3, 6, 30])
def test_the_nearest_rotation_is_the_one_of_the_svd(dim, decades):
    """But for directions whose singular values are below a hundred-thousandth of the greatest."""
    rng = np.random.default_rng(dim)
    for _ in range(5):
        left, right, before = (np.linalg.qr(rng.standard_normal((dim, dim)))[0] for _ in range(3))
        matrix = left * np.logspace(20, 20 - decades, dim) @ right
        found = nearest_rotation(matrix.astype(np.float32), before.astype(np.float32), 1)
        exact = found.astype(np.float64)
        np.testing.assert_allclose(exact @ exact.T, np.eye(dim), atol=1e-5)
        # What is sought is the greatest trace of the product, the sum of the singular values.
        sought = np.logspace(20, 20 - decades, dim).sum()
        assert (exact * matrix).sum() > (1 - 1e-4) * sought


def test_the_nearest_rotation_to_nothing_is_the_one_before():
    before = random_rotation(6).astype(np.float32)
    found = nearest_rotation(np.zeros((6, 6), np.float32), before, 1)
    np.testing.assert_allclose(found, before, atol=1e-5)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", ["OPQ", "pca", ""])
def test_rotations_that_are_no_word(rotation):
    with pytest.raises(ValueError, match=rf"rotation is '{rotation}'; 'opq', 'none' or an array"):
        ProductQuantizer(rotation=rotation)


def test_rotations_that_do_not_fit(correlated):
    with pytest.raises(ValueError, match=r"rotation has shape \(3, 3\); vectors have dimension 12"):
        ProductQuantizer(3, 8, rotation=np.eye(3)).fit(correlated)
    with pytest.raises(ValueError, match=r"rotation has shape \(12,\); vectors have dimension 12"):
        ProductQuantizer(3, 8, rotation=np.ones(12)).fit(correlated)
    with pytest.raises(ValueError, match=r"rotation is off by 3: its rows must have length 1"):
        ProductQuantizer(3, 8, rotation=2 * np.eye(12)).fit(correlated)


def test_fewer_columns_than_levels(correlated):
    with pytest.raises(ValueError, match=r"vectors have dimension 2; 3 levels need as many"):
        ProductQuantizer(3, 8).fit(correlated[:, :2])


def test_fewer_rows_than_codewords(correlated):
    with pytest.raises(ValueError, match=r"vectors has 15 rows; a codebook of 16 codewords needs"):
        ProductQuantizer(2, (8, 16)).fit(correlated[:15])


@pytest.mark.parametrize("name", ["n_levels", "codebook_size", "rotation_iter"])
def test_numbers_below_one(name):
    with pytest.raises(ValueError, match=rf"{name} is 0; at least 1 is needed"):
        ProductQuantizer(**{name: 0})


def test_no_rotation_history_before_fit():
    with pytest.raises(AttributeError, match=r"has no rotation_history yet; call fit"):
        _ = ProductQuantizer().rotation_history
