"""New epochs: other codebooks or parameters, and where every item went."""

import numpy as np
import pytest

import puresid
from living_cases import books, contents, levels, made, names, state_of, tree, vectors
from puresid import CapacityError, Catalog, assign
from puresid.catalog import CatalogError, IncompatibleError, Parameters, align

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")


def living(tmp_path, **options):
    """Return a catalogue of 20 items after some removals."""
    catalog = made(tmp_path, **options)
    catalog.add(names(30), vectors(30, spread=0.5))
    catalog.remove(names(10))
    return catalog


KEYS, ROWS = names(20, 10), vectors(30, spread=0.5)[10:]


class TestNewEpoch:
    def test_all_items_get_new_sids_and_the_map_is_kept(self, tmp_path):
        catalog = living(tmp_path)
        before = state_of(catalog)
        order = np.random.default_rng(0).permutation(20)
        keys = [KEYS[row] for row in order]
        migrated = catalog.migrate(books(4), keys, ROWS[order], align=False)
        expected = assign(ROWS[order], books(4))
        assert migrated.items.sids.tolist() == expected.sids.tolist()
        assert migrated.items.keys.tolist() == keys
        assert [*map(tuple, migrated.old_sids.tolist())] == [before[key] for key in keys]
        assert (migrated.epoch, migrated.generation, len(migrated)) == (2, 4, 20)
        assert migrated.alignment is None
        for now in (catalog, Catalog.open(catalog.folder)):
            assert (now.epoch, now.generation, len(now)) == (2, 4, 20)
            assert now.lookup(keys).tolist() == expected.sids.tolist()
            moves = now.moves()
            assert moves.keys.tolist() == keys
            assert moves.old_sids.tolist() == migrated.old_sids.tolist()
            assert moves.new_sids.tolist() == migrated.items.sids.tolist()
            assert now.codebooks == books(4)
            assert now.summary().tombstones == 0  # they ended with their epoch
            assert now.verify() == []

    def test_priority(self, tmp_path):
        catalog = living(tmp_path)
        migrated = catalog.migrate(books(4), KEYS, ROWS, np.arange(20), align=False)
        expected = assign(ROWS, books(4), priority=np.arange(20))
        assert migrated.items.sids.tolist() == expected.sids.tolist()

    def test_aligned(self, tmp_path):
        catalog = living(tmp_path)
        # The same codewords under other numbers: all that there is can be kept.
        rng = np.random.default_rng(1)
        shuffled = [level[rng.permutation(len(level))] for level in levels()]
        old = catalog.lookup(KEYS)
        migrated = catalog.migrate(shuffled, KEYS, ROWS)
        expected = align(books(), puresid.Codebooks(shuffled), sids_old=old, vectors=ROWS)
        assert catalog.codebooks == expected.codebooks
        assert migrated.alignment is not None
        assert migrated.items.sids.tolist() == assign(ROWS, expected.codebooks).sids.tolist()
        kept = (migrated.items.sids == migrated.old_sids).mean(axis=0)
        assert migrated.kept.tokens == tuple(kept)
        assert kept[0] > 0.9
        catalog.require(expected.codebooks)
        with pytest.raises(IncompatibleError, match=r"epoch 2 of .* others need a new epoch"):
            catalog.require(shuffled)

    @pytest.mark.parametrize(
        "new",
        [books(3, sizes=(6, 7)), tree(3), books(3, dim=5), books(3, sizes=(9, 3, 8))],
        ids=["fewer levels", "another space", "another dimension", "other sizes"],
    )
    def test_codebooks_of_another_kind(self, tmp_path, new):
        catalog = living(tmp_path)
        rows = vectors(20, 6, dim=new.input_dim)
        old = catalog.lookup(KEYS).tolist()
        migrated = catalog.migrate(new, KEYS, rows)
        comparable = new.space == "residual" and new.n_levels == 3
        assert (migrated.alignment is None) == (not comparable)
        assert (migrated.kept is None) == (new.n_levels != 3)
        assert migrated.items.sids.tolist() == assign(rows, catalog.codebooks).sids.tolist()
        assert migrated.old_sids.tolist() == old
        assert catalog.verify() == []
        assert Catalog.open(catalog.folder).moves().old_sids.shape == (20, 3)
        moved = catalog.diff(3).moved.keys.tolist()
        if new.n_levels != 3:
            assert moved == KEYS

    def test_other_parameters(self, tmp_path):
        catalog = living(tmp_path)
        parameters = Parameters(capacity=3, order="keys", recycle_after=4)
        migrated = catalog.migrate(books(4), KEYS, ROWS, parameters=parameters)
        assert migrated.items.slots.dtype == np.uint8
        assert catalog.parameters == parameters.for_codebooks(books(4))
        assert catalog.summary().capacity == 360
        back = catalog.migrate(books(4), KEYS, ROWS, parameters=Parameters())
        assert back.items.slots is None
        assert catalog.verify() == []

    def test_the_same_codebooks_with_other_parameters(self, tmp_path):
        catalog = living(tmp_path)
        before = state_of(catalog)
        catalog.migrate(
            books(), KEYS, ROWS, parameters=Parameters(method="rrs", order="keys"), align=False
        )
        now = state_of(catalog)
        moved = {key for key in KEYS if now[key] != before[key]}
        assert moved
        for again in (catalog, Catalog.open(catalog.folder)):
            diff = again.diff(3)
            assert set(diff.moved.keys.tolist()) == moved
            assert (len(diff.added), len(diff.removed), len(diff.updated)) == (0, 0, 0)
            assert len(again.diff(2).removed) == 10
        assert catalog.verify() == []

    def test_it_goes_on(self, tmp_path):
        catalog = living(tmp_path)
        catalog.migrate(books(4), KEYS, ROWS)
        catalog.add(["new"], vectors(1))
        catalog.remove(["item 12"])
        catalog.update(["item 13"], vectors(1, 3), reassign=True)
        assert catalog.migrate(books(5), [*KEYS[:2], *KEYS[3:], "new"], vectors(20)).epoch == 3
        assert len(catalog.moves().keys) == 20
        catalog.collect_garbage(keep=1)
        again = Catalog.open(catalog.folder)
        assert (again.verify(), len(again), again.epoch) == ([], 20, 3)
        with pytest.raises(CatalogError, match="has no generation 4"):
            again.diff(4)

    def test_of_a_catalogue_without_items(self, tmp_path):
        catalog = made(tmp_path)
        migrated = catalog.migrate(books(4, sizes=(3, 3)), [], np.empty((0, 3)))
        assert (len(migrated), migrated.epoch, catalog.epoch) == (0, 2, 2)
        assert len(catalog.moves().keys) == 0
        assert catalog.moves().old_sids.shape == (0, 3)
        catalog.add([1], vectors(1))  # the kind of keys is open
        catalog.remove([1])
        catalog.migrate(books(5), [], np.empty((0, 3)))
        assert Catalog.open(catalog.folder).verify() == []
        assert catalog.add(["a"], vectors(1)).generation == 6

    def test_of_a_source(self, tmp_path):
        source = puresid.Batches(lambda: [ROWS[:3], ROWS[3:]], ROWS.shape)
        one = living(tmp_path).migrate(books(4), KEYS, ROWS)
        other = living(tmp_path).migrate(books(4), KEYS, source)
        assert one.items.sids.tolist() == other.items.sids.tolist()


