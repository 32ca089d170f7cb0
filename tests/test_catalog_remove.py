"""What is removed leaves a tombstone, which no other item gets before it may."""

import numpy as np
import pytest

from living_cases import books, contents, made, names, state_of, vectors
from puresid import CapacityError, Catalog, assign
from puresid.catalog import CatalogError

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")


class TestRemove:
    def test_the_items_are_gone_and_named(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(names(6), vectors(6))
        before = state_of(catalog)
        removed = catalog.remove(["item 4", "item 1"])
        assert (len(removed), removed.generation, removed.missing) == (2, 3, 0)
        assert removed.items.keys.tolist() == ["item 4", "item 1"]
        assert [*map(tuple, removed.items.sids.tolist())] == [before["item 4"], before["item 1"]]
        assert removed.items.slots is None
        for now in (catalog, Catalog.open(catalog.folder)):
            assert len(now) == 4
            assert state_of(now) == {k: before[k] for k in before if k not in ("item 4", "item 1")}
            assert now.resolve(removed.items.sids) == [[], []]
            assert now.contains(names(6)).tolist() == [True, False, True, True, False, True]
            assert now.summary().tombstones == 2
            with pytest.raises(CatalogError, match="has no item with the key 'item 4'"):
                now.lookup(["item 0", "item 4"])

    def test_slots_are_told(self, tmp_path):
        catalog = made(tmp_path, capacity=3)
        catalog.add(names(3), np.zeros((3, 3)))
        assert catalog.remove(["item 2", "item 1"]).items.slots.tolist() == [2, 1]
        assert catalog.items(["item 0"]).slots.tolist() == [0]

    def test_keys_that_are_not_there(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(names(3), vectors(3))
        catalog.remove(["item 0"])
        before = contents(catalog)
        with pytest.raises(CatalogError, match=r"no item with the key 'item 0', 'x'$"):
            catalog.remove(["item 1", "item 0", "x"])
        with pytest.raises(CatalogError, match=r"no item with the key 'a', 'b', 'c' and 1 more$"):
            catalog.remove(["a", "b", "c", "d"])
        with pytest.raises(
            ValueError, match="missing is 'ignore'; it must be one of 'error', 'skip'"
        ):
            catalog.remove(["item 1"], missing="ignore")
        with pytest.raises(CatalogError, match=r"keys\[1\] is 'item 1', as keys\[0\] is"):
            catalog.remove(["item 1", "item 1"])
        assert contents(catalog) == before

    def test_keys_that_are_not_there_are_left_out(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(names(3), vectors(3))
        removed = catalog.remove(["x", "item 2", "y"], missing="skip")
        assert (removed.items.keys.tolist(), removed.missing) == (["item 2"], 2)
        again = catalog.remove(["x", "item 2", "y"], missing="skip")
        assert (len(again), again.missing, again.generation, catalog.generation) == (0, 3, 3, 3)

    def test_nothing_to_remove_makes_no_generation(self, tmp_path):
        catalog = made(tmp_path)
        assert catalog.remove([]).generation == 1
        assert catalog.remove(["x"], missing="skip").missing == 1
        with pytest.raises(CatalogError, match="no item with the key 1"):
            catalog.remove([1])
        assert catalog.generation == 1

    def test_a_dry_run(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(names(3), vectors(3))
        before = contents(catalog)
        dry = catalog.remove(["item 1"], dry_run=True)
        assert contents(catalog) == before
        assert (dry.generation, len(catalog)) == (2, 3)
        real = catalog.remove(["item 1"])
        assert dry.items.sids.tolist() == real.items.sids.tolist()

    def test_all_of_them(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(names(30), vectors(30))
        catalog.remove(names(30))
        assert len(catalog) == 0
        assert catalog.items().sids.shape == (0, 3)
        assert len(catalog.prefix([])) == 0
        assert catalog.verify() == []
        assert catalog.summary().tombstones == 30

    def test_from_many_files_in_any_order(self, tmp_path):
        catalog = made(tmp_path, books(sizes=(8, 8, 8)))
        for number in range(5):
            catalog.add(names(10, 10 * number), vectors(10, number))
        rng = np.random.default_rng(0)
        keys = [f"item {number}" for number in rng.permutation(50)]
        expected = catalog.lookup(keys).tolist()
        assert catalog.remove(keys[:40]).items.sids.tolist() == expected[:40]
        assert catalog.lookup(keys[40:]).tolist() == expected[40:]
        assert not catalog.contains(keys[:40]).any()
        assert Catalog.open(catalog.folder).verify() == []


class TestTombstones:
    def test_a_key_that_comes_again_gets_another_sid(self, tmp_path):
        catalog = made(tmp_path)
        seen = set()
        for _ in range(5):
            sid = tuple(catalog.add(["a"], np.zeros((1, 3))).items.sids[0].tolist())
            assert sid not in seen
            seen.add(sid)
            assert catalog.resolve([sid]) == [["a"]]
            catalog.remove(["a"])
        assert catalog.summary().tombstones == 5

    def test_they_are_taken(self, tmp_path):
        catalog = made(tmp_path)
        rows = vectors(30, spread=0.3)
        first = catalog.add(names(30), rows)
        catalog.remove(names(30))
        again = catalog.add(names(30), rows)
        expected = assign(rows, books(), taken=first.items.sids)
        assert again.items.sids.tolist() == expected.sids.tolist()
        assert len(again.duplicates) == 0  # with those that are there

    @pytest.mark.parametrize("after", [1, 2, 5])
    def test_when_they_are_given_out_again(self, tmp_path, after):
        catalog = made(tmp_path, recycle_after=after)
        first = catalog.add(["a"], np.zeros((1, 3))).items.sids.tolist()
        gone = catalog.remove(["a"]).generation
        for number in range(after):
            # Were it added now, it would come in the generation after this.
            added = catalog.add([f"b{number}"], np.zeros((1, 3)), dry_run=True)
            free = catalog.generation + 1 >= gone + after
            assert (added.items.sids.tolist() == first) == free
            assert catalog.summary().tombstones == 1
            if not free:
                catalog.add([f"c{number}"], 50 + vectors(1, number))
        assert catalog.generation + 1 == gone + after
        assert catalog.add(["d"], np.zeros((1, 3))).items.sids.tolist() == first
        assert catalog.resolve(first) == [["d"]]
        assert catalog.summary().tombstones == 0
        assert Catalog.open(catalog.folder).verify() == []

    def test_a_full_catalogue_goes_on_where_they_are(self, tmp_path):
        for after, options in ((1, {}), (1, {"capacity": 2}), (2, {"order": "keys"})):
            catalog = made(tmp_path, books(sizes=(2, 2)), recycle_after=after, **options)
            room = 4 * catalog.parameters.capacity
            catalog.add([*range(room)], vectors(room))
            catalog.remove([0, 1])
            if after == 2:
                with pytest.raises(CapacityError, match="1 item"):
                    catalog.add([100], vectors(1))
                catalog.remove([2])
            added = catalog.add([100, 101], vectors(2))
            assert len(added) == 2
            assert catalog.verify() == []
            assert len(set(state_of(catalog).values())) == len(catalog)

    def test_the_same_file_may_come_twice(self, tmp_path):
        catalog = made(tmp_path, recycle_after=1)
        for _ in range(3):
            catalog.add(["a"], vectors(1))
            catalog.remove(["a"])
        catalog.add(["a"], vectors(1))
        entries = [entry for entry in catalog.manifest.files if entry.kind == "items"]
        assert len(entries) == 4
        assert len({entry.name for entry in entries}) == 1
        again = Catalog.open(catalog.folder)
        assert (len(again), again.verify()) == (1, [])
        assert len(again.diff(3).added) == 1
        assert [len(again.diff(2).added), len(again.diff(2).removed)] == [0, 0]

    def test_limits_of_when(self, tmp_path):
        for wrong, error, message in (
            (0, ValueError, "recycle_after is 0; at least 1 is needed"),
            (10**8, ValueError, "recycle_after is 100000000; the most is 99999999"),
            (2**63 - 1, ValueError, "the most is 99999999"),
            (1.5, TypeError, r"recycle_after is 1\.5; an integer is needed"),
        ):
            with pytest.raises(error, match=message):
                made(tmp_path, recycle_after=wrong)
        catalog = made(tmp_path, recycle_after=99_999_999)
        catalog.add(["a"], vectors(1))
        catalog.remove(["a"])
        assert catalog.summary().tombstones == 1
