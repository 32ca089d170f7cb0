"""SIDs out and back in: every format, every refusal by its message, and never a torn file."""

import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puresid import atomic, files
from puresid.atomic import atomic_write
from puresid.files import (
    CorruptFileError,
    check_writable,
    read_npy,
    read_sids,
    write_sids,
)

SIDS = np.array([[183, 70, 232], [0, 0, 0], [65_535, 1, 2], [183, 70, 231]], dtype=np.uint16)
WIDE = SIDS.astype(np.uint32) * 65_537


def pyarrow():
    """Return the module, or skip and say why."""
    return pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def is_folder(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


class TestSids:
    @pytest.mark.parametrize("sids", [SIDS, WIDE, SIDS[:1], SIDS[:, :1], SIDS[:, ::-1]])
    @pytest.mark.parametrize("name", ["s.npy", "s.parquet", "s.index.json"])
    def test_what_is_written_is_read(self, tmp_path, name, sids):
        if name == "s.parquet":
            pyarrow()
        write_sids(tmp_path / name, sids)
        read = read_sids(tmp_path / name)
        assert read.dtype == sids.dtype
        assert read.flags.c_contiguous
        np.testing.assert_array_equal(read, sids)
        assert leftovers(tmp_path) == [name]

    @settings(max_examples=40, deadline=None)
    @given(
        st.integers(1, 26).flatmap(
            lambda width: st.lists(
                st.lists(st.integers(0, 2**32 - 1), min_size=width, max_size=width), min_size=1
            )
        )
    )
    def test_any_sids_come_back_from_json(self, tmp_path_factory, rows):
        path = tmp_path_factory.mktemp("json") / "s.index.json"
        write_sids(path, np.array(rows, dtype=np.uint32))
        np.testing.assert_array_equal(read_sids(path), rows)

    @pytest.mark.parametrize("name", ["s.npy", "s.parquet"])
    def test_no_items(self, tmp_path, name):
        if name == "s.parquet":
            pyarrow()
        write_sids(tmp_path / name, SIDS[:0])
        assert read_sids(tmp_path / name).shape == (0, 3)

    def test_parquet_columns(self, tmp_path):
        pa = pyarrow()
        import pyarrow.parquet as pq

        stages, distortion = np.array([0, 1, 2, -1]), np.array([0.5, 0.25, 1.0, 2.0])
        write_sids(tmp_path / "s.parquet", SIDS, stages=stages, distortion=distortion)
        table = pq.read_table(tmp_path / "s.parquet")
        assert table.schema.names == ["item", "sid", "stage", "distortion"]
        assert table.schema.types == [
            pa.int64(),
            pa.list_(pa.uint16(), 3),
            pa.int8(),
            pa.float32(),
        ]
        assert table["item"].to_pylist() == [0, 1, 2, 3]
        assert table["sid"].to_pylist() == SIDS.tolist()
        assert table["stage"].to_pylist() == stages.tolist()
        assert table["distortion"].to_pylist() == distortion.tolist()

    def test_json_is_what_the_field_reads(self, tmp_path):
        write_sids(tmp_path / "s.index.json", SIDS)
        data = json.loads((tmp_path / "s.index.json").read_text())
        assert list(data) == ["0", "1", "2", "3"]
        assert data["0"] == ["<a_183>", "<b_70>", "<c_232>"]

    def test_json_of_several_blocks(self, tmp_path, monkeypatch):
        monkeypatch.setattr("puresid._formats._JSON_BLOCK", 2)
        sids = np.arange(15, dtype=np.uint16).reshape(5, 3)
        write_sids(tmp_path / "s.index.json", sids)
        np.testing.assert_array_equal(read_sids(tmp_path / "s.index.json"), sids)

    def test_json_in_any_order_of_keys(self, tmp_path):
        path = tmp_path / "s.index.json"
        path.write_text('{"1": ["<a_5>", "<b_6>"], "0": ["<a_7>", "<b_8>"]}')
        assert read_sids(path).tolist() == [[7, 8], [5, 6]]

    def test_other_integers_become_tokens(self, tmp_path):
        np.save(tmp_path / "s.npy", SIDS.astype(np.int64))
        np.save(tmp_path / "w.npy", WIDE.astype(">u4"))
        assert read_sids(tmp_path / "s.npy").dtype == np.uint16
        assert read_sids(tmp_path / "w.npy").dtype == np.uint32
        np.testing.assert_array_equal(read_sids(tmp_path / "w.npy"), WIDE)

    @pytest.mark.parametrize("token", [-1, 2**32])
    def test_a_token_out_of_range_is_named(self, tmp_path, token):
        np.save(tmp_path / "s.npy", np.array([[0, 1], [2, token]]))
        with pytest.raises(ValueError, match=rf"row 1, level 1 has token {token}; tokens go from"):
            read_sids(tmp_path / "s.npy")

    @pytest.mark.parametrize("sids", [SIDS[0], SIDS[:, :0], SIDS.astype(float)])
    def test_what_is_no_matrix_of_tokens_is_refused(self, tmp_path, sids):
        with pytest.raises(ValueError, match=r"^sids: shape .* SIDs are a matrix of integers"):
            write_sids(tmp_path / "s.npy", sids)
        np.save(tmp_path / "s.npy", sids)
        with pytest.raises(ValueError, match=r"s\.npy: shape .* SIDs are a matrix of integers"):
            read_sids(tmp_path / "s.npy")

    @pytest.mark.parametrize("name", ["stages", "distortion"])
    def test_a_column_of_another_length_is_refused(self, tmp_path, name):
        with pytest.raises(ValueError, match=rf"{name} has shape \(3,\); 4 items need shape"):
            write_sids(tmp_path / "s.npy", SIDS, **{name: np.zeros(3)})
        assert leftovers(tmp_path) == []

    def test_more_levels_than_letters(self, tmp_path):
        path = tmp_path / "s.index.json"
        with pytest.raises(ValueError, match="at most 26; these SIDs have 27 levels"):
            write_sids(path, np.zeros((1, 27), np.uint16))
        with pytest.raises(ValueError, match="at most 26; these SIDs have 27 levels"):
            check_writable(path, n_levels=27)
        assert leftovers(tmp_path) == []

    @pytest.mark.parametrize("action", [read_sids, lambda path: write_sids(path, SIDS)])
    def test_unknown_ending_names_the_known_ones(self, tmp_path, action):
        with pytest.raises(ValueError, match=r"unknown ending.*\.npy, \.parquet, \.index\.json"):
            action(tmp_path / "s.json")

    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            ("", CorruptFileError, "is not a JSON index of SIDs: Expecting value"),
            ('{"0": ["<a_1>"]', CorruptFileError, "is not a JSON index of SIDs"),
            ("[" * 100_000, CorruptFileError, "is not a JSON index of SIDs"),
            ('{"0": ["<a_1>"], "0": ["<a_2>"]}', CorruptFileError, "a key stands in it twice"),
            ("[]", ValueError, "holds no SIDs; expected"),
            ("{}", ValueError, "holds no SIDs; expected"),
            ('{"1": ["<a_1>"]}', ValueError, '1 keys, and "0" is not among them'),
            ('{"0": ["<a_1>"], "01": ["<a_1>"]}', ValueError, 'and "1" is not among them'),
            ('{"0": []}', ValueError, '"0" has no list of tokens'),
            ('{"0": "<a_1>"}', ValueError, '"0" has no list of tokens'),
            ('{"0": ["<a_1>"], "1": ["<a_1>", "<b_1>"]}', ValueError, '"1" is not a list of 1 tok'),
            ('{"0": ["<a_1>"], "1": null}', ValueError, '"1" is not a list of 1 tokens'),
            ('{"0": ["<a_1>"], "1": ["a_1"]}', ValueError, "\"1\" has 'a_1' at level 0"),
            ('{"0": ["<a_1>", "<a_1>"]}', ValueError, "'<a_1>' at level 1; expected a label such"),
            ('{"0": ["<a_01>"]}', ValueError, "\"0\" has '<a_01>' at level 0"),
            ('{"0": [1]}', ValueError, '"0" has 1 at level 0'),
            ('{"0": [[1]]}', ValueError, r"\"0\" has '\[1\]' at level 0"),
            ('{"0": ["<a_4294967296>"]}', ValueError, "row 0, level 0 has token 4294967296"),
        ],
    )
    def test_a_wrong_json_index_is_refused(self, tmp_path, text, error, message):
        (tmp_path / "s.index.json").write_text(text)
        with pytest.raises(error, match=message):
            read_sids(tmp_path / "s.index.json")

    def test_parquet_without_sids(self, tmp_path):
        pa = pyarrow()
        import pyarrow.parquet as pq

        path = tmp_path / "s.parquet"
        pq.write_table(pa.table({"n": [1, 2]}), path)
        with pytest.raises(ValueError, match="no column named 'sid'"):
            read_sids(path)


