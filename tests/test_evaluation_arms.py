"""Arms: the SIDs that an evaluation compares, from one quantizer."""

import numpy as np
import pytest

from puresid import RQKMeans, assign
from puresid.evaluation.arms import ARMS, make_arm, nearest, random_free


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def books(vectors):
    return RQKMeans(2, 8, random_state=0).fit(vectors).codebooks


@pytest.fixture(scope="module")
def deeper(vectors):
    return RQKMeans(3, 8, random_state=0).fit(vectors).codebooks


def test_every_arm_but_nearest_tells_all_items_apart(vectors, books, deeper):
    for name in ARMS:
        arm = make_arm(name, vectors, books, deeper=deeper)
        assert arm.sids.shape == (40, len(arm.sizes))
        assert (arm.sids < arm.sizes).all()
        facts = arm.facts()
        assert facts["unique"] == len(np.unique(arm.sids, axis=0))
        assert (facts["shared"] == 0) == (name != "nearest"), name
        assert len(arm.sizes) == (3 if name in ("suffix", "deeper") else 2)


def test_methods_of_assign_are_taken_as_they_are(vectors, books):
    for name in ("ecm", "rrs", "beam", "optimal", "nearest", "suffix"):
        expected = assign(vectors, books, name)
        arm = make_arm(name, vectors, books)
        assert np.array_equal(arm.sids, expected.sids)
        assert arm.distortion == pytest.approx(expected.distortion.mean(dtype=np.float64))


def test_deeper_begins_as_the_nearest_sids_do(vectors, books, deeper):
    start = nearest(vectors, books)
    for level in range(2):
        assert np.array_equal(deeper.levels[level], books.levels[level])
    arm = make_arm("deeper", vectors, books, deeper=deeper)
    kept = (arm.sids[:, :2] == start.sids).all(axis=1)
    assert kept.mean() > 0.9


def test_nearest_says_who_has_to_move(vectors, books):
    start = nearest(vectors, books)
    seen = set()
    for row, sid in enumerate(map(tuple, start.sids.tolist())):
        assert start.moved[row] == (sid in seen)
        seen.add(sid)
    assert start.conflict_rate == start.moved.mean() > 0.1


def test_random_moves_the_items_in_conflict_alone_and_keeps_their_first_token(vectors, books):
    start = nearest(vectors, books)
    arm = make_arm("random", vectors, books, random_state=3)
    assert np.array_equal(arm.sids[~start.moved], start.sids[~start.moved])
    assert np.array_equal(arm.sids[:, 0], start.sids[:, 0])
    assert arm.distortion > make_arm("ecm", vectors, books).distortion
    again = make_arm("random", vectors, books, random_state=3)
    other = make_arm("random", vectors, books, random_state=4)
    assert np.array_equal(arm.sids, again.sids)
    assert not np.array_equal(arm.sids, other.sids)


def test_random_takes_another_first_token_where_none_is_left():
    start = np.zeros((12, 2), dtype=np.int64)
    moved = np.arange(12) > 0
    sids = random_free(start, moved, (3, 4), np.random.default_rng(0))
    assert len(np.unique(sids, axis=0)) == 12  # the whole space
    assert (sids[:4, 0] == 0).all()


def test_random_draws_each_free_sid_as_often():
    start = np.zeros((2, 2), dtype=np.int64)
    moved = np.array([False, True])
    rng = np.random.default_rng(0)
    drawn = [random_free(start, moved, (1, 5), rng)[1, 1] for _ in range(4000)]
    counts = np.bincount(drawn, minlength=5)
    assert counts[0] == 0
    assert (np.abs(counts[1:] - 1000) < 140).all()  # five standard deviations


def test_shuffled_deals_out_the_sids_of_ecm(vectors, books):
    ecm = make_arm("ecm", vectors, books)
    shuffled = make_arm("shuffled", vectors, books)
    assert sorted(map(tuple, ecm.sids)) == sorted(map(tuple, shuffled.sids))
    assert (ecm.sids == shuffled.sids).all(axis=1).mean() < 0.2
    assert shuffled.distortion is None


def test_what_arms_refuse(vectors, books):
    with pytest.raises(ValueError, match="the arm 'best' is unknown; the known ones are ecm, rrs"):
        make_arm("best", vectors, books)
    with pytest.raises(ValueError, match="'deeper' needs codebooks with 3 levels beside those"):
        make_arm("deeper", vectors, books)
    with pytest.raises(ValueError, match="'deeper' needs codebooks with 3 levels beside those"):
        make_arm("deeper", vectors, books, deeper=books)
