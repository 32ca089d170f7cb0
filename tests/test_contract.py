"""Bit for bit what the contract says, on lattices, where there is only one right answer."""

import numpy as np
import pytest

import oracles
import puresid
from oracles import same
from strategies import Instance, every_sid, lattice_books, random_instance

METHODS = ("ecm", "rrs")
MEANINGFUL_KEYS = ("priority", "tiers", "taken", "complete", "max_distortion")


def differences(instance: Instance, method: str, threads: int) -> list[str]:
    expected = oracles.assign(instance.vectors, instance.books, method, **instance.options)
    got = puresid.assign(
        instance.vectors, instance.books, method, threads=threads, **instance.options
    )
    return [
        f"{name} of rows {np.flatnonzero(np.atleast_2d((a != b).T).any(0))[:5]} differ"
        for name, a, b in (
            ("sids", got.sids.astype(np.int64), expected.sids),
            ("stages", got.stages, expected.stages),
            ("distortion", got.distortion, expected.distortion),
        )
        if not np.array_equal(a, b)
    ]


# --- the oracles themselves -----------------------------------------------------------------------


def tiny_instances(seed: int, count: int) -> list[Instance]:
    rng = np.random.default_rng(seed)
    return [random_instance(rng, max_levels=3, max_size=4, max_items=6) for _ in range(count)]


@pytest.mark.parametrize("method", METHODS)
def test_the_naive_twin_breaks_no_rule(method):
    for number, instance in enumerate(tiny_instances(1, 200)):
        answer = oracles.assign(instance.vectors, instance.books, method, **instance.options)
        found = oracles.violations(
            instance.vectors, instance.books, method, answer.sids, answer.stages, **instance.options
        )
        assert not found, f"instance {number}: {found}"


@pytest.mark.parametrize("method", METHODS)
def test_any_other_answer_breaks_a_rule(method):
    """The list of rules has one answer only: change one row in any way, and a rule breaks."""
    changed = 0
    rng = np.random.default_rng(2)
    for instance in tiny_instances(3, 60):
        answer = oracles.assign(instance.vectors, instance.books, method, **instance.options)
        for row in range(len(instance.vectors)):
            sids, stages = answer.sids.copy(), answer.stages.copy()
            sids[row] = every_sid(instance.sizes)[rng.integers(instance.capacity)]
            stages[row] = rng.integers(-1, 4)
            if np.array_equal(sids, answer.sids) and np.array_equal(stages, answer.stages):
                continue
            changed += 1
            assert oracles.violations(
                instance.vectors, instance.books, method, sids, stages, **instance.options
            )
    assert changed > 100


def test_bulk_instances_reach_every_stage():
    rng = np.random.default_rng(10)
    reached: set[int] = set()
    options: set[str] = set()
    for _ in range(150):
        instance = random_instance(rng)
        answer = oracles.assign(instance.vectors, instance.books, **instance.options)
        reached.update(answer.stages.tolist())
        options.update(instance.options)
    assert reached >= {-1, 0, 1, 2, 3}
    assert options == set(MEANINGFUL_KEYS)


# --- the library against them ---------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_tiny_instances_by_brute_force(method):
    for number, instance in enumerate(tiny_instances(4, 200)):
        got = puresid.assign(
            instance.vectors, instance.books, method, threads=1 + number % 3, **instance.options
        )
        found = oracles.violations(
            instance.vectors, instance.books, method, got.sids, got.stages, **instance.options
        )
        assert not found, f"instance {number} {sorted(instance.options)}: {found}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(5))