class TestAtomicWriting:
    @pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
    def test_a_failure_leaves_the_old_file(self, tmp_path, failure):
        (tmp_path / "f").write_bytes(b"old")
        with pytest.raises(failure, match="stop"), atomic_write(tmp_path / "f") as handle:  # noqa: PT012
            handle.write(b"new")
            raise failure("stop")
        assert (tmp_path / "f").read_bytes() == b"old"
        assert leftovers(tmp_path) == ["f"]

    @pytest.mark.parametrize("name", ["s.npy", "s.parquet", "s.index.json"])
    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_a_failing_call_leaves_the_old_file(self, tmp_path, monkeypatch, name, call):
        if name == "s.parquet":
            pyarrow()
        write_sids(tmp_path / name, SIDS)

        def fail(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, call, fail)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            write_sids(tmp_path / name, WIDE)
        np.testing.assert_array_equal(read_sids(tmp_path / name), SIDS)
        assert leftovers(tmp_path) == [name]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    @pytest.mark.parametrize("name", ["s.npy", "s.parquet", "s.index.json"])
    @pytest.mark.parametrize("rows", [1, 100_000])  # 1: less than what C's stdio holds back
    def test_a_full_disk_is_reported(self, tmp_path, monkeypatch, name, rows):
        if name == "s.parquet":
            pyarrow()
        temporary = tmp_path / "temporary"
        temporary.symlink_to("/dev/full")
        monkeypatch.setattr(atomic, "temporary_name", lambda target: temporary)
        monkeypatch.setattr(atomic, "open", lambda path, mode: path.open("wb"), raising=False)
        sids = np.zeros((rows, 3), np.uint16)
        with pytest.raises(OSError, match=f"No space left on device: '.*{name}'"):
            write_sids(tmp_path / name, sids)
        assert leftovers(tmp_path) == []

    def test_an_error_of_another_file_does_not_get_this_name(self, tmp_path):
        with pytest.raises(OSError, match="Errno 5") as caught, atomic_write(tmp_path / "f"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        assert caught.value.filename is None

    def test_npy_is_what_numpy_writes(self, tmp_path):
        for sids in (SIDS, WIDE, np.asfortranarray(WIDE), np.empty((0, 3), np.uint16)):
            write_sids(tmp_path / "ours.npy", sids)
            np.save(tmp_path / "numpy.npy", np.ascontiguousarray(sids))
            ours, theirs = (tmp_path / f"{name}.npy" for name in ("ours", "numpy"))
            assert ours.read_bytes() == theirs.read_bytes()

    def test_the_folder_is_synced_after_the_renaming(self, tmp_path, monkeypatch):
        calls = []
        sync, replace = os.fsync, os.replace

        def note_sync(descriptor):
            calls.append("folder" if is_folder(descriptor) else "file")
            sync(descriptor)

        def note_replace(*names):
            calls.append("rename")
            replace(*names)

        monkeypatch.setattr(os, "fsync", note_sync)
        monkeypatch.setattr(os, "replace", note_replace)
        write_sids(tmp_path / "s.npy", SIDS)
        assert calls == ["file", "rename", "folder"]

    @pytest.mark.parametrize(("code", "raised"), [(errno.EINVAL, False), (errno.EIO, True)])
    def test_a_folder_that_cannot_be_synced(self, tmp_path, monkeypatch, code, raised):
        sync = os.fsync

        def only_files(descriptor):
            if is_folder(descriptor):
                raise OSError(code, os.strerror(code))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", only_files)
        if raised:
            with pytest.raises(OSError, match=f"{os.strerror(code)}: '{tmp_path}'"):
                write_sids(tmp_path / "s.npy", SIDS)
        else:
            write_sids(tmp_path / "s.npy", SIDS)
        np.testing.assert_array_equal(read_sids(tmp_path / "s.npy"), SIDS)

    def test_a_link_stays_a_link(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "s.npy").symlink_to(tmp_path / "real" / "s.npy")
        write_sids(tmp_path / "s.npy", SIDS)
        assert (tmp_path / "s.npy").is_symlink()
        np.testing.assert_array_equal(read_sids(tmp_path / "real" / "s.npy"), SIDS)

    def test_the_new_file_has_ordinary_permissions(self, tmp_path):
        (tmp_path / "plain").write_bytes(b"")
        write_sids(tmp_path / "s.npy", SIDS)
        assert (tmp_path / "s.npy").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_an_output_over_its_own_mapped_input(self, tmp_path):
        np.save(tmp_path / "s.npy", SIDS)
        mapped = read_npy(tmp_path / "s.npy")
        write_sids(tmp_path / "s.npy", mapped[::-1])
        np.testing.assert_array_equal(read_sids(tmp_path / "s.npy"), SIDS[::-1])


class TestCheckWritable:
    @pytest.mark.parametrize("name", ["s.npy", "s.index.json", "S.NPY"])
    def test_leaves_nothing(self, tmp_path, name):
        check_writable(tmp_path / name)
        assert leftovers(tmp_path) == []

    def test_leaves_the_old_file(self, tmp_path):
        (tmp_path / "s.npy").write_bytes(b"old")
        check_writable(tmp_path / "s.npy")
        assert (tmp_path / "s.npy").read_bytes() == b"old"

    def test_a_name_without_a_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        check_writable("s.npy")
        assert leftovers(tmp_path) == []

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"cannot write .*s\.npy: there is no folder"):
            check_writable(tmp_path / "absent" / "s.npy")

    def test_a_folder_is_no_file(self, tmp_path):
        (tmp_path / "s.npy").mkdir()
        with pytest.raises(IsADirectoryError, match=r"cannot write .*s\.npy: it is a folder"):
            check_writable(tmp_path / "s.npy")

    def test_a_folder_that_refuses(self, tmp_path, monkeypatch):
        def refuse(path, mode):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

        monkeypatch.setattr(files, "open", refuse, raising=False)
        with pytest.raises(PermissionError, match=r"^cannot write .*s\.npy: Permission denied \("):
            check_writable(tmp_path / "s.npy")

    def test_other_endings(self, tmp_path):
        check_writable(tmp_path / "c.safetensors", suffixes=(".safetensors",))
        with pytest.raises(ValueError, match=r"unknown ending; the known ones are \.safetensors$"):
            check_writable(tmp_path / "c.npy", suffixes=(".safetensors",))
