"""A few mutants of every kind of file, that mutants are what they should be, and the targets."""

import random

import pytest

from . import thrift
from .fuzz import Found, Mutants, read_mutants, run_target, targets
from .fuzz_worker import mutant, verdict
from .kinds import Kind
from .loaders import Loader, loaders
from .mutations import FORMS, INTEGERS, Pairs, change, mutate, parse, write
from .native import ROOT

LOADERS = {loader.name: loader for loader in loaders()}
FEW = 150


@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required")
@pytest.mark.parametrize("name", LOADERS)
def test_mutants_are_refused_or_read(name, tmp_path):
    """In this process, without its limits: what the long form found may come again, but cheaply."""
    loader = LOADERS[name]
    path = tmp_path / loader.kind.file
    loader.kind.write(path)
    whole = path.read_bytes()
    right = loader.kind.read(path)
    assert right == loader.kind.read(path)
    found = Mutants(loader, 0)
    for number in range(FEW if "parquet" not in path.name else FEW // 10):
        path.unlink()
        path.write_bytes(mutant(loader, 0, number, whole))
        found.note(number, *verdict(loader, path, right))
    assert not found.problems(), "\n".join(found.problems())
    assert found.verdicts["refused"] > 0


@pytest.mark.parametrize("name", LOADERS)
def test_a_mutant_is_a_function_of_its_number_and_keeps_the_form(name, tmp_path):
    loader = LOADERS[name]
    path = tmp_path / loader.kind.file
    loader.kind.write(path)
    whole = path.read_bytes()
    mutants = [mutant(loader, 3, number, whole) for number in range(40)]
    assert mutants == [mutant(loader, 3, number, whole) for number in range(40)]
    assert len(set(mutants)) > 20
    broken = 0
    for number in range(40):
        try:
            mutate(loader.form, random.Random(number), whole)
        except (LookupError, RecursionError, ValueError):
            broken += 1
    assert broken < 4  # then `mutant` falls back on bytes


def test_workers_go_on_after_a_crash_and_a_hang():
    found = read_mutants(
        Loader(Kind("deadly", "file.bin", lambda path: None, lambda path: b""), "bytes"),
        1,
        seconds=60,
        count=40,
        module=f"{__package__}.deadly_loader",
    )
    assert found.total == 40
    assert {"crash", "hang", "unclear"} <= found.verdicts.keys()
    assert any("hang" in problem for problem in found.problems())
    assert any("signal" in problem or "status -" in problem for problem in found.problems())


def test_json_is_written_as_it_was_read():
    text = '{"a":[1,2.5,null,true,"x"],"a":{"b":"é"}}'
    assert write(parse(text)) == text
    chance = random.Random(1)
    changed = {write(change(chance, parse(text))) for _ in range(200)}
    assert len(changed) > 50
    assert any(str(number) in one for one in changed for number in INTEGERS if number > 2**31)
    assert isinstance(parse(text), Pairs)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_a_loader(form):
    assert form == "bytes" or form in {loader.form for loader in loaders(parquet=True, torch=True)}


def test_thrift_is_written_as_it_was_read(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
    path = tmp_path / "v.parquet"
    LOADERS["vectors .parquet"].kind.write(path)
    whole = path.read_bytes()
    footer = whole[-8 - int.from_bytes(whole[-8:-4], "little") : -8]
    tree, end = thrift.read(footer, 0)
    assert end == len(footer)
    assert thrift.write(tree) == footer
    extreme = [[1, 6, -(2**63)], [2, 6, 2**63 - 1], [40, 5, -1], [41, 8, b"x"], [39, 3, 7]]
    assert thrift.read(thrift.write(extreme), 0)[0] == extreme


class TestTheCoresTargets:
    def test_cmake_builds_every_one(self):
        named = (ROOT / "cpp/fuzz/CMakeLists.txt").read_text()
        assert targets()
        assert all(target in named for target in targets())

    def script(self, folder, text):
        path = folder / "fuzz_nothing"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def test_executions_are_counted(self, tmp_path):
        text = "echo '#9 DONE cov: 71 ft: 9' >&2; echo 'stat::number_of_executed_units: 190' >&2"
        found = run_target(self.script(tmp_path, text), tmp_path / "corpus", 1, 1)
        assert found == Found(190, 71, "")

    @pytest.mark.parametrize("text", ["echo 'ERROR: AddressSanitizer' >&2; exit 77", "exit 0"])
    def test_a_finding_and_a_target_that_does_nothing(self, tmp_path, text):
        found = run_target(self.script(tmp_path, text), tmp_path / "corpus", 1, 1)
        assert found.finding.startswith("fuzz_nothing ended with status")
        assert ("AddressSanitizer" in found.finding) == ("77" in text)
