"""Objects that speak Arrow's PyCapsule interface, as vectors and as keys."""

import sys

import numpy as np
import pytest

import puresid
from puresid import sources
from puresid.arrays import float_matrix
from puresid.catalog.keys import Keys
from puresid.sources import vectors_or_source

pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")

DIM = 4
ROWS = np.random.default_rng(0).standard_normal((60, DIM)).astype(np.float32)
BOOKS = [np.random.default_rng(1).standard_normal((8, DIM)).astype(np.float32) for _ in range(3)]


class Stream:
    """Another library's object: a stream and nothing else, which can be had once."""

    def __init__(self, held):
        self.held = held

    def __arrow_c_stream__(self, requested_schema=None):
        held, self.held = self.held, None
        assert held is not None, "taken a second time"
        return held.__arrow_c_stream__(requested_schema)


class Array:
    """The same for one array."""

    def __init__(self, held):
        self.held = held

    def __arrow_c_array__(self, requested_schema=None):
        held, self.held = self.held, None
        assert held is not None, "taken a second time"
        return held.__arrow_c_array__(requested_schema)


def column(kind="fixed", rows=ROWS):
    if kind == "binary":
        return pa.array([row.astype("<f4").tobytes() for row in rows], pa.binary(4 * DIM))
    inner = pa.from_numpy_dtype(rows.dtype)
    types = {"list": pa.list_(inner), "large": pa.large_list(inner), "fixed": pa.list_(inner, DIM)}
    return pa.array(list(rows), types[kind])


def chunked(kind="fixed", rows=ROWS):
    whole = column(kind, rows)
    return pa.chunked_array([whole[:7], whole[7:7], whole[7:30], whole[30:]])


def table(**more):
    return pa.table({"key": [f"k{i}" for i in range(len(ROWS))], "v": chunked(), **more})


def reader(of):
    return pa.RecordBatchReader.from_batches(of.schema, of.to_batches())


EXPECTED = puresid.assign(ROWS, BOOKS).sids

SPEAKERS = {
    "array": lambda: Array(column()),
    "stream of an array": lambda: Stream(pa.chunked_array([column()])),
    "chunks": lambda: Stream(chunked()),
    "table": lambda: Stream(table()),
    "record batch": lambda: Array(pa.record_batch({"n": range(60), "v": column()})),
    "reader": lambda: Stream(reader(table())),
    "pyarrow's array": column,
    "pyarrow's slice": lambda: pa.concat_arrays([column()[:5], column()])[5:],
    "pyarrow's chunks": chunked,
    "pyarrow's table": table,
    "pyarrow's batch": lambda: pa.record_batch({"n": range(60), "v": column()}),
    "pyarrow's reader": lambda: reader(table()),
}


@pytest.mark.parametrize("make", SPEAKERS.values(), ids=SPEAKERS)
def test_vectors_of_all_who_speak(make):
    np.testing.assert_array_equal(puresid.assign(make(), BOOKS).sids, EXPECTED)
    np.testing.assert_array_equal(float_matrix(make(), "vectors"), ROWS)


@pytest.mark.parametrize("kind", ["list", "large", "fixed", "binary"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "chunks"])
def test_vectors_of_all_types(kind, dtype, cut):
    rows = ROWS if kind == "binary" else ROWS.astype(dtype)
    make = (lambda: Stream(chunked(kind, rows))) if cut else (lambda: Array(column(kind, rows)))
    expected = puresid.assign(rows, BOOKS)
    found = puresid.assign(make(), BOOKS)
    np.testing.assert_array_equal(found.sids, expected.sids)
    np.testing.assert_array_equal(found.distortion, expected.distortion)
    np.testing.assert_array_equal(float_matrix(make(), "vectors"), rows.astype(np.float32))


