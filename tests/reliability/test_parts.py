"""The short form of the parts of the long run, and that each of them can fail."""

import random
import subprocess
import sys

import numpy as np
import pytest

from . import determinism, hostile_assign, hostile_keys, memory, oracle, processes
from .__main__ import PARTS, main
from .announce import LARGE, announcing
from .harness import with_package
from .loaders import loaders
from .running import Tried
from .shim import Unavailable


def test_every_part_prints_a_table(capsys):
    assert main(["--part", "hostile", "--cases", "90"]) == 0
    printed = capsys.readouterr().out
    assert "| NaN | " in printed
    assert "| all, each call once | 180 |" in printed
    assert "\n0 problems, " in printed
    assert {"faults", "kills", "damage", "fuzz", "memory", "oracle", "process"} <= PARTS.keys()


class TestHostile:
    def test_calls_are_refused_or_exact(self):
        found = Tried()
        for case in range(400):
            hostile_assign.try_one(7, case, found)
        assert not found.problems, "\n".join(found.problems[:5])
        ways = {**hostile_assign.LOADS, **hostile_assign.WAYS}
        assert found.tried.keys() == ways.keys()
        assert sum(found.exact.values()) > 100
        assert sum(found.refused.values()) > 100

    def test_keys_and_segments_are_refused_or_exact(self):
        found = Tried()
        for case in range(400):
            hostile_keys.try_keys(7, case, found)
        assert not found.problems, "\n".join(found.problems[:5])
        assert found.exact.keys() | found.refused.keys() == found.tried.keys()
        assert len(found.tried) == len(hostile_keys.COLUMNS) + len(hostile_keys.SEGMENTS)

    def given(self, **changed):
        book = np.arange(4, dtype=np.float32).reshape(4, 1)
        vectors = np.array([[1], [1], [3]], np.float32)
        fields = {"vectors": vectors, "books": [book], "options": {}, "plain_vectors": vectors}
        return hostile_assign.Given(**fields | {"plain_books": [book]} | changed)

    @pytest.mark.parametrize(
        ("changed", "outcome"),
        [
            ({}, "exact"),
            ({"plain_vectors": np.array([[1], [2], [3]], np.float32)}, "not the oracle's answer"),
            ({"refused": True}, "taken, where it must be refused"),
            ({"vectors": np.zeros((3, 2)), "refused": True}, "refused"),
            ({"vectors": np.zeros((3, 2))}, "refused without a reason: ValueError"),
            ({"options": {"nothing": 1}}, "refused without a reason: TypeError"),
        ],
    )
    def test_what_must_not_be_is_noticed(self, changed, outcome):
        assert hostile_assign.outcome_of(self.given(**changed), "ecm", 1).startswith(outcome)


class TestDeterminism:
    def test_one_hash(self):
        found = list(determinism.hashes(1500, threads=(1, 3), batches=(7, None)))
        assert len({sha for *_, sha, _ in found}) == 1
        assert set.union(*(stages for *_, stages in found)) == {-1, 0, 1, 2, 3}
        assert len(found) == 4 * len({simd for simd, *_ in found})

    def test_another_answer_is_another_hash(self):
        one, other = determinism.catalogue(300), determinism.catalogue(300)
        other.vectors[0] += 1
        hashed = [determinism.answer(given, threads=1, batch=None)[0] for given in (one, other)]
        assert hashed[0] != hashed[1]


class TestOracle:
    def test_python(self):
        found = oracle.compare_python(5, 60)
        assert found.problems == []
        assert found.counts["instances"] == found.answers == 60
        assert found.counts["conflicts"] > 100

    def test_a_difference_in_python_is_noticed(self, monkeypatch):
        monkeypatch.setattr(oracle.oracles, "same", lambda a, b: False)
        found = oracle.compare_python(5, 3)
        assert found.counts["differences"] == len(found.problems) == 3

    def program(self, folder, text):
        path = folder / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def test_the_programs_counts_are_read(self, tmp_path):
        text = 'echo "instances=$3 lattices=4 items=9 conflicts=2 refused=3 differences=0"'
        found = oracle.compare_core(self.program(tmp_path, text), "tiny", 0, 8)
        assert (found.answers, found.counts["items"], found.problems) == (5, 9, [])

    @pytest.mark.parametrize(
        "text",
        [
            "echo 'instance 7: differs' >&2; echo instances=8 refused=0 differences=1; exit 1",
            "echo instances=7 refused=0 differences=0",
            "kill -SEGV $$",
        ],
    )
    def test_a_difference_a_death_or_too_few_are_problems(self, tmp_path, text):
        found = oracle.compare_core(self.program(tmp_path, text), "tiny", 0, 8)
        assert len(found.problems) == 1


