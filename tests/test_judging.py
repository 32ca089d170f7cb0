"""`evaluate_sids` against figures by hand and by brute force, and what must always hold."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import judging_oracles as oracle
import puresid
from puresid import Codebooks, Encoder, evaluate_sids
from puresid.encoder import Linear
from strategies import every_sid

LINE = Codebooks([[[0.0], [8.0]], [[0.0], [1.0], [2.0], [3.0]]])


def whole(low=-4, high=4):
    return st.integers(low, high).map(float)


@st.composite
def judged(draw, max_items=6):
    """Lattice vectors, codebooks of some space and SIDs, few enough for every order of ties."""
    items = draw(st.integers(3, max_items))
    space = draw(st.sampled_from(["residual", "tree", "product"]))
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    dim = len(sizes) if space == "product" else draw(st.integers(1, 2))
    shapes = {
        "residual": [(k, dim) for k in sizes],
        "product": [(k, 1) for k in sizes],
        "tree": [(*sizes[: level + 1], dim) for level in range(len(sizes))],
    }[space]
    books = Codebooks(
        [draw(hnp.arrays(np.float32, shape, elements=whole())) for shape in shapes], space=space
    )
    vectors = draw(hnp.arrays(np.float32, (items, dim), elements=whole()))
    columns = [draw(hnp.arrays(np.uint16, items, elements=st.integers(0, k - 1))) for k in sizes]
    if draw(st.booleans()):
        columns.append(draw(hnp.arrays(np.uint16, items, elements=st.integers(0, 3))))
    return vectors, np.stack(columns, axis=1), books, draw(st.integers(1, items - 1))


# By hand ------------------------------------------------------------------------------------------


def test_levels_by_hand():
    vectors = np.array([[0.0], [0.0], [1.0], [8.0], [11.0]])
    sids = np.array([[0, 0], [0, 0], [0, 1], [1, 0], [1, 3]])
    found = evaluate_sids(vectors, sids, LINE, k=1)
    first, second = found.levels

    assert (found.items, found.unique, found.duplicates) == (5, 4, 1)
    assert (found.n_levels, found.sizes, found.capacity) == (2, (2, 4), 8)
    assert (found.load, found.tokens_per_item) == (5 / 8, 2)
    assert (first.level, first.size, first.used, first.utilisation, first.dead) == (0, 2, 2, 1, 0)
    assert first.entropy == pytest.approx(-0.6 * math.log2(0.6) - 0.4 * math.log2(0.4))
    assert first.perplexity == pytest.approx(2**first.entropy)
    assert (first.conflict_rate, first.shared_rate, first.prefixes) == (0.6, 1.0, 2)
    assert first.largest_prefix == 3
    assert (first.mean_load, first.load_quantiles) == (2.5, (2, 2.25, 2.5, 2.75, 2.9, 2.99, 3))
    assert first.distortion == (0 + 0 + 1 + 0 + 9) / 5
    # Tokens 0, 0, 1, 0, 3: shares 3/5, 1/5, 1/5.
    assert (second.used, second.utilisation, second.dead) == (3, 0.75, 1)
    assert second.entropy == pytest.approx(-0.6 * math.log2(0.6) - 0.4 * math.log2(0.2))
    assert (second.conflict_rate, second.shared_rate, second.prefixes) == (0.2, 0.4, 4)
    assert second.largest_prefix == 2
    assert second.distortion == found.distortion == 0
    assert found.variance == pytest.approx(np.var([0, 0, 1, 8, 11]))


def test_a_counter_is_a_level_that_stands_for_nothing():
    vectors = np.array([[0.0], [0.0], [1.0], [9.0]])
    nearest = np.array([[0, 0], [0, 0], [0, 1], [1, 0]])
    counted = np.c_[nearest, [0, 5, 0, 0]]
    without = evaluate_sids(vectors, nearest, LINE, k=2)
    found = evaluate_sids(vectors, counted, LINE, k=2)

    assert (found.unique, found.duplicates, found.tokens_per_item) == (4, 0, 3)
    assert (found.n_levels, found.sizes, found.capacity) == (2, (2, 4), 8)
    assert found.levels[:2] == without.levels
    last = found.levels[2]
    assert (last.level, last.size, last.used, last.dead) == (2, 6, 2, 4)
    assert (last.conflict_rate, last.prefixes) == (0, 4)
    assert last.distortion == found.distortion == without.distortion == 0.25
    assert found.neighbours.recall == without.neighbours.recall
    assert found.neighbours.prefix_recall[:2] == without.neighbours.prefix_recall
    assert found.distance_correlation == without.distance_correlation


def test_ties_in_code_space_count_with_their_mean():
    """All items share a SID: any order is as good, so k of n - 1 are found by chance."""
    vectors = np.arange(9.0)[:, None] ** 2
    found = evaluate_sids(vectors, np.zeros((9, 2), int), LINE, k=2)
    assert found.neighbours.recall.value == pytest.approx(2 / 8)
    # Every place is as likely for each: the ideal sum of discounts, an eighth of it per item.
    assert found.neighbours.ndcg.value == pytest.approx(2 / 8)
    assert [share.value for share in found.neighbours.prefix_recall] == [1, 1]
    assert math.isnan(found.distance_correlation.value)


def test_a_product_space_has_no_partial_distortion():
    books = Codebooks([[[0.0], [1.0]], [[0.0], [2.0]]], space="product")
    vectors = [[0, 0], [1, 0], [1, 3]]
    found = evaluate_sids(vectors, [[0, 0], [1, 0], [1, 1]], books, k=1)
    assert math.isnan(found.levels[0].distortion)
    assert found.levels[1].distortion == found.distortion == pytest.approx(1 / 3)
    assert found.to_dict()["levels"][0]["distortion"] is None


def test_a_tree_is_decoded_by_its_prefixes():
    books = Codebooks([[[0.0], [10.0]], [[[0.0], [1.0]], [[10.0], [12.0]]]], space="tree")
    found = evaluate_sids([[0.0], [1.0], [13.0]], [[0, 0], [0, 1], [1, 1]], books, k=1)
    assert [level.distortion for level in found.levels] == pytest.approx([10 / 3, 1 / 3])


def test_normalised_residuals():
    """Distortion by each item's own lengths; decoded with their mean."""
    books = Codebooks([np.eye(2), np.eye(2) / 4], normalize_residuals=True)
    vectors = np.array([[3.0, 0.5], [5.0, 0.0], [0.0, 4.0], [2.0, 2.0]], dtype=np.float32)
    result = puresid.assign(vectors, books, "nearest")
    found = evaluate_sids(vectors, result.sids, books, k=1)
    assert found.distortion == pytest.approx(result.nearest_distortion, rel=1e-5)
    lengths = np.linalg.norm(vectors.astype(float), axis=1)
    rest = vectors - lengths[:, None] * np.eye(2)[result.sids[:, 0]]
    assert found.levels[0].distortion == pytest.approx(np.square(rest).sum(1).mean())

    second = np.linalg.norm(rest, axis=1)
    plain = Codebooks([np.eye(2) * lengths.mean(), np.eye(2) / 4 * second.mean()])
    expected = evaluate_sids(vectors, result.sids, plain, k=1)
    assert found.neighbours == expected.neighbours
    assert found.distance_correlation.value == pytest.approx(expected.distance_correlation.value)


