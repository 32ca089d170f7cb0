"""RQKMeans: it learns, it repeats itself, and it leaves no codeword without a use."""

import numpy as np
import pytest

import puresid


@pytest.fixture(scope="module")
def clustered() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((60, 8), dtype=np.float32)
    return centres[rng.integers(0, 60, 4000)] + rng.standard_normal((4000, 8), dtype=np.float32)


def mean_distortion(vectors: np.ndarray, codebooks: puresid.Codebooks | list[np.ndarray]) -> float:
    return float(puresid.assign(vectors, codebooks, "nearest").distortion.mean(dtype=np.float64))


def test_what_it_makes(clustered):
    model = puresid.RQKMeans(3, 32, n_iter=8)
    assert model.fit(clustered) is model
    assert isinstance(model.codebooks, puresid.Codebooks)
    assert model.codebooks.sizes == (32, 32, 32)
    assert model.codebooks.dim == 8
    assert len(model.history) == 3
    for level in model.history:
        assert 1 <= len(level) <= 9
        assert all(np.isfinite(value) and value >= 0 for value in level)


def test_a_size_per_level(clustered):
    codebooks = puresid.RQKMeans(3, (16, 8, 4), n_iter=3).fit(clustered).codebooks
    assert codebooks.sizes == (16, 8, 4)


def test_distortion_falls_from_iteration_to_iteration(clustered):
    """With many rows per codeword no cluster runs empty, and Lloyd's steps only ever improve."""
    for level in puresid.RQKMeans(3, 16, n_iter=15).fit(clustered).history:
        values = np.array(level)
        assert (np.diff(values) <= 1e-6 * values[:-1]).all()
        assert values[-1] < values[0]


def test_each_level_takes_something_off(clustered):
    model = puresid.RQKMeans(4, 16, n_iter=10).fit(clustered)
    ends = [level[-1] for level in model.history]
    assert ends == sorted(ends, reverse=True)
    partial = [
        mean_distortion(clustered, list(model.codebooks.levels[: stop + 1])) for stop in range(4)
    ]
    # The history is of codewords one step older than those that are kept.
    np.testing.assert_allclose(partial, ends, rtol=0.02)


def test_better_than_rows_drawn_at_random(clustered):
    rng = np.random.default_rng(1)
    rest, drawn = clustered, []
    for _ in range(3):
        drawn.append(rest[rng.permutation(len(rest))[:32]])
        rest = rest - drawn[-1][puresid.assign(rest, [drawn[-1]], "nearest").sids[:, 0]]
    trained = puresid.RQKMeans(3, 32).fit(clustered).codebooks
    assert mean_distortion(clustered, trained) < 0.8 * mean_distortion(clustered, drawn)


def test_as_good_as_plain_lloyd(clustered):
    """Three runs of the textbook's k-means, from random rows, in float64: the best is no better."""
    x = clustered.astype(np.float64)
    best = np.inf
    for seed in range(3):
        centres = x[np.random.default_rng(seed).permutation(len(x))[:32]]
        for _ in range(25):
            tokens = np.square(x[:, None] - centres[None]).sum(2).argmin(1)
            centres = np.stack(
                [x[tokens == k].mean(0) if (tokens == k).any() else centres[k] for k in range(32)]
            )
        best = min(best, np.square(x[:, None] - centres[None]).sum(2).min(1).mean())
    ours = mean_distortion(clustered, puresid.RQKMeans(1, 32).fit(clustered).codebooks)
    assert ours <= 1.05 * best


@pytest.mark.parametrize("copies", [1, 7])
def test_as_many_points_as_codewords(copies):
    """Each distinct point must get a codeword: an empty cluster anywhere would cost distortion."""
    rng = np.random.default_rng(2)
    points = rng.integers(-9, 10, (40, 3)).astype(np.float32)
    points = np.unique(points, axis=0)
    vectors = np.repeat(points, copies, axis=0)[rng.permutation(len(points) * copies)]
    model = puresid.RQKMeans(2, len(points)).fit(vectors)
    assert model.history[0][-1] == 0
    assert mean_distortion(vectors, model.codebooks) == 0
    np.testing.assert_array_equal(np.unique(model.codebooks[0], axis=0), points)


