"""Reading vectors: each format and type exactly, each refusal by its message and row."""

import sys

import numpy as np
import pytest

from puresid.files import CorruptFileError, check_writable, read_npy, read_sids, read_vectors

VECTORS = np.array([[0.5, -1.25], [3.0, 1e-30], [0.1, 7.0]], dtype=np.float32)


def pyarrow():
    """Return the module, or skip and say why."""
    return pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")


def write_parquet(path, **columns):
    pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Small row groups, so that a file has several pieces and rows are counted across them.
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def vector_column(kind, vectors):
    import pyarrow as pa

    if kind == "binary":
        return pa.array([row.astype("<f4").tobytes() for row in vectors], pa.binary(8))
    inner = pa.from_numpy_dtype(vectors.dtype)
    kinds = {"list": pa.list_(inner), "large": pa.large_list(inner), "fixed": pa.list_(inner, 2)}
    return pa.array(list(vectors), kinds[kind])


class TestVectorsFromNpy:
    @pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i4", "u1"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_values_type_and_shape_stay(self, tmp_path, dtype, order):
        vectors = np.asarray(np.arange(12).reshape(4, 3), dtype=dtype, order=order)
        np.save(tmp_path / "v.npy", vectors)
        read = read_vectors(tmp_path / "v.npy")
        assert read.dtype == vectors.dtype
        np.testing.assert_array_equal(read, vectors)

    def test_is_mapped_and_read_only(self, tmp_path):
        np.save(tmp_path / "v.npy", VECTORS)
        read = read_vectors(tmp_path / "v.npy")
        assert isinstance(read.base, np.memmap)
        assert not read.flags.writeable

    def test_no_rows(self, tmp_path):
        np.save(tmp_path / "v.npy", np.empty((0, 5), np.float32))
        assert read_vectors(tmp_path / "v.npy").shape == (0, 5)

    def test_second_version_of_the_format(self, tmp_path):
        with open(tmp_path / "v.npy", "wb") as handle:
            np.lib.format.write_array(handle, VECTORS, version=(2, 0))
        np.testing.assert_array_equal(read_vectors(tmp_path / "v.npy"), VECTORS)

    @pytest.mark.parametrize(
        "array", [np.zeros(3), np.zeros((2, 2, 2)), np.zeros((2, 2), complex), np.array([["a"]])]
    )
    def test_what_is_no_matrix_of_numbers_is_refused(self, tmp_path, array):
        np.save(tmp_path / "v.npy", array)
        with pytest.raises(ValueError, match=r"v\.npy holds an array of shape .* matrix of num"):
            read_vectors(tmp_path / "v.npy")

    def test_column_is_refused(self, tmp_path):
        np.save(tmp_path / "v.npy", VECTORS)
        with pytest.raises(ValueError, match="column is for Parquet files"):
            read_vectors(tmp_path / "v.npy", column="v")

    def test_python_objects_are_not_unpickled(self, tmp_path):
        np.save(tmp_path / "v.npy", np.array([[{}]], dtype=object), allow_pickle=True)
        with pytest.raises(ValueError, match="holds Python objects or named fields"):
            read_vectors(tmp_path / "v.npy")

    def test_named_fields_are_refused(self, tmp_path):
        np.save(tmp_path / "v.npy", np.zeros(2, dtype=[("x", "f4")]))
        with pytest.raises(ValueError, match="holds Python objects or named fields"):
            read_npy(tmp_path / "v.npy")

    def test_third_version_of_the_format_is_refused(self, tmp_path):
        with open(tmp_path / "v.npy", "wb") as handle:
            np.lib.format.write_array(handle, VECTORS, version=(3, 0))
        with pytest.raises(CorruptFileError, match=r"version \(3, 0\) of the format is not one"):
            read_npy(tmp_path / "v.npy")

    def test_every_truncation_is_refused(self, tmp_path):
        np.save(tmp_path / "v.npy", VECTORS)
        whole = (tmp_path / "v.npy").read_bytes()
        for length in range(len(whole)):
            (tmp_path / "cut.npy").write_bytes(whole[:length])
            with pytest.raises(CorruptFileError, match=r"cut\.npy is (not a \.npy file|cut short)"):
                read_vectors(tmp_path / "cut.npy")

    def test_more_bytes_than_announced_are_refused(self, tmp_path):
        np.save(tmp_path / "v.npy", VECTORS)
        with open(tmp_path / "v.npy", "ab") as handle:
            handle.write(b"\0")
        with pytest.raises(CorruptFileError, match=r"\(3, 2\) of float32, 24 bytes, and 25 bytes"):
            read_vectors(tmp_path / "v.npy")

    def test_a_header_with_negative_lengths_is_refused(self, tmp_path):
        np.save(tmp_path / "v.npy", np.zeros((3, 2), np.float32))
        damaged = (tmp_path / "v.npy").read_bytes().replace(b"(3, 2), }  ", b"(-3, -2), }")
        (tmp_path / "v.npy").write_bytes(damaged)
        with pytest.raises(CorruptFileError, match=r"announces \(-3, -2\)"):
            read_vectors(tmp_path / "v.npy")

    def test_every_damaged_byte_of_the_header_is_survived(self, tmp_path):
        np.save(tmp_path / "v.npy", VECTORS)
        whole = (tmp_path / "v.npy").read_bytes()
        messages = []
        for place in range(len(whole) - VECTORS.nbytes):
            damaged = bytearray(whole)
            damaged[place] ^= 0x15
            (tmp_path / "v.npy").write_bytes(damaged)
            try:
                read_npy(tmp_path / "v.npy")
            except ValueError as error:
                messages.append(str(error))
        assert len(messages) > 40
        assert all("v.npy" in message for message in messages)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="absent"):
            read_vectors(tmp_path / "absent.npy")

    def test_unknown_ending_names_the_known_ones(self, tmp_path):
        with pytest.raises(ValueError, match=r"v\.csv has an unknown ending.*\.npy, \.parquet$"):
            read_vectors(tmp_path / "v.csv")


