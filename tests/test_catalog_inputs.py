"""Items from files: keys, vectors, priorities that belong together, or an error that says why."""

import sys

import numpy as np
import pytest

import puresid
from puresid.catalog import inputs
from puresid.catalog.inputs import open_items
from puresid.catalog.keys import Keys
from puresid.files import CorruptFileError
from puresid.sources import VectorSource

N, DIM = 40, 3
ROWS = np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32)
TEXTS = [f"né-{i}" for i in range(N)]
NUMBERS = [i * 7 - 5 for i in range(N)]
PRIORITY = np.linspace(2, -1, N)
TABLES = ["parquet", "arrow", "feather"]


def pyarrow():
    return pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")


def vector_column(kind="fixed"):
    pa = pyarrow()
    if kind == "binary":
        return pa.array([row.astype("<f4").tobytes() for row in ROWS], pa.binary(4 * DIM))
    size = {"fixed": DIM, "list": -1}[kind]
    return pa.array(list(ROWS), pa.list_(pa.float32(), size))


def write(path, **columns):
    pa = pyarrow()
    import pyarrow.parquet as pq

    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=11)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=11)
    return path


@pytest.fixture
def npy(tmp_path):
    np.save(tmp_path / "v.npy", ROWS)
    return tmp_path / "v.npy"


def rows_of(vectors):
    if isinstance(vectors, np.ndarray):
        return vectors
    return np.concatenate(list(vectors.batches()))


# --- tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fixed", "list", "binary"])
@pytest.mark.parametrize("ending", TABLES)
@pytest.mark.parametrize("keys", [TEXTS, NUMBERS], ids=["text", "integers"])
def test_a_table_end_to_end(tmp_path, kind, ending, keys):
    path = write(
        tmp_path / f"v.{ending}", popularity=PRIORITY, key=keys, v=vector_column(kind), n=NUMBERS
    )
    found = open_items(path, priority_column="popularity")
    assert found.keys.tolist() == keys
    assert isinstance(found.vectors, VectorSource)
    np.testing.assert_array_equal(rows_of(found.vectors), ROWS)
    assert found.priority.dtype == np.float64
    np.testing.assert_array_equal(found.priority, PRIORITY)
    assert found.source == {
        "vectors": str(path),
        "column": None,
        "keys": None,
        "key_column": None,
        "priority": None,
        "priority_column": "popularity",
    }
    books = puresid.RQKMeans(2, 8).fit(ROWS).codebooks
    np.testing.assert_array_equal(
        puresid.assign(found.vectors, books, priority=found.priority).sids,
        puresid.assign(ROWS, books, priority=PRIORITY).sids,
    )
    assert open_items(path).priority is None


@pytest.mark.parametrize("ending", TABLES)
def test_columns_by_name(tmp_path, ending):
    path = write(
        tmp_path / f"v.{ending}",
        **{"key": NUMBERS, "key.x": TEXTS, "v": vector_column(), "w": vector_column("list")},
    )
    found = open_items(path, column="w", key_column="key.x", priority_column="key")
    assert found.keys.tolist() == TEXTS
    np.testing.assert_array_equal(found.priority, NUMBERS)
    np.testing.assert_array_equal(rows_of(found.vectors), ROWS)
    assert open_items(path, column="v").keys.tolist() == NUMBERS
    same = open_items(path, column="v", priority_column="key")
    np.testing.assert_array_equal(same.priority, NUMBERS)
    with pytest.raises(ValueError, match=rf"v\.{ending} has no column named 'k'; its columns: key"):
        open_items(path, column="v", key_column="k")
    with pytest.raises(ValueError, match="no column named 'p'; its columns: key"):
        open_items(path, column="v", priority_column="p")
    with pytest.raises(ValueError, match="2 columns of vectors, and exactly one must be chosen"):
        open_items(path)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["key"], "key"),
        (["item_id", "key", "id"], "key"),
        (["item_id"], "item_id"),
        (["other", "id"], "id"),
    ],
)
def test_the_column_of_keys_that_nobody_named(tmp_path, names, chosen):
    values = {name: [f"{name}{i}" for i in range(N)] for name in names}
    found = open_items(write(tmp_path / "v.parquet", v=vector_column(), **values))
    assert found.keys.tolist() == values[chosen]