@pytest.mark.parametrize("space", ["residual", "tree", "product"])
def test_distortion_is_that_of_assign(space):
    rng = np.random.default_rng(0)
    shapes = {
        "residual": [(4, 6), (5, 6)],
        "tree": [(4, 6), (4, 5, 6)],
        "product": [(4, 2), (5, 4)],
    }
    books = Codebooks([rng.standard_normal(shape) for shape in shapes[space]], space=space)
    vectors = rng.standard_normal((100, 6)).astype(np.float32)
    result = puresid.assign(vectors, books, "nearest")
    found = evaluate_sids(vectors, result.sids, books)
    assert found.distortion == pytest.approx(result.nearest_distortion, rel=1e-5)
    assert found.duplicates == result.summary().conflicts


def test_distortion_is_measured_behind_the_encoder_and_neighbours_before():
    """The encoder drops the column in which neighbours differ."""
    vectors = np.array([[0.0, 0], [1, 0], [0, 50], [1, 50]])
    books = Codebooks([[[0.0], [2.0]]], encoder=Encoder([Linear(np.array([[2.0, 0.0]]))]))
    found = evaluate_sids(vectors, [[0], [1], [0], [1]], books, k=1)
    assert (found.distortion, found.variance) == (0, 1)
    assert found.neighbours.recall.value == 0


