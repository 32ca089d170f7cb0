"""Segments against a look through all items, and files that are damaged."""

import itertools

import numpy as np
import pytest

from puresid.catalog import index
from puresid.catalog.index import SortedIndex
from puresid.catalog.keys import Keys
from puresid.catalog.segment import Segment, vector_digests
from puresid.files import CorruptFileError
from segment_cases import WIDE, random_sids


def random_keys(rng: np.random.Generator, count: int) -> Keys:
    numbers = rng.permutation(4 * count)[:count] - count
    return (
        Keys.of([f"é{n}" for n in numbers], kind="string")
        if rng.random() < 0.5
        else Keys.of(numbers.tolist())
    )


def random_segment(rng: np.random.Generator, *, least: int = 0) -> Segment:
    count = int(rng.integers(least, 60))
    slots = rng.integers(0, 3, count).astype(np.uint8) if rng.random() < 0.3 else None
    return Segment.of(
        random_keys(rng, count),
        random_sids(rng, count),
        digests=vector_digests(rng.standard_normal((count, 3))),
        stages=rng.integers(0, 4, count).astype(np.int8),
        slots=slots,
    )


def small_segment(**changes) -> Segment:
    parts = {
        "keys": Keys.of(["a", "b", "c"]),
        "sids": np.array([[1, 2], [0, 3], [1, 0]], dtype=np.uint16),
        "digests": np.zeros((3, 2), dtype=np.uint64),
        "stages": np.zeros(3, dtype=np.int8),
    } | changes
    return Segment.of(parts.pop("keys"), parts.pop("sids"), **parts)


def begins_with(sids: np.ndarray, tokens) -> list[int]:
    """Rows in lexicographic order of their SIDs, then by row: by looking at every SID."""
    rows = [
        row for row, sid in enumerate(sids.tolist()) if sid[: len(tokens)] == list(map(int, tokens))
    ]
    return sorted(rows, key=lambda row: sids[row].tolist())


def some_queries(rng: np.random.Generator, segment: Segment) -> np.ndarray:
    """SIDs that are there, such that differ in one token, and any."""
    there = segment.sids[rng.integers(0, len(segment), 8)].astype(np.int64)
    changed = there.copy()
    for row in changed:
        row[rng.integers(0, len(row))] += rng.integers(-1, 2)
    anything = rng.choice([0, 1, 70000, WIDE], there.shape)
    return np.clip(np.concatenate([there, changed, anything]), 0, WIDE)


def check_look_ups(rng: np.random.Generator, segment: Segment) -> None:
    keys = segment.keys.tolist()
    asked = [
        *keys[::2],
        *Keys.of(["é-1x", "é", ""] if segment.keys.kind == "string" else [-999]).tolist(),
    ]
    found = segment.rows_of(Keys.of(asked))
    assert found.tolist() == [keys.index(key) if key in keys else -1 for key in asked]
    queries = some_queries(rng, segment)
    expected = [begins_with(segment.sids, query) for query in queries]
    offsets, rows = segment.rows_of_sids(queries, threads=2)
    assert [rows[a:b].tolist() for a, b in itertools.pairwise(offsets)] == expected
    for query in queries:
        for depth in range(segment.n_levels + 1):
            assert segment.prefix(query[:depth]).tolist() == begins_with(
                segment.sids, query[:depth]
            )
    known = segment.sids.tolist()
    if segment.slots is not None:
        known = [[*sid, slot] for sid, slot in zip(known, segment.slots.tolist(), strict=True)]
    repeated = [row for row, sid in enumerate(known) if sid in known[:row]]
    assert segment.repeated_sids().tolist() == repeated


def equal_segments(a: Segment, b: Segment) -> bool:
    left, right = a.to_tensors(), b.to_tensors()
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and np.array_equal(left[name], right[name])
        for name in left
    )


def test_random_segments_equal_brute_force():
    wide = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        segment = random_segment(rng, least=1)
        wide += segment.codes.packed < segment.n_levels
        check_look_ups(rng, segment)
        again = Segment.from_tensors(segment.to_tensors())
        assert equal_segments(again, segment)
        check_look_ups(rng, again)
    assert wide > 8  # SIDs that do not fit in a code are among them


