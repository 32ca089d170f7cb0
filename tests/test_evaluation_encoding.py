"""What models read and write: histories, queries and SIDs as token ids."""

import numpy as np
import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from puresid.evaluation.arms import Arm
from puresid.evaluation.encoding import encode
from puresid.evaluation.task import Catalogue, Queries, Task
from puresid.evaluation.tokenizer import plain_tokenizer, train_tokenizer


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
