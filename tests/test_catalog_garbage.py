"""What the garbage collection of a catalogue removes, and what its verification finds."""

import dataclasses
import os

import numpy as np
import pytest

from catalog_cases import all_new, first_generation, items, next_generation
from puresid.catalog import garbage
from puresid.catalog.errors import CatalogError
from puresid.catalog.store import Store
from puresid.files import CorruptFileError


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "catalogue")


def names(store):
    """Return the files of a catalogue, manifests and contents."""
    return sorted(p.relative_to(store.folder).as_posix() for p in store.folder.rglob("*/*"))


def grown(store, generations=4):
    made = [first_generation(store)]
    for number in range(1, generations):
        made.append(next_generation(store, made[-1], items(number)))
        store.publish(made[-1], made[-2])
    return made


class TestGarbage:
    def test_what_stays_and_what_goes(self, store):
        made = [first_generation(store)]
        for number in range(1, 4):
            made.append(all_new(store, made[-1], number))
            store.publish(made[-1], made[-2])
        before = names(store)
        expected = tuple(sorted(f"files/{m.files[0].name}" for m in made[:2]))
        sizes = sum(m.files[0].bytes for m in made[:2])
        planned = store.collect_garbage(dry_run=True)
        assert names(store) == before
        done = store.collect_garbage()
        assert done == planned
        assert (done.generations, done.files, done.bytes) == ((1, 2), expected, sizes)
        assert store.generations() == [3, 4]
        assert set(before) - set(names(store)) == {
            "generations/00000001.json",
            "generations/00000002.json",
            *expected,
        }
        assert store.verify() == []
        assert store.read(check_parents=True) == made[-1]
        assert store.collect_garbage() == garbage.Collected((), (), 0)

    def test_shared_files_stay(self, store):
        made = grown(store)
        before = set(names(store))
        assert store.collect_garbage(keep=1).files == ()
        assert before - set(names(store)) == {f"generations/0000000{n}.json" for n in (1, 2, 3)}
        assert store.read() == made[-1]

    def test_more_than_there_are(self, store):
        grown(store)
        assert store.collect_garbage(keep=9) == garbage.Collected((), (), 0)
        assert store.generations() == [1, 2, 3, 4]

    def test_what_was_never_published(self, store):
        made = grown(store)
        added = store.write_file("removals", {"keys": np.arange(2)}, rows=2, generation=5)
        assert store.verify() == []
        assert store.collect_garbage().files == (f"files/{added.name}",)
        with pytest.raises(CatalogError, match="hold the lock from writing files to publishing"):
            store.publish(
                dataclasses.replace(
                    made[-1], generation=5, parent=made[-1].sha256, files=(*made[-1].files, added)
                ),
                made[-1],
            )

    def test_leftovers_go_and_other_names_stay(self, store):
        grown(store)
        left = ".puresid-0123456789abcdef.tmp"
        gone = [left, f"files/{left}", f"generations/{left}"]
        stay = [
            "notes.txt",
            "files/README",
            "files/items-xyz.safetensors",
            "files/.puresid-x.tmp",
            "generations/00000009.json.bak",
        ]
        for name in gone + stay:
            (store.folder / name).write_bytes(b"123")
        assert store.read().generation == 4
        done = store.collect_garbage(keep=9)
        assert sorted(done.files) == sorted(gone)
        assert done.bytes == 9
        assert all((store.folder / name).exists() for name in stay)

    def test_a_damaged_manifest_that_stays(self, store):
        grown(store)
        path = store.manifest_path(3)
        path.write_bytes(path.read_bytes()[:-1])
        before = names(store)
        with pytest.raises(CorruptFileError, match=r"00000003\.json is cut short"):
            store.collect_garbage()
        assert names(store) == before
        store.collect_garbage(keep=1)  # one that goes need not be read
        assert store.generations() == [4]

    def test_mapped_tensors_outlive_their_file(self, store):
        first = first_generation(store)
        mapped = store.load_file(first.files[0], mmap=True)
        store.publish(all_new(store, first, 5), first)
        store.collect_garbage(keep=1)
        assert not store.file_path(first.files[0]).exists()
        np.testing.assert_array_equal(mapped["sids"], items()["sids"])

    @pytest.mark.parametrize(
        ("keep", "error", "message"),
        [(0, ValueError, "keep is 0; at least 1"), (1.5, TypeError, "keep is 1.5; an integer")],
    )
    def test_how_many_to_keep(self, store, keep, error, message):
        with pytest.raises(error, match=message):
            store.collect_garbage(keep=keep)


class TestVerify:
    def test_nothing_is_wrong(self, store):
        assert store.verify() == [f"{store.folder} has no generation"]
        grown(store)
        assert store.verify() == []

    def test_damage_is_named(self, store):
        made = grown(store)
        lost, torn = made[-1].files[1], made[-1].files[2]
        store.file_path(lost).unlink()
        with open(store.file_path(torn), "r+b") as handle:
            handle.write(b"\xff")
        store.manifest_path(2).write_bytes(b"{}")
        found = sorted(store.verify())
        assert len(found) == 3
        for name in (lost.name, torn.name, "00000002.json"):
            assert sum(name in line for line in found) == 1

    def test_a_missing_generation(self, store):
        grown(store)
        store.manifest_path(2).unlink()
        assert store.verify() == [f"{store.manifest_path(2)} is missing"]

    def test_a_replaced_generation(self, store):
        made = grown(store)
        other = dataclasses.replace(made[1], version="0.0.9")
        store.manifest_path(2).write_bytes(other.to_bytes())
        assert [line.split(" does not follow")[0] for line in store.verify()] == [
            str(store.manifest_path(3))
        ]

    def test_a_generation_that_goes_meanwhile(self, store, monkeypatch):
        parent = first_generation(store)
        second = all_new(store, parent, 5)
        store.publish(second, parent)
        load = store.load_described

        def collect_and_load(entry, *, mmap):
            store.collect_garbage(keep=1)
            return load(entry, mmap=mmap)

        monkeypatch.setattr(store, "load_described", collect_and_load)
        assert store.verify() == []

    def test_a_file_that_cannot_be_opened(self, store):
        made = first_generation(store)
        path = store.file_path(made.files[0])
        path.unlink()
        path.mkdir()
        (line,) = store.verify()
        assert os.fspath(path) in line