class TestRefused:
    def test_by_name(self, tmp_path):
        catalog = living(tmp_path)
        before = contents(catalog)
        for keys, rows, error, message in (
            (KEYS[1:], ROWS[1:], CatalogError, "of all 20 items; missing is the key 'item 10'"),
            (KEYS[5:], ROWS[5:], CatalogError, "'item 10', 'item 11', 'item 12' and 2 more"),
            ([*KEYS, "x"], vectors(21), CatalogError, "no item with the key 'x'"),
            ([*KEYS, "item 0"], vectors(21), CatalogError, "no item with the key 'item 0'"),
            ([*KEYS, KEYS[0]], vectors(21), CatalogError, r"keys\[20\] is 'item 10', as keys\[0\]"),
            (KEYS, ROWS[1:], ValueError, "19"),
            (KEYS, vectors(20, dim=2), ValueError, "dimension 2"),
            (KEYS, np.full((20, 3), np.nan), ValueError, r"vectors\[0\]"),
        ):
            for aligned in (True, False):
                with pytest.raises(error, match=message):
                    catalog.migrate(books(4), keys, rows, align=aligned)
        with pytest.raises(CapacityError, match="20 items"):
            catalog.migrate(books(sizes=(4, 4)), KEYS, ROWS)
        with pytest.raises(TypeError, match="parameters is of type dict; Parameters are needed"):
            catalog.migrate(books(), KEYS, ROWS, parameters={"capacity": 2})
        with pytest.raises(ValueError, match=r"tiers\[0\] has 2 integers"):
            catalog.migrate(books(), KEYS, ROWS, parameters=Parameters(tiers=((1, 1),)))
        with pytest.raises(TypeError, match=r"config\['a'\] is of type object"):
            catalog.migrate(books(), KEYS, ROWS, config={"a": object()})
        kept = contents(catalog)
        assert {name: kept[name] for name in before} == before
        assert (catalog.generation, catalog.verify()) == (3, [])

    def test_the_first_epoch_has_no_moves(self, tmp_path):
        with pytest.raises(CatalogError, match="is in its first epoch; nothing has moved"):
            made(tmp_path).moves()