def test_a_rotation_changes_no_figure():
    """Columns swapped and negated, so that nothing is rounded."""
    vectors = np.random.default_rng(3).standard_normal((60, 3)).astype(np.float32)
    turn = np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0]], dtype=np.float32)
    plain = puresid.RQKMeans(2, 4).fit(vectors).codebooks
    sids = puresid.assign(vectors, plain, "nearest").sids
    turned = Codebooks([level @ turn.T for level in plain.levels], rotation=turn)
    a, b = (evaluate_sids(vectors, sids, books, k=5) for books in (plain, turned))
    assert a.distortion == pytest.approx(b.distortion)
    assert a.variance == pytest.approx(b.variance)
    assert a.neighbours.recall.value == pytest.approx(b.neighbours.recall.value)
    assert a.distance_correlation.value == pytest.approx(b.distance_correlation.value)


def test_equal_distances_between_sids_are_ties():
    """Items that differ in the last token alone are as far apart below every first token."""
    rng = np.random.default_rng(0)
    books = Codebooks([rng.standard_normal((3, 5)), rng.standard_normal((3, 5)) / 10])
    sids = every_sid([3, 3])
    vectors = rng.standard_normal((9, 5))
    decoded = books.levels[0].astype(float)[sids[:, 0]] + books.levels[1][sids[:, 1]]
    pairs = np.triu_indices(9, 1)
    apart = np.linalg.norm(vectors[pairs[0]] - vectors[pairs[1]], axis=1)
    coded = np.linalg.norm(decoded[pairs[0]] - decoded[pairs[1]], axis=1).round(9)
    assert len(np.unique(coded)) < len(coded) - 5
    assert evaluate_sids(vectors, sids, books, k=1).distance_correlation.value == pytest.approx(
        oracle.spearman(apart.tolist(), coded.tolist())
    )


# Against brute force ------------------------------------------------------------------------------


@settings(max_examples=60)
@given(judged())
def test_against_every_order_of_ties(instance):
    vectors, sids, books, k = instance
    found = evaluate_sids(vectors, sids, books, k=k)
    decoded = books.decode(sids[:, : books.n_levels])
    each = [oracle.agreement(vectors, decoded, sids, q, k) for q in range(len(vectors))]

    assert found.neighbours.recall.value == pytest.approx(np.mean([a[0] for a in each]))
    assert found.neighbours.ndcg.value == pytest.approx(np.mean([a[1] for a in each]))
    shared = [share.value for share in found.neighbours.prefix_recall]
    assert shared == pytest.approx(np.mean([a[2] for a in each], axis=0).tolist())
    for length, level in enumerate(found.levels, start=1):
        assert level.conflict_rate == pytest.approx(float(oracle.conflict_rate(sids, length)))
        assert level.shared_rate == pytest.approx(float(oracle.shared_rate(sids, length)))
        assert level.entropy == pytest.approx(oracle.entropy(sids[:, length - 1]), abs=1e-12)
    assert found.distortion == pytest.approx(np.square(vectors - decoded).sum(1).mean())
    pairs = [(a, b) for a in range(len(vectors)) for b in range(a)]
    expected = oracle.spearman(
        [oracle.squared(vectors, a, b) for a, b in pairs],
        [oracle.squared(decoded, a, b) for a, b in pairs],
    )
    assert found.distance_correlation.value == pytest.approx(expected, nan_ok=True)


# What always holds --------------------------------------------------------------------------------


@given(judged(max_items=20), st.randoms(use_true_random=False))
def test_the_order_of_the_items_changes_nothing(instance, random):
    vectors, sids, books, k = instance
    order = list(range(len(vectors)))
    random.shuffle(order)
    a = evaluate_sids(vectors, sids, books, k=k).to_dict()
    b = evaluate_sids(vectors[order], sids[order], books, k=k).to_dict()

    def compare(one, other):
        if isinstance(one, dict):
            for name in one:
                compare(one[name], other[name])
        elif isinstance(one, list):
            for left, right in zip(one, other, strict=True):
                compare(left, right)
        elif one is None:
            assert other is None
        else:
            assert one == pytest.approx(other, abs=1e-9)

    compare(a, b)


