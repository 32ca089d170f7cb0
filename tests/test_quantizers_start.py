"""RQKMeans(start=…): k-means from given codewords, so that a refit keeps most tokens."""

import numpy as np
import pytest

import puresid
from puresid import Codebooks, RQKMeans


def clusters(seed: int, rows: int = 1500) -> np.ndarray:
    centres = 4 * np.random.default_rng(7).standard_normal((30, 5), dtype=np.float32)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((rows, 5), dtype=np.float32)
    return centres[rng.integers(0, 30, rows)] + noise


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clusters(0)


@pytest.fixture(scope="module")
def old(vectors) -> Codebooks:
    return RQKMeans(2, 12, n_iter=5).fit(vectors).codebooks


def lloyd(rows: np.ndarray, start: list[np.ndarray], n_iter: int):
    """Residual k-means from codewords, a row at a time; no cluster may run empty."""
    rest = rows.astype(np.float64)
    levels, tokens = [], []
    for codewords in start:
        books = codewords.astype(np.float64)
        found = np.full(len(rest), -1)
        for _ in range(n_iter + 1):
            before, found = found, np.array([np.square(books - x).sum(1).argmin() for x in rest])
            if (found == before).all() or _ == n_iter:
                break
            books = np.stack([rest[found == k].mean(0) for k in range(len(books))])
        levels.append(books)
        tokens.append(found)
        rest = rest - books[found]
    return levels, np.stack(tokens, axis=1)


@pytest.mark.parametrize("n_iter", [1, 3, 60])
def test_equals_k_means_from_these_codewords(vectors, old, n_iter):
    rows = clusters(1)
    levels, tokens = lloyd(rows, list(old), n_iter)
    model = RQKMeans(2, 12, n_iter=n_iter, start=old).fit(rows)
    for ours, theirs in zip(model.codebooks, levels, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(model.training_sids, tokens)
    assert model.codebooks != RQKMeans(2, 12, n_iter=n_iter).fit(rows).codebooks


def test_one_step_from_given_codewords_by_hand():
    start = [[[0.0], [10.0]], [[-1.0], [1.0]]]
    rows = [[1.0], [3.0], [8.0], [10.0], [12.0]]
    model = RQKMeans(2, 2, n_iter=1, start=start).fit(rows)
    assert model.codebooks[0].tolist() == [[2.0], [10.0]]
    assert model.codebooks[1].tolist() == [[-1.0], [1.5]]
    assert model.history[0][0] == pytest.approx((1 + 9 + 4 + 0 + 4) / 5)


def test_what_converged_stays(vectors):
    model = RQKMeans(2, 12, n_iter=200).fit(vectors)
    again = RQKMeans(2, 12, start=model.codebooks).fit(vectors)
    assert again.codebooks == model.codebooks
    np.testing.assert_array_equal(again.training_sids, model.training_sids)


@pytest.mark.parametrize("options", [{}, {"balanced": True}, {"batch_size": 300}])
def test_a_refit_keeps_most_tokens(vectors, old, options):
    """Beside a fresh fit of the same kind, whose tokens mean anything."""
    rng = np.random.default_rng(3)
    moved = vectors + 0.1 * rng.standard_normal(vectors.shape, dtype=np.float32)
    before = puresid.assign(vectors, old, "nearest").sids
    shares = {}
    for name, start in (("kept", old), ("fresh", None)):
        model = RQKMeans(2, 12, n_iter=3, start=start, random_state=1, **options).fit(moved)
        shares[name] = (model.encode(moved) == before).mean()
    assert shares["kept"] > 0.6
    assert shares["fresh"] < 0.4


def test_balanced_clusters_are_of_equal_size(vectors, old):
    model = RQKMeans(2, 12, n_iter=3, balanced=True, start=old).fit(vectors)
    for level in range(2):
        assert set(np.bincount(model.training_sids[:, level])) == {125}
    assert model.codebooks != RQKMeans(2, 12, n_iter=3, balanced=True).fit(vectors).codebooks


@pytest.mark.parametrize("options", [{}, {"balanced": True}])
def test_nothing_is_drawn(vectors, old, options):
    fits = [
        RQKMeans(2, 12, n_iter=2, start=old, random_state=seed, **options).fit(vectors)
        for seed in (0, 1)
    ]
    assert fits[0].codebooks == fits[1].codebooks


def test_mini_batches_draw_their_sample(vectors, old):
    fits = [
        RQKMeans(2, 12, n_iter=1, start=old, random_state=seed, batch_size=100).fit(vectors)
        for seed in (0, 1)
    ]
    assert fits[0].codebooks != fits[1].codebooks


def test_arrays_and_codebooks_are_the_same(vectors, old):
    expected = RQKMeans(2, 12, n_iter=2, start=old).fit(vectors).codebooks
    arrays = [np.asfortranarray(level.astype(np.float64)) for level in old]
    for given in (arrays, tuple(old), [level.tolist() for level in old], np.stack(list(old))):
        assert RQKMeans(2, 12, n_iter=2, start=given).fit(vectors).codebooks == expected


def test_arrays_are_taken_when_they_are_given(vectors, old):
    arrays = [level.copy() for level in old]
    model = RQKMeans(2, 12, n_iter=1, start=arrays)
    arrays[0][:] = 0
    expected = RQKMeans(2, 12, n_iter=1, start=old).fit(vectors).codebooks
    assert model.fit(vectors).codebooks == expected


def test_files_hold_it(vectors, old, tmp_path):
    path = tmp_path / "q.safetensors"
    for given in (old, list(old)):
        model = RQKMeans(2, 12, n_iter=1, start=given).fit(vectors)
        model.save(path)
        read = RQKMeans.load(path)
        assert read.start == old
        assert read.codebooks == model.codebooks == Codebooks.load(path)
        assert read.fit(vectors).codebooks == model.codebooks
    RQKMeans(2, 12, n_iter=1).fit(vectors).save(path)
    assert RQKMeans.load(path).start is None


def test_a_file_whose_start_does_not_fit(vectors, old, tmp_path):
    from puresid._codebook_files import write_codebooks

    path = tmp_path / "q.safetensors"
    parameters = RQKMeans(2, 12).get_params()
    described = {"class": "RQKMeans", "parameters": parameters, "history": [[0]], "more": {}}
    write_codebooks(old, path, more={"quantizer": described}, start=Codebooks(list(old)[:1]))
    with pytest.raises(ValueError, match=r"q\.safetensors: start has codebooks of the sizes"):
        RQKMeans.load(path)


def test_it_is_a_parameter_like_others(vectors, old):
    model = RQKMeans(2, 12, start=old).fit(vectors)
    assert model.get_params()["start"] is old
    assert model.set_params(start=None).start is None
    assert repr(RQKMeans(2, 12, start=old)) == (
        "RQKMeans(n_levels=2, codebook_size=12, start=Codebooks(sizes=(12, 12), dim=5))"
    )
    assert repr(RQKMeans(2, 12, start=list(old))) == (
        "RQKMeans(n_levels=2, codebook_size=12, start=<arrays of the shapes (12, 5), (12, 5)>)"
    )
    assert repr(RQKMeans(1, 2, start=[[[0.0], [1.0]]])).endswith("start=[[[0.0], [1.0]]])")
    array = np.zeros((1, 2, 3))
    assert repr(RQKMeans(1, 2, start=array)).endswith("start=<array of shape (1, 2, 3)>)")


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "size", "asked"),
    [(3, 12, r"\(12, 12, 12\)"), (2, 8, r"\(8, 8\)"), (2, (12, 8), r"\(12, 8\)")],
)
def test_other_sizes(old, levels, size, asked):
    message = rf"start has codebooks of the sizes \(12, 12\); n_levels .* ask for {asked}"
    with pytest.raises(ValueError, match=message):
        RQKMeans(levels, size, start=old)
    with pytest.raises(ValueError, match=message):
        RQKMeans(2, 12, start=old).set_params(n_levels=levels, codebook_size=size)


