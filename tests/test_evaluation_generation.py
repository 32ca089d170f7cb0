"""Answers: SIDs of the trie, by beams or by scoring all of them."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from evaluation_runs import N_ITEMS, config, prepared, walk
from puresid.evaluation.cells import behind, make_tokenizer
from puresid.evaluation.config import DecodingConfig
from puresid.evaluation.encoding import encode
from puresid.evaluation.generation import Generator, once_each
from puresid.evaluation.models import build


@pytest.fixture
def folder(tmp_path):
    return walk(tmp_path)


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