class TestProcesses:
    def program(self, script, printed="x\n"):
        return processes.Program("made up", lambda chance: script, lambda said: said == printed)

    def ended(self, script, **options):
        return processes.run_program(self.program(script), random.Random(1), **options)

    def test_one_of_each(self):
        every = {one.name: one for one in processes.programs("")}
        named = every.get("fork after a parallel call") or every["Ctrl-C, equal, ecm"]
        assert processes.run_program(named, random.Random(1)) == processes.Ended()
        assert {"Ctrl-C, spread, ecm", "Ctrl-C, equal, rrs"} <= every.keys()

    def test_a_hang_an_error_and_other_output_are_noticed(self):
        assert self.ended("print('x')") == processes.Ended()
        assert self.ended("while True: pass", limit=1).hung
        assert "status 3" in self.ended("raise SystemExit(3)").problem
        assert "status 0: y" in self.ended("print('y')").problem

    def test_an_interrupt_that_is_swallowed(self):
        assert processes._stopped("interrupted 0.1\n")
        assert processes._stopped("returned 0\n")
        assert not processes._stopped("returned 1\n")


@pytest.fixture(scope="module")
def hook():
    try:
        return memory.shared_object()
    except Unavailable as reason:
        pytest.skip(str(reason))


class TestMemory:
    def test_what_is_asked_for_is_counted_whether_it_is_given_or_not(self, hook):
        script = (
            "import ctypes, sys\n"
            "import numpy as np\n"
            "hook = ctypes.CDLL(sys.argv[1])\n"
            "hook.asked_peak.restype = ctypes.c_int64\n"
            "for size in (10**3, 10**9, 2**50):\n"
            "    hook.asked_reset()\n"
            "    try: np.empty(size, np.uint8)\n"
            "    except MemoryError: pass\n"
            "    print(hook.asked_peak())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(hook)],
            env=with_package() | {"LD_PRELOAD": str(hook), "PYTHONMALLOC": "malloc"},
            capture_output=True,
            text=True,
            check=True,
        )
        small, large, refused = map(int, done.stdout.split())
        assert small < 10**6
        assert 10**9 <= large < 10**9 + 10**6
        assert refused >= 2**50

    @pytest.mark.parametrize("name", ["SIDs .npy", "codebooks"])
    def test_little_is_asked_for(self, hook, name):
        found = memory.measure(name, seed=1, count=12)
        assert found.problems() == []
        assert len(found.refused) + found.harmless == 12
        assert len(found.refused) > 6

    def test_too_much_is_a_problem(self):
        size = 10 * 2**20
        assert memory.Asked("x", size, size, [size, int(1.1 * size)]).problems() == []
        over = memory.Asked("x", size, size, [int(1.1 * size) + memory.SLACK + 9])
        assert "at worst 1.10 times" in over.problems()[0]
        assert memory.Asked("x", size, 3 * size, [2 * size]).problems() == []
        assert memory.Asked("x", size, size, unclear=["mutant 1: KeyError"]).problems()

    @pytest.mark.parametrize("name", LARGE)
    def test_announcements_are_huge(self, name, tmp_path):
        loader = {one.name: one for one in loaders()}.get(name)
        if loader is None:
            pytest.skip(f"what {name} needs is not installed")
        path = tmp_path / loader.kind.file
        LARGE[name](path)
        whole = path.read_bytes()
        assert len(whole) > 2**19
        made = {announcing(loader, random.Random(i), whole) for i in range(5)}
        assert whole not in made
        assert len(made) > 1