class TestVectorsFromParquet:
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    @pytest.mark.parametrize("kind", ["list", "large", "fixed", "binary"])
    def test_the_only_suitable_column_is_read(self, tmp_path, kind, dtype):
        pyarrow()
        vectors = VECTORS if kind == "binary" else VECTORS.astype(dtype)
        path = write_parquet(
            tmp_path / "v.parquet", key=["a", "b", "c"], v=vector_column(kind, vectors), n=[1, 2, 3]
        )
        read = read_vectors(path)
        assert read.dtype == vectors.dtype
        np.testing.assert_array_equal(read, vectors)

    @pytest.mark.parametrize("kind", ["fixed", "binary"])
    def test_no_rows_of_a_known_length(self, tmp_path, kind):
        pyarrow()
        path = write_parquet(tmp_path / "v.parquet", v=vector_column(kind, VECTORS)[:0])
        assert read_vectors(path).shape == (0, 2)

    def test_no_rows_of_an_unknown_length(self, tmp_path):
        pyarrow()
        path = write_parquet(tmp_path / "v.parquet", v=vector_column("list", VECTORS)[:0])
        with pytest.raises(ValueError, match="has no rows, so the length of 'v' is unknown"):
            read_vectors(path)

    def test_column_by_name(self, tmp_path):
        pyarrow()
        fixed, plain = vector_column("fixed", VECTORS), vector_column("list", VECTORS * 2)
        path = write_parquet(tmp_path / "v.parquet", **{"v": fixed, "v.w": plain})
        np.testing.assert_array_equal(read_vectors(path, column="v"), VECTORS)
        np.testing.assert_array_equal(read_vectors(path, column="v.w"), VECTORS * 2)

    def test_several_suitable_columns_are_listed(self, tmp_path):
        pyarrow()
        column = vector_column("list", VECTORS)
        path = write_parquet(tmp_path / "v.parquet", v=column, w=column)
        with pytest.raises(ValueError, match=r"has 2 columns of vectors.*v \(list.*, w \(list"):
            read_vectors(path)

    def test_no_suitable_column_lists_what_there_is(self, tmp_path):
        path = write_parquet(tmp_path / "v.parquet", n=[1, 2])
        with pytest.raises(ValueError, match=r"no column of vectors.*its columns: n \(int64\)"):
            read_vectors(path)

    def test_absent_column_lists_what_there_is(self, tmp_path):
        path = write_parquet(tmp_path / "v.parquet", n=[1, 2])
        with pytest.raises(ValueError, match=r"no column named 'v'; its columns: n \(int64\)"):
            read_vectors(path, column="v")

    def test_unsuitable_column(self, tmp_path):
        path = write_parquet(tmp_path / "v.parquet", n=[[1], [2]])
        with pytest.raises(ValueError, match=r"column 'n' is of type list<.*holds no vectors"):
            read_vectors(path, column="n")

    def test_a_name_used_twice(self, tmp_path):
        pa = pyarrow()
        import pyarrow.parquet as pq

        table = pa.table([[[1.0]], [[2.0]]], names=["v", "v"])
        pq.write_table(table, tmp_path / "v.parquet")
        with pytest.raises(ValueError, match="has 2 columns named 'v'"):
            read_vectors(tmp_path / "v.parquet", column="v")

    @pytest.mark.parametrize("kind", ["list", "fixed", "binary"])
    def test_a_missing_row_is_named(self, tmp_path, kind):
        pa = pyarrow()
        column = vector_column(kind, np.zeros((5, 2), np.float32)).to_pylist()
        column[3] = None
        column = pa.array(column, vector_column(kind, VECTORS).type)
        path = write_parquet(tmp_path / "v.parquet", v=column)
        # pyarrow before 26 itself fails to read a null of a fixed-size list.
        said = r"column 'v', row 3: the value is missing \(null\)|index 4 had size=0"
        with pytest.raises(ValueError, match=said):
            read_vectors(path)

    @pytest.mark.parametrize("kind", ["list", "fixed"])
    def test_a_missing_value_is_named(self, tmp_path, kind):
        pa = pyarrow()
        column = pa.array(
            [[1.0, 2.0]] * 4 + [[1.0, None]], vector_column(kind, np.zeros((1, 2), "f4")).type
        )
        path = write_parquet(tmp_path / "v.parquet", v=column)
        with pytest.raises(ValueError, match=r"'v', row 4: one of its values is missing \(null\)"):
            read_vectors(path)

    def test_a_ragged_row_is_named_across_pieces(self, tmp_path):
        path = write_parquet(tmp_path / "v.parquet", v=[[1.0, 2.0]] * 3 + [[1.0], [1.0, 2.0]])
        with pytest.raises(ValueError, match="'v', row 3: 1 values; the rows before have 2"):
            read_vectors(path)

    def test_every_seventh_truncation_is_refused(self, tmp_path):
        pyarrow()
        path = write_parquet(tmp_path / "v.parquet", v=vector_column("fixed", VECTORS))
        whole = path.read_bytes()
        for length in range(0, len(whole), 7):
            path.write_bytes(whole[:length])
            with pytest.raises(CorruptFileError, match=r"v\.parquet cannot be read as Parquet: \w"):
                read_vectors(path)

    def test_a_wrong_number_of_rows_is_refused(self, tmp_path, monkeypatch):
        pyarrow()
        import pyarrow.parquet as pq

        path = write_parquet(tmp_path / "v.parquet", v=vector_column("fixed", VECTORS))
        every = pq.ParquetFile.iter_batches
        monkeypatch.setattr(
            pq.ParquetFile,
            "iter_batches",
            lambda *a, **k: list(every(*a, **k | {"batch_size": 2}))[:1],
        )
        with pytest.raises(CorruptFileError, match="announces 3 rows and holds 2"):
            read_vectors(path)

    def test_missing_file_is_not_called_damaged(self, tmp_path):
        pyarrow()
        with pytest.raises(FileNotFoundError, match="absent"):
            read_vectors(tmp_path / "absent.parquet")

    @pytest.mark.parametrize("action", [read_vectors, read_sids, check_writable])
    def test_without_pyarrow_the_extra_is_named(self, tmp_path, monkeypatch, action):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match=r"pip install 'puresid\[parquet\]'"):
            action(tmp_path / "v.parquet")
