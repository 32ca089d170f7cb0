"""Several items per SID: each of them has a slot of its own."""

from collections import Counter

import numpy as np
import pytest

from living_cases import SPACES, books, made, names, vectors
from puresid import CapacityError

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")


class TestCapacity:
    @pytest.mark.parametrize("space", ["residual", "tree", "rotation", "encoder"])
    @pytest.mark.parametrize("method", ["ecm", "rrs"])
    def test_no_sid_has_more_items_than_it_may(self, tmp_path, space, method):
        codebooks = SPACES[space]()
        catalog = made(tmp_path, codebooks, capacity=3, method=method)
        for number in range(3):
            catalog.add(names(40, 40 * number), vectors(40, number, spread=0.2))
        catalog.remove(names(20, 30))
        catalog.add(names(20, 30), vectors(20, 3, spread=0.2))
        items = catalog.items()
        assert items.slots.dtype == np.uint8
        together = Counter(map(tuple, items.sids.tolist()))
        assert max(together.values()) == 3
        slots = np.column_stack([items.sids, items.slots])
        assert len(np.unique(slots, axis=0)) == len(items) == 120
        assert items.slots.max() == 2
        assert catalog.verify() == []
        sid = max(together, key=together.get)
        keys = catalog.resolve([sid])[0]
        assert catalog.items(keys).slots.tolist() == sorted(catalog.items(keys).slots.tolist())

    def test_the_slots_of_a_sid_are_taken_in_order(self, tmp_path):
        catalog = made(tmp_path, capacity=4)
        added = catalog.add(names(6), np.zeros((6, 3)), [0, 1, 2, 3, 4, 5])
        assert added.items.slots.tolist() == [1, 0, 3, 2, 1, 0]
        assert len(np.unique(added.items.sids[2:], axis=0)) == 1
        catalog.remove(["item 4"])
        again = catalog.add(["more"], np.zeros((1, 3)))
        assert again.items.slots.tolist() == [2]
        assert again.items.sids.tolist() == added.items.sids[:1].tolist()

    def test_the_first_slot_is_what_one_item_per_sid_gets(self, tmp_path):
        rows = vectors(12)
        one, five = (
            made(tmp_path).add(names(12), rows),
            made(tmp_path, capacity=5).add(names(12), rows),
        )
        nearest = (one.stages == 0) & (five.items.slots == 0)
        assert nearest.sum() > 5
        assert one.items.sids[nearest].tolist() == five.items.sids[nearest].tolist()
        assert one.distortion[nearest].tobytes() == five.distortion[nearest].tobytes()

    def test_it_can_be_filled_to_the_last_slot(self, tmp_path):
        catalog = made(tmp_path, books(sizes=(2, 3)), capacity=2)
        assert catalog.summary().capacity == 12
        catalog.add(names(12), vectors(12))
        assert catalog.summary().load == 1
        with pytest.raises(CapacityError, match="12"):
            catalog.add(["more"], vectors(1))
        assert catalog.verify() == []

    def test_256_items_of_one_sid(self, tmp_path):
        catalog = made(tmp_path, books(sizes=(2, 2)), capacity=256)
        assert catalog.add([*range(256)], np.zeros((256, 3))).items.slots.tolist() == [*range(256)]