@pytest.mark.parametrize("kind", ["list", "fixed", "binary"])
def test_one_piece_is_not_copied(kind):
    held = column(kind)
    buffers = {b.address: b.size for b in held.buffers() if b is not None}
    for found in (vectors_or_source(Array(held)), float_matrix(Array(held), "vectors")):
        begin = found.__array_interface__["data"][0]
        assert any(a <= begin < a + size for a, size in buffers.items())
        np.testing.assert_array_equal(found, ROWS)


def test_pieces_are_a_source_that_reads_them_where_they_lie():
    found = vectors_or_source(Stream(chunked()))
    assert isinstance(found, puresid.ArrowVectors)
    assert found.shape == (60, DIM)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(found.batches())), ROWS)


def test_many_columns_are_named():
    two = table(w=chunked())
    message = (
        r"vectors has 2 columns of vectors, and exactly one must be chosen; its columns: "
        r"key \(string\), v \(fixed_size_list<.*>\[4\]\), w \(fixed"
    )
    for make in (lambda: two, lambda: Stream(two), lambda: reader(two)):
        with pytest.raises(ValueError, match=message):
            puresid.assign(make(), BOOKS)
        with pytest.raises(ValueError, match=message):
            puresid.RQKMeans(1, 4).fit(make())
    np.testing.assert_array_equal(
        puresid.assign(puresid.ArrowVectors(two, "w"), BOOKS).sids, EXPECTED
    )


def test_no_column_is_said():
    message = r"vectors has no column of vectors, and .* its columns: n \(int64\)"
    with pytest.raises(ValueError, match=message):
        puresid.assign(Stream(pa.table({"n": [1, 2]})), BOOKS)
    with pytest.raises(ValueError, match=r"its columns: vectors \(double\)"):
        puresid.assign(Array(pa.array([1.0, 2.0])), BOOKS)


def test_a_name_used_twice_is_no_matter():
    twice = pa.Table.from_arrays([pa.array(range(60)), chunked()], names=["v", "v"])
    np.testing.assert_array_equal(puresid.assign(Stream(twice), BOOKS).sids, EXPECTED)


@pytest.mark.parametrize("cut", [False, True])
def test_missing_values_and_ragged_rows_are_named(cut):
    def make(values):
        whole = pa.array(values, pa.list_(pa.float32()))
        return Stream(pa.chunked_array([whole[:1], whole[1:]] if cut else [whole]))

    with pytest.raises(ValueError, match="column 'vectors', row 2: the value is missing"):
        puresid.assign(make([[1.0] * DIM, [1.0] * DIM, None]), BOOKS)
    with pytest.raises(ValueError, match="row 1: 2 values; the rows before have 4"):
        puresid.assign(make([[1.0] * DIM, [1.0] * 2]), BOOKS)
    gone = pa.StructArray.from_arrays([column()[:2]], ["v"], mask=pa.array([False, True]))
    with pytest.raises(ValueError, match="column 'v', row 1: the value is missing"):
        puresid.assign(Array(gone), BOOKS)


def test_no_rows():
    found = puresid.assign(Stream(pa.chunked_array([], column().type)), BOOKS)
    assert found.sids.shape == (0, 3)
    with pytest.raises(ValueError, match="vectors has no rows, so the length of 'vectors' is unkn"):
        puresid.assign(Stream(pa.chunked_array([], pa.list_(pa.float32()))), BOOKS)


def test_what_arrow_finds_wrong_is_said():
    sink = pa.BufferOutputStream()
    lists = pa.table({"v": column("list", ROWS[:2])})
    with pa.ipc.new_stream(sink, lists.schema) as writer:
        writer.write_table(lists)
    content = sink.getvalue().to_pybytes()
    right, wrong = np.array([0, 4, 8], np.int32), np.array([0, 4, 99], np.int32)
    assert content.count(right.tobytes()) == 1
    damaged = pa.ipc.open_stream(content.replace(right.tobytes(), wrong.tobytes())).read_all()
    with pytest.raises(ValueError, match=r"vectors is no valid Arrow column: .*Length spanned"):
        puresid.assign(Stream(damaged), BOOKS)

    class Broken:
        def __arrow_c_stream__(self, requested_schema=None):
            raise pa.ArrowInvalid("the query failed")

    with pytest.raises(ValueError, match="vectors cannot be taken through Arrow: the query failed"):
        puresid.assign(Broken(), BOOKS)

    class Gone:
        def __arrow_c_array__(self, requested_schema=None):
            raise TypeError("closed")

    with pytest.raises(TypeError, match="closed"):
        Keys.of(Gone())


