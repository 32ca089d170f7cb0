"""The files of a catalogue: named by what they hold, checked before they are parsed."""

import dataclasses
import hashlib
import json
import os
import tracemalloc

import numpy as np
import pytest

import puresid
from catalog_cases import codebooks, first_generation, items
from puresid.catalog.manifest import FileEntry, file_name
from puresid.catalog.store import Store
from puresid.files import CorruptFileError

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "catalogue")


def write_items(store, tensors=None, description=None):
    tensors = items() if tensors is None else tensors
    return store.write_file("items", tensors, description, rows=3, generation=1)


def forged(store, data):
    """Put any bytes where a file of a manifest would be, with the checksum that belongs to them."""
    checksum = hashlib.sha256(data).hexdigest()
    entry = FileEntry(
        name=file_name("items", checksum),
        kind="items",
        rows=3,
        bytes=len(data),
        sha256=checksum,
        generation=1,
    )
    store.file_path(entry).write_bytes(data)
    return entry


def with_header(header, data=b"", *, description='{"a":1}'):
    if isinstance(header, dict):
        if description is not None:
            header = {"__metadata__": {"description": description}} | header
        header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data


def tensor(dtype="U8", shape=(4,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array)


class TestForm:
    @pytest.mark.parametrize("mmap", [False, True])
    def test_what_is_written_is_read(self, store, mmap):
        tensors = {name: np.arange(6).astype(name).reshape(2, 3) for name in TYPES}
        tensors |= {
            "none": np.empty((0, 7), np.uint16),
            "number": np.array(3.5),
            "strided": np.arange(20, dtype=np.int32)[::-3],
            "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "big-endian": np.arange(5, dtype=">u4"),
            "Büro 書": np.arange(5, dtype=np.uint8),
        }
        entry = write_items(store, tensors, {"n": 3, "name": "書"})
        found, description = store.load_described(entry, mmap=mmap)
        assert_equal(found, tensors)
        assert description == {"format": "puresid.catalog.items", "n": 3, "name": "書"}
        assert entry.bytes == store.file_path(entry).stat().st_size
        for array in found.values():
            assert not array.flags.writeable
            assert array.flags.aligned
            assert array.flags.c_contiguous

    @pytest.mark.parametrize("mmap", [False, True])
    def test_no_tensors(self, store, mmap):
        assert store.load_file(write_items(store, {}), mmap=mmap) == {}

    def test_the_order_of_dicts_does_not_matter(self, store):
        one = write_items(store, items(), {"a": 1, "b": 2})
        assert write_items(store, dict(reversed(items().items())), {"b": 2, "a": 1}) == one
        assert one.sha256[:12] == "7d2014b90345"

    def test_the_library_of_the_format_reads_it(self, store):
        from safetensors.numpy import load_file

        tensors = items() | {"none": np.empty((0, 7), np.uint16), "half": np.ones(3, np.float16)}
        assert_equal(load_file(store.file_path(write_items(store, tensors))), tensors)

    def test_what_the_library_writes_is_read(self, store):
        from safetensors.numpy import save

        data = save(items(), metadata={"description": '{"a": 1}'})
        found, description = store.load_described(forged(store, data))
        assert_equal(found, items())
        assert description == {"a": 1}

    def test_codebooks_are_read_as_such(self, store):
        description = {"format": "puresid.codebooks", "metric": "cosine"}
        entry = store.write_file("codebooks", codebooks(), description, rows=4, generation=1)
        books = puresid.Codebooks.load(store.file_path(entry))
        assert books == puresid.Codebooks(list(codebooks().values()), metric="cosine")

    def test_equal_content_is_written_once(self, store):
        entry = write_items(store)
        path = store.file_path(entry)
        before = path.stat()
        assert write_items(store) == entry
        assert path.stat().st_ino == before.st_ino
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert write_items(store, items(1)).name != entry.name
        assert len(os.listdir(path.parent)) == 2

    def test_a_damaged_file_is_written_again(self, store):
        entry = write_items(store)
        path = store.file_path(entry)
        data = path.read_bytes()
        for damaged in (b"x" * len(data), data[:-1], b""):
            path.write_bytes(damaged)
            assert write_items(store) == entry
            assert path.read_bytes() == data

    @pytest.mark.parametrize(
        ("tensors", "error", "message"),
        [
            ({"a": np.array([True])}, TypeError, r"tensors\['a'\] is of type bool; integers and f"),
            ({"a": np.array(["x"])}, TypeError, r"tensors\['a'\] is of type <U1"),
            ({"a": np.array([None])}, TypeError, r"tensors\['a'\] is of type object"),
            ({"a": [1, 2]}, TypeError, r"tensors\['a'\] is of type list; an array"),
            ({"a": np.ones((1,) * 9)}, ValueError, r"tensors\['a'\] has 9 dimensions; up to 8"),
            ({"__metadata__": np.ones(1)}, ValueError, "any name but '__metadata__'"),
            ({"a" * 2**20: np.ones(1)}, ValueError, "the most is 1048576"),
        ],
    )
    def test_tensors_that_are_refused(self, store, tensors, error, message):
        with pytest.raises(error, match=message):
            write_items(store, tensors)
        assert os.listdir(store.folder / "files") == []

    def test_entries_that_are_refused(self, store):
        with pytest.raises(ValueError, match="kind is 'x'; it must be one of 'codebooks'"):
            store.write_file("x", {}, rows=1, generation=1)
        with pytest.raises(ValueError, match="rows is -1; at least 0"):
            store.write_file("items", {}, rows=-1, generation=1)
        with pytest.raises(TypeError, match=r"description\['a'\] is of type object"):
            write_items(store, items(), {"a": object()})
        assert os.listdir(store.folder / "files") == []


class TestDamage:
    @pytest.mark.parametrize("mmap", [False, True])
    def test_every_truncation(self, store, mmap):
        entry = write_items(store)
        path = store.file_path(entry)
        for length in reversed(range(entry.bytes)):
            os.truncate(path, length)
            message = f"{entry.name} is cut short or damaged: it has {length} bytes; {entry.bytes}"
            with pytest.raises(CorruptFileError, match=message):
                store.load_file(entry, mmap=mmap, check=False)

    @pytest.mark.parametrize("mmap", [False, True])
    def test_every_flip_of_a_bit_and_of_a_byte(self, store, mmap):
        entry = write_items(store)
        path = store.file_path(entry)
        data = path.read_bytes()
        with open(path, "r+b", buffering=0) as handle:
            for place in range(len(data)):
                for flip in [1 << bit for bit in range(8)] + [0xFF]:
                    os.pwrite(handle.fileno(), bytes([data[place] ^ flip]), place)
                    with pytest.raises(CorruptFileError, match=f"{entry.name} is damaged: its SHA"):
                        store.load_file(entry, mmap=mmap)
                    with pytest.raises(CorruptFileError, match=f"{entry.name} is damaged: its SHA"):
                        store.check_file(entry)
                os.pwrite(handle.fileno(), data[place : place + 1], place)
        assert_equal(store.load_file(entry, mmap=mmap), items())

    def test_a_flip_that_is_not_checked_is_no_crash(self, store):
        entry = write_items(store)
        path = store.file_path(entry)
        data = path.read_bytes()
        refused = 0
        with open(path, "r+b", buffering=0) as handle:
            for place in range(len(data)):
                os.pwrite(handle.fileno(), bytes([data[place] ^ 0xFF]), place)
                try:
                    store.load_file(entry, check=False)
                except CorruptFileError as error:
                    assert entry.name in str(error)  # noqa: PT017
                    refused += 1
                os.pwrite(handle.fileno(), data[place : place + 1], place)
        assert refused >= 8

    def test_a_file_that_is_longer_or_missing(self, store):
        entry = write_items(store)
        path = store.file_path(entry)
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(CorruptFileError, match=f"it has {entry.bytes + 1} bytes"):
            store.load_file(entry)
        path.unlink()
        with pytest.raises(CorruptFileError, match=f"{entry.name} is missing; a manifest names it"):
            store.load_file(entry)

    def test_a_file_that_shrinks_while_it_is_read(self, store, monkeypatch):
        entry = write_items(store)
        fstat = os.fstat

        def cut(descriptor):
            found = fstat(descriptor)
            os.truncate(store.file_path(entry), 40)
            return found

        monkeypatch.setattr(os, "fstat", cut)
        with pytest.raises(CorruptFileError, match="cut short while it was read, at byte 40"):
            store.load_file(entry)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"12345678", "its header announces"),
            (
                (2**64 - 1).to_bytes(8, "little") + b"{}",
                "its header announces 18446744073709551615",
            ),
            (with_header(b"[]"), "a JSON list stands where an object"),
            (with_header(b"{"), "property name"),
            (with_header(b"\xff"), "can't decode byte 0xff"),
            (with_header(b'{"a":' + b"[" * 9999), "recursion|nested|deep"),
            (with_header(b'{"a":1,"a":2}'), "the key 'a' stands in it twice"),
            (with_header({}, description=None), "the header has no __metadata__"),
            (with_header({"__metadata__": 1}), "the header has no __metadata__"),
            (with_header({"__metadata__": {}}), "__metadata__ has no 'description'"),
            (with_header({}, description=1), "the description is no text"),
            (with_header({}, description="[]"), "a JSON list stands where an object"),
            (with_header({}, description='{"a":NaN}'), "NaN is no number"),
            (with_header({"a": 1}), "tensor 'a' is no object"),
            (with_header({"a": tensor() | {"b": 1}}), "tensor 'a' has 'b', which is unknown"),
            (with_header({"a": {"dtype": "U8", "shape": []}}), "tensor 'a' has no 'data_offsets'"),
            (with_header({"a": tensor("BF16")}), "has the type 'BF16', which is unknown"),
            (with_header({"a": tensor(["U8"])}), r"has the type \['U8'\], which is unknown"),
            (with_header({"a": tensor(shape="4")}), "the shape of tensor 'a' is 4; a list"),
            (with_header({"a": tensor(shape=(True,))}), r"is \[True\]; a list of integers"),
            (with_header({"a": tensor(shape=(4.0,))}), r"is \[4.0\]; a list of integers"),
            (with_header({"a": tensor(shape=(-4,))}), r"is \[-4\]; integers from 0 to"),
            (with_header({"a": tensor(shape=(0, 2**62))}), "integers from 0 to"),
            (with_header({"a": tensor(shape=(1,) * 9, offsets=(0, 1))}, b"1"), "9 dimensions"),
            (with_header({"a": tensor(shape=(5,))}, b"1234"), r"makes them \[0, 5\]"),
            (with_header({"a": tensor(offsets=(1, 5))}, b"12345"), r"makes them \[0, 4\]"),
            (with_header({"a": tensor(offsets=(0, 4, 4))}, b"1234"), r"makes them \[0, 4\]"),
            (with_header({"a": tensor()}, b"123"), "tensor 'a' ends at byte 4 of 3"),
            (with_header({"a": tensor()}, b"12345"), "its tensors end at byte 4 of 5"),
            (with_header({"a": tensor(), "b": tensor()}, b"1234"), r"makes them \[4, 8\]"),
            (
                with_header({"a": tensor("U64", (2**37,), (0, 2**40))}, b"1234"),
                f"ends at byte {2**40} of 4",
            ),
            (
                with_header({"a": tensor(), "b": tensor("U64", (1,), (4, 12))}, b"1" * 12),
                "tensor 'b' is not aligned",
            ),
        ],
    )
    @pytest.mark.parametrize("mmap", [False, True])
    def test_hostile_content(self, store, data, message, mmap):
        entry = forged(store, data)
        with pytest.raises(CorruptFileError, match=f"{entry.name}: .*({message})"):
            store.load_file(entry, mmap=mmap)


