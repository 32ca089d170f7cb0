"""How full prefixes are, against a count of every SID; and when that is warned of."""

import itertools
import math
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from living_cases import books, made, vectors
from puresid import Catalog
from puresid.catalog import loads
from puresid.catalog.loads import PrefixLoad, PrefixLoadWarning, prefix_loads, warn_of_load


def naive(sids, sizes, capacity):
    """Count below every prefix; tenths by fractions of whole numbers."""
    found = []
    for tokens in range(1, len(sizes)) if len(sizes) > 1 else (0,):
        room = math.prod(sizes[tokens:]) * capacity
        counts = [*Counter(tuple(sid[:tokens]) for sid in sids.tolist()).values()]
        tenths = [
            sum(room * tenth < 10 * count <= room * (tenth + 1) for count in counts)
            for tenth in range(10)
        ]
        near = [count for count in counts if 10 * count >= 7 * room]
        top = max(counts, default=0)
        found.append(
            PrefixLoad(tokens, room, len(counts), top, tuple(tenths), len(near), sum(near))
        )
    return tuple(found)


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    capacity=st.integers(1, 5),
    share=st.floats(0, 1),
    seed=st.integers(0, 999),
    by_number=st.booleans(),
)
def test_against_a_count(sizes, capacity, share, seed, by_number):
    rng = np.random.default_rng(seed)
    every = np.array([*itertools.product(*map(range, sizes), range(capacity))], dtype=np.uint32)
    sids = every[rng.random(len(every)) < share]
    halves = [sids[: len(sids) // 2], sids[len(sids) // 2 :].astype(np.uint16)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loads, "_COUNTERS_PER_SID", 2**26 if by_number else 0)
        found = prefix_loads(halves, books(sizes=sizes), capacity=capacity)
    assert found == naive(sids, sizes, capacity)
    for load in found:
        assert 0 <= load.load <= 1
        assert sum(load.tenths) == load.prefixes


def test_a_token_out_of_range_asks_for_no_memory():
    sids = np.full((1, 3), 2**32 - 1, dtype=np.uint32)
    assert prefix_loads([sids], books(sizes=(3, 3, 3)))[1].prefixes == 1


@pytest.mark.parametrize(("items", "near"), [(6, False), (7, True), (10, True)])
def test_from_seven_tenths_on(items, near):
    sids = np.column_stack([np.zeros(items), np.arange(items)]).astype(np.uint16)
    (load,) = prefix_loads([sids], books(sizes=(2, 10)))
    assert (load.near_full, load.items_near_full) == ((1, items) if near else (0, 0))
    assert load.load == items / 10
    if near:
        with pytest.warns(PrefixLoadWarning, match=f"1 of 1 prefixes of 1 tokens .* {items} SIDs"):
            warn_of_load((load,), stacklevel=1)
    else:
        warn_of_load((load,), stacklevel=1)


@pytest.mark.parametrize("capacity", [3, 7])
def test_of_slots(capacity):
    # 0.7 of 10 * C slots is a whole number of them for every C.
    for items, near in ((7 * capacity - 1, 0), (7 * capacity, 1)):
        sids = np.zeros((items, 3), dtype=np.uint16)
        (load,) = prefix_loads([sids], books(sizes=(2, 10)), capacity=capacity)
        assert (load.room, load.near_full) == (10 * capacity, near)


def test_only_the_longest_prefixes_are_warned_of():
    sids = np.array([[0, a, b] for a in range(3) for b in range(2)], dtype=np.uint16)
    found = prefix_loads([sids], books(sizes=(2, 3, 3)))
    assert [load.near_full for load in found] == [0, 0]
    assert found[0].load == 6 / 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_load(found, stacklevel=1)
        warn_of_load((), stacklevel=1)


@pytest.mark.filterwarnings("error::puresid.catalog.PrefixLoadWarning")
def test_where_the_warning_is_an_error_nothing_is_published(tmp_path):
    catalog = made(tmp_path, books(sizes=(1, 4)))
    catalog.add(["a"], vectors(1))
    with pytest.raises(PrefixLoadWarning, match="1 of 1 prefixes of 1 tokens"):
        catalog.add(["b", "c"], vectors(3)[1:])
    assert (catalog.generation, len(Catalog.open(catalog.folder))) == (2, 1)
    assert len(catalog.add(["b"], vectors(2)[1:])) == 1