def test_no_column_of_keys_that_is_clear(tmp_path):
    path = write(tmp_path / "v.parquet", v=vector_column(), asin=TEXTS)
    message = (
        r"v\.parquet has no column of the names 'key', 'item_id', 'id'; key_column must name that "
        r"of the keys; its columns: v \(.*\), asin \(string\)"
    )
    with pytest.raises(ValueError, match=message):
        open_items(path)
    path = write(tmp_path / "v.parquet", v=vector_column(), item_id=TEXTS, id=NUMBERS)
    with pytest.raises(ValueError, match=r"several columns of the names .*: v .*, id \(int64\)"):
        open_items(path)


def test_a_name_used_twice(tmp_path):
    pa = pyarrow()
    import pyarrow.parquet as pq

    columns = [vector_column(), pa.array(TEXTS), pa.array(NUMBERS)]
    pq.write_table(pa.table(columns, names=["v", "key", "key"]), tmp_path / "v.parquet")
    with pytest.raises(ValueError, match="has 2 columns named 'key'"):
        open_items(tmp_path / "v.parquet")


@pytest.mark.parametrize("ending", TABLES)
def test_values_that_cannot_be(tmp_path, ending):
    path = tmp_path / f"v.{ending}"

    def refused(message, priority_column=None, **columns):
        write(path, v=vector_column(), **({"key": TEXTS} | columns))
        with pytest.raises(ValueError, match=rf"v\.{ending}: column {message}"):
            open_items(path, priority_column=priority_column)

    refused(r"'key'\[39\] is None; all must be integers or all text", key=[*TEXTS[:-1], None])
    refused("'key' has the Arrow type double", key=PRIORITY)
    refused("'p', row 39: the value is missing", "p", p=[*NUMBERS[:-1], None])
    refused("'p', row 2: the priority is NaN", "p", p=[0.0, 1.0, np.nan] + [0.0] * (N - 3))
    refused("'p' is of type string; priorities are numbers", "p", p=TEXTS)
    refused("'p' is of type bool; priorities are numbers", "p", p=[True] * N)


def test_numbers_too_large_for_float64_keep_their_order(tmp_path):
    wide = [2**60 + (i * 17) % N for i in range(N)]
    path = write(tmp_path / "v.parquet", v=vector_column(), key=NUMBERS, p=wide)
    found = open_items(path, priority_column="p").priority
    assert np.argsort(found).tolist() == np.argsort(wide).tolist()
    assert len(np.unique(found)) == N


def test_coded_text_and_other_types_of_keys(tmp_path):
    pa = pyarrow()
    for keys in (
        pa.array(TEXTS).dictionary_encode(),
        pa.array(TEXTS, pa.large_string()),
        pa.array(NUMBERS, pa.int16()),
    ):
        path = write(tmp_path / "v.parquet", v=vector_column(), key=keys)
        assert open_items(path).keys.tolist() == keys.to_pylist()


# --- .npy and what lies beside it ---------------------------------------------------------------