@given(judged(max_items=20))
def test_bounds(instance):
    vectors, sids, books, k = instance
    found = evaluate_sids(vectors, sids, books, k=k)
    rates = [found.neighbours.recall, found.neighbours.ndcg, *found.neighbours.prefix_recall]
    assert all(0 <= one.low == one.value == one.high <= 1 for one in rates)
    shared = [rate.value for rate in rates[2:]]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(shared))
    assert 1 <= found.unique <= found.items == found.unique + found.duplicates
    conflicts = [level.conflict_rate for level in found.levels]
    assert conflicts == sorted(conflicts, reverse=True)
    for level in found.levels:
        assert 0 < level.utilisation <= 1
        assert level.used + level.dead == level.size
        assert 0 <= level.entropy <= math.log2(level.used) + 1e-9
        assert 1 <= level.perplexity <= level.used + 1e-9
        assert level.load_quantiles[0] >= 1
        assert level.load_quantiles[-1] == level.largest_prefix
    assert found.neighbours.queries == found.items
    json.dumps(found.to_dict(), allow_nan=False)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(2, 4))
def test_perfect_codebooks_keep_all_neighbours(seed, n_levels, size):
    """Every vector is the one that its SID stands for; no two pairs are equally far apart."""
    rng = np.random.default_rng(seed)
    sids = every_sid([size] * n_levels)
    tree = [rng.standard_normal((*[size] * (level + 1), 4)) for level in range(n_levels)]
    books = Codebooks(tree, space="tree")
    k = min(5, len(sids) - 1)
    found = evaluate_sids(books.decode(sids), sids, books, k=k)
    assert found.distortion == 0
    assert found.neighbours.recall.value == pytest.approx(1)
    assert found.neighbours.ndcg.value == pytest.approx(1)
    if len(sids) > 2:
        assert found.distance_correlation.value == pytest.approx(1)


# Samples ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((20, 8))[rng.integers(0, 20, 600)]
    vectors = (vectors + 0.3 * rng.standard_normal((600, 8))).astype(np.float32)
    books = puresid.RQKMeans(2, 8).fit(vectors).codebooks
    return vectors, puresid.assign(vectors, books, "nearest").sids, books


def test_intervals_contain_the_exact_values(clustered):
    """95 of 100 should; a tenth of the samples may miss before this fails."""
    exact = evaluate_sids(*clustered, sample=None)
    assert exact.neighbours.queries == 600
    inside = {"recall": 0, "ndcg": 0, "prefix": 0, "correlation": 0}
    for seed in range(60):
        found = evaluate_sids(*clustered, sample=60, random_state=seed)
        assert found.neighbours.queries == 60
        for name, one, truth in (
            ("recall", found.neighbours.recall, exact.neighbours.recall),
            ("ndcg", found.neighbours.ndcg, exact.neighbours.ndcg),
            ("prefix", found.neighbours.prefix_recall[0], exact.neighbours.prefix_recall[0]),
            ("correlation", found.distance_correlation, exact.distance_correlation),
        ):
            assert one.low <= one.value <= one.high
            assert one.low < one.high
            inside[name] += one.low <= truth.value <= one.high
    assert min(inside.values()) >= 54


def test_a_seed_decides_the_sample(clustered):
    first, again, other = (
        evaluate_sids(*clustered, sample=50, random_state=seed) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first.levels == other.levels


def test_blocks_change_nothing(clustered, monkeypatch):
    from puresid.judging import judge, neighbours

    whole_ = evaluate_sids(*clustered).to_dict()
    monkeypatch.setattr(judge, "BLOCK_NUMBERS", 100)
    monkeypatch.setattr(neighbours, "BLOCK", 100)
    monkeypatch.setattr(neighbours, "DISTANCES", 2000)
    parts = evaluate_sids(*clustered).to_dict()
    assert parts["neighbours"] == whole_["neighbours"]
    assert parts["distance_correlation"] == whole_["distance_correlation"]
    assert parts["distortion"] == pytest.approx(whole_["distortion"], rel=1e-12)
    assert parts["variance"] == pytest.approx(whole_["variance"], rel=1e-12)


def test_far_from_the_origin(clustered):
    vectors, sids, books = clustered
    near = evaluate_sids(vectors.astype(np.float64), sids, books).neighbours
    moved = Codebooks([books[0] + np.float32(1024), books[1]])
    far = evaluate_sids(vectors.astype(np.float64) + 1024, sids, moved).neighbours
    assert far.recall.value == pytest.approx(near.recall.value, abs=0.02)


def test_a_memory_map_and_other_types(clustered, tmp_path):
    vectors, sids, books = clustered
    np.save(tmp_path / "v.npy", vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    expected = evaluate_sids(*clustered)
    assert evaluate_sids(mapped, sids, books) == expected
    assert evaluate_sids(vectors.tolist(), sids.tolist(), list(books.levels)) == expected