def test_texts_of_one_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(
        Keys,
        "hashes",
        lambda keys, *, threads=None: np.array([len(k) % 2 for k in keys.tolist()], np.uint64),
    )
    keys = Keys.of(["a", "b", "cc", "d", "ee", "", "f"])
    count = len(keys)
    segment = Segment.of(
        keys,
        np.arange(count, dtype=np.uint16)[:, None],
        digests=np.zeros((count, 2), np.uint64),
        stages=np.zeros(count, np.int8),
    )
    asked = Keys.of(["f", "x", "", "cc", "a", "d", "yy"])
    assert segment.rows_of(asked).tolist() == [6, -1, 5, 2, 0, 3, -1]
    assert equal_segments(Segment.from_tensors(segment.to_tensors()), segment)
    with pytest.raises(ValueError, match=r"keys\[4\] is 'b', as keys\[1\] is; each key once"):
        small_segment(
            keys=Keys.of(["a", "b", "c", "d", "b"]),
            sids=np.zeros((5, 1), np.uint16),
            digests=np.zeros((5, 2), np.uint64),
            stages=np.zeros(5, np.int8),
        )


@pytest.mark.parametrize("kind", ["int64", "string"])
def test_an_empty_segment(kind):
    segment = Segment.of(
        Keys.of([], kind=kind),
        np.empty((0, 3), np.uint16),
        digests=np.empty((0, 2), np.uint64),
        stages=np.empty(0, np.int8),
    )
    again = Segment.from_tensors(segment.to_tensors())
    assert len(again) == 0
    assert again.prefix([]).tolist() == again.prefix([1]).tolist() == []
    assert [found.tolist() for found in again.rows_of_sids([[0, 0, 0]])] == [[0, 0], []]
    assert again.rows_of(Keys.of(["a"] if kind == "string" else [1])).tolist() == [-1]
    assert again.repeated_sids().tolist() == []


def test_no_queries_have_no_answers():
    segment = small_segment()
    assert segment.rows_of(Keys.of([], kind="string")).tolist() == []
    offsets, rows = segment.rows_of_sids([])
    assert (offsets.tolist(), rows.tolist()) == ([0], [])
    assert repr(segment) == "Segment(3 items, 2 levels, keys of string)"


def test_items_that_share_a_sid_come_by_row():
    sids = np.array([[1, 1], [0, 0], [1, 1], [1, 1]], dtype=np.uint16)
    parts = {
        "keys": Keys.of([1, 2, 3, 4]),
        "sids": sids,
        "digests": np.zeros((4, 2), np.uint64),
        "stages": np.zeros(4, np.int8),
    }
    segment = small_segment(**parts)
    offsets, rows = segment.rows_of_sids([[1, 1], [1, 0], [0, 0]])
    assert (offsets.tolist(), rows.tolist()) == ([0, 3, 3, 4], [0, 2, 3, 1])
    assert segment.repeated_sids().tolist() == [2, 3]
    slotted = small_segment(**parts, slots=np.array([0, 0, 1, 0], np.uint8))
    assert slotted.repeated_sids().tolist() == [3]