def text_file(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_keys_of_a_text(npy, tmp_path, end, line):
    keys = ["", " a b\t", "1", *TEXTS[3:]]
    found = open_items(npy, keys=text_file(tmp_path / "k.txt", line.join(keys) + end))
    assert found.keys.kind == "string"
    assert found.keys.tolist() == keys
    assert isinstance(found.vectors, np.ndarray)
    np.testing.assert_array_equal(found.vectors, ROWS)
    assert found.priority is None


@pytest.mark.parametrize(
    "keys",
    [
        np.array(NUMBERS),
        np.array(NUMBERS, ">i2"),
        np.arange(N, dtype=np.uint8),
        np.array(TEXTS),
        np.array(TEXTS).astype(">U9"),
    ],
    ids=["int64", "int16", "uint8", "text", "turned text"],
)
def test_keys_and_priorities_of_arrays(npy, tmp_path, keys):
    np.save(tmp_path / "k.npy", keys)
    np.save(tmp_path / "p.npy", PRIORITY.astype(np.float32))
    found = open_items(npy, keys=tmp_path / "k.npy", priority=str(tmp_path / "p.npy"))
    assert found.keys.tolist() == keys.tolist()
    np.testing.assert_array_equal(found.priority, PRIORITY.astype(np.float32))
    assert found.priority.dtype == np.float64
    assert found.source["keys"] == str(tmp_path / "k.npy")
    assert found.source["priority"] == str(tmp_path / "p.npy")
    np.save(tmp_path / "p.npy", np.arange(N, dtype=np.int16))
    found = open_items(npy, keys=tmp_path / "k.npy", priority=tmp_path / "p.npy")
    assert found.priority.tolist() == list(range(N))


@pytest.mark.parametrize("ending", TABLES)
def test_keys_and_priorities_of_a_table(npy, tmp_path, ending):
    path = write(tmp_path / f"k.{ending}", id=TEXTS, p=NUMBERS)
    found = open_items(npy, keys=path, priority_column="p")
    assert found.keys.tolist() == TEXTS
    assert found.priority.tolist() == NUMBERS
    np.save(tmp_path / "p.npy", PRIORITY)
    found = open_items(npy, keys=path, key_column="p", priority=tmp_path / "p.npy")
    assert found.keys.tolist() == NUMBERS
    assert found.priority.tolist() == PRIORITY.tolist()
    with pytest.raises(ValueError, match=r"priority is .*p\.npy and priority_column is 'p'; one"):
        open_items(npy, keys=path, priority=tmp_path / "p.npy", priority_column="p")


def test_what_is_held_is_a_copy(npy, tmp_path):
    """Whoever writes to the files later changes no key and no priority."""
    for name, values in (("k", np.array(NUMBERS)), ("p", PRIORITY)):
        np.save(tmp_path / f"{name}.npy", values)
    found = open_items(npy, keys=tmp_path / "k.npy", priority=tmp_path / "p.npy")
    for name in "kp":
        np.load(tmp_path / f"{name}.npy", mmap_mode="r+")[:] = 0
    assert found.keys.tolist() == NUMBERS
    assert found.priority.tolist() == PRIORITY.tolist()


def test_numbers_of_rows_must_agree(npy, tmp_path):
    keys = text_file(tmp_path / "k.txt", "a\nb\n")
    with pytest.raises(ValueError, match=r"v\.npy has 40 vectors; .*k\.txt has 2 keys"):
        open_items(npy, keys=keys)
    text_file(keys, "\n".join(TEXTS))
    np.save(tmp_path / "p.npy", PRIORITY[1:])
    with pytest.raises(ValueError, match=r"v\.npy has 40 vectors; .*p\.npy has 39 priorities"):
        open_items(npy, keys=keys, priority=tmp_path / "p.npy")


def test_texts_without_a_character(npy, tmp_path):
    np.save(tmp_path / "k.npy", np.array([""] * N))
    assert open_items(npy, keys=tmp_path / "k.npy").keys.tolist() == [""] * N


def test_no_items(tmp_path):
    np.save(tmp_path / "v.npy", ROWS[:0])
    found = open_items(tmp_path / "v.npy", keys=text_file(tmp_path / "k.txt", ""))
    assert (len(found.keys), found.keys.kind, found.vectors.shape) == (0, "string", (0, DIM))
    np.save(tmp_path / "k.npy", np.array([], dtype=np.int64))
    np.save(tmp_path / "p.npy", PRIORITY[:0])
    found = open_items(tmp_path / "v.npy", keys=tmp_path / "k.npy", priority=tmp_path / "p.npy")
    assert (len(found.keys), found.keys.kind, found.priority.shape) == (0, "int64", (0,))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("keys", np.zeros((N, 1), int), r"k\.npy holds an array of shape \(40, 1\) and type int64"),
        ("keys", PRIORITY, r"k\.npy holds .* float64; keys are a row of integers or of text"),
        ("keys", np.array([b"a"] * N), r"k\.npy holds .* \|S1; keys are a row"),
        ("keys", np.arange(2**63, 2**63 + N, dtype=np.uint64), r"k\.npy\[39\] is 92233.* integers"),
        ("keys", np.array(["a"] * 7 + ["\ud800"] * 33), r"k\.npy\[7\] is .*half a surrogate pair"),
        ("priority", np.array(TEXTS), r"p\.npy holds .* <U5; priorities are a row of numbers"),
        ("priority", np.zeros((N, 1)), r"p\.npy holds an array of shape \(40, 1\)"),
        ("priority", np.array([np.nan] * N), r"p\.npy, row 0: the priority is NaN"),
    ],
)
def test_arrays_that_are_none(npy, tmp_path, name, values, message):
    np.save(tmp_path / "k.npy", np.arange(N))
    files = {"keys": tmp_path / "k.npy", name: tmp_path / f"{name[0]}.npy"}
    np.save(files[name], values)
    with pytest.raises(ValueError, match=message):
        open_items(npy, **files)


def test_objects_are_never_unpickled(npy, tmp_path):
    np.save(tmp_path / "k.npy", np.array(TEXTS, dtype=object))
    with pytest.raises(ValueError, match=r"k\.npy holds Python objects"):
        open_items(npy, keys=tmp_path / "k.npy")


def test_a_byte_order_mark_is_no_part_of_a_key(npy, tmp_path):
    path = text_file(tmp_path / "k.txt", "\ufeff" + "\n".join(TEXTS))
    with pytest.raises(ValueError, match=r"k\.txt begins with a byte order mark"):
        open_items(npy, keys=path)


