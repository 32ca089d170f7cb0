"""Columns of keys: what they are made of, what is refused, and files that are damaged."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puresid import _core
from puresid.catalog.keys import Keys, key_tensor_names
from puresid.files import CorruptFileError

MASK = 2**64 - 1

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=40)
integers = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=40)


def siphash(message: bytes) -> int:
    """SipHash-2-4 under the key 00 01 … 0f, from its paper."""
    k0, k1 = 0x0706050403020100, 0x0F0E0D0C0B0A0908
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]

    def turn(x: int, by: int) -> int:
        return (x << by | x >> (64 - by)) & MASK

    def rounds(count: int) -> None:
        for _ in range(count):
            for a, b, c, d, first, second in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
                v[a] = (v[a] + v[b]) & MASK
                v[c] = (v[c] + v[d]) & MASK
                v[b], v[d] = turn(v[b], first) ^ v[a], turn(v[d], second) ^ v[c]
                v[a] = turn(v[a], 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def mixed(value: int) -> int:
    x = (value + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def test_the_twin_keeps_to_the_paper():
    assert siphash(bytes(range(15))) == 0xA129CA6149BE45E5


@given(texts | integers)
def test_keys_come_back_and_hash_as_the_twins(values):
    keys = Keys.of(values)
    assert keys.tolist() == values
    assert [keys[row] for row in range(len(keys))] == values
    twins = [siphash(v.encode()) if isinstance(v, str) else mixed(v) for v in values]
    for threads in (1, 3):
        assert keys.hashes(threads=threads).tolist() == twins


def test_hashes_of_a_format_never_change():
    assert Keys.of(["", "item-1", "naïve 🍵"]).hashes().tolist() == [
        0x726FDB47DD0E0E31,
        siphash(b"item-1"),
        siphash("naïve 🍵".encode()),
    ]
    assert Keys.of([0, 1, -1]).hashes().tolist() == [
        0xE220A8397B1DCDAF,
        0x910A2DEC89025CC1,
        0xE4D971771B652C20,
    ]


@given(st.data(), texts.filter(bool) | integers.filter(bool))
def test_taking_comparing_and_repeated_keys(data, values):
    keys = Keys.of(values)
    rows = st.lists(st.integers(0, len(values) - 1), max_size=30)
    picked = data.draw(rows)
    assert keys.take(picked).tolist() == [values[row] for row in picked]
    others = data.draw(st.permutations(values))
    right = [data.draw(st.integers(0, len(values) - 1)) for _ in picked]
    same = keys.equals(picked, Keys.of(others), right)
    assert same.tolist() == [values[a] == others[b] for a, b in zip(picked, right, strict=True)]
    expected = [row for row, value in enumerate(values) if value in values[:row]]
    assert keys.duplicates().tolist() == expected


@given(st.lists(texts, min_size=1, max_size=4) | st.lists(integers, min_size=1, max_size=4))
def test_columns_one_after_the_other(parts):
    kind = "string" if any(isinstance(v, str) for part in parts for v in part) else "int64"
    whole = Keys.concatenate([Keys.of(part, kind=kind) for part in parts])
    assert whole.kind == kind
    assert whole.tolist() == [value for part in parts for value in part]
    assert Keys.from_tensors(whole.tensors()).tolist() == whole.tolist()


def test_columns_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="there are no columns to concatenate"):
        Keys.concatenate([])
    with pytest.raises(TypeError, match="keys of kind 'string' do not go with keys of"):
        Keys.concatenate([Keys.of([1]), Keys.of(["a"])])


def test_repeated_keys_are_found_among_others_of_their_hash(monkeypatch):
    monkeypatch.setattr(Keys, "hashes", weak_hashes)
    values = [*"abcabdea", "", "f", ""]
    repeated = Keys.of(values).duplicates()
    assert repeated.tolist() == [3, 4, 7, 10]
    assert repeated.dtype == np.int64
    assert Keys.of(list("abcdef")).duplicates().tolist() == []


def weak_hashes(keys, *, threads=None):
    """Of text, a hash that has two values only."""
    return np.array([len(key) % 2 for key in keys.tolist()], dtype=np.uint64)


def test_what_becomes_integers():
    for values in (
        [3, -1],
        (3, -1),
        np.array([3, -1], dtype=np.int8),
        np.array([3, -1], dtype=">i4"),
        np.array([3, 0, -1, 0])[::2],
        np.array([3, -1], dtype=object),
        [np.int16(3), np.int64(-1)],
    ):
        keys = Keys.of(values)
        assert keys.kind == "int64"
        assert keys.tolist() == [3, -1]
    assert Keys.of(np.array([2**63 - 1], dtype=np.uint64)).tolist() == [2**63 - 1]
    assert Keys.of(iter([1, 2])).tolist() == [1, 2]


def test_what_becomes_text():
    for values in (
        ["né", ""],
        np.array(["né", ""]),
        np.array(["né", ""], dtype=object),
        [np.str_("né"), ""],
    ):
        keys = Keys.of(values)
        assert keys.kind == "string"
        assert keys.tolist() == ["né", ""]
    assert Keys.of(["a\0", "a"]).tolist() == ["a\0", "a"]
    keys = Keys.of(["a"])
    assert Keys.of(keys) is keys


def test_no_keys_are_of_either_kind():
    assert Keys.of([]).kind == "int64"
    assert Keys.of(np.array([])).kind == "int64"
    assert Keys.of([], kind="string").kind == "string"
    assert Keys.of(Keys.of([], kind="string"), kind="int64").kind == "int64"
    for kind in ("int64", "string"):
        keys = Keys.of([], kind=kind)
        assert (len(keys), keys.tolist(), len(keys.hashes())) == (0, [], 0)
        assert len(keys.duplicates()) == len(keys.take([])) == 0
        assert len(Keys.from_tensors(keys.tensors())) == 0


def test_arrow_arrays_become_keys():
    pa = pytest.importorskip("pyarrow")
    values = ["né", "", "x", "né"]
    for array in (
        pa.array(values),
        pa.array(values, pa.large_string()),
        pa.array(["?", *values, "?"])[1:-1],
        pa.array(["?", *values, "?"], pa.large_string())[1:-1],
        pa.chunked_array([values[:1], [], values[1:]]),
        pa.array(values).dictionary_encode(),
        pa.chunked_array([pa.array(values).dictionary_encode()]),
    ):
        assert Keys.of(array).tolist() == values
    assert Keys.of(pa.array([], pa.string())).kind == "string"
    assert Keys.of(pa.chunked_array([], pa.string())).kind == "string"
    assert Keys.of(pa.array(["", ""])).tolist() == ["", ""]
    assert Keys.of(pa.array([1, -2], pa.int8())).tolist() == [1, -2]
    assert Keys.of(pa.chunked_array([[1], [-2]])).tolist() == [1, -2]
    assert Keys.of(pa.array([])).kind == "int64"
    for array, error, message in (
        (pa.array(["a", None]), TypeError, r"keys\[1\] is None; all must be integers or all text"),
        (pa.array([1, 2, None]), TypeError, r"keys\[2\] is None"),
        (pa.array([1.5]), TypeError, "keys has the Arrow type double; all must be"),
        (pa.array([True]), TypeError, "keys has the Arrow type bool; all must be"),
        (pa.array([b"a"]), TypeError, "keys has the Arrow type binary; all must be"),
        (pa.array([0, 2**63], pa.uint64()), ValueError, r"keys\[1\] is 9223372036854775808"),
        (
            pa.StringArray.from_buffers(
                1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")
            ),
            ValueError,
            "keys is no valid Arrow array: .*UTF8",
        ),
    ):
        with pytest.raises(error, match=message):
            Keys.of(array)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ("abc", TypeError, "keys is 'abc'; a sequence of integers or of text is needed"),
        (5, TypeError, "keys is 5; a sequence"),
        ({"a": 1}, TypeError, "keys is {'a': 1}; a sequence"),
        ([1, "a"], TypeError, r"keys\[1\] is 'a'; all must be integers or all text"),
        (["a", 1], TypeError, r"keys\[1\] is 1; all must be"),
        (["a", None], TypeError, r"keys\[1\] is None; all must be"),
        ([True, 1], TypeError, r"keys\[0\] is True; all must be"),
        ([0, np.True_], TypeError, r"keys\[1\] is .*True.*; all must be"),
        ([1, 2.0], TypeError, r"keys\[1\] is 2\.0; all must be"),
        (np.array([1.0]), TypeError, r"keys\[0\] is 1\.0; all must be"),
        (np.array([False]), TypeError, r"keys\[0\] is False; all must be"),
        (np.array([b"a"]), TypeError, r"keys\[0\] is b'a'; all must be"),
        (np.array(["2020-01-01"], "M8[ns]"), TypeError, "keys has dtype datetime64"),
        (np.zeros((2, 1), int), ValueError, r"keys has shape \(2, 1\); one key per item"),
        ([0, 2**63], ValueError, r"keys\[1\] is 9223372036854775808; integers go from"),
        ([0, -(2**63) - 1], ValueError, r"keys\[1\] is -9223372036854775809; integers"),
        ([0, np.uint64(2**63)], ValueError, r"keys\[1\] is 9223372036854775808; integers"),
        (np.array([0, 2**63], np.uint64), ValueError, r"keys\[1\] is 9223372036854775808; int"),
        (["a", "\ud800"], ValueError, r"keys\[1\] is '.ud800'; half a surrogate pair is no text"),
    ],
)
def test_what_is_no_key_is_refused(values, error, message):
    with pytest.raises(error, match=message):
        Keys.of(values)


def test_errors_call_keys_by_their_name():
    with pytest.raises(TypeError, match=r"removed\[0\] is None"):
        Keys.of([None], "removed")


def test_keys_of_another_kind_are_refused():
    with pytest.raises(TypeError, match=r"keys\[0\] is 'a'; an integer is needed"):
        Keys.of(["a"], kind="int64")
    with pytest.raises(TypeError, match=r"keys\[0\] is 7; text is needed"):
        Keys.of([7], kind="string")
    with pytest.raises(TypeError, match="keys of kind 'string' do not go with keys of"):
        Keys.of([7]).equals([0], Keys.of(["a"]), [0])


@pytest.mark.parametrize("keys", [Keys.of([5, 6]), Keys.of(["a", "b"])], ids=["int64", "string"])
def test_rows_that_are_not_there_are_refused(keys):
    for rows in ([2], [-1]):
        with pytest.raises(IndexError, match=rf"row {rows[0]} of 2"):
            keys.take(rows)
        with pytest.raises(IndexError, match=rf"row {rows[0]} of 2"):
            keys.equals(rows, keys, [0])
        with pytest.raises(IndexError, match=rf"row {rows[0]} of 2"):
            keys.equals([0], keys, rows)
        with pytest.raises(IndexError, match=rf"row {rows[0]} of 2"):
            keys[rows[0]]
    with pytest.raises(ValueError, match="there are 1 rows and 2 other rows"):
        keys.equals([0], keys, [0, 1])
    with pytest.raises(TypeError, match=r"rows has shape \(1,\) and dtype float64; a list of int"):
        keys.take([0.5])
    with pytest.raises(TypeError, match=r"rows has shape \(2,\) and dtype bool; a list of int"):
        keys.take(np.array([True, False]))


def test_a_column_is_not_its_owners_to_change():
    given_ = np.array([1, 2])
    keys = Keys.of(given_)
    given_[0] = 9
    assert keys.tolist() == [1, 2]
    for array in [*keys.tensors().values(), *Keys.of(["a"]).tensors().values()]:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert repr(keys) == "Keys(2 of int64)"
    assert (keys.nbytes, Keys.of(["ab"]).nbytes) == (16, 18)


@given(texts | integers)
def test_keys_survive_a_file(values):
    keys = Keys.of(values)
    tensors = keys.tensors("removed_")
    assert sorted(tensors) == sorted(key_tensor_names(keys.kind, "removed_"))
    again = Keys.from_tensors(tensors | {"others": 1}, "removed_")
    assert again.kind == keys.kind
    assert again.tolist() == values


def stored_text(data: bytes, offsets: list[int], **changes):
    tensors = {
        "key_bytes": np.frombuffer(data, dtype=np.uint8),
        "key_offsets": np.array(offsets, dtype=np.int64),
    } | changes
    return {name: array for name, array in tensors.items() if array is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (stored_text(b"ab", []), "f: key_offsets go from none; from 0 to 2 is needed"),
        (stored_text(b"ab", [1, 2]), "f: key_offsets go from 1 to 2; from 0 to 2 is needed"),
        (stored_text(b"ab", [0, 1]), "f: key_offsets go from 0 to 1; from 0 to 2 is needed"),
        (stored_text(b"ab", [0, 3]), "f: key_offsets go from 0 to 3; from 0 to 2 is needed"),
        (stored_text(b"ab", [0, 2, 1, 2]), r"f: key_offsets\[2\] is below the one before"),
        (stored_text(b"ab", [0, -1, 2]), r"f: key_offsets\[1\] is below the one before"),
        (stored_text(b"ab", [0, 9, 2]), r"f: key_offsets\[2\] is below the one before"),
        (stored_text(b"ab\xff", [0, 2, 3]), "f: key_bytes: row 1 is no text in UTF-8: invalid st"),
        (stored_text(b"ab\xc3", [0, 2, 3]), "f: key_bytes: row 1 is no text in UTF-8: unexpected"),
        (stored_text("aé".encode(), [0, 2, 3]), "f: key_bytes: row 1 begins inside a character"),
        (stored_text(b"", [0], key_bytes=None), "f: key_bytes is missing"),
        (stored_text(b"", [0], key_offsets=None), "f: key_offsets is missing"),
        (stored_text(b"", [0], key_bytes=7), r"f: key_bytes has the type int; shape \(n,\) and"),
        (
            stored_text(b"", [0], key_offsets=np.zeros(1, np.uint64)),
            r"f: key_offsets has shape \(1,\) and type uint64; shape \(n,\) and type int64 are",
        ),
        (
            {"keys": np.zeros((2, 1), np.int64)},
            r"f: keys has shape \(2, 1\) and type int64; shape \(n,\) and type int64 are needed",
        ),
        ({"keys": np.zeros(2, ">i8")}, r"f: keys has shape \(2,\) and type >i8; shape"),
    ],
)
def test_damaged_files_are_refused(tensors, message):
    with pytest.raises(CorruptFileError, match=message):
        Keys.from_tensors(tensors, where="f")


def test_text_is_checked_over_many_blocks(monkeypatch):
    monkeypatch.setattr("puresid.catalog.keys._CHECKED_AT_ONCE", 8)
    values = ["é" * (row % 12) for row in range(50)]
    tensors = Keys.of(values).tensors()
    assert Keys.from_tensors(tensors).tolist() == values
    for row in range(50):
        data = tensors["key_bytes"].copy()
        place = int(tensors["key_offsets"][row])
        if row % 12 == 0:
            continue
        data[place] = 0xFF
        with pytest.raises(CorruptFileError, match=f"row {row} is no text"):
            Keys.from_tensors(tensors | {"key_bytes": data})


def test_unchecked_offsets_are_found_where_they_are_used():
    tensors = stored_text(b"abcd", [0, 1, 99, 2, 4])
    keys = Keys.from_tensors(tensors, check=False)
    assert keys[0] == "a"
    assert keys[3] == "cd"
    for use in (lambda: keys[1], keys.hashes, lambda: keys.take([2]), keys.duplicates):
        with pytest.raises(IndexError, match=r"text [12] goes from .* of 4 bytes"):
            use()


def test_keys_do_not_import_pyarrow(run_python):
    script = (
        "import sys; from puresid.catalog.keys import Keys; Keys.of(['a']).hashes(); "
        "import puresid.catalog.segment; "
        "print('pyarrow' in sys.modules, 'safetensors' in sys.modules)"
    )
    assert run_python(script).split() == ["False", "False"]


def test_the_core_refuses_other_arrays():
    good, offsets = np.zeros(1, np.uint8), np.array([0, 1])
    with pytest.raises(TypeError, match="bytes has dtype int64; uint8 is needed"):
        _core.hash_texts(offsets, offsets, threads=1)
    with pytest.raises(ValueError, match="offsets is empty; one more than texts is needed"):
        _core.hash_texts(good, offsets[:0], threads=1)
    with pytest.raises(ValueError, match="b_rows has 2 values; 1 are needed"):
        _core.equal_texts(good, offsets, offsets[:1], good, offsets, offsets, threads=1)


@pytest.mark.parametrize("values", [{1, 2}, frozenset({"a"}), set()])
def test_sets_have_no_order(values):
    with pytest.raises(TypeError, match="keys is a set, whose order is not fixed"):
        Keys.of(values)