def test_fewer_points_than_codewords():
    """Rows enough, but only two distinct: codewords repeat, and nothing is undefined."""
    vectors = np.repeat(np.array([[1.0, 0.0], [0.0, 5.0]], np.float32), 20, axis=0)
    codebooks = puresid.RQKMeans(2, 8).fit(vectors).codebooks
    assert all(np.isfinite(level).all() for level in codebooks.levels)
    assert mean_distortion(vectors, codebooks) == 0
    result = puresid.assign(vectors, codebooks)
    assert len(np.unique(result.sids, axis=0)) == 40


def test_no_codeword_is_without_a_use(clustered):
    """Far outliers pull seeds away from the mass; codewords that run empty are refilled."""
    vectors = np.concatenate([clustered, 1000 + 100 * clustered[:8]])
    codebooks = puresid.RQKMeans(1, 64).fit(vectors).codebooks
    tokens = puresid.assign(vectors, codebooks, "nearest").sids[:, 0]
    assert len(np.unique(tokens)) == 64


def test_the_same_again(clustered):
    first = puresid.RQKMeans(2, 32, n_iter=5, random_state=3).fit(clustered)
    for _ in range(2):
        assert puresid.RQKMeans(2, 32, n_iter=5, random_state=3).fit(clustered).codebooks == (
            first.codebooks
        )
    again = puresid.RQKMeans(2, 32, n_iter=5, random_state=3).fit(clustered)
    assert again.history == first.history
    assert again.fit(clustered).codebooks == first.codebooks


def test_another_seed_is_another_answer(clustered):
    seeds = [puresid.RQKMeans(2, 32, n_iter=2, random_state=s).fit(clustered) for s in (0, 1)]
    assert seeds[0].codebooks != seeds[1].codebooks


def test_layout_and_type_do_not_matter(clustered):
    expected = puresid.RQKMeans(2, 16, n_iter=3).fit(clustered).codebooks
    for given in (np.asfortranarray(clustered), clustered.astype(np.float64), clustered.tolist()):
        assert puresid.RQKMeans(2, 16, n_iter=3).fit(given).codebooks == expected


# --- errors -------------------------------------------------------------------------------------


def test_fewer_rows_than_codewords(clustered):
    with pytest.raises(ValueError, match=r"31.*32"):
        puresid.RQKMeans(2, 32).fit(clustered[:31])
    puresid.RQKMeans(2, 32, n_iter=1).fit(clustered[:32])


def test_no_rows():
    with pytest.raises(ValueError, match=r"0.*4"):
        puresid.RQKMeans(1, 4).fit(np.empty((0, 3), np.float32))


@pytest.mark.parametrize("name", ["n_levels", "codebook_size", "n_iter", "threads"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_below_one(clustered, name, value):
    with pytest.raises(ValueError, match=rf"{name}.*{value}"):
        puresid.RQKMeans(**{name: value}).fit(clustered)


@pytest.mark.parametrize("name", ["n_levels", "n_iter", "threads", "random_state"])
@pytest.mark.parametrize("value", [1.5, "2"])
def test_numbers_that_are_not_whole(clustered, name, value):
    with pytest.raises(TypeError, match=name):
        puresid.RQKMeans(**{name: value}).fit(clustered)


@pytest.mark.parametrize("sizes", [(16, 16), (16, 16, 16, 16), ()])
def test_sizes_for_another_number_of_levels(clustered, sizes):
    with pytest.raises(ValueError, match=rf"codebook_size.*{len(sizes)}.*3"):
        puresid.RQKMeans(3, sizes).fit(clustered)


def test_a_size_of_nothing_at_one_level(clustered):
    with pytest.raises(ValueError, match=r"codebook_size\[1\].*0"):
        puresid.RQKMeans(3, (16, 0, 16)).fit(clustered)


def test_codebooks_before_fit():
    with pytest.raises((AttributeError, RuntimeError), match="fit"):
        _ = puresid.RQKMeans().codebooks


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infin")])
def test_vectors_that_are_not_finite(clustered, value, word):
    broken = clustered.copy()
    broken[17, 2] = value
    with pytest.raises(ValueError, match=rf"vectors\[17\].*{word}"):
        puresid.RQKMeans(1, 4).fit(broken)


def test_vectors_of_wrong_rank():
    with pytest.raises(ValueError, match=r"vectors.*1"):
        puresid.RQKMeans(1, 4).fit(np.zeros(9, np.float32))
