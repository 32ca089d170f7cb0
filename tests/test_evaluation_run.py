"""A run: what the model reads and writes, training that goes on, answers, and results."""

import dataclasses
import json
import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")
pytest.importorskip("ir_measures", reason="ir_measures is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")

from puresid import CapacityError, Codebooks  # noqa: E402
from puresid.evaluation import runner  # noqa: E402
from puresid.evaluation.arms import Arm  # noqa: E402
from puresid.evaluation.cells import behind, make_tokenizer  # noqa: E402
from puresid.evaluation.config import (  # noqa: E402
    DecodingConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)
from puresid.evaluation.encoding import encode  # noqa: E402
from puresid.evaluation.generation import Generator, once_each  # noqa: E402
from puresid.evaluation.models import build  # noqa: E402
from puresid.evaluation.results import Results  # noqa: E402
from puresid.evaluation.runner import run  # noqa: E402
from puresid.evaluation.setup import load_task, prepare  # noqa: E402
from puresid.evaluation.task import Catalogue, Queries, Task  # noqa: E402
from puresid.evaluation.tokenizer import plain_tokenizer, train_tokenizer  # noqa: E402
from puresid.evaluation.training import (  # noqa: E402
    IGNORED,
    _Collator,
    _example,
    _Order,
    train,
)

N_ITEMS = 40


@pytest.fixture
def folder(tmp_path):
    """Users who walk round the catalogue, item after item, and vectors that lie on a circle."""
    rng = np.random.default_rng(0)
    histories = {}
    for user in range(60):
        start, length = rng.integers(N_ITEMS), rng.integers(4, 9)
        histories[f"u{user}"] = [int((start + step) % N_ITEMS) for step in range(length)]
    (tmp_path / "interactions.json").write_text(json.dumps(histories))
    angles = np.arange(N_ITEMS) // 2 * (4 * np.pi / N_ITEMS)  # each vector twice: conflicts
    np.save(tmp_path / "vectors.npy", np.c_[np.cos(angles), np.sin(angles)].astype(np.float32))
    return tmp_path


def config(folder, **tables):
    values = {
        "name": "walk",
        "task": {
            "loader": "interactions",
            "files": {"interactions": "interactions.json"},
            "vectors": "vectors.npy",
            "max_history": 5,
        },
        "quantizer": {"levels": 2, "size": 8},
        "arms": {"names": ["suffix", "ecm"]},
        "model": {"kind": "decoder", "dim": 16, "layers": 1, "heads": 2, "ff": 16},
        "training": {"seeds": [0], "steps": 6, "batch_size": 16},
        "decoding": {"beams": 4},
    }
    for name, table in tables.items():
        values[name] = {**values.get(name, {}), **table}
    return RunConfig.from_values(values, folder)


def prepared(folder):
    made = config(folder)
    return prepare(made, load_task(made.task), folder / "sids")


def small_arm():
    sids = np.array([[0, 1], [1, 0], [2, 3], [3, 1]])
    return Arm("ecm", sids, (4, 4), 0.0)


def small_task(**parts):
    one = np.array([1])
    asked = Queries(("q",), (one,), histories=(np.array([0, 2]),))
    values = {
        "name": "small",
        "kind": "recommendation",
        "catalogue": Catalogue(tuple("abcd"), ("alpha", "beta", "gamma", "delta")),
        "test": asked,
        "validation": asked,
        "sequences": (np.array([0, 1, 2, 3, 0]), np.array([2, 1])),
        "train": None,
    }
    return Task(**{**values, **parts})


def encoding(tokenizer=None, *, encoder_decoder=False, source="ids", max_history=2, max_tokens=8):
    return encode(
        small_arm(),
        tokenizer or plain_tokenizer(),
        encoder_decoder=encoder_decoder,
        source=source,
        max_history=max_history,
        max_tokens=max_tokens,
    )


def words(found, ids):
    return found.tokenizer.convert_ids_to_tokens(list(ids))


def test_a_decoder_learns_each_position_once_within_the_reach_of_its_history():
    found = encoding()
    pairs = found.pairs(small_task(), text_task=False, subsequences=0, seed=0)
    item = ["<id_0_0> <id_1_1>", "<id_0_1> <id_1_0>", "<id_0_2> <id_1_3>", "<id_0_3> <id_1_1>"]
    read = [" ".join(words(found, source)) for source, _ in pairs]
    written = [" ".join(words(found, target)) for _, target in pairs]
    assert read == [f"<s> {item[2]}", f"<s> {item[0]}", f"<s> {item[2]}"]
    assert written == [f"{item[3]} {item[0]}", f"{item[1]} {item[2]}", item[1]]


