"""Vectors in batches: the bytes of the whole, however they are cut up, and every misuse named."""

import hashlib

import numpy as np
import pytest

import puresid
from puresid import sources
from puresid.files import open_vectors

N, DIM = 3000, 8


def vectors(dtype=np.float32):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((N, DIM)).astype(dtype)
    rows[1000:1900] = rows[:900]  # conflicts, equal items among them
    rows[2500:2600] = rows[3]
    return rows


def books():
    rng = np.random.default_rng(1)
    levels = [rng.standard_normal((16, DIM)).astype(np.float32) * s for s in (1, 0.7, 0.5)]
    return puresid.Codebooks(levels)


def digest(result):
    total = hashlib.sha256()
    for array in (result.sids, result.stages, result.distortion):
        total.update(np.ascontiguousarray(array).tobytes())
    total.update(repr(result.nearest_distortion).encode())
    return total.hexdigest()


def cut(rows, size):
    return puresid.Batches(
        lambda: (rows[first : first + size] for first in range(0, len(rows), size)), rows.shape
    )


PRIORITY = np.random.default_rng(2).integers(0, 4, N)


@pytest.mark.parametrize("method", ["ecm", "rrs", "nearest", "suffix"])
@pytest.mark.parametrize("priority", [None, PRIORITY])
@pytest.mark.parametrize("in_file", [False, True])
def test_batches_give_the_bytes_of_the_whole(method, priority, in_file, monkeypatch):
    if in_file:  # the conflicts' vectors
        monkeypatch.setattr(sources, "KEPT_IN_MEMORY", 100)
    rows = vectors()
    expected = digest(puresid.assign(rows, books(), method, priority=priority))
    for size in (1, 777, N):
        source = cut(rows, size)
        assert digest(puresid.assign(source, books(), method, priority=priority)) == expected


def test_taken_tiers_and_the_limit_hold_for_batches():
    rows = vectors()
    options = {
        "tiers": ((2, 2, 4),),
        "taken": puresid.assign(rows, books(), "nearest").sids[:500],
        "max_distortion": 6.0,
        "complete": False,
    }
    expected = digest(puresid.assign(rows, books(), **options))
    assert digest(puresid.assign(cut(rows, 500), books(), **options)) == expected


@pytest.mark.parametrize("kind", ["<f2", "<f8", ">f4", "fortran", "strided"])
def test_large_arrays_of_other_kinds_are_read_in_blocks(kind, monkeypatch):
    monkeypatch.setattr(sources, "KEPT_IN_MEMORY", 100)
    monkeypatch.setattr(sources, "BLOCK_BYTES", 1000)
    rows = vectors(np.float16)
    expected = digest(puresid.assign(rows.astype(np.float32), books()))
    given = {
        "fortran": lambda: np.asfortranarray(rows.astype(np.float32)),
        "strided": lambda: np.repeat(rows.astype(np.float32), 2, axis=0)[::2],
    }.get(kind, lambda: rows.astype(kind))()
    assert digest(puresid.assign(given, books())) == expected


