"""The shim and the harness: which calls are seen, and that each fault is what it says."""

import os
import sys

import numpy as np
import pytest

from . import shim as shim_module
from .harness import KILLED, Faults, Plan, run_process
from .shim import Unavailable

EVERY_CALL = """
import os
here = os.open("one", os.O_RDWR | os.O_CREAT)
os.write(here, b"12345678")
os.pwrite(here, b"abcd", 8)
os.writev(here, [b"ab", b"cd"])
os.pread(here, 4, 0)
os.ftruncate(here, 6)
os.posix_fallocate(here, 0, 10)
os.fsync(here)
os.fdatasync(here)
os.close(here)
os.truncate("one", 4)
os.rename("one", "two")
os.link("two", "three")
os.symlink("two", "four")
os.mkdir("five")
os.rename(os.path.join(folder, "two"), "five/two")
os.unlink("three")
with open("five/two") as handle:
    handle.read()
"""
SEEN = [
    ("open", "one", ""),
    ("write", "one", ""),
    ("write", "one", ""),
    ("write", "one", ""),
    ("read", "one", ""),
    ("truncate", "one", ""),
    ("fallocate", "one", ""),
    ("fsync", "one", ""),
    ("fsync", "one", ""),
    ("close", "one", ""),
    ("truncate", "one", ""),
    ("rename", "one", "two"),
    ("link", "two", "three"),
    ("symlink", "", "four"),
    ("mkdir", "five", ""),
    ("rename", "two", "five/two"),
    ("unlink", "three", ""),
    ("open-read", "five/two", ""),
    ("read", "five/two", ""),
]
THREE_WRITES = """
import os
here = os.open("file", os.O_WRONLY | os.O_CREAT)
for piece in (b"aaaa", b"bbbb", b"cccc"):
    rest = piece
    while rest:
        rest = rest[os.write(here, rest):]
print("done")
"""


class TestCalls:
    def test_every_call_below_the_folder_is_seen(self, faults, tmp_path):
        outcome = faults.run(EVERY_CALL, tmp_path)
        assert outcome.status == 0, outcome
        found = [(call.name, call.path, call.other) for call in outcome.calls]
        assert found[: len(SEEN)] == SEEN
        assert [call.number for call in outcome.calls] == list(range(1, len(found) + 1))
        assert [call.bytes for call in outcome.calls[1:4]] == [8, 4, 4]

    def test_calls_elsewhere_are_not(self, faults, tmp_path):
        inside, outside = tmp_path / "inside", tmp_path / "inside-not"
        inside.mkdir()
        outside.mkdir()
        outcome = faults.run(f"open({str(outside / 'x')!r}, 'w').write('x')", inside)
        assert outcome.status == 0
        assert outcome.calls == ()
        assert (outside / "x").read_text() == "x"

    def test_writes_of_the_c_library_are_seen(self, faults, tmp_path):
        # NumPy writes by fwrite: a preloaded write() would not see it.
        outcome = faults.run("np.arange(3, dtype='u1').tofile('file')", tmp_path)
        assert ("write", 3) in [(call.name, call.bytes) for call in outcome.calls]

    def test_a_failed_call_keeps_its_own_error(self, faults, tmp_path):
        outcome = faults.run("open('no/such', 'w')", tmp_path)
        assert "FileNotFoundError" in outcome.stderr
        assert outcome.calls[0].result == -2


