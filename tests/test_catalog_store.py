"""The folder of a catalogue: what is made, published, refused, locked."""

import dataclasses
import errno
import json
import os
import shutil
import stat

import pytest

from catalog_cases import PARAMETERS, all_new, entry, first_generation, items, manifest
from catalog_cases import next_generation as following
from puresid.catalog._sealed import seal
from puresid.catalog.errors import CatalogError, IncompatibleError, PublishRaceError
from puresid.catalog.store import Store
from puresid.files import CorruptFileError


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "catalogue")


def names(store):
    """Return all files and folders of a catalogue."""
    return sorted(path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*"))


def three_generations(store):
    made = [first_generation(store)]
    for number in (1, 2):
        made.append(following(store, made[-1], items(number)))
        store.publish(made[-1], made[-2])
    return made


class TestCreate:
    def test_what_is_made(self, store):
        assert names(store) == ["catalog.json", "files", "generations", "lock"]
        text = json.loads((store.folder / "catalog.json").read_bytes())
        assert text["format"] == "puresid.catalog"
        assert text["format_version"] == 1
        assert text["id"] == store.identity
        assert Store.open(store.folder).identity == store.identity
        assert Store.open(str(store.folder)).folder == store.folder

    def test_two_have_two_identities(self, store, tmp_path):
        assert Store.create(tmp_path / "other").identity != store.identity

    def test_again(self, store):
        before = (store.folder / "catalog.json").read_bytes()
        with pytest.raises(CatalogError, match="is a catalogue already"):
            Store.create(store.folder)
        assert (store.folder / "catalog.json").read_bytes() == before

    def test_beside_another_who_creates_it(self, store, monkeypatch):
        monkeypatch.setattr(os, "listdir", lambda _: [])
        with pytest.raises(CatalogError, match="is a catalogue already"):
            Store.create(store.folder)
        assert Store.open(store.folder).identity == store.identity

    def test_a_folder_that_holds_something(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(CatalogError, match=r"holds 'notes\.txt'; an empty folder is needed"):
            Store.create(tmp_path)

    def test_what_a_crash_left_is_used(self, tmp_path):
        (tmp_path / "files").mkdir()
        (tmp_path / "lock").touch()
        (tmp_path / ".puresid-0123456789abcdef.tmp").write_bytes(b"{")
        store = Store.create(tmp_path)
        assert first_generation(store) == Store.open(tmp_path).read()

    def test_no_parent(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Store.create(tmp_path / "no" / "folder")

    def test_none_to_open(self, tmp_path):
        for folder in (tmp_path, tmp_path / "nothing"):
            with pytest.raises(CatalogError, match=r"is no catalogue: there is no .*catalog\.json"):
                Store.open(folder)

    def test_every_truncation_and_flip_of_its_file(self, store):
        path = store.folder / "catalog.json"
        data = path.read_bytes()
        with open(path, "r+b", buffering=0) as handle:
            for place in range(len(data)):
                for flip in [1 << bit for bit in range(8)] + [0xFF]:
                    os.pwrite(handle.fileno(), bytes([data[place] ^ flip]), place)
                    with pytest.raises(CorruptFileError, match=r"catalog\.json is .*damaged"):
                        Store.open(store.folder)
                os.pwrite(handle.fileno(), data[place : place + 1], place)
        assert Store.open(store.folder).identity == store.identity
        for length in reversed(range(len(data))):
            os.truncate(path, length)
            with pytest.raises(CorruptFileError, match=r"catalog\.json is cut short or damaged"):
                Store.open(store.folder)

    @pytest.mark.parametrize(
        ("changed", "error", "message"),
        [
            ({"format_version": 2}, CatalogError, "version 2 of its format; this puresid reads"),
            ({"format_version": True}, CorruptFileError, "version True of its format"),
            ({"format": "x"}, CorruptFileError, "has the format 'x'"),
            ({"id": "0" * 31}, CorruptFileError, "32 hexadecimal digits are needed"),
            ({"id": 1}, CorruptFileError, r"catalog\.json: id is 1"),
            ({"more": 1}, CorruptFileError, r"catalog\.json: it has 'more', which is unknown"),
        ],
    )
    def test_another_content(self, store, changed, error, message):
        content = {"format": "puresid.catalog", "format_version": 1, "id": "0" * 32}
        (store.folder / "catalog.json").write_bytes(seal(content | changed))
        with pytest.raises(error, match=message):
            Store.open(store.folder)


class TestPublish:
    def test_generations_come_one_after_the_other(self, store):
        assert store.generations() == []
        with pytest.raises(CatalogError, match="has no generation yet"):
            store.read()
        made = three_generations(store)
        again = Store.open(store.folder)
        assert again.generations() == [1, 2, 3]
        assert again.read() == made[-1]
        assert [again.read(number) for number in (1, 2, 3)] == made
        assert again.read(check_parents=True) == made[-1]
        assert store.manifest_path(3).read_bytes() == made[-1].to_bytes()
        assert store.manifest_path(3).name == "00000003.json"

    def test_the_same_input_gives_the_same_bytes(self, store, tmp_path):
        other = Store.create(tmp_path / "other")
        three_generations(store)
        three_generations(other)
        assert names(store) == names(other)
        for path in (path for path in store.folder.rglob("*/*") if path.is_file()):
            assert (other.folder / path.relative_to(store.folder)).read_bytes() == path.read_bytes()

    def test_older_files_are_not_touched(self, store):
        first = first_generation(store)
        before = {e.name: store.file_path(e).stat() for e in first.entries}
        second = following(store, first, items(1))
        store.publish(second, first)
        for e in first.entries:
            assert store.file_path(e).stat().st_ino == before[e.name].st_ino
            assert store.file_path(e).stat().st_mtime_ns == before[e.name].st_mtime_ns

    def test_the_order_on_the_disk(self, store, monkeypatch):
        """Files, their folder, the manifest, its name, the folder of names."""
        first = first_generation(store)
        done = []
        fsync, replace, link = os.fsync, os.replace, os.link

        def note_sync(descriptor):
            folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            done.append(os.readlink(f"/proc/self/fd/{descriptor}").split("/")[-1 if folder else -2])
            fsync(descriptor)

        def note(name, call):
            def noting(source, target):
                done.append(name)
                call(source, target)

            return noting

        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("no /proc: it tells which file is synced")
        monkeypatch.setattr(os, "fsync", note_sync)
        monkeypatch.setattr(os, "replace", note("rename", replace))
        monkeypatch.setattr(os, "link", note("link", link))
        store.publish(following(store, first, items(1)), first)
        write = ["files", "rename", "files"]
        assert done == [*write, "files", "generations", "link", "generations"]

    def test_the_slower_of_two(self, store):
        first = first_generation(store)
        mine = following(store, first, items(1))
        theirs = following(store, first, items(2))
        store.publish(theirs, first)
        before = names(store)
        with pytest.raises(PublishRaceError, match="another writer has published generation 2 of"):
            store.publish(mine, first)
        assert names(store) == before
        assert store.read() == theirs

    def test_the_link_alone_decides(self, store, monkeypatch):
        """Where neither the lock nor the listing shows the other writer."""
        first = first_generation(store)
        theirs = following(store, first, items(1))
        store.publish(theirs, first)
        before = names(store)
        monkeypatch.setattr(store, "generations", lambda: [1])
        monkeypatch.setattr(store._generations, "numbers", lambda: [1])
        with pytest.raises(PublishRaceError, match="another writer has published generation 2 of"):
            store.publish(following(store, first, items(1), counts={}), first)
        assert names(store) == before
        assert store.manifest_path(2).read_bytes() == theirs.to_bytes()

    def test_the_first_generation_twice(self, store):
        first = first_generation(store)
        with pytest.raises(PublishRaceError, match="another writer has published generation 1"):
            store.publish(first, None)

    def test_a_parent_that_is_not_there(self, store, tmp_path):
        first = first_generation(store)
        second = following(store, first, items(1))
        store.publish(second, first)
        third = following(store, second, items(2))
        store.manifest_path(2).unlink()
        with pytest.raises(CatalogError, match="generation 2 is not there; 1 is the newest"):
            store.publish(third, second)

    def test_another_parent(self, store):
        first = first_generation(store)
        other = dataclasses.replace(first, version="0.0.9")
        with pytest.raises(CatalogError, match=r"00000001\.json is not the parent that is named"):
            store.publish(following(store, other, items(1)), other)
        with pytest.raises(CatalogError, match="generation 2 has the parent"):
            store.publish(following(store, first, items(1)), other)

    def test_other_parameters(self, store):
        first = first_generation(store)
        parameters = PARAMETERS | {"capacity": 2}
        second = manifest(first.codebooks, first.files, first, parameters=parameters)
        with pytest.raises(IncompatibleError, match=f"{second.epoch_hash}.*{first.epoch_hash}"):
            store.publish(second, first)
        assert store.generations() == [1]
        store.publish(dataclasses.replace(second, epoch=2), first)

    def test_a_file_that_is_not_there(self, store):
        first = first_generation(store)
        with pytest.raises(PublishRaceError, match=r"is missing; .*hold the lock from writing"):
            store.publish(manifest(first.codebooks, [entry(generation=2)], first), first)
        second = following(store, first, items(1))
        os.truncate(store.file_path(second.files[-1]), 9)
        with pytest.raises(PublishRaceError, match="it has 9 bytes"):
            store.publish(second, first)
        assert store.generations() == [1]

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
    @pytest.mark.parametrize("call", ["fsync", "link", "replace"])
    def test_a_call_that_fails(self, store, monkeypatch, call, code):
        first = first_generation(store)
        second = following(store, first, items(1))
        before = names(store)

        def fail(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, call, fail)
        with pytest.raises(OSError, match=os.strerror(code)):
            store.publish(following(store, first, items(2)), first)
        monkeypatch.undo()
        # What was written before stays until the garbage is collected; nothing names it.
        assert [name for name in names(store) if "tmp" in name] == []
        assert set(names(store)) >= set(before)
        assert store.generations() == [1]
        assert store.verify() == []
        store.publish(second, first)
        assert store.read() == second


class TestRead:
    def test_other_names_are_not_generations(self, store):
        three_generations(store)
        folder = store.folder / "generations"
        for name in ("00000000.json", "4.json", "000000004.json", "00000004.json~", "x", "٤" * 8):
            (folder / name).write_bytes(b"torn")
        (folder / ".puresid-0123456789abcdef.tmp").write_bytes(b"torn")
        assert store.generations() == [1, 2, 3]
        assert store.read().generation == 3

    def test_one_that_is_not_there(self, store):
        three_generations(store)
        with pytest.raises(CatalogError, match="has no generation 4; there are: 1, 2, 3"):
            store.read(4)

    def test_damage_names_the_file_and_is_not_passed_over(self, store):
        three_generations(store)
        path = store.manifest_path(3)
        path.write_bytes(path.read_bytes()[:-1])
        for call in (store.read, lambda: store.read(3)):
            with pytest.raises(CorruptFileError, match=r"00000003\.json is cut short or damaged"):
                call()
        assert store.read(2).generation == 2

    def test_a_manifest_at_another_place(self, store):
        three_generations(store)
        shutil.copy(store.manifest_path(2), store.manifest_path(4))
        with pytest.raises(
            CorruptFileError, match=r"00000004\.json is the manifest of generat.* 2"
        ):
            store.read()

    def test_a_chain_with_a_gap(self, store):
        three_generations(store)
        store.manifest_path(2).unlink()
        assert store.read().generation == 3
        with pytest.raises(CorruptFileError, match=r"00000002\.json is missing"):
            store.read(check_parents=True)

    def test_a_chain_that_begins_later(self, store):
        three_generations(store)
        store.manifest_path(1).unlink()
        assert store.read(check_parents=True).generation == 3
        store.manifest_path(2).unlink()
        assert store.read(check_parents=True).generation == 3

    def test_a_chain_with_another_parent(self, store):
        made = three_generations(store)
        other = dataclasses.replace(made[1], version="0.0.9")
        store.manifest_path(2).write_bytes(other.to_bytes())
        assert store.read().generation == 3
        with pytest.raises(
            CorruptFileError, match=r"00000003\.json does not follow: generation 3 h"
        ):
            store.read(check_parents=True)

    def test_a_name_that_leads_nowhere(self, store):
        three_generations(store)
        store.manifest_path(4).symlink_to("nowhere")
        with pytest.raises(
            CorruptFileError, match=r"00000004\.json is listed and cannot be opened"
        ):
            store.read()

    def test_the_newest_is_removed_while_it_is_looked_for(self, store, monkeypatch):
        three_generations(store)
        store.manifest_path(1).unlink()
        answers = [[1], [1, 2, 3]]
        monkeypatch.setattr(store._generations, "numbers", lambda: answers.pop(0))
        assert store.read().generation == 3

    def test_an_empty_listing_is_not_believed_at_once(self, store, monkeypatch):
        first_generation(store)
        listdir = os.listdir
        answers = [[], []]
        monkeypatch.setattr(os, "listdir", lambda p: answers.pop() if answers else listdir(p))
        assert store.generations() == [1]

    def test_a_reader_takes_the_newer_generation_where_its_own_goes(self, store):
        first = first_generation(store)
        seen = []

        def load(found):
            seen.append(found.generation)
            if len(seen) == 1:
                store.publish(all_new(store, first, 7), first)
                store.collect_garbage(keep=1)
            return [store.load_file(e)["keys"].tolist() for e in found.files]

        assert store.read_current(load) == [[7, 8, 9]]
        assert seen == [1, 2]

    def test_a_reader_is_told_of_damage(self, store):
        first = first_generation(store)
        store.file_path(first.files[0]).unlink()
        with pytest.raises(CorruptFileError, match="is missing"):
            store.read_current(lambda found: [store.load_file(e) for e in found.files])

    def test_reading_needs_no_lock(self, store):
        made = three_generations(store)
        with store.locked():
            assert Store.open(store.folder).read() == made[-1]


def test_catalogues_import_nothing_large(run_python):
    script = """
import sys
import puresid.catalog.store
print(*[n for n in ("torch", "pyarrow", "scipy", "safetensors", "click") if n in sys.modules])
"""
    assert run_python(script).split() == []
