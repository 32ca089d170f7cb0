"""Aligned codebooks: renumbered and nothing else, and as near to the old ones as any numbering."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import puresid
from puresid.catalog import _matching
from puresid.catalog.aligning import Alignment, align, tokens_kept
from puresid.encoder import Activation, Linear

pytest.importorskip("scipy.optimize", reason="SciPy is missing")

SPACES = ("residual", "tree", "product")


def random_books(
    rng: np.random.Generator, space: str, sizes: list[int], dim: int = 3, lattice: bool = False
) -> puresid.Codebooks:
    levels = []
    for level in range(len(sizes)):
        shape = (*sizes[: level + 1], dim) if space == "tree" else (sizes[level], dim)
        draw = rng.integers(-2, 3, shape) if lattice else rng.standard_normal(shape)
        levels.append(draw.astype("f4"))
    return puresid.Codebooks(levels, space=space)


def random_sids(rng: np.random.Generator, sizes: list[int], items: int) -> np.ndarray:
    return np.stack([rng.integers(0, size, items) for size in sizes], axis=1)


def shuffled(
    rng: np.random.Generator, books: puresid.Codebooks
) -> tuple[puresid.Codebooks, list[np.ndarray]]:
    """The same codebooks in another order, and the number that each token had."""
    levels, numbers = [], []
    for level, words in enumerate(books.levels):
        words = words.copy()
        if books.space == "tree":
            for axis, order in enumerate(numbers):
                if axis == 0:
                    words = words[order]
                else:
                    words = np.take_along_axis(
                        words, order.reshape(order.shape + (1,) * (words.ndim - order.ndim)), axis
                    )
            shape = words.shape[:-1]
            order = np.argsort(rng.random(shape), axis=-1)
            words = np.take_along_axis(words, order[..., None], level)
        else:
            order = rng.permutation(len(words))
            words = words[order]
        levels.append(words)
        numbers.append(order)
    how = {"metric": books.metric, "normalize_residuals": books.normalize_residuals}
    again = puresid.Codebooks(
        levels, space=books.space, rotation=books.rotation, encoder=books.encoder, **how
    )
    return again, numbers


def every_kind(seed: int = 0) -> dict[str, puresid.Codebooks]:
    rng = np.random.default_rng(seed)
    unit = [rng.standard_normal((5, 4)).astype("f4") for _ in range(3)]
    unit = [words / np.linalg.norm(words, axis=1, keepdims=True) for words in unit]
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    encoder = puresid.Encoder([Linear(rng.standard_normal((3, 8))), Activation("tanh")])
    product = random_books(rng, "product", [5, 7]).levels
    residual = random_books(rng, "residual", [5, 7]).levels
    return {
        **{space: random_books(rng, space, [5, 4, 6]) for space in SPACES},
        "cosine": puresid.Codebooks(unit, metric="cosine"),
        "normalised": puresid.Codebooks(unit, normalize_residuals=True),
        "opq": puresid.Codebooks(product, space="product", rotation=rotation),
        "encoded": puresid.Codebooks(residual, encoder=encoder),
    }


def assert_permutation(found: Alignment, new: puresid.Codebooks) -> None:
    for numbers, words in zip(found.permutations, new.levels, strict=True):
        assert numbers.shape == (words.shape[:-1] if new.space == "tree" else (len(words),))
        assert np.array_equal(np.sort(numbers, axis=-1), np.indices(numbers.shape)[-1])


@pytest.mark.parametrize("name", every_kind())
def test_another_order_is_undone(name):
    old = every_kind()[name]
    rng = np.random.default_rng(7)
    new, numbers = shuffled(rng, old)
    vectors = rng.standard_normal((400, old.input_dim)).astype("f4")
    for items in ({}, {"vectors": vectors}):
        found = align(old, new, **items)
        assert found.codebooks == old
        assert found.distances == (0.0,) * old.n_levels
        assert min(found.distances_before) > 0
        for got, expected in zip(found.permutations, numbers, strict=True):
            assert got.tolist() == expected.tolist()
    assert found.kept.tokens == found.kept.prefixes == (1.0,) * old.n_levels
    assert found.kept.sids == 1 > found.kept_before.sids


@pytest.mark.parametrize("name", every_kind())
def test_renumbered_sids_are_those_of_the_renumbered_codebooks(name):
    old, new = every_kind()[name], every_kind(seed=1)[name]
    if name == "encoded":
        new = puresid.Codebooks(new.levels, encoder=old.encoder)
    rng = np.random.default_rng(8)
    vectors = rng.standard_normal((30, old.input_dim)).astype("f4")
    found = align(old, new, vectors=vectors)
    for method in ("ecm", "rrs"):
        before = puresid.assign(vectors, new, method)
        after = puresid.assign(vectors, found.codebooks, method)
        renumbered = found.renumber(before.sids)
        assert renumbered.dtype == after.sids.dtype
        assert np.array_equal(renumbered, after.sids)
        assert np.array_equal(before.distortion, after.distortion)
    nearest = [puresid.assign(vectors, books, "nearest").sids for books in (old, found.codebooks)]
    assert found.kept == tokens_kept(*nearest)
    assert found.by == "items"


@pytest.mark.parametrize("space", SPACES)
def test_the_same_codebooks_keep_their_numbers(space):
    """Even where codewords are equal, as in trees that ran out of items."""
    rng = np.random.default_rng(3)
    books = random_books(rng, space, [6, 5, 4], dim=1, lattice=True)
    items = rng.integers(-4, 5, (90, books.dim)).astype("f4")
    for given_items in ({}, {"vectors": items}, {"vectors": items[:1]}):
        found = align(books, books, **given_items)
        for numbers in found.permutations:
            assert np.array_equal(numbers, np.indices(numbers.shape)[-1])
        assert found.codebooks == books


def gains(old: np.ndarray, new: np.ndarray, kept: np.ndarray, numbers: np.ndarray) -> int:
    same = numbers[new] == old
    return int(same.sum() + (same & kept).sum())


def total(old: np.ndarray, new: np.ndarray, numbers: np.ndarray) -> float:
    both = [token for token in range(len(new)) if numbers[token] < len(old)]
    return float(sum(((old[numbers[t]] - new[t]) ** 2).sum() for t in both))


@pytest.mark.parametrize("by", ["items", "codewords"])
def test_no_numbering_is_better(by):
    """By brute force, level by level: the most tokens, then the least distance; sizes differ."""
    rng = np.random.default_rng(11)
    decided_by_distance = 0
    for _ in range(60):
        n_levels = int(rng.integers(1, 4))
        sizes = [rng.integers(1, 6, n_levels).tolist() for _ in range(2)]
        old, new = (random_books(rng, "residual", size, lattice=True) for size in sizes)
        count = int(rng.integers(1, 12)) if by == "items" else 0
        before, after = (random_sids(rng, size, count) for size in sizes)
        given_items = {"sids_old": before, "sids_new": after} if count else {}
        found = align(old, new, **given_items)
        assert found.by == by
        kept = np.ones(count, dtype=bool)
        for level, numbers in enumerate(found.permutations):
            pair = before[:, level], after[:, level]
            ranked = [
                (-gains(*pair, kept, np.array(order)), total(old[level], new[level], order))
                for order in map(np.array, itertools.permutations(range(sizes[1][level])))
            ]
            got = -gains(*pair, kept, numbers), total(old[level], new[level], numbers)
            assert got == min(ranked)
            decided_by_distance += len({far for gain, far in ranked if gain == got[0]}) > 1
            kept &= numbers[pair[1]] == pair[0]
    assert decided_by_distance > 10


def test_one_item_outweighs_any_distance():
    old, new = [[[0.0], [1e6]]], [[[1e6], [0.0]]]
    stay, swap = np.repeat([[0], [1]], 50_000, axis=0), np.repeat([[1], [0]], 50_000, axis=0)
    before, after = np.concatenate([stay, stay]), np.concatenate([stay, swap])
    assert align(old, new).permutations[0].tolist() == [1, 0]
    even = align(old, new, sids_old=before, sids_new=after)
    assert even.permutations[0].tolist() == [1, 0]
    more = align(old, new, sids_old=[*before, [1]], sids_new=[*after, [1]])
    assert more.permutations[0].tolist() == [0, 1]


def test_tokens_that_nothing_decides_keep_their_numbers():
    rng = np.random.default_rng(2)
    old, new = random_books(rng, "residual", [3]), random_books(rng, "residual", [3], dim=5)
    found = align(old, new, sids_old=[[0]], sids_new=[[2]])
    assert found.permutations[0].tolist() == [2, 1, 0]


def test_costs_rank_items_before_distances_before_numbers(monkeypatch):
    """With so small a budget that each of them has the fewest steps that do."""
    monkeypatch.setattr(_matching, "_BUDGET", 96)  # distances have 3 steps
    rng = np.random.default_rng(4)
    orders = [np.array(order) for order in itertools.permutations(range(3))]
    rows = np.arange(3)
    for _ in range(300):
        shared, apart = rng.integers(0, 2, (3, 3)), rng.integers(0, 4, (3, 3)).astype("f8")
        shared[0, 0], apart[0, 1] = 1, 3
        costs = _matching._costs(shared, apart.copy())
        sums = [costs[rows, order].sum() for order in orders]
        ranks = [
            (-shared[rows, order].sum(), apart[rows, order].sum(), (order != rows).sum())
            for order in orders
        ]
        assert max(sums) < 3 * 96
        assert sorted(sums) == [sums[i] for i in sorted(range(6), key=ranks.__getitem__)]
        fractions = _matching._costs(shared, rng.random((3, 3)))
        assert np.array_equal(fractions, np.rint(fractions))


def test_a_token_counts_twice_below_a_prefix_that_is_kept():
    books = [np.arange(4.0)[:, None]] * 2
    below_kept = {"sids_old": [[0, 0]] * 3, "sids_new": [[0, 1]] * 3}
    elsewhere = {"sids_old": [[1, 0]] * 4, "sids_new": [[2, 2]] * 4}
    more = {"sids_old": [[1, 3]] * 9, "sids_new": [[1, 3]] * 9}  # which keep token 1 from token 2
    joined = {
        name: below_kept[name] + elsewhere[name] + more[name] for name in ("sids_old", "sids_new")
    }
    found = align(books, books, **joined)
    assert found.permutations[0][:3].tolist() == [0, 1, 2]
    assert found.permutations[1][1] == 0  # 3 items twice against 4 once
    assert found.kept.prefixes == (12 / 16, 12 / 16)


@given(
    seed=st.integers(0, 2**32 - 1),
    space=st.sampled_from(SPACES),
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3),
    items=st.integers(0, 30),
    lattice=st.booleans(),
)
def test_only_numbers_change(seed, space, sizes, items, lattice):
    rng = np.random.default_rng(seed)
    first, second = (list(column) for column in zip(*sizes, strict=True))
    old = random_books(rng, space, first, lattice=lattice)
    new = random_books(rng, space, second, lattice=lattice)
    before, after = random_sids(rng, first, items), random_sids(rng, second, items)
    found = align(old, new, sids_old=before, sids_new=after)
    assert_permutation(found, new)
    everything = np.stack(np.unravel_index(np.arange(new.capacity), new.sizes), axis=1)
    renumbered = found.renumber(everything)
    assert len(np.unique(renumbered, axis=0)) == new.capacity
    assert np.array_equal(found.codebooks.decode(renumbered), new.decode(everything))
    assert (found.codebooks.sizes, found.codebooks.space) == (new.sizes, new.space)
    if items:
        assert found.kept == tokens_kept(before, found.renumber(after))
        assert found.kept_before == tokens_kept(before, after)
        assert found.kept.tokens[0] >= found.kept_before.tokens[0]
        assert found.kept.prefixes == tuple(sorted(found.kept.prefixes, reverse=True))
    else:
        assert np.isnan(found.kept.tokens).all()
        assert found.by == "codewords"
    if space != "tree" and not items:
        limit = [far + 1e-6 for far in found.distances_before]
        assert all(a <= b for a, b in zip(found.distances, limit, strict=True))


def test_more_and_fewer_codewords():
    few, many = [[[0.0], [5.0]]], [[[9.0], [5.1], [7.0], [0.1]]]
    assert align(few, many).permutations[0].tolist() == [2, 1, 3, 0]  # 9 and 7 in their order
    # Of the old tokens 0 to 3 only 0 and 1 can keep their numbers.
    found = align(many, [[[0.1], [9.1]]])
    assert found.codebooks[0].ravel() == pytest.approx([9.1, 0.1])
    found = align(many, few, sids_old=[[2], [3]], sids_new=[[0], [0]])
    assert found.kept.sids == 0
    assert found.codebooks[0].ravel().tolist() == [5.0, 0.0]  # 9 and 5.1


def test_children_go_with_their_node():
    """A tree is matched from the top; below a node that the old tree has not, nothing moves."""
    old = puresid.Codebooks([[[0.0], [10.0]], [[[0.0], [1.0]], [[10.0], [11.0]]]], space="tree")
    new = puresid.Codebooks(
        [[[10.0], [50.0], [0.0]], [[[11.0], [10.0]], [[51.0], [50.0]], [[1.0], [0.0]]]],
        space="tree",
    )
    for items in ({}, {"vectors": [[0.1], [0.9], [10.1], [10.9], [50.0]]}):
        found = align(old, new, **items)
        assert found.permutations[0].tolist() == [1, 2, 0]
        assert found.permutations[1].tolist() == [[1, 0], [0, 1], [1, 0]]
        assert found.codebooks[1][:2].tolist() == old[1].tolist()
        assert found.codebooks[1][2].tolist() == [[51.0], [50.0]]
    assert found.kept.prefixes == (0.8, 0.8)


def test_only_items_below_both_nodes_count():
    tree = [[[0.0], [10.0]], [[[0.0], [1.0]], [[10.0], [11.0]]]]
    books = puresid.Codebooks(tree, space="tree")
    before = [[0, 0]] * 2 + [[1, 0]] * 3 + [[1, 1]] * 5
    after = [[0, 0]] * 2 + [[0, 1]] * 3 + [[1, 1]] * 5
    found = align(books, books, sids_old=before, sids_new=after)
    assert found.permutations[1].tolist() == [[0, 1], [0, 1]]
    assert found.kept.prefixes == (0.7, 0.7)


def test_rotations_are_undone_before_codewords_are_compared():
    rng = np.random.default_rng(5)
    turns = [np.linalg.qr(rng.standard_normal((6, 6)))[0].astype("f4") for _ in range(2)]
    words = rng.standard_normal((9, 6)).astype("f4")
    order = rng.permutation(9)
    old = puresid.Codebooks([words @ turns[0].T], rotation=turns[0])
    new = puresid.Codebooks([words[order] @ turns[1].T], rotation=turns[1])
    found = align(old, new)
    assert found.permutations[0].tolist() == order.tolist()
    assert found.distances[0] == pytest.approx(0, abs=1e-9)
    straight = align(puresid.Codebooks([words]), new)
    assert straight.permutations[0].tolist() == order.tolist()


def test_slices_are_turned_back_where_they_lie():
    rng = np.random.default_rng(15)
    turns = [np.linalg.qr(rng.standard_normal((3, 3)))[0].astype("f4") for _ in range(2)]
    rotation = np.zeros((6, 6), dtype="f4")
    rotation[:3, :3], rotation[3:, 3:] = turns
    old = random_books(rng, "product", [6, 9])
    orders = [rng.permutation(6), rng.permutation(9)]
    levels = [old[level][orders[level]] @ turns[level].T for level in range(2)]
    found = align(old, puresid.Codebooks(levels, space="product", rotation=rotation))
    for got, order in zip(found.permutations, orders, strict=True):
        assert got.tolist() == order.tolist()
    assert found.distances == pytest.approx((0, 0), abs=1e-9)


def test_items_align_what_codewords_cannot():
    rng = np.random.default_rng(6)
    old = random_books(rng, "residual", [4, 4])
    wide = random_books(rng, "residual", [4, 4], dim=5)
    encoded = puresid.Codebooks(old.levels, encoder=puresid.Encoder([Linear(np.eye(3))]))
    vectors = rng.standard_normal((50, 5))
    after = puresid.assign(vectors, wide, "nearest").sids
    before = 3 - after
    found = align(old, wide, sids_old=before, vectors=vectors)
    assert [numbers.tolist() for numbers in found.permutations] == [[3, 2, 1, 0]] * 2
    assert found.kept.sids == 1
    assert np.isnan(found.distances + found.distances_before).all()
    with pytest.raises(ValueError, match="cannot be compared: the old have dimension 3, the new 5"):
        align(old, wide)
    with pytest.raises(ValueError, match="cannot be compared: the encoders of the old and the new"):
        align(old, encoded)
    with pytest.raises(ValueError, match="dimension 5; the old codebooks take 3: give sids_old"):
        align(old, wide, vectors=vectors)
    with pytest.raises(ValueError, match="dimension 3; the new codebooks take 5: give sids_new"):
        align(old, wide, vectors=vectors[:, :3])


def test_neither_the_order_of_items_nor_threads_matter():
    rng = np.random.default_rng(9)
    old, new = (random_books(rng, "residual", [8, 8, 8]) for _ in range(2))
    vectors = rng.standard_normal((300, 3)).astype("f4")
    parts = puresid.Batches(lambda: np.array_split(vectors, 3), vectors.shape)
    answers = [
        align(old, new, vectors=vectors, threads=1),
        align(old, new, vectors=vectors[rng.permutation(300)], threads=3),
        align(old, new, vectors=parts),
    ]
    assert len({b"".join(n.tobytes() for n in each.permutations) for each in answers}) == 1


@pytest.mark.parametrize(("space", "least"), [("residual", 0.6), ("tree", 0.6), ("product", 0.12)])
def test_refits_of_a_real_catalogue(data_folder, space, least):
    """Another seed and 5 % more items; shares are of the items that both were fitted to."""
    vectors = np.load(data_folder / "beauty" / "s3rec_64d.npy")
    some = vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[:11500])]
    kinds = {
        "residual": lambda seed: puresid.RQKMeans(3, 64, n_iter=10, random_state=seed),
        "tree": lambda seed: puresid.HierarchicalKMeans((64, 16), n_iter=10, random_state=seed),
        "product": lambda seed: puresid.ProductQuantizer(4, 64, n_iter=10, random_state=seed),
    }
    old = kinds[space](0).fit(some).codebooks
    new = kinds[space](1).fit(vectors).codebooks
    found = align(old, new, vectors=some)
    print(f"\n{found}")
    blind = align(old, new)
    sids = puresid.assign(some, new, "nearest").sids
    by_codewords = tokens_kept(puresid.assign(some, old, "nearest").sids, blind.renumber(sids))
    assert found.kept_before.tokens[0] < 0.05
    assert found.kept.tokens[0] > least
    assert found.kept.tokens[0] >= by_codewords.tokens[0] > 0.8 * least
    assert found.kept.sids > by_codewords.sids >= 0
    assert all(a < b for a, b in zip(blind.distances, blind.distances_before, strict=True))
