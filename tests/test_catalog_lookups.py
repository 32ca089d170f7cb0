"""Look-ups both ways, in catalogues with a past, against a plain dict."""

import numpy as np
import pytest

from living_cases import books, made, names, published, segment, state_of, tree, vectors
from puresid import Catalog
from puresid.catalog import CatalogError, state
from puresid.catalog.digests import vector_digests
from puresid.catalog.keys import Keys
from puresid.catalog.places import Places, grouped
from puresid.catalog.segment import Segment

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")

OPTIONS = [
    {},
    {"capacity": 3},
    {"duplicates": "share"},
    {"recycle_after": 1},
    {"duplicates": "share", "recycle_after": 2, "order": "keys"},
]


def aged(tmp_path, options, codebooks=None):
    """Return a catalogue of several files, with items that went and came again."""
    rng = np.random.default_rng(4)
    catalog = made(tmp_path, books(sizes=(6, 6, 6)) if codebooks is None else codebooks, **options)
    for number in range(5):
        rows = vectors(20, number, spread=0.6)
        rows[::4] = rows[0]
        catalog.add(names(20, 20 * number), rows)
        gone = [key for key in catalog.items().keys.tolist() if rng.random() < 0.3]
        catalog.remove(gone)
        catalog.add(gone[::2], vectors(len(gone[::2]), number + 50))
    return catalog


@pytest.mark.parametrize("sorted_from", [0, 99])
@pytest.mark.parametrize("options", OPTIONS)
def test_against_a_dict(tmp_path, monkeypatch, options, sorted_from):
    monkeypatch.setattr(state, "_SORTED_FROM", sorted_from)
    catalog = aged(tmp_path, options)
    for again in (catalog, Catalog.open(catalog.folder), Catalog.open(catalog.folder, mmap=False)):
        items = again.items()
        keys, sids = items.keys.tolist(), [*map(tuple, items.sids.tolist())]
        slots = [0] * len(keys) if items.slots is None else items.slots.tolist()
        known = dict(zip(keys, zip(sids, slots, strict=True), strict=True))
        assert len(again) == len(known) == len(keys)
        asked = [*keys[::-1], *keys[:5]]
        assert [*map(tuple, again.lookup(asked).tolist())] == [known[key][0] for key in asked]
        assert again.contains([*keys, *names(100)]).tolist() == [
            key in known for key in [*keys, *names(100)]
        ]
        every = np.argwhere(np.ones((6, 6, 6))).tolist()
        every = [*np.random.default_rng(1).permutation(every).tolist(), [0, 70_000, 0], every[3]]
        found = again.resolve(every)
        for sid, answer in zip(map(tuple, every), found, strict=True):
            expected = [key for key in known if known[key][0] == sid]
            expected.sort(key=lambda key: (known[key][1], keys.index(key)))
            assert answer == expected
        for tokens in ([], [2], [0, 3], [5, 5, 5], sids[3], [6], [70_000]):
            below = again.prefix(tokens)
            wanted = sorted(
                (sid, slot, keys.index(key))
                for key, (sid, slot) in known.items()
                if sid[: len(tokens)] == tuple(tokens)
            )
            assert below.keys.tolist() == [keys[place] for _, _, place in wanted]
            assert [*map(tuple, below.sids.tolist())] == [sid for sid, _, _ in wanted]
            assert (below.slots is None) == (items.slots is None)


def test_files_whose_codes_have_other_layouts(tmp_path):
    sids = [[[0, 1, 0], [1, 0, 1]], [[2, 3, 5]], [[1, 1, 1]], [[0, 4, 3], [3, 0, 4]]]
    parts = [segment([f"{n}{row}" for row in range(len(of))], of) for n, of in enumerate(sids)]
    catalog = published(made(tmp_path), *parts)
    assert len({part.segment.codes.bits for part in catalog._state.parts}) == 3
    asked = [[3, 0, 4], [0, 1, 0], [1, 1, 1], [2, 3, 5], [1, 0, 1], [0, 4, 3], [0, 4, 1]]
    assert catalog.resolve(asked) == [["31"], ["00"], ["20"], ["10"], ["01"], ["30"], []]


def test_items_stand_in_the_order_in_which_they_came(tmp_path):
    catalog = made(tmp_path)
    catalog.add(["c", "a"], vectors(2))
    catalog.add(["b"], vectors(1, 3))
    catalog.remove(["c"])
    catalog.add(["c"], vectors(1, 4))
    assert catalog.items().keys.tolist() == ["a", "b", "c"]
    assert catalog.items(["c", "a", "c"]).keys.tolist() == ["c", "a", "c"]
    assert state_of(catalog) == state_of(Catalog.open(catalog.folder))