@pytest.mark.parametrize("options", [{}, {"balanced": True}, {"batch_size": 16}])
def test_quantizers_take_them(options):
    make = {True: lambda: Stream(table()), False: lambda: Array(column())}
    expected = puresid.RQKMeans(2, 4, n_iter=3, **options).fit(ROWS)
    for whole in make.values():
        model = puresid.RQKMeans(2, 4, n_iter=3, **options).fit(whole())
        assert model.codebooks == expected.codebooks
        np.testing.assert_array_equal(model.encode(whole()), expected.encode(ROWS))
    for other in (puresid.HierarchicalKMeans((3, 2)), puresid.ProductQuantizer(2, 4)):
        first = other.fit(ROWS).codebooks
        assert other.fit(Stream(table())).codebooks == first


def test_batches_may_be_arrow(monkeypatch):
    parts = [column()[:7], pa.record_batch({"v": column()[7:]})]
    source = puresid.Batches(lambda: parts, ROWS.shape)
    np.testing.assert_array_equal(puresid.assign(source, BOOKS).sids, EXPECTED)
    monkeypatch.setattr(sources, "KEPT_IN_MEMORY", 10)
    np.testing.assert_array_equal(puresid.assign(Stream(table()), BOOKS).sids, EXPECTED)


class TestFramesOfNumbers:
    """What is an array by itself stays one: a row per item, a column per dimension."""

    def test_pandas(self):
        pd = pytest.importorskip("pandas", reason="pandas is missing")
        frame = pd.DataFrame(ROWS)
        np.testing.assert_array_equal(puresid.assign(frame, BOOKS).sids, EXPECTED)
        frame.columns = ["a", "a", "b", "c"]  # which Arrow refuses
        np.testing.assert_array_equal(puresid.assign(frame, BOOKS).sids, EXPECTED)
        frame = pd.DataFrame({"key": range(60), "v": list(ROWS)})
        np.testing.assert_array_equal(puresid.assign(frame, BOOKS).sids, EXPECTED)
        with pytest.raises(TypeError, match="vectors has dtype object; real numbers are needed"):
            puresid.assign(pd.DataFrame({"a": ["x"], "b": ["y"]}), BOOKS)
        assert Keys.of(pd.Series(["a", "b"])).tolist() == ["a", "b"]
        with pytest.raises(TypeError, match=r"keys\[1\] is 'a'; all must be integers"):
            Keys.of(pd.Series([1, "a"], dtype=object))

    def test_pyarrow(self):
        numbers = pa.table({str(d): ROWS[:, d] for d in range(DIM)})
        np.testing.assert_array_equal(puresid.assign(numbers, BOOKS).sids, EXPECTED)

    def test_without_pyarrow(self, monkeypatch):
        class Frame(Stream):
            def __array__(self, dtype=None, copy=None):
                return ROWS if self.held is None else np.array([ROWS[0]], object)

        monkeypatch.setitem(sys.modules, "pyarrow", None)
        np.testing.assert_array_equal(puresid.assign(Frame(None), BOOKS).sids, EXPECTED)

        class Column(Stream):
            def __array__(self, dtype=None, copy=None):
                return np.array(["a", "b"], object)

            def __iter__(self):
                return iter("ab")

        assert Keys.of(Column(None)).tolist() == ["a", "b"]