@pytest.mark.parametrize("options", [{}, {"balanced": True}, {"batch_size": 100}])
def test_another_dimension(old, options):
    message = "start has codewords of dimension 5; vectors have dimension 4"
    with pytest.raises(ValueError, match=message):
        RQKMeans(2, 12, start=old, **options).fit(np.zeros((50, 4)))


def test_codebooks_of_another_kind():
    unit = np.eye(3)
    for books, what in (
        (Codebooks([unit], space="product"), "space='product', metric='euclidean'"),
        (Codebooks([unit], metric="cosine"), "space='residual', metric='cosine'"),
        (Codebooks([unit], normalize_residuals=True), ".* normalize_residuals=True"),
    ):
        with pytest.raises(ValueError, match=f"start has {what}.* Euclidean"):
            RQKMeans(1, 3, start=books)
    turned = Codebooks([unit], rotation=unit[::-1])
    with pytest.raises(ValueError, match=r"start has a rotation or an encoder, .*start\.latent"):
        RQKMeans(1, 3, start=turned)
    RQKMeans(1, 3, start=turned.latent)


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (5, TypeError, "start is 5; Codebooks or one .* array per level are needed"),
        ("books.safetensors", TypeError, "start is 'books.safetensors'; Codebooks or one"),
        ([[["a"]]], TypeError, r"start: codebooks\[0\] has dtype <U1; real numbers"),
        ([[1.0]], ValueError, r"start: codebooks\[0\] has 1 dimension"),
        ([[[np.nan]]], ValueError, r"start: codebooks\[0\].*NaN"),
        ([], ValueError, "start: codebooks has no level; at least one is needed"),
    ],
)
def test_what_are_no_codebooks(start, error, message):
    with pytest.raises(error, match=message):
        RQKMeans(1, 1, start=start)
