"""What holds of every answer, whatever the input: hypothesis looks for one where it does not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import puresid
from strategies import (
    Instance,
    float_instances,
    lattice_instances,
    methods,
    searches,
    threads,
    tier_options,
)

any_instance = lattice_instances() | float_instances()


def rows(sids: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(sid) for sid in sids.tolist()]


@given(any_instance, methods, threads, st.data())
def test_unique_in_range_and_never_a_published_one(instance, method, threads, data):
    tiers = data.draw(tier_options(instance.sizes))
    result = puresid.assign(
        instance.vectors, instance.books, method, tiers=tiers, threads=threads, **instance.options
    )
    sids = rows(result.sids)
    published = instance.options.get("taken", np.empty((0, len(instance.books)), int))
    assert len(set(sids)) == len(instance.vectors)
    assert (result.sids < np.array(instance.sizes)).all()
    assert not set(sids) & set(rows(published))
    assert result.n_taken == len(published)
    assert result.sids.dtype == np.uint16
    assert result.stages.dtype == np.int8
    assert result.distortion.dtype == np.float32
    assert result.sids.flags.c_contiguous
    assert result.sizes == tuple(instance.sizes)
    assert result.method == method


@given(any_instance, searches, st.data())
def test_a_row_is_its_priority_and_not_its_place(instance, method, data):
    n = len(instance.vectors)
    priority = np.array(data.draw(st.permutations(range(n))))
    moved = np.array(data.draw(st.permutations(range(n))))
    options = instance.options
    before = puresid.assign(instance.vectors, instance.books, method, priority=priority, **options)
    after = puresid.assign(
        instance.vectors[moved], instance.books, method, priority=priority[moved], **options
    )
    np.testing.assert_array_equal(after.sids, before.sids[moved])
    np.testing.assert_array_equal(after.stages, before.stages[moved])
    np.testing.assert_array_equal(after.distortion, before.distortion[moved])


@given(lattice_instances(taken=False) | float_instances(), searches, st.data())
def test_additions_move_nothing_that_is_published(instance, method, data):
    """The nightly job: yesterday's items keep their SIDs, today's items get new ones."""
    n = len(instance.vectors)
    cut = data.draw(st.integers(0, n))
    first = puresid.assign(instance.vectors[:cut], instance.books, method)
    second = puresid.assign(instance.vectors[cut:], instance.books, method, taken=first.sids)
    assert len({*rows(first.sids), *rows(second.sids)}) == n
    assert second.n_taken == cut

    # A published SID is as good as an owner that comes first: who is first never depends on the
    # items that come later, so the same items at the front of one long run own the same at stage 0.
    whole = puresid.assign(instance.vectors, instance.books, method)
    nearest = puresid.assign(instance.vectors[:cut], instance.books, "nearest")
    np.testing.assert_array_equal(whole.stages[:cut] == 0, nearest.stages == 0)


@given(any_instance, searches)
def test_stages_agree_with_the_sids(instance, method):
    options = instance.options
    result = puresid.assign(instance.vectors, instance.books, method, **options)
    nearest = puresid.assign(instance.vectors, instance.books, "nearest", **options)
    partial = puresid.assign(instance.vectors, instance.books, method, complete=False, **options)
    owners = result.stages == 0
    np.testing.assert_array_equal(owners, nearest.stages == 0)
    np.testing.assert_array_equal(result.sids[owners], nearest.sids[owners])
    assert (result.sids[~owners] != nearest.sids[~owners]).any(axis=1).all()
    assert set(nearest.stages.tolist()) <= {0, -1}
    assert set(result.stages.tolist()) <= set(range(len(result.tiers) + 2))

    # Completion comes after the tiers and takes nothing from them.
    done = partial.stages >= 0
    np.testing.assert_array_equal(partial.sids[done], result.sids[done])
    np.testing.assert_array_equal(partial.stages[done], result.stages[done])
    np.testing.assert_array_equal(partial.sids[~done], nearest.sids[~done])
    assert (result.stages[~done] == len(result.tiers) + 1).all()


@given(any_instance, st.sampled_from(["ecm", "rrs", "nearest"]))
def test_distortion_is_that_of_the_sid(instance, method):
    result = puresid.assign(instance.vectors, instance.books, method, **instance.options)
    rest = instance.vectors.astype(np.float64)
    scale = np.square(rest).sum(axis=1)
    for level, book in enumerate(instance.books):
        chosen = book.astype(np.float64)[result.sids[:, level]]
        rest = rest - chosen
        # The residual is rounded to float32 at each level, so the error is relative to these.
        scale = np.maximum(scale, np.square(chosen).sum(axis=1))
    error = np.abs(result.distortion - np.square(rest).sum(axis=1))
    assert (error <= 1e-5 * scale).all()


@given(float_instances())
def test_the_nearest_sid_is_the_nearest(instance):
    """In float64 no token is nearer at any level than the one taken, but for rounding."""
    result = puresid.assign(instance.vectors, instance.books, "nearest")
    rest = instance.vectors.astype(np.float64)
    for level, book in enumerate(instance.books):
        wide = book.astype(np.float64)
        distances = np.square(rest[:, None, :] - wide[None]).sum(axis=2)
        tokens = result.sids[:, level].astype(int)
        taken = distances[np.arange(len(rest)), tokens]
        assert (taken <= distances.min(axis=1) * (1 + 1e-4) + 1e-5 * distances.max()).all()
        rest = rest - wide[tokens]


@given(lattice_instances(taken=False), st.data())
def test_suffix_is_unique(instance, data):
    n = len(instance.vectors)
    priority = data.draw(st.none() | st.lists(st.integers(-2, 2), min_size=n, max_size=n))
    result = puresid.assign(instance.vectors, instance.books, "suffix", priority=priority)
    nearest = puresid.assign(instance.vectors, instance.books, "nearest", priority=priority)
    assert result.sids.shape == (n, len(instance.books) + 1)
    assert len(set(rows(result.sids))) == n
    np.testing.assert_array_equal(result.sids[:, :-1], nearest.sids)
    np.testing.assert_array_equal(result.sids[:, -1] == 0, nearest.stages == 0)
    assert (result.stages == 0).all()


@given(float_instances(), searches, st.integers(-8, 8))
def test_a_power_of_two_changes_nothing_but_the_scale(instance, method, power):
    """Scaling by a power of two is exact, so every comparison comes out the same."""
    factor = np.float32(2.0**power)
    before = puresid.assign(instance.vectors, instance.books, method)
    after = puresid.assign(
        factor * instance.vectors, [factor * book for book in instance.books], method
    )
    np.testing.assert_array_equal(after.sids, before.sids)
    np.testing.assert_array_equal(after.stages, before.stages)
    np.testing.assert_array_equal(after.distortion, factor * factor * before.distortion)


@given(any_instance, searches)
def test_the_summary_adds_up(instance, method):
    result = puresid.assign(instance.vectors, instance.books, method, **instance.options)
    summary = result.summary()
    n = len(instance.vectors)
    assert summary.items == summary.unique == n
    assert summary.conflicts == np.count_nonzero(result.stages)
    assert sum(summary.stage_counts.values()) == n
    for stage, count in summary.stage_counts.items():
        assert count == np.count_nonzero(result.stages == stage)
    assert summary.capacity == instance.capacity
    assert np.isclose(summary.load, (n + result.n_taken) / instance.capacity)
    assert np.isclose(summary.distortion, result.distortion.mean(dtype=np.float64))
    assert str(n) in str(summary)


def test_the_input_is_left_alone():
    rng = np.random.default_rng(0)
    instance = Instance(
        rng.standard_normal((50, 4), dtype=np.float32),
        [rng.standard_normal((4, 4), dtype=np.float32) for _ in range(3)],
    )
    vectors = instance.vectors.copy()
    books = [book.copy() for book in instance.books]
    priority, taken = np.arange(50), np.array([[0, 0, 0]])
    for array in (vectors, *books, priority, taken):
        array.setflags(write=False)
    puresid.assign(vectors, books, priority=priority, taken=taken)
    np.testing.assert_array_equal(vectors, instance.vectors)