def test_an_encoder_gets_a_history_for_each_target():
    found = encoding(encoder_decoder=True)
    pairs = found.pairs(small_task(), text_task=False, subsequences=0, seed=0)
    assert len(pairs) == 5
    assert words(found, pairs[2][0]) == ["<id_0_1>", "<id_1_0>", "<id_0_2>", "<id_1_3>", "</s>"]
    assert words(found, pairs[2][1]) == ["<id_0_3>", "<id_1_1>"]


def test_random_parts_of_sequences_are_drawn_by_the_seed():
    found = encoding(encoder_decoder=True, max_history=4)

    def drawn(seed):
        pairs = found.pairs(small_task(), text_task=False, subsequences=7, seed=seed)
        return [(source.tolist(), target.tolist()) for source, target in pairs]

    assert len(drawn(0)) == 14  # of the two sequences with a second item
    assert drawn(0) == drawn(0) != drawn(1)
    whole = found.pairs(small_task(), text_task=False, subsequences=0, seed=0)
    targets = {tuple(target.tolist()) for _, target in whole}
    assert {tuple(target) for _, target in drawn(0)} <= targets


def test_histories_in_words_are_read_latest_first_and_cut():
    tokenizer = train_tokenizer(["alpha beta gamma delta; "] * 3, 300)
    found = encoding(tokenizer, source="text", max_history=2, max_tokens=50)
    (source,) = found.sources(small_task(), small_task().test)
    assert tokenizer.decode(source[1:-1]).replace(" ", "") == "gamma;alpha"
    assert words(found, source[[0, -1]]) == ["<s>", "</s>"]
    short = encoding(train_tokenizer(["alpha beta"], 300), source="text", max_tokens=1)
    assert len(short.sources(small_task(), small_task().test)[0]) == 3


def test_items_in_words_are_examples_of_their_own():
    tokenizer = train_tokenizer(["alpha beta gamma delta"] * 3, 300)
    found = encoding(tokenizer)
    pairs = found.pairs(small_task(), text_task=True, subsequences=0, seed=0)
    assert len(pairs) == 3 + 4
    assert tokenizer.decode(pairs[4][0][1:-1]).strip() == "beta"
    assert words(found, pairs[4][1]) == ["<id_0_1>", "<id_1_0>"]


def test_queries_train_once_for_each_item_that_they_want():
    asked = Queries(("q",), (np.array([3, 1]),), texts=("alpha",))
    task = small_task(sequences=None, train=asked, kind="search", test=asked, validation=asked)
    tokenizer = train_tokenizer(["alpha beta gamma delta"] * 3, 300)
    found = encoding(tokenizer)
    pairs = found.pairs(task, text_task=False, subsequences=0, seed=0)
    assert [words(found, target) for _, target in pairs] == [
        ["<id_0_3>", "<id_1_1>"],
        ["<id_0_1>", "<id_1_0>"],
    ]


def test_what_an_encoding_refuses():
    with pytest.raises(ValueError, match="source is 'voice'; it must be one of"):
        encoding(source="voice")
    silent = small_task(catalogue=Catalogue(tuple("abcd")))
    with pytest.raises(ValueError, match="the items of small have no texts"):
        encoding(source="text").sources(silent, silent.test)


def test_a_batch_is_filled_up_where_no_loss_looks():
    pairs = [(np.array([1, 5]), np.array([6, 7])), (np.array([1]), np.array([8]))]
    batch = _Collator(0)([_example(pair, False) for pair in pairs])
    assert batch["input_ids"].tolist() == [[1, 5, 6, 7], [1, 8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 6, 7], [IGNORED, 8, IGNORED, IGNORED]]
    batch = _Collator(0)([_example(pair, True) for pair in pairs])
    assert batch["input_ids"].tolist() == [[1, 5], [1, 0]]
    assert batch["labels"].tolist() == [[6, 7], [8, IGNORED]]


def trained(folder, setup, steps, *, stop_after=None, monkeypatch=None, **training):
    """Train as a run does; `stop_after`: interrupted when so many steps are done."""
    made = config(folder, training={"steps": steps, **training})
    tokenizer = make_tokenizer(made, setup.task)
    found = encode(
        setup.arms["ecm"],
        tokenizer,
        encoder_decoder=False,
        source="ids",
        max_history=5,
        max_tokens=8,
    )
    model, _ = build(made.model, tokenizer, seed=0)
    if stop_after is not None:
        calls = []
        forward = model.forward

        def stopping(*args, **kwargs):
            calls.append(1)
            if len(calls) > stop_after:
                raise KeyboardInterrupt
            return forward(*args, **kwargs)

        monkeypatch.setattr(model, "forward", stopping)
    came = train(
        model,
        found.pairs(setup.task, text_task=False, subsequences=0, seed=0),
        made.training,
        encoder_decoder=False,
        pad_token_id=tokenizer.pad_token_id,
        seed=0,
        folder=folder / "checkpoints",
        device="cpu",
    )
    return model, came