@pytest.mark.parametrize("make", [lambda: Stream(table()), lambda: Array(column())])
def test_without_pyarrow_the_extra_is_named(monkeypatch, make):
    values = make()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = r"PyCapsule interface, which needs pyarrow: pip install 'puresid\[parquet\]'"
    for use in (
        lambda: puresid.assign(values, BOOKS),
        lambda: puresid.RQKMeans(1, 4).fit(values),
        lambda: puresid.RQKMeans(1, 4, batch_size=9).fit(values),
    ):
        with pytest.raises(ImportError, match=f"^vectors comes .*{message}"):
            use()
    with pytest.raises(ImportError, match=f"^keys comes .*{message}"):
        Keys.of(values)


def test_lists_in_an_array_need_pyarrow(monkeypatch):
    class Lists(Stream):
        shape = (60,)

        def __array__(self, dtype=None, copy=None):
            return np.array([None] * 60)

    np.testing.assert_array_equal(puresid.assign(Lists(chunked()), BOOKS).sids, EXPECTED)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"vectors comes .* needs pyarrow"):
        puresid.assign(Lists(chunked()), BOOKS)


TEXTS = ["né", "", "x", "more than twelve bytes", "né"]


def text_columns():
    views = [pa.string(), pa.large_string()]
    views += [pa.string_view()] if hasattr(pa, "string_view") else []
    for kind in views:
        plain = pa.array(["?", *TEXTS, "?"], kind)[1:-1]
        codes = pa.array([4, 0, 1, 2, 3, 0], pa.int8())
        coded = pa.DictionaryArray.from_arrays(codes, pa.array([*TEXTS[:4], "?"], kind))[1:]
        for held in (plain, coded):
            yield Array(held)
            yield Stream(pa.chunked_array([held[:2], held[2:2], held[2:]]))
            yield held


def test_keys_of_text():
    for held in text_columns():
        keys = Keys.of(held)
        assert keys.kind == "string"
        assert keys.tolist() == TEXTS


def test_keys_of_integers():
    for kind in (pa.int64(), pa.uint8(), pa.int16()):
        for held in (
            Array(pa.array([3, 0, 3], kind)),
            Stream(pa.chunked_array([[3], [0, 3]], kind)),
        ):
            assert Keys.of(held).tolist() == [3, 0, 3]
    assert Keys.of(Array(pa.array([5, 7, 5]).dictionary_encode())).tolist() == [5, 7, 5]
    assert Keys.of(Stream(pa.chunked_array([], pa.int64()))).kind == "int64"
    assert Keys.of(Stream(pa.chunked_array([], pa.string()))).kind == "string"


@pytest.mark.parametrize(
    ("held", "error", "message"),
    [
        (pa.array(["a", None]), TypeError, r"keys\[1\] is None; all must be integers or all text"),
        (pa.array(["a", None]).dictionary_encode(), TypeError, r"keys\[1\] is None; all must"),
        (
            pa.DictionaryArray.from_arrays(pa.array([1, 0]), pa.array(["a", None])),
            TypeError,
            r"keys\[0\] is None; all must",
        ),
        (pa.array([1.5]), TypeError, "keys has the Arrow type double; all must be"),
        (pa.array([[1]]), TypeError, "keys has the Arrow type list<.*>; all must be"),
        (
            pa.record_batch({"key": ["a"], "n": [1]}),
            TypeError,
            "keys is a table of the columns key, n; one column of keys is needed",
        ),
        (
            pa.DictionaryArray.from_arrays(pa.array([9]), pa.array(["a"]), safe=False),
            ValueError,
            "keys is no valid Arrow array: .*Dictionary indices invalid.*out of bounds",
        ),
        (
            pa.StringArray.from_buffers(
                1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")
            ),
            ValueError,
            "keys is no valid Arrow array: .*UTF8",
        ),
    ],
)
def test_what_is_no_key_is_refused(held, error, message):
    with pytest.raises(error, match=message):
        Keys.of(Array(held))