def test_arguments_that_do_not_go_together(npy, tmp_path):
    keys = text_file(tmp_path / "k.txt", "\n".join(TEXTS))
    with pytest.raises(ValueError, match=r"v\.npy is a \.npy file and has no keys; keys must name"):
        open_items(npy)
    for name in ("key_column", "priority_column"):
        with pytest.raises(ValueError, match=rf"{name} is for Parquet and Arrow files; .*k\.txt"):
            open_items(npy, keys=keys, **{name: "x"})
    with pytest.raises(ValueError, match=r"column is for Parquet files; .*v\.npy"):
        open_items(npy, keys=keys, column="v")
    for name, other in (("keys", "key_column"), ("priority", "priority_column")):
        with pytest.raises(
            ValueError, match=rf"{name} is for vectors in a \.npy file; v\.arrow .*: {other} names"
        ):
            open_items("v.arrow", **{name: keys})
    with pytest.raises(
        ValueError, match=r"v\.csv has an unknown ending; .*\.npy, \.parquet, \.arr"
    ):
        open_items("v.csv", keys=keys)
    with pytest.raises(ValueError, match=r"k\.csv has an unknown ending; .*\.npy, \.txt, \.parq"):
        open_items(npy, keys="k.csv")


# --- damage -------------------------------------------------------------------------------------


def test_damaged_files_are_named(npy, tmp_path):
    path = text_file(tmp_path / "k.txt", "a\nb")
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(CorruptFileError, match=r"k\.txt is no text in UTF-8: .* at byte 2"):
        open_items(npy, keys=path)
    np.save(tmp_path / "k.npy", np.array(["ab"] * N))
    whole = (tmp_path / "k.npy").read_bytes()
    (tmp_path / "k.npy").write_bytes(whole[:-1])
    with pytest.raises(CorruptFileError, match=r"k\.npy is cut short or damaged"):
        open_items(npy, keys=tmp_path / "k.npy")
    for order in "<>":
        np.save(tmp_path / "k.npy", np.full(N, 0x110000).astype(f"{order}u4").view(f"{order}U1"))
        with pytest.raises(CorruptFileError, match=r"k\.npy holds 0x110000, which is no character"):
            open_items(npy, keys=tmp_path / "k.npy")
    np.save(tmp_path / "k.npy", np.arange(N))
    np.save(tmp_path / "p.npy", PRIORITY)
    (tmp_path / "p.npy").write_bytes((tmp_path / "p.npy").read_bytes()[:-1])
    with pytest.raises(CorruptFileError, match=r"p\.npy is cut short or damaged"):
        open_items(npy, keys=tmp_path / "k.npy", priority=tmp_path / "p.npy")
    with pytest.raises(FileNotFoundError, match="absent"):
        open_items(npy, keys=tmp_path / "absent.txt")


@pytest.mark.parametrize(("ending", "what"), [("parquet", "Parquet"), ("arrow", "an Arrow file")])
def test_keys_of_a_table_that_are_no_text(tmp_path, ending, what):
    path = write(tmp_path / f"v.{ending}", v=vector_column(), key=["~damage~"] * N)
    path.write_bytes(path.read_bytes().replace(b"~damage~", b"~\xff\xffmage~"))
    with pytest.raises(CorruptFileError, match=rf"v\.{ending} cannot be read as {what}: .*UTF8"):
        open_items(path)


def test_rows_that_a_parquet_file_does_not_hold(tmp_path, monkeypatch):
    pyarrow()
    import pyarrow.parquet as pq

    path = write(tmp_path / "v.parquet", v=vector_column(), key=TEXTS)
    every = pq.ParquetFile.read
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *a, **k: every(*a, **k)[:-1])
    with pytest.raises(CorruptFileError, match=r"v\.parquet announces 40 rows and holds 39"):
        open_items(path)


def test_vectors_are_not_held(tmp_path):
    """Of a table only the columns of keys and priorities are read when it is opened."""
    path = write(tmp_path / "v.parquet", v=vector_column(), key=NUMBERS, p=NUMBERS)
    read = [name for name, _ in inputs._read_columns(path, None, "p")]
    assert read == ["key", "p"]
    found = open_items(path)
    assert isinstance(found.vectors, puresid.ParquetVectors)
    assert isinstance(found.keys, Keys)


def test_without_pyarrow_the_extra_is_named(npy, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'puresid\[parquet\]'"):
        open_items(npy, keys="k.parquet")
