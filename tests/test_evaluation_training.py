"""Training: its batches, their order, and going on after a stop with the same weights."""

import shutil
from itertools import chain

import numpy as np
import pytest

pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")

from evaluation_runs import config, prepared, walk  # noqa: E402
from puresid.evaluation.cells import make_tokenizer  # noqa: E402
from puresid.evaluation.config import TrainingConfig  # noqa: E402
from puresid.evaluation.encoding import encode  # noqa: E402
from puresid.evaluation.models import build  # noqa: E402
from puresid.evaluation.tokenizer import plain_tokenizer  # noqa: E402
from puresid.evaluation.training import IGNORED, _Collator, _example, _Order, train  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    return walk(tmp_path)


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
