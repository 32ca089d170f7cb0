"""Sorted indexes and the codes of SIDs against a look through all rows."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puresid.catalog._sid_codes import SidCodes
from puresid.catalog.index import SortedIndex, ragged
from puresid.files import CorruptFileError
from segment_cases import WIDE, random_sids


@given(st.lists(st.integers(0, 5) | st.integers(0, 2**64 - 1), max_size=50))
def test_an_index_finds_what_there_is(values):
    column = np.array(values, dtype=np.uint64)
    sorted_index = SortedIndex.of(column)
    sorted_index.check(column)
    queries = np.array([*values, 0, 3, 2**64 - 1], dtype=np.uint64)
    first, last = sorted_index.find(queries)
    offsets, places = ragged(first, last)
    rows = sorted_index.rows(places)
    found = [rows[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert found == [np.flatnonzero(column == query).tolist() for query in queries]
    again = SortedIndex.from_tensors(sorted_index.tensors("x_"), "x_", rows=len(values))
    assert np.array_equal(again.order, sorted_index.order)
    assert (len(again), again.nbytes) == (len(values), 12 * len(values))


def test_values_between_bounds():
    sorted_index = SortedIndex.of(np.array([5, 1, 9, 5], dtype=np.uint64))
    low, high = np.array([[2, 6, 9, 7], [9, 8, 2, 2**64 - 1]], dtype=np.uint64)
    first, last = sorted_index.between(low, high)
    assert (first.tolist(), last.tolist()) == ([1, 3, 3, 3], [4, 3, 3, 4])


def test_rows_of_equal_values_come_in_one_order_only():
    column = np.zeros(3, np.uint64)
    swapped = SortedIndex(column, np.array([0, 2, 1], np.uint32))
    with pytest.raises(CorruptFileError, match="i: place 2 is out of order"):
        swapped.check(column, where="i")
    twice = SortedIndex(column, np.array([0, 1, 1], np.uint32))
    with pytest.raises(CorruptFileError, match="i: place 2 is out of order"):
        twice.check(column, where="i")
    minor = np.array([2, 0, 1])
    assert SortedIndex.of(column, minor=[minor]).order.tolist() == [1, 2, 0]
    with pytest.raises(CorruptFileError, match="i: place 1 is out of order"):
        SortedIndex.of(column).check(column, minor=[minor], where="i")
    for array in SortedIndex.of(column).tensors().values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_codes_sort_as_sids_do():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        sids = random_sids(rng, 30)
        codes = SidCodes.of(sids)
        assert (
            sum(codes.bits[: codes.packed])
            <= 64
            < sum(codes.bits[: codes.packed + 1]) + 65 * (codes.packed == len(codes.bits))
        )
        packed = codes.codes(sids).tolist()
        heads = [tuple(sid[: codes.packed]) for sid in sids.tolist()]
        for (a, x), (b, y) in itertools.pairwise(sorted(zip(packed, heads, strict=True))):
            assert (a < b) == (x < y)
            assert (a == b) == (x == y)


def test_codes_take_all_64_bits():
    codes = SidCodes.of(np.array([[WIDE, WIDE, 1], [0, 5, 0]], dtype=np.uint32))
    assert (codes.bits, codes.packed) == ((32, 32, 1), 2)
    low, high = codes.bounds(np.empty((1, 0), np.uint32))
    assert (low.tolist(), high.tolist()) == ([0], [2**64 - 1])
    low, high = codes.bounds(np.array([[WIDE]], np.uint32))
    assert (low.tolist(), high.tolist()) == ([WIDE << 32], [2**64 - 1])
