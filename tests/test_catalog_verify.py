"""`verify` finds what checksums do not tell: files that are whole and hold nonsense."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from living_cases import books, made, names, published, segment, state_of, vectors
from puresid import Catalog
from puresid.catalog import CorruptFileError
from puresid.catalog.changes import Moves, Removals, Updates
from puresid.catalog.digests import vector_digests
from puresid.catalog.keys import Keys
from puresid.catalog.loading import Loader
from puresid.catalog.publishing import publish, write_rows

pytestmark = pytest.mark.filterwarnings("ignore::puresid.catalog.PrefixLoadWarning")


def removal(*places):
    files, rows = np.array(places, dtype=np.uint32).reshape(-1, 2).T
    return Removals(np.ascontiguousarray(files), np.ascontiguousarray(rows))


def update(*places):
    gone = removal(*places)
    return Updates(gone.files, gone.rows, vector_digests(vectors(len(places), 3)))


def begun(tmp_path, **options):
    """Return a catalogue with the items a to c, of the SIDs (0, 0, 0) to (2, 0, 0)."""
    sids = [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    slots = [0, 1, 2] if options.get("capacity", 1) > 1 else None
    return published(made(tmp_path, **options), segment(["a", "b", "c"], sids, slots=slots))


def problem(catalog):
    """Return the only thing that is wrong."""
    (line,) = catalog.verify()
    return line


def file_of(catalog, place=-1):
    return catalog.manifest.files[place].name


class TestItems:
    def test_what_is_sound(self, tmp_path):
        for options in ({}, {"capacity": 3}, {"duplicates": "share"}, {"recycle_after": 1}):
            catalog = begun(tmp_path, **options)
            assert catalog.verify() == []
            catalog.add(names(3), vectors(3))
            catalog.remove(["a", "item 2"])
            assert Catalog.open(catalog.folder).verify() == []

    @pytest.mark.parametrize(
        "options", [{}, {"capacity": 3}, {"duplicates": "share"}, {"recycle_after": 1}]
    )
    def test_each_call_counts_what_verify_counts(self, tmp_path, options):
        """And the object sees what a new one reads: an addition hands on what it has counted."""
        catalog = made(tmp_path, **options)

        def check():
            again = Catalog.open(catalog.folder)
            assert again.verify() == []
            assert again.parameters == catalog.parameters
            assert state_of(again) == state_of(catalog)
            assert again.manifest == catalog.manifest

        catalog.add(names(9), np.repeat(vectors(3), 3, axis=0))
        check()
        catalog.remove(names(2))
        check()
        catalog.add(names(4, 9), vectors(4))  # one of each vector that is there, and a new one
        check()
        for reassign in (True, False):
            catalog.update(names(2, 2), vectors(2, seed=5 + reassign), reassign=reassign)
            check()
        catalog.migrate(books(3), catalog.items().keys, vectors(11, seed=7))
        check()

    def test_a_key_in_two_files(self, tmp_path):
        catalog = published(begun(tmp_path), segment(["d", "b"], [[3, 0, 0], [3, 1, 0]]))
        assert problem(catalog) == f"{catalog.folder} has the key 'b' in two files of items"

    def test_a_key_twice_in_a_file(self, tmp_path):
        twice = segment(["d", "e"], [[3, 0, 0], [3, 1, 0]])
        other = segment(["d", "d2"], [[3, 0, 0], [3, 1, 0]])
        object.__setattr__(other, "keys", type(twice.keys).of(["d", "d"]))
        catalog = published(begun(tmp_path), other)
        assert file_of(catalog) in problem(catalog)

    def test_an_index_of_other_keys(self, tmp_path):
        one = segment(["d", "e"], [[3, 0, 0], [3, 1, 0]])
        other = segment(["f", "g"], [[3, 0, 0], [3, 1, 0]])
        catalog = published(begun(tmp_path), dataclasses.replace(one, key_index=other.key_index))
        assert f"{file_of(catalog)}: by_key" in problem(catalog)
        assert catalog.contains(["d", "e", "f"]).tolist() == [False] * 3

    def test_what_is_out_of_range(self, tmp_path):
        for options, content, message in (
            ({}, segment(["d"], [[4, 0, 0]]), "token 4 at level 0; there are 4"),
            ({}, segment(["d", "e"], [[0, 1, 6], [3, 4, 5]]), "token 6 at level 2; there are 6"),
            ({}, segment(["d"], [[3, 0, 0]], stages=-1), "a stage outside 0 to 3"),
            ({}, segment(["d"], [[3, 0, 0]], stages=4), "a stage outside 0 to 3"),
            ({"tiers": ()}, segment(["d"], [[3, 0, 0]], stages=2), "a stage outside 0 to 1"),
            ({"capacity": 3}, segment(["d"], [[3, 0, 0]], slots=[3]), "slot 3; the capacity of"),
        ):
            catalog = begun(tmp_path, **options)
            with pytest.raises(CorruptFileError, match=f"items-.* has {message}"):
                published(catalog, content)  # not even the library would
            unread(catalog, content)
            with pytest.raises(CorruptFileError, match=f"items-.* has {message}"):
                Catalog.open(catalog.folder)
            assert message in problem(catalog_at(catalog, 3))

    def test_a_generation_that_is_gone_has_no_problems(self, tmp_path):
        catalog = begun(tmp_path)
        old = Catalog.open(catalog.folder)
        catalog.remove(["a", "b", "c"])
        catalog.migrate(books(3), [], np.empty((0, 3)))
        catalog.collect_garbage(keep=1)
        assert old.verify() == []
        assert old.contains(["a"]).all()


class TestSids:
    @pytest.mark.parametrize("options", [{}, {"recycle_after": 1}, {"order": "keys"}])
    def test_one_that_is_given_out_twice(self, tmp_path, options):
        message = "the SID [1, 0, 0] was given out before it was free"
        catalog = published(begun(tmp_path, **options), segment(["d"], [[1, 0, 0]]))
        assert message in problem(catalog)
        catalog = published(made(tmp_path, **options), segment(["a", "b"], [[1, 0, 0], [1, 0, 0]]))
        assert message in problem(catalog)

    def test_a_slot_that_is_given_out_twice(self, tmp_path):
        catalog = begun(tmp_path, capacity=3)
        catalog = published(catalog, segment(["d"], [[1, 0, 0]], slots=[0]))
        assert catalog.verify() == []
        catalog = published(catalog, segment(["e"], [[1, 0, 0]], slots=[1]))
        assert "the SID [1, 0, 0, 1] was given out before it was free" in problem(catalog)

    @pytest.mark.parametrize("duplicates", ["unique", "share", "error"])
    def test_a_tombstone_that_is_given_out(self, tmp_path, duplicates):
        catalog = begun(tmp_path, duplicates=duplicates)
        catalog.remove(["b"])
        catalog = published(catalog, segment(["d"], [[1, 0, 0]]))
        assert "the SID [1, 0, 0] was given out before it was free" in problem(catalog)

    @pytest.mark.parametrize("duplicates", ["unique", "share"])
    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_a_tombstone_that_is_given_out_too_early(self, tmp_path, after, duplicates):
        for wait in range(1, 5):
            catalog = begun(tmp_path, recycle_after=after, duplicates=duplicates)
            catalog.remove(["b"])
            for number in range(wait - 1):
                catalog = published(catalog, segment([f"x{number}"], [[3, number, 0]]))
            catalog = published(catalog, segment(["d"], [[1, 0, 0]]))
            assert (catalog.verify() == []) == (wait >= after)

    def test_a_shared_one_is_held_by_the_last(self, tmp_path):
        catalog = begun(tmp_path, recycle_after=1, duplicates="share")
        catalog = published(catalog, segment(["d"], [[1, 0, 0]]))
        catalog.remove(["d"])  # "b" has it still
        catalog = published(catalog, segment(["e"], [[1, 0, 0]]))
        assert catalog.verify() == []
        catalog.remove(["b", "e"])
        catalog = published(catalog, segment(["f"], [[1, 0, 0]]))
        assert catalog.verify() == []

    def test_no_more_than_three_are_named(self, tmp_path):
        sids = [[a, b, 0] for a in range(4) for b in range(5)]
        catalog = published(made(tmp_path), segment(names(20), sids))
        catalog = published(catalog, segment(names(20, 20), sids))
        assert len(catalog.verify()) == 3


class TestChanges:
    @pytest.mark.parametrize("change", [removal, update])
    def test_of_what_is_not_there(self, tmp_path, change):
        for places, message in (
            ([(0, 3)], "names row 3 of file 0, which has 3 items"),
            ([(1, 0)], "names file 1; there are 1 before it"),
            ([(0, 1), (0, 1)], "names row 1 of file 0 twice"),
        ):
            catalog = begun(tmp_path)
            entry = unread(catalog, change(*places))
            with pytest.raises(CorruptFileError, match=f"{entry.name} {message}"):
                Catalog.open(catalog.folder)
            with pytest.raises(CorruptFileError, match=message):
                catalog.refresh()
            assert (catalog.generation, len(catalog)) == (2, 3)
            assert message in problem(catalog_at(catalog, 3))

    @pytest.mark.parametrize("change", [removal, update])
    def test_of_what_was_removed_before(self, tmp_path, change):
        catalog = begun(tmp_path)
        catalog.remove(["b"])
        unread(catalog, change((0, 1)))
        message = "names row 1 of file 0, which was removed before"
        with pytest.raises(CorruptFileError, match=message):
            Catalog.open(catalog.folder)


def unread(catalog, content):
    """Publish a file that the next generation may not be made of, and return its entry."""
    store, parent = catalog._loader.store, catalog.manifest
    loader = Loader(store, True, {})
    entry = write_rows(loader, content, parent.generation + 1)
    manifest = dataclasses.replace(
        parent,
        generation=parent.generation + 1,
        parent=parent.sha256,
        files=(*parent.files, entry),
    )
    store.publish(manifest, parent)
    return entry


def catalog_at(catalog, generation):
    """Return an object that says to be at a generation whose files cannot be read."""
    manifest = catalog._loader.store.read(generation)
    return Catalog(catalog._loader, manifest, catalog._state)


class TestMoves:
    @pytest.mark.parametrize("change", ["keys", "sids", "fewer", "kind", "levels"])
    def test_that_are_not_those_of_the_items(self, tmp_path, change):
        catalog = made(tmp_path)
        catalog.add(names(4), vectors(4))

        def other(keys, old_sids, new_sids):
            rows = np.array([1, 0, 2, 3])
            if change == "keys":
                keys = keys.take(rows)
            elif change == "sids":
                new_sids = new_sids[rows]
            elif change == "levels":
                new_sids = new_sids[:, :2]
            elif change == "fewer":
                keys, old_sids, new_sids = keys.take(rows[2:]), old_sids[2:], new_sids[2:]
            else:
                keys = Keys.of([*range(4)])
            return Moves(keys, old_sids, new_sids)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("puresid.catalog.changing.Moves", other)
            catalog.migrate(books(4), names(4), vectors(4))
        path = Path(catalog.folder) / "files" / file_of(catalog)
        assert problem(catalog) == f"{path} is not about the items that the epoch began with"


class TestFilesThatDoNotGoTogether:
    def test_keys_of_another_kind(self, tmp_path):
        self.refused(
            begun(tmp_path), segment([1], [[3, 0, 0]]), "keys of kind 'int64'; .* 'string'"
        )

    def test_another_number_of_levels(self, tmp_path):
        self.refused(
            begun(tmp_path),
            segment(["d"], [[3, 0]]),
            "SIDs of 2 tokens; the codebooks have 3 levels",
        )

    def test_slots_or_none(self, tmp_path):
        self.refused(
            begun(tmp_path),
            segment(["d"], [[3, 0, 0]], slots=[0]),
            "slots; the capacity of a SID is 1",
        )
        self.refused(
            begun(tmp_path, capacity=3), segment(["d"], [[3, 0, 0]]), "no slots; .* a SID is 3"
        )

    def test_another_number_of_items(self, tmp_path):
        catalog = begun(tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("puresid.catalog.segment.Segment.__len__", lambda _: 7)
            entry = write_rows(catalog._loader, segment(["d"], [[3, 0, 0]]), 3)
        assert entry.rows == 7
        with pytest.raises(CorruptFileError, match=f"{entry.name} has 1 items, not 7"):
            Loader(catalog._loader.store, True, {}).load(entry)

    def test_codebooks_that_are_none(self, tmp_path):
        store = begun(tmp_path)._loader.store
        tensors, description = store.load_described(store.read().codebooks)
        tensors["codebook_1"] = np.full_like(tensors["codebook_1"], np.nan)
        entry = store.write_file("codebooks", tensors, description, rows=15, generation=1)
        with pytest.raises(CorruptFileError, match=rf"{entry.name}: codebooks\[1\] has NaN"):
            Loader(store, True, {}).load(entry)

    def refused(self, catalog, content, message):
        unread(catalog, content)
        with pytest.raises(CorruptFileError, match=f"items-.* has {message}"):
            Catalog.open(catalog.folder)


class TestManifests:
    @pytest.mark.parametrize(
        "name", ["items", "sids", "tombstones", "stages", "new_items", "new_removals"]
    )
    def test_wrong_counts(self, tmp_path, name):
        catalog = begun(tmp_path)
        there = catalog.manifest.counts[name]
        wrong = [9] if name == "stages" else there + 1
        catalog = published(
            catalog,
            counts=catalog.manifest.counts
            | {"new_items": 0}
            | {name: 1 if name == "new_items" else wrong},
        )
        assert f"00000003.json says {name} " in problem(catalog)

    def test_counts_that_are_missing_or_unknown(self, tmp_path):
        catalog = begun(tmp_path)
        counts = catalog.manifest.counts | {"new_items": 0}
        more = published(catalog, counts=counts | {"pears": 3})
        assert "says pears 3; there are None" in problem(more)
        del counts["items"]
        less = published(more, counts=counts)
        assert "says items None; there are 3" in problem(less)
        assert len(less) == 3
        with pytest.raises(CorruptFileError, match="its counts are not those of a catalogue"):
            less.summary()

    def test_wrong_loads(self, tmp_path):
        catalog = begun(tmp_path)
        prefixes = catalog.manifest.prefix_load["prefixes"]
        for wrong in (
            {"prefixes": [*prefixes[:1], prefixes[1] | {"fullest": 2}]},
            {"prefixes": prefixes[:1]},
            {"prefixes": [{"tokens": 1}]},
            {},
        ):
            catalog = published(
                catalog, prefix_load=wrong, counts=catalog.manifest.counts | {"new_items": 0}
            )
            assert "says another load of prefixes than there is" in problem(catalog)
        with pytest.raises(CorruptFileError, match="its counts are not those of a catalogue"):
            catalog.summary()

    def test_parameters_that_are_none(self, tmp_path):
        catalog = begun(tmp_path)
        loader = catalog._loader
        for change, message in (
            ({"method": "best"}, "method is 'best'"),
            ({"pears": 1}, "'pears' is missing or one too many"),
        ):
            manifest = catalog.manifest
            object.__setattr__(manifest, "parameters", manifest.parameters | change)
            with pytest.raises(CorruptFileError, match=f"00000002.json: .*{message}"):
                loader.state(manifest)
            manifest.parameters.pop("pears", None)
            manifest.parameters["method"] = "ecm"


class TestFiles:
    def test_every_kind_of_file_that_is_cut_or_flipped(self, tmp_path):
        catalog = made(tmp_path)
        catalog.add(names(8), vectors(8))
        catalog.update(["item 1"], vectors(1, 8))
        catalog.remove(["item 2"])
        there = catalog.items().keys.tolist()
        catalog.migrate(books(4), there, vectors(7))
        assert catalog.verify() == []
        files = sorted((Path(catalog.folder) / "files").iterdir())
        assert {path.name.split("-")[0] for path in files} == {
            "codebooks", "items", "moves", "removals", "updates",
        }  # fmt: skip
        for path in files:
            whole = path.read_bytes()
            flipped = bytearray(whole)
            flipped[len(flipped) // 2] ^= 4
            for damaged in (whole[:-1], b"", bytes(flipped)):
                path.write_bytes(damaged)
                assert all(path.name in line for line in catalog.verify())
                assert catalog.verify() != []
            path.unlink()
            assert f"{path.name} is missing" in catalog.verify()[0]
            path.write_bytes(whole)
        assert catalog.verify() == []


def test_publishing_counts_what_there_is(tmp_path):
    """The helper of this file makes what the library makes."""
    catalog = begun(tmp_path)
    manifest, state = publish(
        catalog._loader,
        catalog.manifest,
        codebooks=catalog.manifest.codebooks,
        parameters=catalog.parameters,
        files=catalog.manifest.files,
        epoch=1,
        config={},
    )
    assert manifest.counts["items"] == 3
    assert manifest.counts["new_items"] == 0
    assert state.n_items == 3
