"""Full spaces: everything up to the last free SID works, one more is refused before any work."""

import numpy as np
import pytest

import oracles
import puresid
from oracles import same
from strategies import every_sid, lattice_books

METHODS = pytest.mark.parametrize("method", ["ecm", "rrs"])


def space(sizes: tuple[int, ...] = (16, 16, 16), dim: int = 4) -> list[np.ndarray]:
    return lattice_books(np.random.default_rng(0), list(sizes), dim, 8)


def equal(n: int, dim: int = 4) -> np.ndarray:
    return np.full((n, dim), 2.0, np.float32)


@METHODS
def test_equal_vectors_fill_the_space(method):
    result = puresid.assign(equal(4096), space(), method)
    assert len(np.unique(result.sids, axis=0)) == 4096
    expected = oracles.assign(equal(4096), space(), method)
    np.testing.assert_array_equal(result.sids, expected.sids)
    np.testing.assert_array_equal(result.stages, expected.stages)
    summary = result.summary()
    assert summary.load == 1.0
    assert summary.unique == summary.capacity == 4096
    prefix, items, room = summary.fullest_prefixes[0]
    assert items == room == 16 ** (3 - len(prefix))


@METHODS
def test_one_more_is_refused(method):
    with pytest.raises(puresid.CapacityError, match=r"4,?097.*4,?096"):
        puresid.assign(equal(4097), space(), method)


def test_the_error_is_a_value_error():
    assert issubclass(puresid.CapacityError, ValueError)


@METHODS
def test_published_sids_take_room(method):
    taken = every_sid([16, 16, 16])[::2]
    result = puresid.assign(equal(2048), space(), method, taken=taken)
    given = {tuple(sid) for sid in result.sids.tolist()}
    assert given | {tuple(sid) for sid in taken.tolist()} == {
        tuple(sid) for sid in every_sid([16, 16, 16]).tolist()
    }
    with pytest.raises(puresid.CapacityError, match=r"2,?049.*2,?048.*4,?096"):
        puresid.assign(equal(2049), space(), method, taken=taken)


def test_published_twice_takes_room_once():
    taken = np.repeat(every_sid([16, 16, 16])[:96], 3, axis=0)
    result = puresid.assign(equal(4000), space(), taken=taken)
    assert result.n_taken == 96
    assert len(np.unique(result.sids, axis=0)) == 4000


@METHODS
def test_all_published(method):
    every = every_sid([4, 4])
    result = puresid.assign(equal(0), space((4, 4)), method, taken=every)
    assert result.sids.shape == (0, 2)
    with pytest.raises(puresid.CapacityError, match=r"1 item.*16"):
        puresid.assign(equal(1), space((4, 4)), method, taken=every)


@METHODS
def test_the_last_free_sid_is_found_wherever_it_is(method):
    every = every_sid([6, 5, 4])
    for last in range(0, 120, 7):
        taken = np.delete(every, last, axis=0)
        result = puresid.assign(equal(1), space((6, 5, 4)), method, taken=taken)
        assert result.sids.tolist() == [every[last].tolist()]


@METHODS
def test_nearly_full(method):
    rng = np.random.default_rng(1)
    n = int(0.99 * 4096)
    vectors = rng.integers(-8, 9, (n, 4)).astype(np.float32)
    expected = oracles.assign(vectors, space(), method)
    for threads in (1, 2, 3):
        result = puresid.assign(vectors, space(), method, threads=threads)
        np.testing.assert_array_equal(result.sids, expected.sids)
        np.testing.assert_array_equal(result.stages, expected.stages)


@METHODS
def test_full_prefixes_are_passed_over(method):
    """Everything below the nearest first token, then the nearest two, is published."""
    nearest = puresid.assign(equal(1), space(), "nearest").sids[0]
    every = every_sid([16, 16, 16])
    below_one = every[every[:, 0] == nearest[0]]
    below_two = below_one[below_one[:, 1] == nearest[1]]
    for taken in (below_one, below_two):
        expected = oracles.assign(equal(900), space(), method, taken=taken)
        result = puresid.assign(equal(900), space(), method, taken=taken)
        np.testing.assert_array_equal(result.sids, expected.sids)
        np.testing.assert_array_equal(result.stages, expected.stages)
    assert not (
        puresid.assign(equal(900), space(), method, taken=below_one).sids[:, 0] == nearest[0]
    ).any()


def test_conflicts_may_stay_in_any_number():
    """Without unique SIDs there is nothing to run out of."""
    nearest = puresid.assign(equal(100), space((3, 3)), "nearest")
    assert len(np.unique(nearest.sids, axis=0)) == 1
    assert nearest.stages.tolist() == [0] + [-1] * 99


def test_a_suffix_beyond_16_bits():
    result = puresid.assign(equal(70_000), space((2, 2)), "suffix")
    assert result.sids[:, -1].tolist() == list(range(70_000))