class TestMemory:
    """What is asked for is bounded by the file's size, whatever the file or its entry says."""

    SLACK = 2**18  # of Python itself; the file is much larger

    def peak(self, call):
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def large(self, store):
        return write_items(store, {"a": np.arange(2**20, dtype=np.uint64)})  # 8 MiB

    def test_of_an_intact_file(self, store):
        entry = self.large(store)
        assert self.peak(lambda: store.load_file(entry)) <= 1.1 * entry.bytes
        # A mapped file asks for its blocks only.
        assert self.peak(lambda: store.load_file(entry, mmap=True)) <= 2**20
        assert self.peak(lambda: store.check_file(entry)) <= 2**20

    def test_writing_copies_nothing(self, store):
        tensors = {"a": np.arange(2**20, dtype=np.uint64)}
        assert self.peak(lambda: write_items(store, tensors)) <= self.SLACK

    def test_of_an_entry_that_announces_more(self, store):
        entry = write_items(store)
        huge = dataclasses.replace(entry, bytes=2**60)

        def load():
            with pytest.raises(CorruptFileError, match=f"bytes; {2**60} are needed"):
                store.load_file(huge)

        assert self.peak(load) <= self.SLACK

    def test_of_a_header_that_announces_more(self, store):
        for shape in ((2**37,), (2**40, 2**40)):
            count = int(np.prod([float(size) for size in shape])) * 8
            entry = forged(store, with_header({"a": tensor("U64", shape, (0, min(count, 2**40)))}))

            def load(entry=entry):
                with pytest.raises(CorruptFileError, match=r"tensor 'a' (ends|has data_offsets)"):
                    store.load_file(entry)

            assert self.peak(load) <= self.SLACK

    def test_of_a_damaged_file(self, store):
        entry = self.large(store)
        with open(store.file_path(entry), "r+b") as handle:
            handle.write(b"\xff" * 8)

        def load():
            with pytest.raises(CorruptFileError, match="is damaged"):
                store.load_file(entry)

        assert self.peak(load) <= 1.1 * entry.bytes


def test_a_generation_loads(store):
    made = first_generation(store)
    loaded = [store.load_file(entry, mmap=True) for entry in made.entries]
    assert_equal(loaded[0], codebooks())
    assert_equal(loaded[1], items())
