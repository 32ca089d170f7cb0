"""Manifests: one form, in which every byte counts; whatever else is there is refused by name."""

import dataclasses
import hashlib
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_cases import PARAMETERS, SHA, entry, manifest
from puresid.catalog import _sealed
from puresid.catalog._sealed import canonical, plain, seal, unseal
from puresid.catalog.errors import CatalogError, IncompatibleError
from puresid.catalog.manifest import FileEntry, Manifest, epoch_hash
from puresid.files import CorruptFileError

OTHER = "f" * 64


def two_generations():
    first = manifest(files=[entry()])
    files = [entry(), entry("removals", OTHER, generation=2)]
    return first, manifest(files=files, after=first)


def sealed(value):
    """Seal whatever JSON text or object, as someone could who knows how."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    checksum = hashlib.sha256(body).hexdigest().encode()
    return body[:-1] + b',"sha256":"' + checksum + b'"}\n'


def changed_bytes(change):
    """Return a manifest's bytes with another content and the checksum that belongs to it."""
    value = unseal(two_generations()[1].to_bytes(), "it")
    change(value)
    return sealed(canonical(value))


class TestForm:
    def test_what_is_written_is_read(self):
        for made in two_generations():
            again = Manifest.from_bytes(made.to_bytes())
            assert again == made
            assert again.to_bytes() == made.to_bytes()

    def test_it_is_json_that_ends_with_its_checksum(self):
        made = two_generations()[1]
        data = made.to_bytes()
        value = json.loads(data)
        assert list(value)[-1] == "sha256"
        said = value.pop("sha256")
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert said == made.sha256 == hashlib.sha256(text.encode()).hexdigest()
        assert value["config"]["name"] == "Büro 書"
        assert value["files"][1]["generation"] == 2

    def test_the_order_of_dicts_does_not_matter(self):
        turned = dict(reversed(PARAMETERS.items()))
        assert manifest(parameters=turned).to_bytes() == manifest().to_bytes()

    def test_dicts_are_copied(self):
        counts = {"items": 1}
        made = manifest(counts=counts)
        counts["items"] = 2
        assert made.counts == {"items": 1}

    def test_numpy_numbers_become_those_of_python(self):
        counts = {"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True), "d": (1, (2,))}
        made = manifest(counts=counts)
        assert made.counts == {"a": 3, "b": 0.5, "c": True, "d": [1, [2]]}
        assert [type(made.counts[key]) for key in "abc"] == [int, float, bool]

    def test_entries_are_codebooks_first(self):
        made = two_generations()[1]
        assert [e.kind for e in made.entries] == ["codebooks", "items", "removals"]

    def test_equal_content_may_come_twice(self):
        first, second = two_generations()
        files = (*second.files, entry(generation=3))
        third = manifest(files=files, after=second)
        assert Manifest.from_bytes(third.to_bytes()).files == files
        third.check_follows(second)
        second.check_follows(first)

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**64 - 1)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)
            ),
            max_leaves=20,
        )
    )
    def test_any_config_comes_back(self, value):
        made = manifest(config={"value": value})
        again = Manifest.from_bytes(made.to_bytes())
        assert again.config == made.config
        assert again.to_bytes() == made.to_bytes()