@pytest.mark.parametrize("empty", [True, False])
def test_what_is_no_sid_or_prefix_is_refused(tmp_path, empty):
    catalog = made(tmp_path)
    if not empty:
        catalog.add(names(3), vectors(3))
    for sids, error, message in (
        ([[0, 0]], ValueError, r"sids has shape \(1, 2\); \(rows, 3\) is needed"),
        ([0, 0, 0], ValueError, r"sids has shape \(3,\)"),
        ([[], []], ValueError, r"sids has shape \(2, 0\)"),
        ([[0, 0, -1]], ValueError, r"sids\[0\] has token -1"),
        ([[0, 0, 2**32]], ValueError, r"sids\[0\] has token 4294967296"),
        ([[0, 0, 0.5]], TypeError, "sids has dtype float64"),
        ("abc", ValueError, "sids has shape"),
    ):
        with pytest.raises(error, match=message):
            catalog.resolve(sids)
    for tokens, error, message in (
        ([0] * 4, ValueError, r"tokens has shape \(4,\); from 0 to 3 tokens are needed"),
        ([[0]], ValueError, r"tokens has shape \(1, 1\)"),
        (0, ValueError, r"tokens has shape \(\)"),
        ([-1], ValueError, r"tokens\[0\] has token -1"),
        (["a"], TypeError, "tokens has dtype"),
    ):
        with pytest.raises(error, match=message):
            catalog.prefix(tokens)
    assert catalog.resolve([]) == catalog.resolve(np.empty((0, 3), np.int64)) == []
    assert catalog.lookup([]).shape == (0, 3)
    assert catalog.resolve([[2**32 - 1] * 3]) == [[]]


def test_keys_that_are_not_there_are_named(tmp_path):
    catalog = made(tmp_path)
    catalog.add(names(3), vectors(3))
    message = r"has no item with the key 'a', 'b', 'c' and 2 more$"
    for call in (catalog.lookup, catalog.items):
        with pytest.raises(CatalogError, match=message):
            call(["a", "item 1", "b", "c", "d", "e"])
    with pytest.raises(TypeError, match=r"keys\[0\] is 1; text is needed"):
        catalog.contains([1])


def test_wide_tokens(tmp_path):
    rng = np.random.default_rng(0)
    codebooks = [rng.standard_normal((70_000, 1)), rng.standard_normal((3, 1))]
    catalog = made(tmp_path, codebooks)
    added = catalog.add([*range(50)], 3 * rng.standard_normal((50, 1)))
    assert added.items.sids.dtype == catalog.lookup([3]).dtype == catalog.items().sids.dtype
    assert catalog.lookup([]).dtype == np.uint32
    assert int(added.items.sids.max()) > 65_535
    assert catalog.resolve(added.items.sids) == [[key] for key in range(50)]
    assert catalog.verify() == []


def test_trees(tmp_path):
    catalog = aged(tmp_path, {}, tree(sizes=(6, 6, 6)))
    assert catalog.resolve(catalog.lookup(["item 99"])) == [["item 99"]]
    assert catalog.verify() == []


def test_64_bytes_an_item():
    """Keys of 16 bytes and SIDs of four tokens; marks of what was removed are 4 bytes."""
    count = 100_000
    rng = np.random.default_rng(0)
    held = Segment.of(
        Keys.of([f"{number:016x}" for number in range(count)]),
        rng.integers(0, 256, (count, 4)).astype(np.uint16),
        digests=np.zeros((count, 2), dtype=np.uint64),
        stages=np.zeros(count, dtype=np.int8),
    )
    for_look_ups = held.nbytes - held.digests.nbytes - held.stages.nbytes
    assert (for_look_ups + 4 * count) / count <= 64 + 0.001  # one more offset than keys


def test_memory_of_a_catalogue(tmp_path):
    """What the object keeps beyond the mapped files: the marks, once something is removed."""
    catalog = made(tmp_path)
    catalog.add([*range(50)], vectors(50))
    catalog.remove([3])
    part = Catalog.open(catalog.folder)._state.parts[0]
    assert part.removed.dtype == np.uint32
    assert not part.digests.flags.owndata
    assert not part.segment.sids.flags.owndata


class TestPlaces:
    def test_grouped(self):
        rng = np.random.default_rng(0)
        for count in (0, 1, 2, 50):
            for dtype in (np.int64, np.uint32):
                numbers = rng.integers(0, 4, count).astype(dtype)
                found = dict(grouped(numbers))
                assert [*found] == sorted(set(numbers.tolist()))
                for number, at in found.items():
                    assert at.tolist() == [i for i in range(count) if numbers[i] == number]

    def test_nowhere_is_in_no_part(self):
        places = Places(np.array([1, -1, 0, 1]), np.array([5, -1, 2, 0]))
        assert [(part, at.tolist()) for part, at in places.by_part()] == [(0, [2]), (1, [0, 3])]
        assert places.found.tolist() == [True, False, True, True]
        assert len(Places.joined([])) == 0


def test_the_digests_are_those_of_the_vectors(tmp_path):
    catalog = made(tmp_path)
    catalog.add(["a", "b"], vectors(2))
    catalog.update(["a"], vectors(1, 7))
    state = Catalog.open(catalog.folder)._state
    expected = vector_digests(np.concatenate([vectors(1, 7), vectors(2)[1:]]))
    assert state.digests(state.live_places()).tolist() == expected.tolist()
