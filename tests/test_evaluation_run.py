"""Runs: cells that are kept, folders that keep to a config, processes that end."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")
pytest.importorskip("ir_measures", reason="ir_measures is not installed")

from evaluation_runs import N_ITEMS, config, prepared, walk
from puresid import CapacityError, Codebooks
from puresid.evaluation import runner
from puresid.evaluation.config import ModelConfig
from puresid.evaluation.generation import Generator
from puresid.evaluation.models import build
from puresid.evaluation.results import Results
from puresid.evaluation.runner import run
from puresid.evaluation.setup import load_task, prepare
from puresid.evaluation.tokenizer import plain_tokenizer


@pytest.fixture
def folder(tmp_path):
    return walk(tmp_path)


def test_a_run_keeps_its_cells_and_runs_only_what_is_missing(folder):
    said = []
    made = config(folder, arms={"names": ["suffix", "ecm", "nearest"]})
    results = run(made, folder / "out", device="cpu", echo=said.append)
    assert [(cell.arm, cell.seed) for cell in results.cells] == [
        ("suffix", 0),
        ("ecm", 0),
        ("nearest", 0),
    ]
    assert len(said) == 3
    assert results.queries == 60
    assert set(results.splits) == {"never", "cold", "conflict", "non_conflict", "moved"}
    header = results.header
    assert header["arms"]["ecm"]["unique"] == N_ITEMS > header["arms"]["nearest"]["unique"]
    assert not any((folder / "out" / "checkpoints").iterdir())
    assert header["arms"]["suffix"]["levels"] == 3
    assert header["provenance"]["data"].keys() == {"interactions.json", "vectors.npy"}
    assert (folder / "out" / "sids" / "ecm.npy").exists()
    for cell in results.cells:
        assert cell.facts["valid"] == cell.facts["generated"]

    said.clear()
    more = config(folder, arms={"names": ["suffix", "ecm", "nearest"]}, training={"seeds": [0, 1]})
    wider = run(more, folder / "out", device="cpu", jobs=2, echo=said.append)
    assert said[0] == "3 of 6 cells are there from before"
    assert len(said) == 4
    for cell in results.cells:
        again = wider.cell(cell.arm, cell.seed)
        assert all(np.array_equal(again.values[name], cell.values[name]) for name in cell.values)
    assert Results.load(folder / "out").seeds("ecm") == (0, 1)


def test_a_folder_with_cells_keeps_to_its_config_and_data(folder):
    run(config(folder, arms={"names": ["ecm", "suffix"]}), folder / "out", device="cpu", echo=str)
    with pytest.raises(ValueError, match=r"config: \[decoding\] beams was 4 and is 5. Pass"):
        run(config(folder, decoding={"beams": 5}), folder / "out", device="cpu")
    turned = config(folder, primary={"arm": "suffix", "against": "ecm"})
    with pytest.raises(ValueError, match=r"\[primary\] against was 'suffix' and is 'ecm'"):
        run(turned, folder / "out", device="cpu")
    np.save(folder / "vectors.npy", np.load(folder / "vectors.npy")[::-1])
    with pytest.raises(ValueError, match="holds a run of other data: the files"):
        run(config(folder), folder / "out", device="cpu")


def test_a_run_that_never_began_leaves_the_folder_free(folder):
    with pytest.raises(CapacityError):
        run(config(folder, quantizer={"size": 6}), folder / "out", device="cpu")
    run(config(folder), folder / "out", device="cpu", echo=str)
    assert Results.load(folder / "out").header["task"]["items"] == N_ITEMS


def test_two_processes_do_not_work_in_one_folder(folder):
    with (
        runner._alone(folder),
        pytest.raises(ValueError, match="another process is at work in"),
        runner._alone(folder),
    ):
        pass


def test_codebooks_that_are_there_are_taken(folder):
    first = prepared(folder)
    moved = [level + 1 for level in first.codebooks.levels]
    Codebooks(moved).save(folder / "sids" / "codebooks-2.safetensors")
    assert np.array_equal(prepared(folder).codebooks.levels[0], moved[0])


def test_a_cell_that_was_stopped_while_it_answered_does_not_train_again(folder, monkeypatch):
    answer = Generator.answer

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Generator, "answer", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(config(folder), folder / "out", device="cpu", echo=str)
    monkeypatch.setattr(Generator, "answer", answer)
    results = run(config(folder), folder / "out", device="cpu", echo=str)
    assert results.cell("suffix", 0).facts["resumed_at"] == 6
    assert results.cell("ecm", 0).facts["resumed_at"] == 0


def test_a_cell_that_fails_ends_the_others(folder):
    made = config(folder, training={"learning_rate": 1e20, "seeds": [0, 1, 2]})
    with pytest.raises(ValueError, match="the training loss is nan"):
        run(made, folder / "out", device="cpu", jobs=2, echo=str)
    assert not (folder / "out" / "cells").exists()
    begun = {path.name for path in (folder / "out" / "checkpoints").iterdir()}
    assert begun <= {"suffix-0", "ecm-0"}


def test_a_process_that_dies_is_told(folder, run_python):
    # The cell's process is killed from outside as it begins: no error comes from it.
    script = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parent)]!r}
from pathlib import Path
from evaluation_runs import config
from puresid.evaluation import cells
from puresid.evaluation.runner import run
wait = cells.multiprocessing.connection.wait
def killing(sentinels):
    import multiprocessing
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
    return wait(sentinels)
cells.multiprocessing.connection.wait = killing
if __name__ == "__main__":
    try:
        run(config(Path({str(folder)!r})), Path({str(folder / "out")!r}), device="cpu", jobs=2)
    except RuntimeError as error:
        print(error)
"""
    assert "seed 0 ended with exit status -9" in run_python(script)


