"""What has changed since a generation, against a comparison of all items."""

import numpy as np
import pytest

from living_cases import books, made, names, state_of, vectors
from puresid import Catalog
from puresid.catalog import CatalogError

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")


def history(tmp_path, rng, options):
    """Return a catalogue with a past; by generation what there was, and the vectors of all."""
    catalog = made(tmp_path, books(sizes=(6, 6, 6)), **options)
    now: dict[int, np.ndarray] = {}
    past = {1: ({}, {})}
    for number in range(14):
        call = rng.choice(
            ["add", "remove", "update", "reassign", "migrate"], p=[0.4, 0.2, 0.2, 0.1, 0.1]
        )
        keys = [key for key in now if rng.random() < 0.3]
        if call == "add":
            new = [key for key in range(25) if key not in now and rng.random() < 0.5]
            rows = vectors(len(new), number)
            catalog.add(new, rows)
            now |= dict(zip(new, rows, strict=True))
        elif call == "remove":
            catalog.remove(keys)
            now = {key: now[key] for key in now if key not in keys}
        elif call == "migrate":
            rows = np.array([*now.values()]).reshape(len(now), 3)
            catalog.migrate(books(number % 2, sizes=(6, 6, 6)), [*now], rows, align=False)
        else:
            rows = vectors(len(keys), number)
            rows[::2] = [now[key] for key in keys[::2]] or rows[::2]
            catalog.update(keys, rows, reassign=call == "reassign")
            now |= dict(zip(keys, rows, strict=True))
        past[catalog.generation] = (state_of(catalog), dict(now))
    return catalog, past


@pytest.mark.parametrize(
    "options", [{}, {"capacity": 2}, {"recycle_after": 1}, {"duplicates": "share"}]
)
@pytest.mark.parametrize("seed", range(3))
def test_against_a_look_at_all_items(tmp_path, seed, options):
    catalog, past = history(tmp_path, np.random.default_rng(seed), options)
    now, rows = past[catalog.generation]
    for since, (before, old_rows) in past.items():
        for again in (catalog, Catalog.open(catalog.folder)):
            diff = again.diff(since)
            assert (diff.since, diff.until) == (since, catalog.generation)
            found = [diff.added, diff.removed, diff.moved, diff.updated]
            both = now.keys() & before.keys()
            expected = [
                now.keys() - before.keys(),
                before.keys() - now.keys(),
                {key for key in both if now[key] != before[key]},
                {
                    key
                    for key in both
                    if now[key] == before[key] and (rows[key] != old_rows[key]).any()
                },
            ]
            assert [set(items.keys.tolist()) for items in found] == expected
            assert [len(items) for items in found] == [*map(len, expected)]
            assert diff.moved.keys.tolist() == diff.moved_from.keys.tolist()
            for items, state in ((diff.added, now), (diff.moved, now), (diff.moved_from, before)):
                told = [*map(tuple, items.sids.tolist())]
                wanted = [state[key] for key in items.keys.tolist()]
                if items.slots is not None:
                    told = [*zip(told, items.slots.tolist(), strict=True)]
                assert told == wanted


def test_nothing_has_changed(tmp_path):
    catalog = made(tmp_path)
    catalog.add(names(3), vectors(3))
    assert str(catalog.diff(2)) == "generation 2 to 2: 0 added, 0 removed, 0 moved, 0 updated"
    assert str(catalog.diff(1)) == "generation 1 to 2: 3 added, 0 removed, 0 moved, 0 updated"


def test_of_this_epoch_manifests_are_not_needed(tmp_path):
    catalog = made(tmp_path)
    for number in range(4):
        catalog.add([number], vectors(1, number))
    catalog.collect_garbage(keep=1)
    assert Catalog.open(catalog.folder).diff(2).added.keys.tolist() == [1, 2, 3]


def test_generations_that_are_not_there(tmp_path):
    catalog = made(tmp_path)
    catalog.add([1], vectors(1))
    old = Catalog.open(catalog.folder, generation=1)
    assert len(old.diff(1).added) == 0
    with pytest.raises(CatalogError, match="generation is 2; this is generation 1"):
        old.diff(2)
    with pytest.raises(ValueError, match="generation is 0; at least 1 is needed"):
        catalog.diff(0)
    with pytest.raises(TypeError, match="generation is '1'; an integer is needed"):
        catalog.diff("1")
