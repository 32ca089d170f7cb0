"""Vectors that change: SIDs stay, unless they are to be given anew."""

import numpy as np
import pytest

import puresid
from living_cases import books, contents, made, names, state_of, vectors
from puresid import CapacityError, Catalog, assign
from puresid.catalog import CatalogError

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")


class TestNoted:
    def test_sids_stay(self, tmp_path):
        catalog = made(tmp_path)
        rows = vectors(6)
        catalog.add(names(6), rows)
        before = state_of(catalog)
        rows[[4, 1]] += 1
        updated = catalog.update(["item 4", "item 0", "item 1"], rows[[4, 0, 1]])
        assert (len(updated), updated.generation, catalog.generation) == (2, 3, 3)
        assert updated.changed.keys.tolist() == ["item 4", "item 1"]
        assert updated.changed.sids.tolist() == updated.old_sids.tolist()
        assert state_of(catalog) == before
        for now in (catalog, Catalog.open(catalog.folder)):
            assert len(now.update(names(6), rows)) == 0
            assert now.summary().tombstones == 0
        assert catalog.generation == 3
        assert catalog.verify() == []

    def test_what_has_not_changed_in_float32_has_not_changed(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(["a", "b"], [[0.0, 1.0, 2.0], [0.5, 1.0, 2.0]])
        before = contents(catalog)
        same = np.array([[-0.0, 1.0 + 1e-12, 2.0], [0.5, 1.0, 2.0]])
        for rows in (same, same.astype(np.float16), same.astype(np.float32)):
            for reassign in (False, True):
                updated = catalog.update(["a", "b"], rows, reassign=reassign)
                assert (len(updated), updated.generation) == (0, 2)
                assert updated.old_sids.shape == (0, 3)
        assert contents(catalog) == before

    def test_again_and_again_and_back(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(["a", "b"], vectors(2))
        for number in range(3):
            assert len(catalog.update(["b"], vectors(1, 10 + number))) == 1
        assert len(catalog.update(["b"], vectors(2)[1:])) == 1
        assert len(catalog.diff(2).updated) == 0
        assert catalog.diff(3).updated.keys.tolist() == ["b"]
        assert Catalog.open(catalog.folder).verify() == []

    def test_of_many_files(self, tmp_path):
        catalog = made(tmp_path)
        for number in range(4):
            catalog.add(names(5, 5 * number), vectors(5, number))
        keys = [f"item {number}" for number in np.random.default_rng(0).permutation(20)]
        updated = catalog.update(keys, vectors(20, 8))
        assert updated.changed.keys.tolist() == keys
        again = Catalog.open(catalog.folder)
        assert len(again.update(keys[::-1], vectors(20, 8)[::-1])) == 0
        assert len(again.update(keys, vectors(20, 8)[::-1])) == 20

    def test_an_item_that_came_again(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(["a"], vectors(1))
        catalog.remove(["a"])
        catalog.add(["a"], vectors(1, 4))
        assert len(catalog.update(["a"], vectors(1, 4))) == 0
        assert len(catalog.update(["a"], vectors(1))) == 1
        assert catalog.verify() == []


class TestReassigned:
    def test_as_if_removed_and_added_again(self, tmp_path):
        for options in ({}, {"order": "keys"}, {"capacity": 2}, {"recycle_after": 1}):
            one, other = made(tmp_path, **options), made(tmp_path, **options)
            rows, new, priority = vectors(30, spread=0.4), vectors(30, 5, spread=0.4), np.arange(30)
            new[:3] = rows[:3]
            for catalog in (one, other):
                catalog.add(names(30), rows)
            updated = one.update(names(30), new, priority, reassign=True)
            other.remove(names(27, 3))
            if options != {"recycle_after": 1}:
                other.add(names(27, 3), new[3:], priority[3:])
                assert state_of(one) == state_of(other)
            assert updated.changed.keys.tolist() == names(27, 3)
            assert updated.changed.sids.tolist() == one.lookup(names(27, 3)).tolist()
            assert one.verify() == []
            assert one.lookup(names(3)).tolist() == other.lookup(names(3)).tolist()

    def test_the_old_sids_are_taken(self, tmp_path):
        catalog = made(tmp_path)
        first = catalog.add(names(10), vectors(10, spread=0.2))
        updated = catalog.update(names(10), vectors(10, 2, spread=0.2), reassign=True)
        expected = assign(vectors(10, 2, spread=0.2), books(), taken=first.items.sids)
        assert updated.changed.sids.tolist() == expected.sids.tolist()
        assert updated.old_sids.tolist() == first.items.sids.tolist()
        assert catalog.summary().tombstones == 10
        assert catalog.resolve(first.items.sids) == [[]] * 10
        assert catalog.manifest.counts["new_items"] == 10
        assert catalog.manifest.counts["new_removals"] == 10

    def test_no_room(self, tmp_path):
        catalog = made(tmp_path, books(sizes=(2, 2)))
        catalog.add([1, 2, 3], vectors(3))
        state = state_of(catalog)
        with pytest.raises(CapacityError, match="3 items"):
            catalog.update([1, 2, 3], vectors(3, 7), reassign=True)
        assert (catalog.generation, state_of(catalog)) == (2, state)
        assert Catalog.open(catalog.folder).verify() == []
        assert len(catalog.update([1], vectors(1, 7), reassign=True)) == 1
        assert catalog.verify() == []

    def test_of_a_source(self, tmp_path):
        rows = vectors(6, 5)
        catalogs = [made(tmp_path), made(tmp_path)]
        for catalog, form in zip(
            catalogs, (rows, puresid.Batches(lambda: [rows[:4], rows[4:]], (6, 3))), strict=True
        ):
            catalog.add(names(6), vectors(6))
            catalog.update(names(6), form, reassign=True)
        assert state_of(catalogs[0]) == state_of(catalogs[1])


class TestRefused:
    @pytest.mark.parametrize("reassign", [False, True])
    def test_by_name(self, tmp_path, reassign):
        catalog = made(tmp_path)
        catalog.add(["a", "b"], vectors(2))
        catalog.remove(["b"])
        before = contents(catalog)
        for keys, rows, error, message in (
            (["a", "b"], vectors(2), CatalogError, "no item with the key 'b'"),
            (["a", "a"], vectors(2), CatalogError, r"keys\[1\] is 'a', as keys\[0\] is"),
            ([1], vectors(1), TypeError, "text is needed"),
            (["a"], vectors(2), ValueError, "there are 1 keys and 2 vectors"),
            (["a"], np.zeros((1, 2)), ValueError, "vectors have dimension 2; the codebooks take 3"),
            (["a"], [[0, 0, np.nan]], ValueError, r"vectors\[0\]"),
        ):
            with pytest.raises(error, match=message):
                catalog.update(keys, rows, reassign=reassign)
        with pytest.raises(ValueError, match=r"priority has shape \(2,\)"):
            catalog.update(["a"], vectors(1, 3), [1, 2], reassign=reassign)
        assert contents(catalog) == before

    def test_nothing_makes_no_generation(self, tmp_path):
        catalog = made(tmp_path)
        assert catalog.update([], np.empty((0, 3))).generation == 1
        assert catalog.generation == 1