def test_a_suffix_passes_over_the_published_ones():
    first = puresid.assign(equal(5), space((3, 3)), "suffix")
    taken = np.concatenate([first.sids, first.sids[:1] + np.array([0, 0, 6], np.uint16)])
    second = puresid.assign(equal(4), space((3, 3)), "suffix", taken=taken)
    assert second.sids[:, -1].tolist() == [5, 7, 8, 9]
    np.testing.assert_array_equal(second.sids[:, :-1], first.sids[:4, :-1])


def test_sizes_whose_product_wraps_around_in_64_bits():
    """2**64 SIDs are not 0 SIDs."""
    line = np.arange(65_536, dtype=np.float32)[:, None]
    result = puresid.assign(np.zeros((50, 1), np.float32), [line] * 4, taken=[[0, 0, 0, 0]])
    assert len(np.unique(result.sids, axis=0)) == 50
    assert puresid.Codebooks([line] * 4).capacity == 2**64


def test_fullest_prefixes_are_counted_with_the_published():
    taken = every_sid([4, 4, 4])[:10]
    summary = puresid.assign(equal(5), space((4, 4, 4)), taken=taken).summary()
    assert summary.load == 15 / 64
    for prefix, items, room in summary.fullest_prefixes:
        assert 0 < items <= room == 4 ** (3 - len(prefix))


# --- what may be passed as published --------------------------------------------------------------


def six() -> tuple[np.ndarray, list[np.ndarray]]:
    return equal(6), space((4, 4, 4))


def test_taken_sids_are_counted_once():
    taken = np.array([[0, 1, 2], [0, 1, 2], [3, 3, 3]])
    result = puresid.assign(*six(), taken=taken)
    assert result.n_taken == 2
    assert same(result, puresid.assign(*six(), taken=taken[1:]))


@pytest.mark.parametrize("method", ["ecm", "rrs", "nearest", "suffix"])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_method_counts_them(method, threads):
    """Some thousands, in any order, and some of them several times, however often."""
    rng = np.random.default_rng(5)
    books = [rng.standard_normal((16, 4)).astype(np.float32) for _ in range(4)]
    taken = rng.integers(0, 16, (40_000, 4 + (method == "suffix")))
    taken = rng.permutation(np.concatenate([taken, taken[:5000], taken[:100]]))
    result = puresid.assign(
        rng.standard_normal((50, 4)), books, method, taken=taken, threads=threads
    )
    assert result.n_taken == len({tuple(sid) for sid in taken.tolist()})
    for none in (None, taken[:0]):
        found = puresid.assign(np.zeros((1, 4)), books, method, taken=none)
        assert found.n_taken == 0
    # It needs no items, and no room for any.
    assert puresid.assign(np.empty((0, 4)), books, method, taken=taken).n_taken == result.n_taken


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint32", "uint64", ">u2", ">i8"])
def test_taken_of_any_whole_number_type(dtype):
    taken = np.array([[0, 1, 2], [3, 3, 3]])
    expected = puresid.assign(*six(), taken=taken)
    assert same(puresid.assign(*six(), taken=taken.astype(dtype)), expected)
    assert same(puresid.assign(*six(), taken=taken.tolist()), expected)
    assert same(puresid.assign(*six(), taken=np.asfortranarray(taken)), expected)


def test_nothing_taken():
    expected = puresid.assign(*six())
    assert same(puresid.assign(*six(), taken=np.empty((0, 3), np.uint16)), expected)
    assert same(puresid.assign(*six(), taken=[]), expected)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 4), (1, 2, 3)])
def test_taken_of_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"taken.*3"):
        puresid.assign(*six(), taken=np.zeros(shape, int))


@pytest.mark.parametrize("token", [4, 65_535, 65_536, -1, 2**32, 2**63 - 1])
def test_taken_out_of_range(token):
    taken = np.array([[0, 0, 0], [0, token, 0]])
    with pytest.raises(ValueError, match=rf"taken\[1\].*token {token}\b"):
        puresid.assign(*six(), taken=taken)


@pytest.mark.parametrize("taken", [[[0.0, 0.0, 0.0]], [["0", "0", "0"]], [[True, False, True]]])
def test_taken_that_is_no_whole_number(taken):
    with pytest.raises(TypeError, match="taken"):
        puresid.assign(*six(), taken=taken)


@pytest.mark.parametrize("method", ["ecm", "rrs"])
def test_equal_vectors_in_a_deep_space_share_their_search(method):
    """Each starting afresh would look through 50 million prefixes here: minutes, not an instant."""
    rng = np.random.default_rng(0)
    levels = [rng.integers(-3, 4, (4, 4)).astype(np.float32) for _ in range(8)]
    result = puresid.assign(np.zeros((20_000, 4), np.float32), levels, method)
    assert len(np.unique(result.sids, axis=0)) == 20_000