class TestFaults:
    def test_kill_comes_before_the_call(self, faults, tmp_path):
        outcome = faults.run(THREE_WRITES, tmp_path, Plan(3, "kill"))
        assert outcome.status == KILLED
        assert (tmp_path / "file").read_bytes() == b"aaaa"
        assert [call.done for call in outcome.calls] == ["", "", "killed"]

    def test_an_interrupt_is_ctrl_c(self, faults, tmp_path):
        outcome = faults.run(THREE_WRITES, tmp_path, Plan(3, "interrupt"))
        assert outcome.status == 1
        assert outcome.stderr.endswith("KeyboardInterrupt\n")
        assert (tmp_path / "file").read_bytes() == b"aaaabbbb"

    def test_torn_writes_half(self, faults, tmp_path):
        outcome = faults.run(THREE_WRITES, tmp_path, Plan(3, "torn"))
        assert outcome.status == KILLED
        assert (tmp_path / "file").read_bytes() == b"aaaabb"

    @pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT"])
    def test_errors_by_name(self, faults, tmp_path, error):
        outcome = faults.run(THREE_WRITES, tmp_path, Plan(2, error))
        assert outcome.status == 1
        number = int(outcome.stderr.split("[Errno ")[1].split("]")[0])
        assert number == Plan(2, error).number
        assert outcome.calls[1].result == -number
        assert (tmp_path / "file").read_bytes() == b""

    def test_short_once(self, faults, tmp_path):
        outcome = faults.run(THREE_WRITES, tmp_path, Plan(2, "short"))
        assert outcome.stdout == "done\n"
        assert [call.result for call in outcome.calls] == [3, 2, 2, 4, 4]
        assert (tmp_path / "file").read_bytes() == b"aaaabbbbcccc"

    def test_short_from_there_on(self, faults, tmp_path):
        outcome = faults.run(THREE_WRITES, tmp_path, Plan(2, "short", lasting=True))
        assert [call.result for call in outcome.calls[1:]] == [2, 1, 1] * 3

    def test_a_full_disk_still_removes_and_reads(self, faults, tmp_path):
        (tmp_path / "file").write_bytes(b"here")
        script = "data = open('file').read(); os.unlink('file'); open('other', 'w')"
        outcome = faults.run(f"import os; {script}", tmp_path, Plan(1, "ENOSPC", lasting=True))
        assert "No space left" in outcome.stderr
        assert [call.name for call in outcome.calls if call.result == -28] == ["close", "open"]
        assert list(tmp_path.iterdir()) == []

    def test_a_close_that_fails_closes(self, faults, tmp_path):
        script = (
            "import os\nhere = os.open('file', os.O_WRONLY | os.O_CREAT)\n"
            "try: os.close(here)\n"
            "except OSError as error: assert error.errno == 5\n"
            "else: raise SystemExit(3)\n"
            "try: os.write(here, b'x')\n"
            "except OSError as error: assert error.errno == 9\n"
            "else: raise SystemExit(4)\n"
        )
        outcome = faults.run(script, tmp_path, Plan(2, "EIO"))
        assert outcome.status == 0, outcome

    def test_a_hang_is_ended(self, shim, tmp_path):
        with Faults(limit=1) as server:
            outcome = server.run("while True: pass", tmp_path)
        assert outcome.status == -14


class TestWholeProcess:
    def test_a_preloaded_shim_sees_the_command(self, shim, tmp_path):
        folder = tmp_path / "folder"
        folder.mkdir()
        script = "with open('file', 'w') as handle: handle.write('x' * 10)"
        plan = Plan(2, "ENOSPC", lasting=True)
        outcome = run_process([sys.executable, "-c", script], folder, plan, log=tmp_path / "log")
        assert outcome.struck
        assert outcome.status == 1
        assert "No space left" in outcome.stderr
        assert (folder / "file").read_bytes() == b""

    def test_the_exit_status_of_the_command_on_a_full_disk(self, shim, tmp_path):
        folder = tmp_path / "folder"
        folder.mkdir()
        np.save(folder / "sids.npy", np.zeros((4, 3), np.uint16))
        (folder / "out").write_bytes(b"old")
        arguments = ["export", "sids.npy", "-o", "out", "--format", "index.json"]
        script = f"from puresid.cli import main; main({arguments}, prog_name='puresid')"
        command = [sys.executable, "-c", script]
        calls = run_process(command, folder, Plan(), log=tmp_path / "log").calls
        (folder / "out").write_bytes(b"old")
        write = next(call.number for call in calls if call.name == "write")
        outcome = run_process(command, folder, Plan(write, "ENOSPC"), log=tmp_path / "log")
        assert outcome.status == 2
        assert outcome.stderr == "puresid: error: out: No space left on device\n"
        assert sorted(path.name for path in folder.iterdir()) == ["out", "sids.npy"]
        assert (folder / "out").read_bytes() == b"old"


class TestWhereItCannotBe:
    @pytest.fixture
    def fresh(self):
        shim_module.shared_object.cache_clear()
        yield
        shim_module.shared_object.cache_clear()

    def test_another_system(self, fresh, monkeypatch):
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(Unavailable, match="made on Linux; this is darwin"):
            shim_module.shared_object()

    def test_no_compiler(self, fresh, monkeypatch):
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setitem(os.environ, "CC", "no-such-compiler")
        with pytest.raises(Unavailable, match="there is no C compiler"):
            shim_module.shared_object()