def test_adapters_are_trained_in_a_run(folder):
    pytest.importorskip("peft", reason="peft is not installed")
    made = config(folder)
    tokenizer = plain_tokenizer()
    model, _ = build(made.model, tokenizer, seed=0)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    pretrained = config(folder, training={"steps": 2})
    pretrained = dataclasses.replace(
        pretrained, model=ModelConfig(kind="causal", path=str(folder / "model"), lora_rank=2)
    )
    results = run(pretrained, folder / "out", device="cpu", echo=str)
    assert results.cell("ecm", 0).facts["valid"] == 60 * 4


def test_the_same_run_gives_the_same_figures(folder):
    made = config(folder, arms={"names": ["suffix", "ecm"]})
    first = run(made, folder / "a", threads=1, device="cpu", echo=str)
    second = run(made, folder / "b", threads=1, device="cpu", echo=str)
    for one, other in zip(first.cells, second.cells, strict=True):
        assert one.facts["loss"] == other.facts["loss"]
        assert all(np.array_equal(one.values[name], other.values[name]) for name in one.values)


def test_a_model_learns_the_walk(folder):
    made = config(
        folder,
        model={"dim": 32, "ff": 64, "dropout": 0.0},
        training={"steps": 250, "learning_rate": 5e-3},
        arms={"names": ["suffix", "ecm"]},
    )
    results = run(made, folder / "out", device="cpu", echo=str)
    assert results.cell("ecm", 0).values["R@1"].mean() > 0.8  # by chance it is 1/40


def test_what_a_setup_refuses(folder):
    with pytest.raises(ValueError, match="'interactions': missing a required argument: 'inter"):
        load_task(config(folder, task={"files": {"items": "interactions.json"}}).task)
    without = dataclasses.replace(config(folder).task, vectors=None)
    with pytest.raises(ValueError, match=r"have no vectors; \[task\] vectors must name a file"):
        load_task(without)
    with pytest.raises(ValueError, match=r"vectors is 'tfidf'; the items of .* have no texts"):
        load_task(config(folder, task={"vectors": "tfidf"}).task)
    prepared(folder).codebooks.save(folder / "books.safetensors")
    from_file = {"kind": "file", "codebooks": "books.safetensors"}
    made = config(folder, quantizer=from_file, arms={"names": ["suffix", "ecm", "deeper"]})
    with pytest.raises(ValueError, match="the arm 'deeper' needs a quantizer that is trained"):
        prepare(made, load_task(made.task), folder / "other")


def test_only_some_queries(folder):
    task = load_task(config(folder, task={"limit_queries": 7}).task)
    assert len(task.test) == 7
    assert "only the first 7 of 60 queries" in task.notes


def test_the_validation_may_be_asked(folder):
    task = load_task(config(folder).task)
    asked = load_task(config(folder, task={"ask": "validation"}).task)
    assert asked.test is not task.test
    assert asked.test.ids == task.validation.ids
    assert "asked: the validation" in asked.notes
    histories = {"u": [0, 1], "v": [39, 1, 2]}
    (folder / "interactions.json").write_text(json.dumps({**histories, "w": [3, 4, 5]}))
    assert len(load_task(config(folder, task={"ask": "validation"}).task).test) == 2
