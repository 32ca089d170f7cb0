"""Items whose vectors are the same: a SID each, one for all, or refused."""

import math

import numpy as np
import pytest

import puresid
from living_cases import books, contents, made, names, vectors
from puresid import Catalog, assign
from puresid.catalog import CatalogError, appending

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")

V, W = vectors(2, 3)


def pairs(duplicates):
    return dict(zip(duplicates.keys.tolist(), duplicates.same_as.tolist(), strict=True))


class TestReported:
    def test_within_a_call_and_with_those_that_are_there(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(["a", "b"], [V, W])
        added = catalog.add(["c", "d", "e", "f"], [V + 1, W, V + 1, W])
        assert pairs(added.duplicates) == {"d": "b", "e": "c", "f": "b"}
        assert len(np.unique(catalog.items().sids, axis=0)) == 6

    def test_zero_has_no_sign_and_float64_counts_as_float32(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(["a"], [[0.0, 1.0, 2.0]])
        added = catalog.add(["b", "c"], [[-0.0, 1.0, 2.0], [0.0, 1.0 + 1e-12, 2.0]])
        assert pairs(added.duplicates) == {"b": "a", "c": "a"}

    def test_the_first_by_priority_is_named(self, tmp_path):
        catalog = made(tmp_path)
        added = catalog.add(["a", "b", "c"], [V, V, V], [1, 3, 2])
        assert pairs(added.duplicates) == {"a": "b", "c": "b"}

    def test_the_first_that_is_there_is_named(self, tmp_path, monkeypatch):
        for at_once in (1, 2, 1000):
            monkeypatch.setattr(appending, "_SCANNED_AT_ONCE", at_once)
            catalog = made(tmp_path)
            catalog.add(names(3), [W, V, V])
            catalog.add(names(3, 3), [V, W + 1, V])
            assert pairs(catalog.add(["x"], [V], dry_run=True).duplicates) == {"x": "item 1"}
            catalog.remove(["item 1"])
            assert pairs(catalog.add(["x"], [V], dry_run=True).duplicates) == {"x": "item 2"}
            catalog.update(["item 2"], [W + 2])
            assert pairs(catalog.add(["x"], [V], dry_run=True).duplicates) == {"x": "item 3"}
            catalog.remove(["item 3", "item 5"])
            assert pairs(catalog.add(["x"], [V], dry_run=True).duplicates) == {}
            assert pairs(catalog.add(["x"], [W + 2], dry_run=True).duplicates) == {"x": "item 2"}

    def test_of_a_source(self, tmp_path):
        rows = np.array([V, W, V])
        source = puresid.Batches(lambda: [rows[:2], rows[2:]], rows.shape)
        assert pairs(made(tmp_path).add(names(3), source).duplicates) == {"item 2": "item 0"}

    def test_against_a_look_at_all_pairs(self, tmp_path):
        rng = np.random.default_rng(5)
        rows = rng.integers(0, 2, (80, 3)).astype(np.float32)
        rank = rng.permutation(40)
        catalog = made(tmp_path, books(sizes=(8, 8, 8)))
        catalog.add(names(40), rows[:40])
        found = pairs(catalog.add(names(40, 40), rows[40:] + [[0, 0, 0.25]] * 40, -rank).duplicates)
        catalog = made(tmp_path, books(sizes=(8, 8, 8)))
        catalog.add(names(20), rows[:20] + [[0, 0, 0.25]] * 20)
        both = pairs(catalog.add(names(40, 40), rows[40:] + [[0, 0, 0.25]] * 40, -rank).duplicates)
        for answer, there in ((found, []), (both, [*range(20)])):
            expected = {}
            for row in range(40):
                same = [i for i in there if (rows[i] == rows[40 + row]).all()]
                later = [i for i in np.argsort(rank) if (rows[40 + i] == rows[40 + row]).all()]
                first = f"item {same[0]}" if same else f"item {40 + later[0]}"
                if first != f"item {40 + row}":
                    expected[f"item {40 + row}"] = first
            assert answer == expected


class TestRefused:
    def test_within_a_call(self, tmp_path):
        catalog = made(tmp_path, duplicates="error")
        before = contents(catalog)
        message = "the vector of key 'b' is that of key 'a', and .* is 'error'"
        with pytest.raises(CatalogError, match=message + "$"):
            catalog.add(["a", "b"], [V, V])
        with pytest.raises(CatalogError, match=message + r" \(2 keys in all\)$"):
            catalog.add(["a", "b", "c"], [V, V, V])
        assert contents(catalog) == before

    def test_with_those_that_are_there(self, tmp_path):
        catalog = made(tmp_path, duplicates="error")
        catalog.add(["a", "b"], [V, W])
        with pytest.raises(CatalogError, match="vector of key 'c' is that of key 'b'"):
            catalog.add(["c"], [W])
        catalog.remove(["b"])
        assert len(catalog.add(["c"], [W])) == 1
        with pytest.raises(CatalogError, match="vector of key 'c' is that of key 'a'"):
            catalog.update(["c"], [V], reassign=True)
        # Two that change their vectors with one another have different ones again.
        assert len(catalog.update(["a", "c"], [W, V], reassign=True)) == 2
        assert catalog.verify() == []


class TestShared:
    def test_those_of_one_call(self, tmp_path):
        catalog = made(tmp_path, duplicates="share")
        rows = [V, W, V, V]
        added = catalog.add(names(4), rows, [0, 5, 9, 1])
        alone = assign([W, V], books())
        assert added.items.sids[[1, 2]].tolist() == alone.sids.tolist()
        assert added.items.sids[[0, 3]].tolist() == alone.sids[[1, 1]].tolist()
        assert added.stages.tolist() == alone.stages[[1, 0, 1, 1]].tolist()
        assert added.distortion.tolist() == alone.distortion[[1, 0, 1, 1]].tolist()
        assert added.nearest_distortion == alone.nearest_distortion
        assert catalog.resolve(alone.sids) == [["item 1"], ["item 0", "item 2", "item 3"]]
        summary = catalog.summary()
        assert (summary.items, summary.sids, summary.tombstones) == (4, 2, 0)
        assert catalog.verify() == []

    def test_with_those_that_are_there(self, tmp_path):
        catalog = made(tmp_path, duplicates="share")
        first = catalog.add(["a", "b"], [V, W])
        added = catalog.add(["c", "d", "e"], [W + 1, V, W + 1])
        assert added.items.sids[1].tolist() == first.items.sids[0].tolist()
        assert added.items.sids[2].tolist() == added.items.sids[0].tolist()
        assert added.stages[1] == first.stages[0]
        assert [math.isnan(x) for x in added.distortion] == [False, True, False]
        assert catalog.resolve(first.items.sids) == [["a", "d"], ["b"]]

    def test_of_a_source(self, tmp_path):
        rows = np.array([V, W, V, W + 1, V, W + 1])
        source = puresid.Batches(lambda: [rows[:1], rows[1:4], rows[4:]], rows.shape)
        one, other = (made(tmp_path, duplicates="share") for _ in range(2))
        for catalog in (one, other):
            catalog.add(["there"], [W])
        expected = one.add(names(6), rows).items.sids
        assert other.add(names(6), source).items.sids.tolist() == expected.tolist()
        assert len(np.unique(expected, axis=0)) == 3

    def test_only_those_that_share(self, tmp_path):
        catalog = made(tmp_path, duplicates="share")
        catalog.add(["a"], [V])
        added = catalog.add(["b", "c"], [V, V])
        assert math.isnan(added.nearest_distortion)
        assert len(np.unique(catalog.items().sids, axis=0)) == 1

    def test_a_sid_is_held_until_the_last_has_gone(self, tmp_path):
        catalog = made(tmp_path, duplicates="share", recycle_after=1)
        sid = catalog.add(["a", "b"], [V, V]).items.sids[:1].tolist()
        catalog.remove(["a"])
        assert catalog.summary().tombstones == 0
        assert catalog.add(["x"], [V + 1e-4]).items.sids.tolist() != sid
        assert catalog.add(["c"], [V]).items.sids.tolist() == sid
        catalog.remove(["b", "c"])
        assert catalog.summary().tombstones == 1
        assert catalog.add(["y"], [V + 1e-5]).items.sids.tolist() == sid
        assert catalog.resolve(sid) == [["y"]]
        assert Catalog.open(catalog.folder).verify() == []

    def test_after_all_have_gone_there_is_another(self, tmp_path):
        catalog = made(tmp_path, duplicates="share")
        sid = catalog.add(["a", "b"], [V, V]).items.sids[:1].tolist()
        catalog.remove(["a", "b"])
        again = catalog.add(["a", "c"], [V, V]).items.sids.tolist()
        assert again[0] == again[1] != sid[0]
        assert catalog.summary().tombstones == 1
        assert catalog.verify() == []

    def test_whose_vector_has_changed_is_shared_by_its_new_one(self, tmp_path):
        catalog = made(tmp_path, duplicates="share")
        first = catalog.add(["a", "b"], [V, V]).items.sids.tolist()
        catalog.update(["a"], [W])
        assert catalog.lookup(["a"]).tolist() == first[:1]
        assert catalog.add(["c"], [W]).items.sids.tolist() == first[:1]
        moved = catalog.update(["b"], [V + 2], reassign=True)
        assert moved.changed.sids.tolist() != first[:1]
        assert catalog.verify() == []

    def test_capacity_counts_sids(self, tmp_path):
        catalog = made(tmp_path, books(sizes=(2, 2)), duplicates="share")
        catalog.add([*range(40)], np.repeat(vectors(4), 10, axis=0))
        assert (len(catalog), catalog.summary().load) == (40, 1.0)
        assert len(catalog.add([99], vectors(4)[2:3])) == 1
        assert catalog.verify() == []
