"""Catalogues that are made, opened and refused; and who may write."""

import threading
from pathlib import Path

import numpy as np
import pytest

import puresid
from living_cases import books, contents, levels, made, names, vectors
from puresid import Catalog
from puresid.catalog import (
    CatalogError,
    CorruptFileError,
    IncompatibleError,
    Parameters,
    PublishRaceError,
)
from puresid.catalog.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")


class TestCreate:
    def test_generation_one_has_no_items(self, tmp_path):
        catalog = made(tmp_path)
        assert (catalog.generation, catalog.epoch, len(catalog)) == (1, 1, 0)
        assert catalog.codebooks == books()
        assert catalog.items().keys.tolist() == []
        assert catalog.items().sids.shape == (0, 3)
        assert catalog.resolve([[0, 0, 0]]) == [[]]
        assert len(catalog.prefix([])) == 0
        assert catalog.contains(["a"]).tolist() == catalog.contains([1]).tolist() == [False]
        assert catalog.verify() == []

    def test_its_codebooks_are_read_by_those_who_have_no_catalogue(self, tmp_path):
        catalog = made(tmp_path)
        name = catalog.manifest.codebooks.name
        assert puresid.Codebooks.load(Path(catalog.folder) / "files" / name) == books()

    def test_the_config_is_echoed(self, tmp_path):
        catalog = made(tmp_path, config={"input": "x.npy", "ratio": 0.5})
        assert catalog.manifest.config == {"input": "x.npy", "ratio": 0.5}
        catalog.add(["a"], vectors(1), config={"night": 3})
        assert Catalog.open(catalog.folder).manifest.config == {"night": 3}
        catalog.remove(["a"])
        assert catalog.manifest.config == {}

    @pytest.mark.parametrize("config", [[], "text"])
    def test_a_config_that_is_no_dict(self, tmp_path, config):
        with pytest.raises(TypeError, match=r"config is of type (list|str); a dict is needed"):
            made(tmp_path, config=config)
        catalog = made(tmp_path)
        with pytest.raises(TypeError, match=r"config is of type (list|str); a dict is needed"):
            catalog.add(["a"], vectors(1), config=config)
        assert (catalog.generation, catalog.contains(["a"]).tolist()) == (1, [False])

    def test_a_catalogue_that_is_there(self, tmp_path):
        catalog = made(tmp_path)
        with pytest.raises(CatalogError, match="is a catalogue already"):
            Catalog.create(catalog.folder, books())

    def test_a_folder_with_something_else(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(CatalogError, match=r"holds 'notes\.txt'; an empty folder is needed"):
            Catalog.create(tmp_path, books())

    def test_no_parent_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Catalog.create(tmp_path / "a" / "b", books())

    def test_what_a_crashed_call_left_is_used(self, tmp_path):
        Store.create(tmp_path / "c")
        with pytest.raises(CatalogError, match="has no generation yet"):
            Catalog.open(tmp_path / "c")
        assert Catalog.create(tmp_path / "c", books()).generation == 1
        assert Catalog.open(tmp_path / "c").verify() == []

    def test_another_call_that_makes_one_at_this_moment(self, tmp_path):
        store = Store.create(tmp_path / "c")
        with store.locked(), pytest.raises(PublishRaceError, match="another writer is at work"):
            Catalog.create(tmp_path / "c", books())

    def test_codebooks_that_are_none(self, tmp_path):
        with pytest.raises(ValueError, match=r"codebooks\[1\]"):
            Catalog.create(tmp_path / "c", [np.eye(2), np.full((2, 2), np.nan)])
        assert not (tmp_path / "c").exists()


class TestOpen:
    def test_it_has_what_was_published(self, tmp_path):
        catalog = made(tmp_path, method="rrs", order="keys")
        catalog.add(names(4), vectors(4))
        for mmap in (True, False):
            again = Catalog.open(catalog.folder, mmap=mmap)
            assert again.lookup(names(4)).tolist() == catalog.lookup(names(4)).tolist()
            assert again.parameters == catalog.parameters
            assert again.manifest == catalog.manifest
            assert repr(again) == repr(catalog)
        assert "generation 2, 4 items, sizes=(4, 5, 6)" in repr(again)

    def test_no_catalogue(self, tmp_path):
        with pytest.raises(CatalogError, match="is no catalogue"):
            Catalog.open(tmp_path)

    def test_an_older_generation_can_be_read_and_not_changed(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(["a"], vectors(1))
        catalog.remove(["a"])
        old = Catalog.open(catalog.folder, generation=2)
        assert old.contains(["a"]).tolist() == [True]
        assert (len(old), old.generation) == (1, 2)
        assert old.verify() == []
        message = "generation 3 of .* has been published; this is generation 2: refresh"
        with pytest.raises(PublishRaceError, match=message):
            old.add(["b"], vectors(1))
        with pytest.raises(PublishRaceError, match=message):
            old.remove(["a"])
        with pytest.raises(PublishRaceError, match=message):
            old.update(["a"], vectors(1, 5))
        with pytest.raises(PublishRaceError, match=message):
            old.migrate(books(3), ["a"], vectors(1))
        assert old.add(["b"], vectors(1), dry_run=True).generation == 2
        old.refresh()
        assert old.add(["b"], vectors(1)).generation == 4

    def test_generations_that_are_not_there(self, tmp_path):
        folder = made(tmp_path).folder
        with pytest.raises(CatalogError, match="has no generation 2; there are: 1"):
            Catalog.open(folder, generation=2)
        with pytest.raises(ValueError, match="generation is 0; at least 1 is needed"):
            Catalog.open(folder, generation=0)
        for wrong in (1.0, "1"):
            with pytest.raises(TypeError, match=r"generation is .*; an integer is needed"):
                Catalog.open(folder, generation=wrong)

    @pytest.mark.parametrize("mmap", [True, False])
    def test_a_damaged_file_is_named(self, tmp_path, mmap):
        catalog = made(tmp_path)
        catalog.add(names(3), vectors(3))
        path = Path(catalog.folder) / "files" / catalog.manifest.files[0].name
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptFileError, match=f"{path.name} is damaged"):
            Catalog.open(catalog.folder, mmap=mmap)

    def test_a_missing_file_is_named(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(names(3), vectors(3))
        path = Path(catalog.folder) / "files" / catalog.manifest.files[0].name
        path.unlink()
        with pytest.raises(CorruptFileError, match=f"{path.name} is missing"):
            Catalog.open(catalog.folder)


class TestWriters:
    def test_the_one_who_comes_late_learns_it(self, tmp_path):
        one = made(tmp_path)
        other = Catalog.open(one.folder)
        one.add(["a"], vectors(1))
        before = contents(one)
        with pytest.raises(PublishRaceError, match=r"generation 2 .* this is generation 1"):
            other.add(["b"], vectors(1))
        assert contents(one) == before
        other.refresh()
        assert (other.generation, other.lookup(["a"]).tolist()) == (2, one.lookup(["a"]).tolist())
        other.add(["b"], vectors(1))
        assert one.contains(["b"]).tolist() == [False]
        one.refresh()
        assert one.contains(["a", "b"]).tolist() == [True, True]

    def test_the_lock_is_held_while_an_addition_runs(self, tmp_path):
        catalog = made(tmp_path)
        other = Catalog.open(catalog.folder)
        seen = []

        def batches():
            with pytest.raises(PublishRaceError, match="another writer is at work"):
                other.add(["b"], vectors(1))
            seen.append(other.add(["b"], vectors(1), dry_run=True).items.sids.tolist())
            yield vectors(1)

        source = puresid.Batches(batches, (1, 3))
        assert catalog.add(["a"], source).items.sids.tolist() == seen[0]

    def test_two_threads_of_one_object(self, tmp_path):
        catalog = made(tmp_path)
        refused = []

        def other():
            try:
                catalog.add(["b"], vectors(1))
            except PublishRaceError as error:
                refused.append(str(error))

        def batches():
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            yield vectors(1)

        catalog.add(["a"], puresid.Batches(lambda: batches(), (1, 3)))
        assert len(refused) >= 1
        assert catalog.contains(["a", "b"]).tolist() == [True, False]

    def test_a_failed_call_gives_the_lock_back(self, tmp_path):
        catalog = made(tmp_path)
        with pytest.raises(ValueError, match="1 keys and 2 vectors"):
            catalog.add(["a"], vectors(2))
        other = Catalog.open(catalog.folder)
        assert other.add(["a"], vectors(1)).generation == 2

    def test_reading_while_another_thread_changes_the_object(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(["a"], vectors(1))

        def keys():  # read after the look-up has begun
            catalog.add(["b"], vectors(1, 5))
            yield "a"

        expected = catalog.lookup(["a"]).tolist()
        assert catalog.lookup(keys()).tolist() == expected

    def test_what_is_no_longer_needed_is_not_kept_in_memory(self, tmp_path):
        pytest.importorskip("scipy", reason="migrating aligns codebooks, which needs SciPy")
        catalog = made(tmp_path)
        catalog.add(names(3), vectors(3))
        catalog.migrate(books(4), names(3), vectors(3))
        kept = {entry.name for entry in catalog.manifest.entries}
        assert set(catalog._loader.cache) <= kept

    def test_garbage(self, tmp_path):
        catalog = made(tmp_path)
        for number in range(3):
            catalog.add([number], vectors(1, number))
        assert catalog.collect_garbage(dry_run=True).generations == (1, 2)
        assert catalog.collect_garbage().generations == (1, 2)
        assert Catalog.open(catalog.folder).contains([0, 1, 2]).all()
        with pytest.raises(CatalogError, match="has no generation 2; there are: 3, 4"):
            Catalog.open(catalog.folder, generation=2)
        with pytest.raises(ValueError, match="keep is 0; at least 1 is needed"):
            catalog.collect_garbage(keep=0)


class TestRequire:
    def test_the_same_are_accepted(self, tmp_path):
        catalog = made(tmp_path, method="rrs")
        catalog.require(books())
        catalog.require(levels(), Parameters(method="rrs"))
        catalog.require(levels(), Parameters(method="rrs", tiers=((1, 1, 10), (5, 5, 20))))

    def test_others_are_refused_with_both_hashes(self, tmp_path):
        catalog = made(tmp_path)
        mine = catalog.manifest.epoch_hash
        changed = levels()
        changed[2][5, 2] = np.nextafter(changed[2][5, 2], np.float32(9))
        other = made(tmp_path, changed).manifest.epoch_hash
        assert mine != other
        message = f"these codebooks make the hash {other}; epoch 1 .* has {mine}: others need"
        with pytest.raises(IncompatibleError, match=message):
            catalog.require(changed)
        other = made(tmp_path, order="keys").manifest.epoch_hash
        message = f"these codebooks or parameters make the hash {other}; epoch 1 .* has {mine}"
        with pytest.raises(IncompatibleError, match=message):
            catalog.require(books(), Parameters(order="keys"))

    def test_what_are_no_parameters(self, tmp_path):
        catalog = made(tmp_path)
        with pytest.raises(TypeError, match="parameters is of type dict; Parameters are needed"):
            catalog.require(books(), {"order": "rows"})
        with pytest.raises(ValueError, match="have 3 levels"):
            catalog.require(books(), Parameters(tiers=((1, 1),)))


class TestBytes:
    def build(self, tmp_path, threads):
        catalog = made(tmp_path, duplicates="share", order="keys", recycle_after=2)
        catalog.add(names(20), vectors(20, spread=0.3), threads=threads)
        catalog.remove(names(5))
        catalog.add(names(5, 100), vectors(5), np.arange(5), threads=threads)
        catalog.update(names(4, 8), vectors(4, 7), threads=threads)
        catalog.update(names(4, 12), vectors(4, 8), reassign=True, threads=threads)
        items = catalog.items().keys.tolist()
        catalog.migrate(books(5), items, vectors(len(items), 3), threads=threads)
        return catalog

    def test_the_same_calls_give_the_same_bytes_whatever_the_threads(self, tmp_path):
        one, three = self.build(tmp_path, 1), self.build(tmp_path, 3)
        assert contents(one) == contents(three)
        assert len(contents(one)) > 10
        assert one.verify() == []