def test_every_float16_number_is_read_exactly():
    """All finite ones within the codebook's range, subnormal ones too; the others are refused."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 1)
    line = np.linspace(-60_000, 60_000, 257, dtype=np.float32).reshape(-1, 1)
    fine = np.geomspace(1e-8, 300, 400, dtype=np.float32).reshape(-1, 1)
    levels = [line, np.concatenate([-fine, fine])]
    expected = puresid.assign(finite.astype(np.float32), levels, "nearest")
    assert digest(puresid.assign(finite, levels, "nearest")) == digest(expected)
    for bad in (np.inf, -np.inf, np.nan):
        with pytest.raises(ValueError, match=r"vectors\[1\] has (NaN|an infinity)"):
            puresid.assign(np.array([[1], [bad]], np.float16), levels)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_memory_maps_are_read_where_they_lie(tmp_path, dtype):
    np.save(tmp_path / "v.npy", vectors(dtype))
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert sources.vectors_or_source(mapped) is not mapped
    assert np.shares_memory(sources.vectors_or_source(mapped), mapped)
    assert digest(puresid.assign(mapped, books())) == digest(puresid.assign(mapped[:], books()))


class TestColumns:
    @pytest.mark.parametrize("kind", ["list", "fixed", "binary"])
    @pytest.mark.parametrize("suffix", ["parquet", "arrow"])
    def test_files_give_the_bytes_of_the_array(self, tmp_path, kind, suffix, monkeypatch):
        pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
        import pyarrow.parquet as pq

        monkeypatch.setattr(sources, "BLOCK_BYTES", 5000)
        rows = vectors()
        if kind == "binary":
            column = pa.array([row.tobytes() for row in rows], pa.binary(4 * DIM))
        else:
            types = {"list": pa.list_(pa.float32()), "fixed": pa.list_(pa.float32(), DIM)}
            column = pa.array(list(rows), types[kind])
        table = pa.table({"item": pa.array(range(N)), "vector": column})
        path = tmp_path / f"v.{suffix}"
        if suffix == "parquet":
            pq.write_table(table, path, row_group_size=700)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=700)
        source = open_vectors(path)
        assert source.shape == (N, DIM)
        assert isinstance(source, puresid.VectorSource)
        expected = digest(puresid.assign(rows, books()))
        assert digest(puresid.assign(source, books())) == expected

    def test_a_dataset_of_several_files(self, tmp_path):
        pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        rows = vectors()
        for part in range(3):
            column = pa.array(list(rows[1000 * part : 1000 * part + 1000]))
            pq.write_table(pa.table({"vector": column}), tmp_path / f"{part}.parquet")
        source = puresid.ArrowVectors(ds.dataset(tmp_path), "vector")
        assert source.shape == (N, DIM)
        expected = digest(puresid.assign(rows, books()))
        assert digest(puresid.assign(source, books())) == expected

    def test_no_rows(self, tmp_path):
        pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
        source = puresid.ArrowVectors(pa.table({"v": pa.array([], pa.list_(pa.float32(), DIM))}))
        assert puresid.assign(source, books()).sids.shape == (0, 3)

    def test_a_missing_value_is_named(self):
        pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
        column = pa.array([[1.0] * DIM, None], pa.list_(pa.float32()))
        with pytest.raises(ValueError, match=r"column 'v', row 1: the value is missing"):
            puresid.assign(puresid.ArrowVectors(pa.table({"v": column})), books())

    def test_a_damaged_arrow_file_is_named(self, tmp_path):
        pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
        (tmp_path / "v.arrow").write_bytes(b"ARROW1 and then nothing")
        with pytest.raises(ValueError, match=r"v\.arrow cannot be read as an Arrow file"):
            open_vectors(tmp_path / "v.arrow")


class TestMisuse:
    def check(self, batches, match, shape=(N, DIM), error=ValueError):
        with pytest.raises(error, match=match):
            puresid.assign(puresid.Batches(batches, shape), books())

    def test_too_few_rows(self):
        self.check(lambda: [vectors()[:10]], r"vectors has 10 rows; shape announces 3000")

    def test_too_many_rows(self):
        self.check(lambda: [vectors()] * 2, r"more rows than the 3000 that shape announces")

    def test_another_dimension_in_a_later_batch(self):
        self.check(
            lambda: [vectors()[:9], vectors()[9:, :3]],
            r"batch 1 of vectors has shape \(2991, 3\); \(rows, 8\) is needed",
        )

    def test_another_dimension_than_the_codebooks(self):
        self.check(lambda: [], r"vectors have dimension 3", shape=(4, 3))

    @pytest.mark.parametrize("shape", [(3,), (-1, 3), (3, 0)])
    def test_no_shape(self, shape):
        self.check(lambda: [], r"vectors has shape .*; \(items, dimension\) is needed", shape=shape)

    def test_no_numbers(self):
        self.check(lambda: [vectors().astype(str)], "real numbers are needed", error=TypeError)

    def test_not_finite_values_are_found_by_their_row(self):
        rows = vectors()
        rows[1234, 5] = np.nan
        with pytest.raises(ValueError, match=r"vectors\[1234\] has NaN in column 5"):
            puresid.assign(cut(rows, 100), books())

    def test_what_can_be_read_only_once(self):
        once = iter([vectors()])
        self.check(lambda: once, r"batches\(\) must begin with the first row each time")

    def test_more_rows_the_second_time(self):
        rounds = iter([[vectors()], [vectors(), vectors()]])
        self.check(lambda: next(rounds), r"another number of rows when read again")

    def test_other_values_the_second_time(self):
        rounds = iter([[vectors()], [vectors() + np.float32(1e-3)]])
        self.check(lambda: next(rounds), r"vectors\[\d+\] is another one than when it was first")

    def test_an_error_of_the_source_reaches_the_caller(self):
        def broken():
            yield vectors()[:1000]
            raise OSError("the disk is gone")

        self.check(broken, "the disk is gone", error=OSError)


def test_the_core_refuses_what_does_not_fit():
    """What the layer above checks first is checked below it too."""
    core = puresid._core
    options = {
        "space": "residual",
        "scaling": "none",
        "method": "ecm",
        "tiers": None,
        "width": 64,
        "gap": 1e-3,
        "search_all": True,
        "complete": True,
        "priority": None,
        "weights": None,
        "taken": None,
        "max_distortion": np.inf,
        "threads": 1,
        "simd": None,
        "progress": None,
    }
    with pytest.raises(ValueError, match=r"method is 'best'; it must be one of .*'rrs', 'beam'"):
        core.Assigner(4, books().levels, **{**options, "method": "best"})
    with pytest.raises(ValueError, match="width is 0; it must be from 1 to 1024"):
        core.Assigner(4, books().levels, **{**options, "method": "beam", "width": 0})
    with pytest.raises(ValueError, match=r"residuals at length 1 \(cosine\).*not for these"):
        core.Assigner(4, books().levels, **{**options, "method": "beam", "scaling": "compared"})
    with pytest.raises(ValueError, match=r"gap is 1\.5.*; it must be from 0 to less than 1"):
        core.Assigner(4, books().levels, **{**options, "method": "optimal", "gap": 1.5})
    with pytest.raises(ValueError, match="weights has 3 values; vectors has 4 rows"):
        core.Assigner(4, books().levels, **{**options, "weights": np.ones(3)})
    assigner = core.Assigner(4, books().levels, **options)
    with pytest.raises(ValueError, match="more than the 4 rows that were promised"):
        assigner.add(np.zeros((5, DIM), np.float32))
    with pytest.raises(ValueError, match="vectors have dimension 3"):
        assigner.add(np.zeros((4, 3), np.float32))
    assigner.add(np.zeros((3, DIM), np.float16))
    with pytest.raises(ValueError, match="vectors has 3 rows; 4 were promised"):
        assigner.resolve(np.zeros((4, DIM), np.float32), False)
    assigner.add(np.zeros((1, DIM), np.float32))
    with pytest.raises(ValueError, match="vectors has 2 rows; there are 4 items, 3 in conflict"):
        assigner.resolve(np.zeros((2, DIM), np.float32), True)
    with pytest.raises(TypeError, match="float16 of another byte order"):
        assigner.add(np.zeros((1, DIM), ">f2"))
