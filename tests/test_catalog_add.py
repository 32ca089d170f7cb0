"""What is added gets what `assign` finds, and nobody who is there loses anything."""

import math
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import puresid
from living_cases import SPACES, books, contents, made, names, state_of, vectors
from puresid import CapacityError, Catalog, assign
from puresid.catalog import CatalogError, PrefixLoadWarning, appending
from puresid.catalog.keys import Keys

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")


def sources(rows):
    """The same rows in every form that is taken."""
    yield rows
    yield rows.astype(np.float64)
    yield np.asfortranarray(rows)
    yield rows.tolist()
    yield puresid.Batches(lambda: [rows[:1], rows[1:1], rows[1:]], rows.shape)


class TestEqualsAssign:
    @pytest.mark.parametrize("method", ["ecm", "rrs"])
    @pytest.mark.parametrize("space", SPACES)
    def test_in_every_space(self, tmp_path, space, method):
        codebooks = SPACES[space]()
        catalog = made(tmp_path, codebooks, method=method)
        first, second = vectors(30, 1, spread=0.4), vectors(30, 2, spread=0.4)
        one = catalog.add(names(30), first)
        catalog.remove(names(10))
        two = catalog.add(names(30, 30), second)
        alone = assign(first, codebooks, method)
        after = assign(second, codebooks, method, taken=alone.sids)
        for added, expected in ((one, alone), (two, after)):
            assert added.items.sids.dtype == expected.sids.dtype
            assert added.items.sids.tolist() == expected.sids.tolist()
            assert added.stages.tolist() == expected.stages.tolist()
            assert added.distortion.tobytes() == expected.distortion.tobytes()
            assert added.nearest_distortion == expected.nearest_distortion
        assert catalog.lookup(names(30, 30)).tolist() == after.sids.tolist()
        assert Catalog.open(catalog.folder).lookup(names(30, 30)).tolist() == after.sids.tolist()
        assert catalog.verify() == []

    def test_with_priorities_tiers_and_a_limit(self, tmp_path):
        options = {"tiers": ((1, 2, 3), (2, 9, 4)), "max_distortion": 0.9}
        catalog = made(tmp_path, **options)
        rows, priority = vectors(60, spread=0.3), np.arange(60) % 7 - 3
        added = catalog.add(names(60), rows, priority)
        expected = assign(rows, books(), priority=priority, **options)
        assert added.items.sids.tolist() == expected.sids.tolist()
        assert len(np.unique(added.stages)) == 4
        assert catalog.summary().stages == tuple(np.bincount(added.stages).tolist())

    def test_vectors_in_every_form(self, tmp_path):
        rows = vectors(12, spread=0.4)
        catalog = made(tmp_path)
        expected = assign(rows, books())
        for form in sources(rows):
            added = catalog.add(names(12), form, dry_run=True)
            assert added.items.sids.tolist() == expected.sids.tolist()
            assert added.distortion.tobytes() == expected.distortion.tobytes()

    def test_vectors_of_a_file(self, tmp_path):
        rows = vectors(12).astype(np.float16)
        np.save(tmp_path / "x.npy", rows)
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        added = made(tmp_path).add(names(12), mapped)
        assert added.items.sids.tolist() == assign(rows, books()).sids.tolist()

    def test_a_source_is_read_three_times_at_most(self, tmp_path):
        rows, reads = vectors(30, spread=0.1), []

        def batches():
            reads.append(1)
            yield from (rows[:7], rows[7:])

        made(tmp_path, books(sizes=(8, 8, 8))).add(names(30), puresid.Batches(batches, rows.shape))
        assert len(reads) == 3

    def test_no_tiers(self, tmp_path):
        added = made(tmp_path, tiers=()).add(names(2), np.zeros((2, 3)))
        assert added.stages.tolist() == [0, 1]

    def test_one_level(self, tmp_path):
        catalog = made(tmp_path, books(sizes=(10,)))
        added = catalog.add(names(6), vectors(6, spread=0.1))
        assert (
            added.items.sids.tolist()
            == assign(vectors(6, spread=0.1), books(sizes=(10,))).sids.tolist()
        )
        load = added.prefix_loads[0]
        assert (load.tokens, load.room, load.fullest, load.load) == (0, 10, 6, 0.6)
        assert "0 tokens" in str(catalog.summary())
        with pytest.warns(PrefixLoadWarning, match="1 of 1 prefixes of 0 tokens"):
            catalog.add(["7"], vectors(1, 5))


