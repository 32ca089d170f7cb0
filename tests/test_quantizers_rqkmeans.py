"""RQKMeans beyond plain Lloyd: balanced clusters, and mini-batches from files and sources."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import puresid
from puresid import RQKMeans
from puresid.files import open_vectors


@pytest.fixture(scope="module")
def clustered() -> np.ndarray:
    """Clusters of very different sizes, which k-means leaves so."""
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((60, 8), dtype=np.float32)
    weight = 1 / np.arange(1, 61)
    rows = rng.choice(60, 3011, p=weight / weight.sum())
    return centres[rows] + rng.standard_normal((3011, 8), dtype=np.float32)


def mean_distortion(vectors: np.ndarray, model: RQKMeans) -> float:
    found = puresid.assign(vectors, model.codebooks, "nearest")
    return float(found.distortion.mean(dtype=np.float64))


def counts(sids: np.ndarray, level: int, size: int) -> np.ndarray:
    return np.bincount(sids[:, level], minlength=size)


# --- the rows' own SIDs -------------------------------------------------------------------------


def test_training_sids_are_the_nearest(clustered):
    model = RQKMeans(3, 16, n_iter=4).fit(clustered)
    assert model.training_sids.dtype == np.uint16
    np.testing.assert_array_equal(model.training_sids, model.encode(clustered))


def test_training_sids_are_not_kept_everywhere(clustered, tmp_path):
    message = r"no training_sids: fit\(vectors\) keeps them, except with batch_size"
    with pytest.raises(AttributeError, match=message):
        _ = RQKMeans().training_sids
    with pytest.raises(AttributeError, match=message):
        _ = RQKMeans(1, 4, batch_size=500).fit(clustered).training_sids
    RQKMeans(1, 4).fit(clustered).save(tmp_path / "q.safetensors")
    with pytest.raises(AttributeError, match=message):
        _ = RQKMeans.load(tmp_path / "q.safetensors").training_sids


# --- balanced -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [3011, 3008, 47, 32])
def test_balanced_clusters_are_of_equal_size(clustered, rows):
    sizes = (32, 24)
    model = RQKMeans(2, sizes, n_iter=6, balanced=True).fit(clustered[:rows])
    for level, size in enumerate(sizes):
        found = counts(model.training_sids, level, size)
        assert found.sum() == rows
        assert set(found.tolist()) <= {rows // size, -(-rows // size)}
    loose = RQKMeans(2, sizes, n_iter=6).fit(clustered[:rows])
    if rows > 1000:
        assert counts(loose.training_sids, 0, 32).max() > 2 * rows / 32


def test_balanced_history_is_of_the_balanced_assignment(clustered):
    model = RQKMeans(2, 16, n_iter=8, balanced=True).fit(clustered)
    for stop in (1, 2):
        decoded = np.zeros(clustered.shape)
        for level in range(stop):
            decoded += model.codebooks[level][model.training_sids[:, level]]
        distance = np.square(clustered - decoded).sum(1).mean()
        np.testing.assert_allclose(model.history[stop - 1][-1], distance, rtol=1e-4)


def test_balanced_assignment_is_nearly_the_cheapest(clustered):
    """Beside the optimum of SciPy, with each codeword as often as it has rows."""
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is missing")
    rows = clustered[:400]
    model = RQKMeans(1, 12, n_iter=5, balanced=True).fit(rows)
    tokens = model.training_sids[:, 0]
    costs = np.square(rows[:, None] - model.codebooks[0][None].astype(np.float64)).sum(2)
    places = np.repeat(np.arange(12), np.bincount(tokens))
    best = costs[:, places][optimize.linear_sum_assignment(costs[:, places])].sum()
    ours = costs[np.arange(400), tokens].sum()
    assert best <= ours * (1 + 1e-6)
    assert ours <= best * 1.006


def test_balance_costs_some_distortion(clustered):
    loose = RQKMeans(1, 16, n_iter=10).fit(clustered).history[0][-1]
    equal = RQKMeans(1, 16, n_iter=10, balanced=True).fit(clustered).history[0][-1]
    assert loose < equal < 2 * loose


@pytest.mark.parametrize("distinct", [1, 2, 5])
def test_balanced_with_equal_rows(distinct):
    rows = np.repeat(np.arange(distinct, dtype=np.float32)[:, None], 40, axis=0)
    model = RQKMeans(2, 7, balanced=True).fit(rows)
    found = counts(model.training_sids, 0, 7)
    assert found.max() - found.min() <= 1
    assert np.isfinite(model.history[0]).all()


@given(
    rows=hnp.arrays(
        np.float32,
        st.tuples(st.integers(5, 40), st.integers(1, 3)),
        elements=st.integers(-3, 3).map(float),
    ),
    size=st.integers(1, 5),
    seed=st.integers(0, 3),
)
def test_balanced_properties(rows, size, seed):
    model = RQKMeans(2, size, n_iter=3, balanced=True, random_state=seed).fit(rows)
    for level in range(2):
        found = counts(model.training_sids, level, size)
        assert found.min() == len(rows) // size
        assert found.max() == -(-len(rows) // size)
        # A mean rounded to float32 is no longer quite the best.
        assert (np.diff(model.history[level]) <= 1e-6).all()


def test_balanced_in_batches_is_refused():
    with pytest.raises(ValueError, match=r"batch_size is 64 and balanced is True; .* all rows"):
        RQKMeans(balanced=True, batch_size=64)


# --- mini-batches -------------------------------------------------------------------------------


def batches(rows: np.ndarray, *cuts: int):
    return puresid.Batches(lambda: np.split(rows, cuts), shape=rows.shape)


def test_batches_from_wherever_are_the_same_bytes(clustered, tmp_path):
    def train(vectors) -> RQKMeans:
        return RQKMeans(2, 16, n_iter=3, batch_size=700).fit(vectors)

    expected = train(clustered)
    np.save(tmp_path / "v.npy", clustered)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    for vectors in (
        mapped,
        open_vectors(tmp_path / "v.npy"),
        batches(clustered, 1, 2, 1000),
        batches(clustered, 700, 700, 1400, 3011),
        batches(clustered),
    ):
        model = train(vectors)
        assert model.codebooks == expected.codebooks
        assert model.history == expected.history


def test_halves_are_read_as_floats(clustered):
    halves = clustered.astype(np.float16)
    model = RQKMeans(2, 16, n_iter=2, batch_size=500)
    expected = model.fit(halves.astype(np.float32)).codebooks
    assert model.fit(halves).codebooks == expected
    assert model.fit(batches(halves, 123)).codebooks == expected


@pytest.mark.parametrize("batch_size", [64, 700, 10_000])
@pytest.mark.parametrize("order", ["shuffled", "sorted"])
def test_batches_come_near_to_lloyd(clustered, batch_size, order):
    """Sorted, each batch has rows of a few clusters only."""
    rows = clustered if order == "shuffled" else clustered[np.argsort(clustered[:, 0])]
    whole = mini = 0.0
    for seed in range(4):
        whole += mean_distortion(rows, RQKMeans(2, 16, random_state=seed).fit(rows))
        model = RQKMeans(2, 16, random_state=seed, batch_size=batch_size)
        mini += mean_distortion(rows, model.fit(rows))
    assert mini < 1.05 * whole


def test_passes_mend_a_poor_sample():
    """A quarter of the rows are of a kind that the sample hardly has."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20_000, 4), dtype=np.float32)
    rows[::1000, 0] += 300 + 50 * np.arange(20, dtype=np.float32)
    model = RQKMeans(1, 32, n_iter=12, batch_size=512).fit(rows)
    assert model.history[0][-1] < 0.5 * model.history[0][0]
    assert len(np.unique(model.encode(rows)[:, 0])) == 32


