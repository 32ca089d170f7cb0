"""Every fault at every call of what puresid writes today; and that the sweep can fail."""

from dataclasses import replace

import pytest

from .harness import Call, Plan
from .journal import lost_at_end, lost_at_publishing, published_unsafe
from .kinds import has_pyarrow
from .sweep import NEW, OLD, Victim, brief, plans, sweep
from .victims import victims

VICTIMS = {victim.name: victim for victim in victims(parquet=True)}


@pytest.mark.parametrize("name", VICTIMS)
def test_old_or_new_whatever_fails(faults, name):
    if "parquet" in name and not has_pyarrow():
        pytest.skip("pyarrow, the extra 'parquet', is not installed")
    found = sweep(faults, VICTIMS[name], choose=brief, run_again=lambda plan: plan.kills)
    assert not found.problems, "\n".join(found.problems)
    assert {"kill", "torn", "short", "interrupt", "ENOSPC", "EIO"} <= found.runs.keys()
    assert found.total > 20


def _of_one_file(script):
    def prepare(folder):
        (folder / "file").write_bytes(b"old")

    def state(folder):
        content = (folder / "file").read_bytes()
        return {b"old": OLD, b"new, longer": NEW}.get(content, f"torn: {content!r}")

    return Victim("careless", "", script, prepare, state, leftovers=("temporary",))


RENAMED = """
import os
with open("temporary", "wb") as handle:
    handle.write(b"new, longer")
    {sync}
os.rename("temporary", "file")
{sync_folder}
"""
SYNC = "handle.flush(); os.fsync(handle.fileno())"
SYNC_FOLDER = "here = os.open('.', os.O_RDONLY); os.fsync(here); os.close(here)"


class TestTheSweepItself:
    """A careless program must not pass: else the tests above say nothing."""

    def problems(self, faults, script):
        return "\n".join(sweep(faults, _of_one_file(script), choose=brief).problems)

    def test_writing_in_place(self, faults):
        found = self.problems(faults, "open('file', 'wb').write(b'new, longer')")
        assert "the state is torn: b''" in found
        assert "the state is torn: b'new, l'" in found

    def test_no_sync_before_the_renaming(self, faults):
        script = RENAMED.format(sync="", sync_folder=SYNC_FOLDER)
        assert "temporary became file before its bytes" in self.problems(faults, script)

    def test_no_sync_of_the_folder(self, faults):
        script = RENAMED.format(sync=SYNC, sync_folder="")
        assert "a power cut may take the name file in ." in self.problems(faults, script)

    def test_leaving_the_temporary_file(self, faults):
        script = RENAMED.format(sync=SYNC, sync_folder=SYNC_FOLDER)
        assert "it left temporary behind" in self.problems(faults, script)

    def test_an_error_that_is_swallowed(self, faults):
        body = RENAMED.format(sync=SYNC, sync_folder=SYNC_FOLDER).strip().replace("\n", "\n    ")
        found = self.problems(faults, f"try:\n    {body}\nexcept OSError: pass")
        assert "it ended well and the state is old" in found

    def test_what_a_victim_says_of_the_next_run(self, faults):
        script = RENAMED.format(sync=SYNC, sync_folder=SYNC_FOLDER)
        victim = replace(_of_one_file(script), settled=lambda folder: ["other bytes"])
        found = sweep(faults, victim, choose=lambda every: every[:1])
        assert "careless, other bytes" in found.problems[0]

    def test_what_is_published_before_the_rest_is_safe(self, faults):
        script = "open('other', 'w').write('x')\n" + RENAMED.format(
            sync=SYNC, sync_folder=SYNC_FOLDER
        )
        victim = replace(_of_one_file(script), published="file")
        found = sweep(faults, victim, choose=lambda every: [])
        assert "publishes file before the bytes of other is safe" in "".join(found.problems)

    def test_a_write_that_must_be_whole(self, faults):
        write = "n = os.write(here, b'new, longer')\nassert n == 11"
        script = f"import os\nhere = os.open('file', os.O_WRONLY | os.O_CREAT)\n{write}"
        assert "short at call 2 and after: status 1" in self.problems(faults, script)


def calls(*named):
    """Calls from texts such as "rename a b"."""
    made = []
    for number, text in enumerate(named, 1):
        name, path, *other = text.split()
        made.append(Call(number, name, path, "".join(other), 0, "", 0))
    return made


WHOLE = ("open files/.t", "write files/.t", "fsync files/.t", "rename files/.t files/a")
MANIFEST = ("open g/.t", "write g/.t", "fsync g/.t", "link g/.t g/1", "unlink g/.t", "fsync g")


class TestJournal:
    def test_nothing_is_lost_of_what_was_synced(self):
        done = calls(*WHOLE, "fsync files", *MANIFEST)
        assert lost_at_end(done) == []
        assert published_unsafe(done) == []
        assert lost_at_publishing(done, "g/") == []

    def test_files_that_were_there(self):
        done = calls("open lock")
        assert lost_at_end(done) == ["the name lock in ."]
        assert lost_at_end(done, there=["lock"]) == []
        done = calls("open lock", *WHOLE, "fsync files", *MANIFEST)
        assert lost_at_publishing(done, "g/", there=["lock"]) == []
        assert "before the name lock in . is safe" in lost_at_publishing(done, "g/")[0]

    def test_names_need_their_folder(self):
        assert lost_at_end(calls(*WHOLE)) == ["the name files/a in files"]
        assert lost_at_end(calls("mkdir a", "mkdir a/b", "fsync a")) == ["the name a in ."]

    def test_bytes_need_their_file_whatever_it_is_called_by_then(self):
        done = calls("open a", "write a", "rename a b", "fsync .")
        assert lost_at_end(done) == ["the bytes of b"]
        assert published_unsafe(done) == ["call 3: a became b before its bytes"]
        assert lost_at_end([*done, *calls("fsync b")]) == []

    def test_two_names_of_a_file_are_synced_together(self):
        done = calls("open a", "write a", "link a b", "fsync b", "fsync .")
        assert lost_at_end(done) == []

    def test_what_a_manifest_names_must_be_safe_before_it(self):
        done = calls(*WHOLE, *MANIFEST, "fsync files")
        assert lost_at_end(done) == []
        assert lost_at_publishing(done, "g/") == [
            "call 8 publishes g/1 before the name files/a in files is safe"
        ]

    def test_a_removal_may_be_undone(self):
        assert lost_at_end(calls("unlink old")) == ["the name old in ."]
        assert lost_at_end(calls("open t", "unlink t")) == []


def test_what_is_brief_has_each_kind_of_fault_at_each_call():
    every = list(plans(calls("open a", "write a", "unlink a")))
    assert {(plan.call, plan.action) for plan in brief(every)} == {
        (plan.call, plan.action) for plan in every
    }
    assert len(brief(every)) < len(every)


def test_plans_are_those_that_make_sense():
    write, unlink = calls("write a", "unlink a")
    assert set(plans([write])) == {
        Plan(1, "kill"),
        Plan(1, "torn"),
        Plan(1, "interrupt"),
        *(Plan(1, what, lasting) for what in ("short", "ENOSPC", "EIO") for lasting in (0, 1)),
    }
    assert {plan.action for plan in plans([unlink])} == {"kill", "interrupt", "EIO"}
    assert str(Plan(3, "EIO", lasting=True)) == "EIO at call 3 and after"