def test_training_that_was_stopped_ends_with_the_same_weights(folder, monkeypatch):
    setup = prepared(folder)
    straight, came = trained(folder, setup, 10)
    assert (came.steps, came.resumed_at) == (10, 0)
    done, again = trained(folder, setup, 10)
    assert (again.steps, again.resumed_at, again.loss) == (10, 10, None)
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(KeyboardInterrupt):
        trained(folder, setup, 10, stop_after=7, monkeypatch=monkeypatch)
    resumed, came = trained(folder, setup, 10)
    assert (came.steps, came.resumed_at) == (10, 6)
    for name, weights in straight.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name
        assert torch.equal(weights, done.state_dict()[name]), name


def test_training_refuses_nothing_to_train_on_and_a_loss_that_is_none(folder):
    setup = prepared(folder)
    with pytest.raises(ValueError, match="there is nothing to train on"):
        train(
            None,
            [],
            TrainingConfig(),
            encoder_decoder=False,
            pad_token_id=0,
            seed=0,
            folder=folder / "x",
        )
    with pytest.raises(ValueError, match="the training loss is nan after 6 steps; a lower"):
        trained(folder, setup, 6, learning_rate=1e20)
    assert not (folder / "checkpoints").exists()  # the next try begins anew


def test_answers_are_sids_of_the_trie_and_exact_ones_rank_them_all(folder):
    setup = prepared(folder)
    arm = setup.arms["ecm"]
    for kind in ("decoder", "t5"):
        made = config(folder, model={"kind": kind})
        tokenizer = make_tokenizer(made, setup.task)
        found = encode(
            arm,
            tokenizer,
            encoder_decoder=kind == "t5",
            source="ids",
            max_history=5,
            max_tokens=8,
        )
        model, encoder_decoder = build(made.model, tokenizer, seed=0)
        sources = found.sources(setup.task, setup.task.test)
        trie, _ = behind(arm)

        def answers(trie=trie, model=model, found=found, both=encoder_decoder, **options):
            return Generator(
                model,
                trie,
                found.vocabulary,
                DecodingConfig(**options),
                encoder_decoder=both,
                pad_token_id=0,
            )

        exact = answers(beams=N_ITEMS, exact=True).answer(sources)
        wide = answers(beams=N_ITEMS, batch_size=7).answer(sources)
        assert np.array_equal(np.sort(exact.ranked), np.tile(np.arange(N_ITEMS), (60, 1)))
        assert np.array_equal(wide.ranked, exact.ranked)
        assert exact.generated == exact.valid == 60 * N_ITEMS
        few = answers(beams=5).answer(sources)
        assert few.generated == few.valid == 60 * 5
        assert (few.ranked >= 0).all()
        more = answers(beams=N_ITEMS + 3, normalize="children").answer(sources)
        assert np.array_equal(np.sort(more.ranked[:, :N_ITEMS]), np.sort(exact.ranked))
        assert (more.ranked[:, N_ITEMS:] == -1).all()


def test_equal_answers_stay_where_they_come_first():
    found = np.array([[4, -1, 4, 2], [1, 1, 1, 0], [-1, -1, -1, -1]])
    assert once_each(found).tolist() == [[4, 2, -1, -1], [1, 0, -1, -1], [-1, -1, -1, -1]]


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
from test_evaluation_run import config
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


def test_each_epoch_has_an_order_of_its_own_the_same_for_all_arms():
    lengths = np.random.default_rng(0).integers(3, 20, size=500)
    two = _Order((2 * lengths + 1).tolist(), 16, seed=3)
    three = _Order((3 * lengths + 1).tolist(), 16, seed=3)
    first = list(two)
    assert sorted(first) == list(range(500))
    assert first == list(two) == list(three)
    batches = [lengths[first[start : start + 16]] for start in range(0, 496, 16)]
    assert np.mean([np.ptp(batch) for batch in batches]) < 3
    two.set_epoch(1)
    assert list(two) != first


def test_training_goes_in_that_order(folder, monkeypatch):
    seen = []
    collate = _Collator.__call__

    def noted(self, examples):
        seen.append([len(example["input_ids"]) for example in examples])
        return collate(self, examples)

    monkeypatch.setattr(_Collator, "__call__", noted)
    setup = prepared(folder)
    trained(folder, setup, 4)
    pairs = encode(
        setup.arms["ecm"],
        plain_tokenizer(),
        encoder_decoder=False,
        source="ids",
        max_history=5,
        max_tokens=8,
    ).pairs(setup.task, text_task=False, subsequences=0, seed=0)
    lengths = [len(source) + len(target) for source, target in pairs]
    expected = [lengths[row] for row in _Order(lengths, 16, seed=0)]
    assert list(chain.from_iterable(seen))[: 4 * 16] == expected[: 4 * 16]


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