def test_look_ups_both_ways_take_at_most_64_bytes_an_item():
    count = 4096
    sids = np.stack([np.arange(count) // 64, np.arange(count) % 64, *np.zeros((2, count), int)], 1)
    segment = Segment.of(
        Keys.of([f"item-{row:011d}" for row in range(count)]),
        sids.astype(np.uint16),
        digests=np.zeros((count, 2), np.uint64),
        stages=np.zeros(count, np.int8),
        slots=np.zeros(count, np.uint8),
    )
    others = segment.digests.nbytes + segment.stages.nbytes
    arrays = segment.to_tensors()
    assert segment.nbytes == sum(array.nbytes for array in arrays.values())
    assert segment.nbytes - others <= 64 * count


def test_the_same_items_make_the_same_bytes():
    for seed in range(20):
        one, two = (random_segment(np.random.default_rng(seed)) for _ in range(2))
        assert equal_segments(one, two)


def test_a_segment_survives_a_safetensors_file(tmp_path):
    from safetensors.numpy import load_file, save_file

    for seed in range(10):
        segment = random_segment(np.random.default_rng(seed))
        save_file(segment.to_tensors(), tmp_path / "s.safetensors")
        again = Segment.from_tensors(load_file(tmp_path / "s.safetensors"))
        assert equal_segments(again, segment)


BAD_PARTS = {
    r"sids has shape \(3,\) and type uint16; shape \(3, L\) and type uint16 or uint32": {
        "sids": np.zeros(3, np.uint16)
    },
    r"sids has shape \(2, 2\) and type uint16; shape \(3, L\)": {"sids": np.zeros((2, 2), "u2")},
    r"sids has shape \(3, 0\)": {"sids": np.zeros((3, 0), np.uint16)},
    r"sids has shape \(3, 1025\)": {"sids": np.zeros((3, 1025), np.uint16)},
    r"sids has shape \(3, 2\) and type int64": {"sids": np.zeros((3, 2), np.int64)},
    r"sids has shape \(3, 2\) and type >u2": {"sids": np.zeros((3, 2), ">u2")},
    "sids has the type list": {"sids": [[1, 2]] * 3},
    r"digests has shape \(3, 3\) and type uint64; shape \(3, 2\) and type uint64 are": {
        "digests": np.zeros((3, 3), np.uint64)
    },
    r"stages has shape \(3,\) and type int64; shape \(3,\) and type int8 are": {
        "stages": np.zeros(3, np.int64)
    },
    r"slots has shape \(4,\) and type uint8; shape \(3,\) and type uint8": {
        "slots": np.zeros(4, np.uint8)
    },
    r"keys\[2\] is 'a', as keys\[0\] is; each key once is needed": {
        "keys": Keys.of(["a", "b", "a"])
    },
    r"keys\[1\] is 7, as keys\[0\] is; each key once is needed": {"keys": Keys.of([7, 7, 8])},
}


@pytest.mark.parametrize(("message", "changes"), BAD_PARTS.items())
def test_parts_that_do_not_fit_are_refused(message, changes):
    with pytest.raises(ValueError, match=message):
        small_segment(**changes)


def test_more_rows_than_an_index_has_are_refused(monkeypatch):
    monkeypatch.setattr(index, "MOST_ROWS", 2)
    with pytest.raises(ValueError, match="there are 3 items; at most 2 are possible in one seg"):
        small_segment()


BAD_QUERIES = {
    "keys of kind 'int64' do not go with keys of kind 'string'": lambda s: s.rows_of(Keys.of([1])),
    r"sids has shape \(1, 3\); \(rows, 2\) is needed": lambda s: s.rows_of_sids([[1, 2, 3]]),
    r"sids has token -1": lambda s: s.rows_of_sids([[1, -1]]),
    r"sids\[0\] has token 4294967296": lambda s: s.rows_of_sids([[1, 2**32]]),
    "sids has dtype float64": lambda s: s.rows_of_sids([[1.0, 2.0]]),
    r"tokens has shape \(3,\); from 0 to 2 tokens are needed": lambda s: s.prefix([1, 2, 3]),
    r"tokens has shape \(1, 1\); from 0 to 2": lambda s: s.prefix([[1]]),
    r"tokens\[0\] has token -1": lambda s: s.prefix([-1]),
    "tokens has dtype float64": lambda s: s.prefix([0.5]),
}


@pytest.mark.parametrize(("message", "ask"), BAD_QUERIES.items())
def test_what_cannot_be_asked_is_refused(message, ask):
    message = message.replace("sids has token", r"sids\[0\] has token")
    with pytest.raises((TypeError, ValueError), match=message):
        ask(small_segment())


# ---- damaged files


def tensors_with(name, array):
    tensors = small_segment().to_tensors()
    if array is None:
        del tensors[name]
    else:
        tensors[name] = array
    return tensors


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("sids", None, "f holds the arrays .*; 'sids' is missing or one too many"),
        ("more", np.zeros(3), "f holds the arrays .*; 'more' is missing or one too many"),
        ("keys", np.arange(3), "f holds the arrays .*; 'key_bytes' is missing or one too many"),
        ("key_offsets", None, "f: key_offsets is missing"),
        ("stages", np.zeros(3, np.uint8), r"f: stages has shape \(3,\) and type uint8"),
        ("slots", np.zeros(2, np.uint8), r"f: slots has shape \(2,\) and type uint8"),
        ("sids", np.zeros((3, 1025), "u2"), r"f: sids has shape \(3, 1025\)"),
        ("by_key_values", np.zeros(2, np.uint64), r"f: by_key_values has shape \(2,\)"),
        ("by_sid_order", np.zeros(3, np.int32), r"f: by_sid_order has shape \(3,\) and type in"),
        ("by_sid_order", np.array([1, 2, 3], "u4"), r"f: by_sid: order\[2\] is row 3 of 3"),
        (
            "by_sid_values",
            np.array([3, 4, 5], np.uint64),
            r"f: by_sid: values\[2\] is not that of its row, 0",
        ),
        ("key_bytes", np.frombuffer(b"abX", "u1"), r"f: by_key: values\[\d\] is not that of its"),
        ("key_bytes", np.frombuffer(b"ab\xff", "u1"), "f: key_bytes: row 2 is no text in UTF-8"),
    ],
)
def test_damaged_segments_are_refused(name, array, message):
    with pytest.raises(CorruptFileError, match=message):
        Segment.from_tensors(tensors_with(name, array), where="f")