class TestOrderOfKeys:
    @given(seed=st.integers(0, 2**32 - 1), with_priority=st.booleans(), integers=st.booleans())
    @settings(max_examples=15)
    def test_the_order_of_rows_does_not_matter(
        self, tmp_path_factory, seed, with_priority, integers
    ):
        tmp_path, rng = tmp_path_factory.mktemp("c"), np.random.default_rng(seed)
        rows, keys = vectors(40, seed % 1000, spread=0.3), [*range(40)] if integers else names(40)
        priority = rng.integers(0, 3, 40) if with_priority else None
        moved = rng.permutation(40)
        catalog = made(tmp_path, order="keys")
        one = catalog.add(keys, rows, priority, dry_run=True)
        other = catalog.add(
            [keys[row] for row in moved],
            rows[moved],
            None if priority is None else priority[moved],
            dry_run=True,
        )
        assert one.items.sids[moved].tolist() == other.items.sids.tolist()
        assert one.stages[moved].tolist() == other.stages.tolist()
        assert len(np.unique(one.stages)) > 1

    def test_it_is_the_order_of_the_hashes(self, tmp_path):
        rows = np.zeros((5, 3))
        ranks = np.argsort(np.argsort(Keys.of(names(5)).hashes()))
        added = made(tmp_path, order="keys").add(names(5), rows)
        expected = assign(rows, books(), priority=-ranks)
        assert added.items.sids.tolist() == expected.sids.tolist()
        assert expected.sids.tolist() != assign(rows, books()).sids.tolist()