def test_a_codeword_that_no_row_is_nearest_to_moves():
    from puresid.quantizers.minibatch import _Level

    rng = np.random.default_rng(1)
    rows = rng.standard_normal((400, 3), dtype=np.float32)
    level = _Level(rows, 8, 0, 1)
    level.codewords[2] = level._exact[2] = 1000
    before = level.take(rows, [])
    level.end_pass(rows)
    assert np.abs(level.codewords[2]).max() < 10
    assert level.take(rows, []) < before


def test_it_reads_a_batch_at_a_time(clustered):
    """No batch is asked for while another is held, and each pass reads all."""
    reads = []

    class Source:
        shape = clustered.shape

        def batches(self):
            for first in range(0, len(clustered), 100):
                reads.append(first)
                yield clustered[first : first + 100]

    model = RQKMeans(2, 16, n_iter=2, batch_size=300).fit(Source())
    passes = 1 + sum(len(level) for level in model.history)
    assert reads == list(range(0, len(clustered), 100)) * passes


def test_memory_does_not_grow_with_the_rows(run_python, tmp_path):
    """A mapped file of 128 MB: what is held beside it stays far below its size."""
    path = tmp_path / "v.npy"
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(1_000_000, 32))
    file[:] = np.random.default_rng(0).standard_normal((1000, 32), dtype=np.float32).repeat(1000, 0)
    file.flush()
    del file
    script = f"""
import numpy as np, puresid, tracemalloc
vectors = np.load({str(path)!r}, mmap_mode="r")
tracemalloc.start()
puresid.RQKMeans(1, 8, n_iter=1, batch_size=8192, threads=1).fit(vectors)
print(tracemalloc.get_traced_memory()[1])
"""
    assert int(run_python(script)) < 24e6


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (1.5, TypeError), ("4", TypeError)])
def test_batch_sizes_that_are_none(value, error):
    with pytest.raises(error, match=r"batch_size is '?[0-9.]+'?; "):
        RQKMeans(batch_size=value)