class TestDamage:
    def test_every_truncation(self):
        data = two_generations()[1].to_bytes()
        for length in range(len(data)):
            with pytest.raises(CorruptFileError, match=r"^g/2\.json is cut short or damaged"):
                Manifest.from_bytes(data[:length], name="g/2.json")

    def test_every_flip_of_a_bit_and_of_a_byte(self):
        data = two_generations()[1].to_bytes()
        flips = [1 << bit for bit in range(8)] + [0xFF]
        for place in range(len(data)):
            for flip in flips:
                damaged = bytearray(data)
                damaged[place] ^= flip
                with pytest.raises(CorruptFileError, match=r"^g/2\.json is .*damaged"):
                    Manifest.from_bytes(bytes(damaged), name="g/2.json")

    def test_something_more(self):
        data = two_generations()[1].to_bytes()
        for more in (data + b"\n", data + data, b" " + data, b"\xef\xbb\xbf" + data):
            with pytest.raises(CorruptFileError, match="damaged"):
                Manifest.from_bytes(more)

    def test_damage_reaches_no_parser(self, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("parsed")

        monkeypatch.setattr(_sealed, "parse_object", refuse)
        with pytest.raises(CorruptFileError, match="damaged"):
            Manifest.from_bytes(two_generations()[1].to_bytes().replace(b"ecm", b"rrs"))

    def test_too_large(self, monkeypatch):
        monkeypatch.setattr(_sealed, "MOST_BYTES", 500)
        with pytest.raises(CatalogError, match=r"generation 1: it takes \d+ bytes; the most is"):
            manifest().to_bytes()
        with pytest.raises(CorruptFileError, match="it has 501 bytes; the most is 500"):
            Manifest.from_bytes(b" " * 501, name="it")

    def test_a_large_file_is_refused_before_it_is_read(self, tmp_path):
        path = tmp_path / "00000001.json"
        with open(path, "wb") as handle:
            handle.truncate(2**32)
        tracemalloc.start()
        try:
            with pytest.raises(
                CorruptFileError, match="has 4294967296 bytes; the most is 16777216"
            ):
                _sealed.read_sealed(path)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


class TestHostile:
    """The checksum is right, the content is not."""

    @pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Manifest)])
    def test_a_missing_field(self, name):
        with pytest.raises(CorruptFileError, match=f"it has no '{name}'"):
            Manifest.from_bytes(changed_bytes(lambda value: value.pop(name)))

    @pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(FileEntry)])
    def test_a_missing_field_of_an_entry(self, name):
        with pytest.raises(CorruptFileError, match=rf"files\[1\] has no '{name}'"):
            Manifest.from_bytes(changed_bytes(lambda value: value["files"][1].pop(name)))

    def test_an_unknown_field(self):
        with pytest.raises(CorruptFileError, match="it has 'more', which is unknown"):
            Manifest.from_bytes(changed_bytes(lambda value: value.update(more=1)))
        with pytest.raises(CorruptFileError, match="codebooks has 'more', which is unknown"):
            Manifest.from_bytes(changed_bytes(lambda value: value["codebooks"].update(more=1)))

    @pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Manifest)])
    @pytest.mark.parametrize("wrong", [True, 1.0, "1", [1], {"a": 1}, -1, 2**63, None])
    def test_a_field_of_another_type(self, name, wrong):
        if (name in ("parameters", "counts", "prefix_load", "config") and wrong == {"a": 1}) or (
            name == "version" and wrong == "1"
        ):
            wrong = []
        with pytest.raises(CorruptFileError, match=f"m: .*({name}|generation|files)"):
            Manifest.from_bytes(changed_bytes(lambda value: value.update({name: wrong})), name="m")

    @pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(FileEntry)])
    @pytest.mark.parametrize("wrong", [True, 1.5, "1", [1], {"a": 1}, -1, 2**63, None])
    def test_a_field_of_an_entry_of_another_type(self, name, wrong):
        with pytest.raises(CorruptFileError, match=rf"m: files\[0\]: {name} is"):
            Manifest.from_bytes(
                changed_bytes(lambda value: value["files"][0].update({name: wrong})), name="m"
            )

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b'"epoch":1', b'"epoch":1,"epoch":1', "the key 'epoch' stands in it twice"),
            (b'"rows":3', b'"rows":3,"rows":3', "the key 'rows' stands in it twice"),
            (b'"epoch":1', b'"epoch": 1', "not in its canonical form"),
            (b'"ratio":0.1', b'"ratio":1e-1', "not in its canonical form"),
            (b'"ratio":0.1', b'"ratio":NaN', "NaN is no number of JSON"),
            (b'"ratio":0.1', b'"ratio":-Infinity', "-Infinity is no number of JSON"),
            (b'"ratio":0.1', b'"ratio":1e999', r"\['ratio'\] is inf; a finite number"),
            (b'"ratio":0.1', b'"ratio":' + b"9" * 30, "has 100 bits"),
            (b'"ratio":0.1', b'"ratio":' + b"9" * 5000, "digits"),
            (b'"ratio":0.1', b'"ratio":"\\ud800"', "half a surrogate pair at character 0"),
            (b'"ratio":0.1', b'"ratio":"\xff"', "can't decode byte 0xff"),
            (b'"ratio":0.1', b'"ratio":' + b"[" * 40 + b"]" * 40, "nested more than 32 deep"),
            (b'"ratio":0.1', b'"ratio":' + b"[" * 99999 + b"]" * 99999, "recursion|nested|deep"),
            (b'"ratio":0.1', b'"ratio":', "Expecting value"),
        ],
    )
    def test_json_of_another_form(self, old, new, message):
        body = canonical(unseal(manifest(files=[entry()]).to_bytes(), "it"))
        assert old in body
        with pytest.raises(CorruptFileError, match=message):
            Manifest.from_bytes(sealed(body.replace(old, new, 1)))

    def test_no_object(self):
        with pytest.raises(CorruptFileError, match="Expecting"):
            Manifest.from_bytes(sealed(b"[1}"))
        with pytest.raises(TypeError, match="a JSON list stands where an object is needed"):
            _sealed.parse_object(b"[1]")

    def test_another_format(self):
        with pytest.raises(CorruptFileError, match="has the format 'x', not 'puresid"):
            Manifest.from_bytes(changed_bytes(lambda value: value.update(format="x")))

    def test_a_newer_format(self):
        data = changed_bytes(lambda value: value.update(format_version=2, more=1))
        with pytest.raises(CatalogError, match="version 2 of its format; this puresid reads up to"):
            Manifest.from_bytes(data)

    @pytest.mark.parametrize("version", [True, 0, "1", None, 1.0])
    def test_no_version(self, version):
        data = changed_bytes(lambda value: value.update(format_version=version))
        with pytest.raises(CorruptFileError, match=f"has version {version!r} of its format"):
            Manifest.from_bytes(data)