def test_small_instances_in_bulk(method, seed):
    rng = np.random.default_rng([seed, 10])
    for number in range(150):
        instance = random_instance(rng)
        found = differences(instance, method, threads=1 + number % 3)
        assert not found, f"instance {number} {sorted(instance.options)}: {found}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("sizes", "n", "dim"),
    [
        ((300,), 300, 5),
        ((40, 30), 900, 6),
        ((16, 16, 16), 2000, 8),
        ((33, 17, 9), 1500, 67),
        ((5, 4, 6, 3, 7), 1200, 3),
        ((2,) * 10, 700, 4),
    ],
)
def test_medium_instances(method, sizes, n, dim):
    """Sizes and dimensions that fill whole SIMD registers and leave a rest."""
    rng = np.random.default_rng([n, dim])
    books = lattice_books(rng, list(sizes), dim, 6)
    vectors = rng.integers(-6, 7, (n, dim)).astype(np.float32)
    vectors[::3] = vectors[rng.integers(0, 40, len(vectors[::3]))]
    capacity = int(np.prod(sizes))
    taken = every_sid(list(sizes))[rng.permutation(capacity)[: (capacity - n) // 3]]
    plain = Instance(vectors, books)
    rich = Instance(vectors, books, {"priority": rng.random(n), "taken": taken})
    assert not differences(plain, method, threads=2)
    assert not differences(rich, method, threads=3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("complete", [True, False])
def test_equal_vectors(method, complete):
    """The worst conflict there is: everyone wants the same SIDs in the same order."""
    rng = np.random.default_rng(5)
    books = lattice_books(rng, [6, 5, 7], 3, 4)
    vectors = np.tile(np.array([[1.0, -2.0, 0.0]], dtype=np.float32), (210, 1))
    instance = Instance(vectors, books, {"complete": complete, "priority": rng.integers(0, 9, 210)})
    assert not differences(instance, method, threads=2)


@pytest.mark.parametrize("method", METHODS)
def test_equal_codewords(method):
    """All distances tie at every level: only the order of tokens decides."""
    books = [np.ones((k, 2), dtype=np.float32) for k in (3, 4, 5)]
    instance = Instance(np.zeros((60, 2), dtype=np.float32), books)
    assert not differences(instance, method, threads=3)
    result = puresid.assign(instance.vectors, books, method, tiers=((3, 4, 5),))
    np.testing.assert_array_equal(result.sids, every_sid([3, 4, 5]))


@pytest.mark.parametrize("method", METHODS)
def test_max_distortion_binds_the_tiers_and_nothing_else(method):
    rng = np.random.default_rng(6)
    books = lattice_books(rng, [5, 5, 5], 2, 6)
    vectors = rng.integers(-6, 7, (100, 2)).astype(np.float32)
    stages = set()
    for limit in (0.0, 1.0, 2.0, 5.0, 20.0, 1e9):
        instance = Instance(vectors, books, {"max_distortion": limit})
        assert not differences(instance, method, threads=2)
        result = puresid.assign(vectors, books, method, max_distortion=limit)
        bound = (result.stages > 0) & (result.stages <= len(result.tiers))
        assert (result.distortion[bound] <= limit).all()
        stages.update(result.stages.tolist())
    assert stages == {0, 1, 2, 3}
    unbound = puresid.assign(vectors, books, method)
    np.testing.assert_array_equal(
        unbound.sids, puresid.assign(vectors, books, method, max_distortion=np.inf).sids
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_nearest_leaves_conflicts_as_they_are(threads):
    rng = np.random.default_rng(7)
    for _ in range(100):
        instance = random_instance(rng)
        options = {k: instance.options[k] for k in ("priority",) if k in instance.options}
        expected = oracles.assign(instance.vectors, instance.books, "nearest", **options)
        got = puresid.assign(
            instance.vectors, instance.books, "nearest", threads=threads, **options
        )
        np.testing.assert_array_equal(got.sids, expected.sids)
        np.testing.assert_array_equal(got.stages, expected.stages)
        np.testing.assert_array_equal(got.distortion, expected.distortion)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_suffix_appends_a_counter(threads):
    rng = np.random.default_rng(8)
    for _ in range(100):
        instance = random_instance(rng)
        priority = instance.options.get("priority")
        expected = oracles.suffixed(instance.vectors, instance.books, priority)
        got = puresid.assign(
            instance.vectors, instance.books, "suffix", priority=priority, threads=threads
        )
        np.testing.assert_array_equal(got.sids, expected.sids)
        np.testing.assert_array_equal(got.stages, expected.stages)
        np.testing.assert_array_equal(got.distortion, expected.distortion)


def test_tiers_of_width_one_and_beyond_the_size():
    rng = np.random.default_rng(9)
    books = lattice_books(rng, [4, 3, 5], 2, 4)
    vectors = rng.integers(-4, 5, (55, 2)).astype(np.float32)
    for tiers in (((1, 1, 1),), ((99, 99, 99),), ((1, 1, 2), (1, 3, 1), (4, 1, 1), (1, 1, 1))):
        for method in METHODS:
            assert not differences(Instance(vectors, books, {"tiers": tiers}), method, threads=2)


def test_no_tiers_go_straight_to_completion():
    rng = np.random.default_rng(11)
    books = lattice_books(rng, [4, 3, 5], 2, 4)
    vectors = rng.integers(-4, 5, (60, 2)).astype(np.float32)
    instance = Instance(vectors, books, {"tiers": ()})
    assert not differences(instance, "ecm", threads=2)
    assert set(puresid.assign(vectors, books, tiers=()).stages.tolist()) == {0, 1}


@pytest.mark.parametrize("method", METHODS)
def test_extreme_shapes(method):
    """One level, one codeword, one dimension, many levels."""
    rng = np.random.default_rng(12)
    for sizes, n in (((1,), 1), ((9,), 9), ((1, 1, 8), 8), ((4, 1, 1), 4), ((1,) * 70, 1)):
        books = lattice_books(rng, list(sizes), 1, 5)
        vectors = rng.integers(-5, 6, (n, 1)).astype(np.float32)
        assert not differences(Instance(vectors, books), method, threads=2)


@pytest.mark.parametrize("method", METHODS)
def test_sixty_four_bits_of_sid(method):
    """Keys of exactly 64 bits, where the capacity itself is one more than 64 bits hold."""
    rng = np.random.default_rng(13)
    books = [rng.integers(-3, 4, (2, 2)).astype(np.float32) for _ in range(64)]
    vectors = rng.integers(-3, 4, (30, 2)).astype(np.float32)
    vectors[10:20] = vectors[0]
    # The default widths would be 2**64 candidates: only the library takes them lazily.
    tiers = ((1,) * 60 + (2,) * 4, (1,) * 58 + (2,) * 6)
    assert not differences(Instance(vectors, books, {"tiers": tiers}), method, threads=2)
    result = puresid.assign(vectors, books, method)
    assert len(np.unique(result.sids, axis=0)) == 30
    assert puresid.Codebooks(books).capacity == 2**64


# --- tiers: what is refused -----------------------------------------------------------------------


def equal_and_books() -> tuple[np.ndarray, list[np.ndarray]]:
    return np.ones((6, 2), np.float32), lattice_books(np.random.default_rng(14), [4, 4, 4], 2, 4)


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        (((1, 2),), r"tiers\[0\].*2.*3"),
        (((1, 1, 1), (1, 1, 1, 1)), r"tiers\[1\].*4.*3"),
        (((1, 1, 1), (1, 0, 1)), r"tiers\[1\].*0"),
        (((1, 1, -2),), r"tiers\[0\].*-2"),
    ],
)
def test_tiers_that_do_not_fit(tiers, message):
    with pytest.raises(ValueError, match=message):
        puresid.assign(*equal_and_books(), tiers=tiers)


@pytest.mark.parametrize("tiers", [((1, 1, 1.5),), (("1", "1", "1"),), (1, 1, 1), 5])
def test_tiers_that_are_no_whole_numbers(tiers):
    with pytest.raises((TypeError, ValueError), match="tiers"):
        puresid.assign(*equal_and_books(), tiers=tiers)


def test_tiers_of_numpy_numbers_and_of_any_width():
    expected = puresid.assign(*equal_and_books(), tiers=((1, 2, 3),))
    given = np.array([[1, 2, 3]])
    assert same(puresid.assign(*equal_and_books(), tiers=given), expected)
    wide = puresid.assign(*equal_and_books(), tiers=((2**40, 2**62, 10**30),))
    assert same(wide, puresid.assign(*equal_and_books(), tiers=((4, 4, 4),)))


def test_more_tiers_than_stages_can_count():
    """Stages are int8: the last tier that fits is the 125th, and completion comes after it."""
    tiers = [(1, 1, 1)] * 125
    assert puresid.assign(*equal_and_books(), tiers=tiers).stages.tolist() == [0] + [126] * 5
    with pytest.raises(ValueError, match=r"tiers.*126.*125"):
        puresid.assign(*equal_and_books(), tiers=[(1, 1, 1)] * 126)