def test_a_key_twice_is_refused_in_a_file():
    tensors = small_segment(keys=Keys.of([5, 6, 7])).to_tensors()
    keys = Keys.of([5, 6, 5])
    by_key = SortedIndex.of(keys.hashes()).tensors("by_key_")
    with pytest.raises(CorruptFileError, match="f: keys 0 and 2 are both 5"):
        Segment.from_tensors(tensors | keys.tensors() | by_key, where="f")


def test_no_levels_can_be_announced_that_need_memory():
    empty = Segment.of(
        Keys.of([]),
        np.empty((0, 3), np.uint16),
        digests=np.empty((0, 2), np.uint64),
        stages=np.empty(0, np.int8),
    ).to_tensors()
    with pytest.raises(CorruptFileError, match=r"sids has shape \(0, 1099511627776\)"):
        Segment.from_tensors(empty | {"sids": np.empty((0, 2**40), np.uint16)})


def test_every_change_of_an_index_is_found():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        segment = random_segment(rng, least=2)
        tensors = segment.to_tensors()
        for name in ("by_key_values", "by_key_order", "by_sid_values", "by_sid_order"):
            for place in range(len(segment)):
                damaged = tensors[name].copy()
                damaged[place] ^= damaged.dtype.type(1 << int(rng.integers(0, 32)))
                with pytest.raises(CorruptFileError, match=r"by_(key|sid)"):
                    Segment.from_tensors(tensors | {name: damaged})
            a, b = rng.choice(len(segment), 2, replace=False)
            swapped = {other: tensors[other].copy() for other in {name, f"{name[:6]}_order"}}
            for array in swapped.values():
                array[[a, b]] = array[[b, a]]
            with pytest.raises(CorruptFileError, match=r"by_(key|sid)"):
                Segment.from_tensors(tensors | swapped)


def test_an_unchecked_index_never_leads_outside():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        segment = random_segment(rng, least=1)
        tensors = segment.to_tensors()
        for name in ("by_key_values", "by_key_order", "by_sid_values", "by_sid_order"):
            bits = np.frombuffer(rng.bytes(tensors[name].nbytes), tensors[name].dtype)
            if name.endswith("order") and rng.random() < 0.5:
                bits = bits % np.uint32(len(segment))
            damaged = Segment.from_tensors(tensors | {name: bits}, check=False)
            queries = some_queries(rng, segment)
            for ask in (
                lambda damaged=damaged: damaged.rows_of(damaged.keys),
                lambda damaged=damaged, queries=queries: damaged.rows_of_sids(queries)[1],
                lambda damaged=damaged, queries=queries: damaged.prefix(queries[0]),
            ):
                try:
                    rows = ask()
                except IndexError:
                    continue
                assert rows.dtype == np.int64