class TestRules:
    @pytest.mark.parametrize(
        ("changed", "error", "message"),
        [
            ({"generation": 0}, ValueError, "generation is 0; at least 1"),
            ({"generation": 10**8}, ValueError, "generation is 100000000; the most is 99999999"),
            ({"generation": True}, TypeError, "generation is True; an integer"),
            ({"generation": 1.0}, TypeError, "generation is 1.0; an integer"),
            ({"epoch": 2}, ValueError, "epoch is 2 in generation 1"),
            ({"parent": SHA}, ValueError, "generation 1 has none, the others have one"),
            ({"generation": 2}, ValueError, "generation 1 has none, the others have one"),
            ({"generation": 2, "parent": "x"}, ValueError, "parent is 'x'; 64 hexadecimal"),
            ({"generation": 2, "parent": SHA.upper()}, ValueError, "in lower case"),
            ({"epoch_hash": OTHER}, ValueError, "codebooks and parameters make it"),
            ({"epoch_hash": None}, ValueError, "epoch_hash is None; 64 hexadecimal"),
            ({"counts": [1]}, TypeError, "counts is of type list; a dict"),
            ({"counts": {1: 2}}, TypeError, "counts has the key 1; keys of JSON are text"),
            ({"counts": {"a": {1}}}, TypeError, r"counts\['a'\] is of type set"),
            ({"counts": {"a": [0, np.nan]}}, ValueError, r"counts\['a'\]\[1\] is nan"),
            ({"counts": {"a": 2**64}}, ValueError, r"counts\['a'\] has 65 bits"),
            ({"counts": {"\ud800": 1}}, ValueError, "half a surrogate pair"),
            ({"version": ""}, ValueError, "version is ''; text of 1 to 100"),
            ({"version": "x" * 101}, ValueError, "text of 1 to 100 characters"),
            ({"codebooks": entry()}, TypeError, "codebooks is FileEntry.*of this kind"),
            ({"files": [entry("codebooks")]}, TypeError, r"files\[0\] is FileEntry"),
            ({"files": ["x"]}, TypeError, r"files\[0\] is 'x'"),
            ({"files": [entry(generation=2)]}, ValueError, "generation 1 has a file of gen.* 2"),
        ],
    )
    def test_refused(self, changed, error, message):
        with pytest.raises(error, match=message):
            manifest(**{"epoch_hash": epoch_hash(entry("codebooks"), PARAMETERS)} | changed)

    def test_files_out_of_order(self):
        files = [entry(generation=2), entry(sha256=OTHER, generation=1)]
        with pytest.raises(ValueError, match=r"files\[1\] came in generation 1, after one of"):
            manifest(files=files, after=manifest())

    def test_files_that_contradict_each_other(self):
        other = SHA[:20] + "0" * 44
        for second in (entry(rows=4), entry(size=99), entry(sha256=other)):
            with pytest.raises(ValueError, match=r"files\[1\] contradicts an earlier entry of it"):
                manifest(files=[entry(), second])

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"kind": "pickles"}, "kind is 'pickles'; it must be one of 'codebooks', 'items'"),
            ({"rows": -1}, "rows is -1; at least 0"),
            ({"bytes": 7}, "bytes is 7; at least 8"),
            ({"bytes": 2**63}, r"less than 2\*\*63"),
            ({"generation": 0}, "generation is 0; at least 1"),
            ({"sha256": SHA[1:]}, "64 hexadecimal digits"),
            ({"sha256": SHA[:-1] + "\n"}, "64 hexadecimal digits"),
            ({"name": "../../etc/passwd"}, "name is '../../etc/passwd'; kind and sha256 make it"),
        ],
    )
    def test_an_entry(self, changed, message):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(entry(), **changed)

    def test_the_epoch_hash_depends_on_codebooks_and_parameters(self):
        seen = {
            epoch_hash(entry("codebooks", sha), parameters)
            for sha in (SHA, OTHER)
            for parameters in (PARAMETERS, PARAMETERS | {"capacity": 2})
        }
        assert len(seen) == 4
        # Where the codebooks came in does not matter.
        later = entry("codebooks", generation=7)
        assert epoch_hash(later, PARAMETERS) == epoch_hash(entry("codebooks"), PARAMETERS)

    def test_nested_too_deeply(self):
        value = []
        for _ in range(40):
            value = [value]
        with pytest.raises(ValueError, match="is nested more than 32 deep"):
            plain(value, "it")

    def test_sealed_needs_room(self, monkeypatch):
        monkeypatch.setattr(_sealed, "MOST_BYTES", 90)
        with pytest.raises(ValueError, match="it takes 91 bytes; the most is 90"):
            seal({"a": "x" * 6})
        assert len(seal({"a": "x" * 5})) == 90