def test_sources_that_do_not_keep_their_word(clustered):
    model = RQKMeans(1, 4, batch_size=500)
    short = puresid.Batches(lambda: [clustered[:100]], shape=clustered.shape)
    with pytest.raises(ValueError, match=r"vectors has 100 rows; shape announces 3011"):
        model.fit(short)
    long = puresid.Batches(lambda: [clustered], shape=(100, 8))
    with pytest.raises(ValueError, match=r"vectors has more rows than the 100 that shape announce"):
        model.fit(long)
    wide = puresid.Batches(lambda: [clustered[:, :3]], shape=clustered.shape)
    with pytest.raises(ValueError, match=r"batch 0 of vectors has shape \(3011, 3\)"):
        model.fit(wide)
    few = puresid.Batches(lambda: [clustered[:3]], shape=(3, 8))
    with pytest.raises(ValueError, match=r"vectors has 3 rows; a codebook of 4 codewords needs"):
        model.fit(few)


def test_real_catalogues(data_folder: Path):
    """Mini-batches and balance on Beauty: what they cost beside plain residual k-means."""
    vectors = np.load(data_folder / "beauty" / "sasrec_32d.npy")
    whole = mean_distortion(vectors, RQKMeans(2, 256, n_iter=10).fit(vectors))
    mini = RQKMeans(2, 256, n_iter=10, batch_size=2048).fit(vectors)
    assert mean_distortion(vectors, mini) < 1.05 * whole
    equal = RQKMeans(2, 256, n_iter=10, balanced=True).fit(vectors)
    assert equal.history[-1][-1] < 1.1 * whole


def test_many_levels():
    vectors = np.random.default_rng(0).standard_normal((50, 4))
    assert RQKMeans(64, 2, n_iter=2).fit(vectors).codebooks.n_levels == 64