class TestKeys:
    def test_the_first_addition_decides_their_kind(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add([], np.empty((0, 3)))
        catalog.add([5, -(2**63), 2**63 - 1], vectors(3))
        for call in (
            lambda: catalog.add(["a"], vectors(1)),
            lambda: catalog.remove(["a"]),
            lambda: catalog.update(["a"], vectors(1)),
            lambda: catalog.lookup(["a"]),
            lambda: catalog.contains(["a"]),
            lambda: Catalog.open(catalog.folder).items(["a"]),
        ):
            with pytest.raises(TypeError, match=r"keys\[0\] is 'a'; an integer is needed"):
                call()
        catalog.remove([5, -(2**63), 2**63 - 1])
        with pytest.raises(TypeError, match=r"keys\[0\] is 'a'; an integer is needed"):
            catalog.add(["a"], vectors(1))

    def test_text_stays_text(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(["5"], vectors(1))
        with pytest.raises(TypeError, match=r"keys\[0\] is 5; text is needed"):
            catalog.add([5], vectors(1))

    def test_odd_ones(self, tmp_path):
        keys = ["", "\0", "\0\0", "a\0b", "🍐", "é", "e\u0301", " ", "\n", "x" * 300_000, "'; drop"]
        catalog = made(tmp_path)
        catalog.add(keys, vectors(len(keys)))
        again = Catalog.open(catalog.folder)
        assert again.items().keys.tolist() == keys
        sids = again.lookup(keys)
        assert [one for (one,) in again.resolve(sids)] == keys
        again.remove(["", "🍐", "x" * 300_000])
        assert again.contains(keys).tolist() == [
            key not in ("", "🍐", "x" * 300_000) for key in keys
        ]
        assert again.verify() == []

    def test_one_that_comes_twice_is_named(self, tmp_path):
        catalog = made(tmp_path)
        message = re.escape("keys[2] is 'a', as keys[0] is; each key once is needed")
        with pytest.raises(CatalogError, match=message + "$"):
            catalog.add(["a", "b", "a"], vectors(3))
        with pytest.raises(CatalogError, match=message + r" \(2 rows repeat a key\)"):
            catalog.add(["a", "b", "a", "b"], vectors(4))
        assert catalog.generation == 1

    def test_those_that_are_there(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(names(5), vectors(5))
        with pytest.raises(CatalogError, match="has the key 'item 4' already"):
            catalog.add(["new", "item 4"], vectors(2))
        with pytest.raises(CatalogError, match="'item 1', 'item 0', 'item 3' and 2 more already"):
            catalog.add(["item 1", "item 0", "item 3", "item 2", "item 4"], vectors(5))
        with pytest.raises(
            ValueError, match="existing is 'keep'; it must be one of 'error', 'same', 'skip'"
        ):
            catalog.add(["new"], vectors(1), existing="keep")

    def test_a_call_may_be_repeated(self, tmp_path):
        rows = vectors(6)
        catalog = made(tmp_path)
        catalog.add(names(4), rows[:4])
        assert len(catalog.add(names(4), rows[:4], existing="same")) == 0
        assert catalog.generation == 2
        with pytest.raises(CatalogError, match="the key 'item 2' already, with another vector"):
            catalog.add(names(6), rows[[0, 1, 5, 3, 4, 5]], existing="same")
        added = catalog.add(names(6), rows, existing="same")
        assert (added.items.keys.tolist(), added.skipped) == (names(6)[4:], 4)
        # What was updated is compared as it is now.
        catalog.update(names(1), rows[1:2])
        with pytest.raises(CatalogError, match="the key 'item 0' already, with another vector"):
            catalog.add(names(1), rows[:1], existing="same")
        assert len(catalog.add(names(1), rows[1:2], existing="same")) == 0

    def test_those_that_are_there_are_left_out(self, tmp_path):
        rows = vectors(40, spread=0.3)
        for form in (rows, puresid.Batches(lambda: [rows[:9], rows[9:]], rows.shape)):
            catalog = made(tmp_path)
            first = catalog.add(names(10), rows[:10])
            added = catalog.add(names(40), form, np.arange(40), existing="skip")
            expected = assign(
                rows[10:], books(), taken=first.items.sids, priority=np.arange(10, 40)
            )
            assert added.skipped == 10
            assert added.items.keys.tolist() == names(30, 10)
            assert added.items.sids.tolist() == expected.sids.tolist()
            again = catalog.add(names(40), form, existing="skip")
            assert (again.skipped, len(again), again.generation) == (40, 0, 3)

    def test_many_rows_are_left_out_without_a_copy(self, tmp_path, monkeypatch):
        rows = vectors(20)
        catalog = made(tmp_path)
        catalog.add(names(5), rows[:5])
        expected = catalog.add(names(20), rows, existing="skip", dry_run=True)
        monkeypatch.setattr(appending, "KEPT_IN_MEMORY", 0)
        found = catalog.add(names(20), rows, existing="skip", dry_run=True)
        assert found.items.sids.tolist() == expected.items.sids.tolist()


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (([1, 2], vectors(3)), ValueError, "there are 2 keys and 3 vectors"),
            (([1], np.zeros((1, 4))), ValueError, "vectors have dimension 4; the codebooks take 3"),
            (
                ([1, 2], np.zeros((2, 3)), [1]),
                ValueError,
                r"priority has shape \(1,\); vectors has 2",
            ),
            (([1, 2], np.zeros((2, 3)), [1, math.nan]), ValueError, r"priority\[1\] is NaN"),
            (([1], np.zeros((1, 3)), ["high"]), TypeError, "real numbers are needed"),
            (([1, 2], [[0, 0, 0], [0, math.inf, 0]]), ValueError, r"vectors\[1\]"),
            (([1], [["a", "b", "c"]]), TypeError, "vectors"),
            (("ab", vectors(2)), TypeError, "keys is 'ab'"),
            (([1, "a"], vectors(2)), TypeError, r"keys\[1\] is 'a'"),
        ],
    )
    def test_by_name_and_place(self, tmp_path, arguments, error, message):
        catalog = made(tmp_path)
        before = contents(catalog)
        with pytest.raises(error, match=message):
            catalog.add(*arguments)
        assert contents(catalog) == before

    @pytest.mark.parametrize(
        ("batches", "message"),
        [
            ([np.zeros((1, 3))], "vectors has 1 rows; shape announces 2"),
            ([np.zeros((3, 3))], "vectors has more rows than the 2 that shape announces"),
            ([np.zeros((2, 4))], r"batch 0 of vectors has shape \(2, 4\); \(rows, 3\) is needed"),
            ([np.zeros((1, 3)), [[0, 0, math.nan]]], r"vectors\[1\]"),
        ],
    )
    def test_sources_that_are_not_what_they_say(self, tmp_path, batches, message):
        catalog = made(tmp_path)
        source = puresid.Batches(lambda: batches, (2, 3))
        with pytest.raises(ValueError, match=message):
            catalog.add([1, 2], source)
        catalog.add([1, 2], vectors(2))
        with pytest.raises(ValueError, match=message):
            catalog.update([1, 2], source)
        assert catalog.generation == 2

    def test_too_many(self, tmp_path):
        catalog = made(tmp_path, books(sizes=(2, 3)))
        catalog.add([1, 2], vectors(2))
        catalog.remove([1])
        before = contents(catalog)
        with pytest.raises(CapacityError, match="5 items and 2 taken SIDs"):
            catalog.add([*range(3, 8)], vectors(5))
        assert contents(catalog) == before


class TestPublishing:
    def test_nothing_to_add_makes_no_generation(self, tmp_path):
        catalog = made(tmp_path)
        before = contents(catalog)
        added = catalog.add([], np.empty((0, 3)))
        assert (len(added), added.generation, catalog.generation) == (0, 1, 1)
        assert math.isnan(added.nearest_distortion)
        assert added.items.sids.shape == (0, 3)
        assert contents(catalog) == before

    def test_a_dry_run_tells_the_same_and_publishes_nothing(self, tmp_path):
        for options in ({}, {"capacity": 2}, {"duplicates": "share"}, {"order": "keys"}):
            catalog = made(tmp_path, **options)
            catalog.add(names(20), vectors(20, spread=0.3))
            catalog.remove(names(5))
            rows = np.concatenate([vectors(20, spread=0.3)[3:8], vectors(10, 3)])
            before = contents(catalog)
            dry = catalog.add(names(15, 20), rows, dry_run=True)
            assert contents(catalog) == before
            assert (dry.generation, catalog.generation) == (3, 3)
            real = catalog.add(names(15, 20), rows)
            assert (real.generation, catalog.generation) == (4, 4)
            for name in ("stages", "distortion"):
                assert getattr(dry, name).tobytes() == getattr(real, name).tobytes()
            assert dry.items.sids.tolist() == real.items.sids.tolist()
            assert (dry.items.slots is None) == (real.items.slots is None)
            assert dry.prefix_loads == real.prefix_loads == catalog.summary().prefix_loads
            assert dry.duplicates.keys.tolist() == real.duplicates.keys.tolist()

    def test_published_sids_stay(self, tmp_path):
        catalog = made(tmp_path)
        known: dict = {}
        for number in range(5):
            catalog.add(names(10, 10 * number), vectors(10, number, spread=0.1))
            now = state_of(catalog)
            assert known.items() <= now.items()
            assert len(set(now.values())) == len(now) == 10 * number + 10
            known = now


class TestLoadWarning:
    def test_it_points_to_the_caller(self, tmp_path):
        catalog = made(tmp_path, books(sizes=(2, 10)))
        rows = np.repeat(np.asarray(catalog.codebooks[0])[:1], 7, axis=0)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            catalog.add(names(6), rows[:6], dry_run=True)
            assert seen == []
            catalog.add(names(7), rows)
        assert [warning.category for warning in seen] == [PrefixLoadWarning]
        assert seen[0].filename == __file__
        assert "1 of 1 prefixes of 1 tokens have a load of 0.7 or more" in str(seen[0].message)
        assert "7 SIDs below them" in str(seen[0].message)