class TestFollowing:
    def test_the_first(self):
        manifest().check_follows(None)
        with pytest.raises(CatalogError, match="generation 2 cannot follow generation 0"):
            two_generations()[1].check_follows(None)

    def test_a_gap(self):
        first, second = two_generations()
        third = manifest(files=second.files, after=second)
        with pytest.raises(CatalogError, match="generation 3 cannot follow generation 1"):
            third.check_follows(first)
        with pytest.raises(CatalogError, match="generation 2 cannot follow generation 2"):
            second.check_follows(second)

    def test_another_parent(self):
        second = two_generations()[1]
        with pytest.raises(CatalogError, match=f"has the parent {second.parent}; generation 1 is"):
            second.check_follows(manifest(version="other"))

    def test_other_parameters_in_one_epoch(self):
        first = manifest()
        second = manifest(after=first, parameters=PARAMETERS | {"capacity": 2})
        both = f"{second.epoch_hash}; those of epoch 1 have {first.epoch_hash}"
        with pytest.raises(IncompatibleError, match=both):
            second.check_follows(first)
        dataclasses.replace(second, epoch=2).check_follows(first)

    def test_an_epoch_left_out(self):
        first = manifest(generation=5, parent=SHA)
        with pytest.raises(CatalogError, match="epoch 3 cannot follow epoch 1"):
            manifest(after=first, epoch=3).check_follows(first)
