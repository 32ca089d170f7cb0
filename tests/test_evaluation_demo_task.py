"""The built-in retrieval task: what it asks, and that no answer can be read off."""

import inspect
import logging
import sys

import numpy as np
import pytest

from puresid._docs import Entry, text_vectors
from puresid.evaluation.demo_task import (
    LONGEST,
    SHORTEST,
    demo_task,
    fresh_entries,
    task_of,
)


@pytest.fixture(scope="module")
def task():
    return demo_task()


def plain(text: str) -> str:
    return " ".join(text.lower().split())


def test_it_is_large_enough_to_mean_something(task):
    assert task.kind == "retrieval"
    assert len(task.catalogue.keys) > 4000
    assert len(task.test) > 400
    assert len(task.validation) > 100
    assert len(set(task.catalogue.texts)) > 0.99 * len(task.catalogue.keys)
    assert task.catalogue.vectors.shape == (len(task.catalogue.keys), 64)
    assert np.linalg.norm(task.catalogue.vectors, axis=1) == pytest.approx(1, abs=1e-4)
    assert f"{len(task.catalogue.keys)} of " in task.notes[0]
    assert task.notes[1].startswith(f"{len(task.test)} test and {len(task.validation)} validation")


def test_what_others_do_to_the_standard_library_changes_nothing(task, monkeypatch):
    def addition():
        """Do what the standard library does not do. It is not in it."""

    monkeypatch.setattr(logging.Logger, "addition", addition, raising=False)
    monkeypatch.setattr(inspect, "getfile", lambda object: object)
    entries = fresh_entries()
    keys = [entry.key for entry in entries]
    assert "inspect.getfile" in keys
    assert "logging.Logger.addition" not in keys
    assert set(task.catalogue.keys) <= set(keys)


def test_an_interpreter_that_fails_is_an_error(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho first >&2\necho it broke >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(OSError, match=r"python', started to .* exit status 3: it broke"):
        fresh_entries()


def test_a_known_object_is_asked_for_by_its_sentence(task):
    everything = {}
    for queries in (task.train, task.validation, task.test):
        for number, rows in enumerate(queries.relevant):
            everything.setdefault(task.catalogue.keys[int(rows[0])], []).append(
                queries.texts[number]
            )
    assert "Return the sine of x (measured in radians)." in everything["math.sin"]
    text = task.catalogue.texts[task.catalogue.keys.index("math.prod")]
    assert text.startswith("math prod The default start value for the product is 1.")
    assert "Calculate the product" not in text


def test_held_out_sentences_are_nowhere_to_be_read(task):
    readable = [plain(text) for text in (*task.catalogue.texts, *task.train.texts)]
    readable = "\n".join(readable)
    for queries in (task.test, task.validation):
        for sentence in queries.texts:
            assert plain(sentence) not in readable
            assert SHORTEST <= len(sentence.split()) <= LONGEST
    asked = [*task.test.texts, *task.validation.texts]
    assert len(set(map(plain, asked))) == len(asked)
    wanted = [int(rows[0]) for rows in (*task.test.relevant, *task.validation.relevant)]
    assert len(set(wanted)) == len(wanted)


def test_vectors_are_made_of_the_texts_that_are_shown(task):
    assert np.array_equal(task.catalogue.vectors, text_vectors(task.catalogue.texts, 64))


def test_every_other_sentence_is_learned(task):
    counts = task.target_counts()
    held_out = np.concatenate([*task.test.relevant, *task.validation.relevant])
    assert (counts[held_out] == 0).all()
    assert (np.delete(counts, held_out) == 1).all()


def test_words_of_a_query_lead_to_its_item_often(task):
    """Else the texts would say nothing of what is asked for."""
    words = [set(plain(text).replace(".", " ").split()) for text in task.catalogue.texts]
    rarity = {}
    for one in words:
        for word in one:
            rarity[word] = rarity.get(word, 0) + 1
    found = 0
    sample = range(0, len(task.test), 10)
    for number in sample:
        query = set(plain(task.test.texts[number]).replace(".", " ").split())
        scores = np.array([sum(1 / rarity[word] for word in query & one) for one in words])
        row = int(task.test.relevant[number][0])
        found += (scores > scores[row]).sum() < 20
    assert found > 0.25 * len(sample)


ENTRIES = [
    Entry("a.Thing", "Make a thing of parts.\n\nParts are kept in order."),
    Entry("a.getHTTPCode_2", "get(x) -> number\n\nReturn the code of a reply. None without one."),
    Entry("a.twice", "Say it a second time, as b does."),
    Entry("b.quote", "A text for b.\n\nIt repeats: say it a SECOND time,\nas b does."),
    Entry("b.short", "Too short."),
    Entry("b.long", "Very " * LONGEST + "long."),
    Entry("b.code", ">>> import b and more"),
    *(Entry(f"c.same{number}", "The same for six of them.") for number in range(6)),
    *(Entry(f"d.same{number}", "The same for five of them.") for number in range(5)),
]


def small(**options):
    return task_of(
        ENTRIES, **{"test_share": 0.5, "validation_share": 0.0, "dim": 4, "seed": 0} | options
    )


def test_which_entries_are_items_and_what_they_say():
    task = small()
    assert dict(zip(task.catalogue.keys, task.catalogue.texts, strict=True)) == {
        "a.Thing": "a Thing Parts are kept in order.",
        "a.getHTTPCode_2": "a get HTTP Code 2 get(x) -> number None without one.",
        "a.twice": "a twice",
        "b.quote": "b quote It repeats: say it a SECOND time, as b does.",
        **{f"d.same{number}": f"d same {number}" for number in range(5)},
    }
    assert len(task.validation) == 0
    sentences = dict(zip(task.train.ids, task.train.texts, strict=True))
    assert sentences["d.same3"] == "The same for five of them."
    everything = {*task.train.texts, *task.test.texts}
    assert "Return the code of a reply." in everything


def test_what_is_shared_or_quoted_is_not_held_out():
    asked = {text for seed in range(30) for text in small(seed=seed).test.texts}
    assert asked == {
        "Make a thing of parts.",
        "Return the code of a reply.",
        "A text for b.",
    }


def test_the_draw_is_by_the_seed():
    assert demo_shape(small(seed=1)) == demo_shape(small(seed=1))
    assert len({demo_shape(small(seed=seed)) for seed in range(10)}) > 1


def demo_shape(task):
    return task.test.texts, task.train.ids


REFUSED = {
    "test_share is 0 and validation_share 0.0; the first must be above 0": {"test_share": 0},
    "test_share is 0.5 and validation_share 0.5; .* both together below 1": {
        "validation_share": 0.5
    },
    "validation_share -0.1; .* the second not below": {"validation_share": -0.1},
    "test_share is nan": {"test_share": float("nan")},
    "test_share is 0.01 of 4 sentences, which is none": {"test_share": 0.01},
    "dim is 0; at least 1": {"dim": 0},
    "seed is -1; at least 0": {"seed": -1},
}


@pytest.mark.parametrize(("message", "options"), REFUSED.items())
def test_tasks_that_cannot_be_are_refused(message, options):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_a_dimension_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match=r"dim is 2\.5; an integer is needed"):
        small(dim=2.5)
