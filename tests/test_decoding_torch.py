"""Tries on a device and models that generate: every SID that exists, and nothing else."""

import warnings

import numpy as np
import pytest

from puresid.decoding import DeviceTrie, SidLogitsProcessor, SidTrie, SidVocabulary, score_sids
from test_decoding import following, random_sids, random_trie, some_prefixes

torch = pytest.importorskip("torch", reason="torch is not installed")


def test_a_thousand_random_device_tries_equal_the_core():
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        sizes, sids = random_trie(rng, least=0)
        trie = SidTrie(sids, sizes=sizes)
        live = None
        if seed % 2 and len(trie):
            live = trie.live(members=rng.random(len(trie)) < 0.6)
        prefixes = some_prefixes(rng, sizes, trie.sids.astype(np.int64))
        expected = trie.allowed(prefixes, live=live)
        made = trie.to("cpu", live=live)
        assert np.array_equal(made.allowed(torch.from_numpy(prefixes)).numpy(), expected)


def test_tokens_out_of_range_lead_nowhere():
    made = DeviceTrie(SidTrie([[0, 1], [1, 0]], sizes=[2, 2]))
    nodes = made.advance(made.root(4), torch.tensor([-1, 2, 0, 1]), 0)
    assert nodes.tolist() == [-1, -1, 0, 1]
    assert made.mask(nodes, 1).tolist() == [[False] * 2] * 2 + [[False, True], [True, False]]
    with pytest.raises(ValueError, match="prefixes have 2 tokens; at most 1 are possible"):
        made.allowed(torch.zeros(1, 2, dtype=torch.int64))


transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SIZES = [6, 5, 7]
OFFSET = 4  # 0 pad, 1 end, 2 start, 3 text


def small_model(kind: str, seed: int = 0):
    torch.manual_seed(seed)
    vocabulary_size = OFFSET + sum(SIZES)
    if kind == "t5":
        config = transformers.T5Config(
            vocab_size=vocabulary_size,
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=2,
            decoder_start_token_id=2,
            pad_token_id=0,
            eos_token_id=1,
        )
        model = transformers.T5ForConditionalGeneration(config)
    else:
        config = transformers.GPT2Config(
            vocab_size=vocabulary_size,
            n_embd=16,
            n_layer=1,
            n_head=2,
            n_positions=32,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=1,
        )
        model = transformers.GPT2LMHeadModel(config)
    for parameter in model.parameters():  # far from uniform
        parameter.data.mul_(4)
    return model.eval()


def generate(model, trie, *, beams, normalize="vocabulary", live=None, queries=3):
    """SIDs and scores of all beams, best first, and the columns before them."""
    torch.manual_seed(1)
    inputs = torch.randint(3, OFFSET + sum(SIZES), (queries, 5))
    prompt = 1 if model.config.is_encoder_decoder else inputs.shape[1]
    vocabulary = SidVocabulary.from_offset(SIZES, OFFSET)
    processor = SidLogitsProcessor(
        trie, vocabulary, prompt_length=prompt, eos_token_id=1, normalize=normalize, live=live
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=len(SIZES) + 1,
            length_penalty=0.0,
            do_sample=False,
            logits_processor=transformers.LogitsProcessorList([processor]),
            return_dict_in_generate=True,
            output_scores=True,
        )
    ids = out.sequences[:, prompt : prompt + len(SIZES)].numpy()
    ends = out.sequences[:, prompt + len(SIZES)].numpy()
    return inputs, vocabulary.decode(ids), ends, out.sequences_scores.numpy()


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
@pytest.mark.parametrize("normalize", ["vocabulary", "children"])
def test_only_sids_that_exist_are_generated(kind, normalize):
    rng = np.random.default_rng(2)
    model = small_model(kind)
    for count in (3, 40):
        trie = SidTrie(random_sids(rng, SIZES, count), sizes=SIZES)
        _, sids, ends, _ = generate(model, trie, beams=3, normalize=normalize)
        assert (trie.find(sids) >= 0).all()
        assert (ends == 1).all()


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_what_is_removed_or_not_live_is_not_generated(kind):
    rng = np.random.default_rng(3)
    model = small_model(kind)
    trie = SidTrie(random_sids(rng, SIZES, 60), sizes=SIZES)
    _, sids, _, _ = generate(model, trie, beams=4)
    best = np.unique(sids, axis=0)
    members = np.ones(len(trie), dtype=bool)
    members[trie.find(best)] = False
    _, others, _, _ = generate(model, trie, beams=4, live=trie.live(members=members))
    assert not set(map(tuple, others.tolist())) & set(map(tuple, best.tolist()))
    trie.remove(best)
    _, removed, _, _ = generate(model, trie, beams=4)
    assert np.array_equal(removed, others)


def logits_of(model, query: torch.Tensor):
    """What `score_sids` asks a model, for one query."""

    def next_logits(prefixes: torch.Tensor) -> torch.Tensor:
        rows = query.expand(len(prefixes), -1)
        if model.config.is_encoder_decoder:
            start = torch.full((len(prefixes), 1), model.config.decoder_start_token_id)
            before = torch.cat([start, prefixes], dim=1)
            return model(input_ids=rows, decoder_input_ids=before).logits[:, -1]
        return model(input_ids=torch.cat([rows, prefixes], dim=1)).logits[:, -1]

    return next_logits


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
@pytest.mark.parametrize("normalize", ["vocabulary", "children"])
def test_beams_as_wide_as_the_catalogue_rank_all_of_it(kind, normalize):
    rng = np.random.default_rng(4)
    model = small_model(kind)
    trie = SidTrie(random_sids(rng, SIZES, 25), sizes=SIZES)
    inputs, sids, _, scores = generate(model, trie, beams=len(trie), normalize=normalize)
    vocabulary = SidVocabulary.from_offset(SIZES, OFFSET)
    for number, query in enumerate(inputs):
        exact = score_sids(
            logits_of(model, query[None]), trie, vocabulary, normalize=normalize, batch_size=7
        )
        if normalize == "children":
            assert np.exp(exact).sum() == pytest.approx(1)
        rows = slice(number * len(trie), (number + 1) * len(trie))
        places = trie.find(sids[rows])
        assert sorted(places) == list(range(len(trie)))
        if normalize == "children":  # else the end of the sequence has its share too
            assert scores[rows] == pytest.approx(exact[places], abs=1e-4)
            assert (np.diff(exact[places]) <= 1e-5).all()


def test_exact_scores_by_hand():
    trie = SidTrie([[0, 0], [0, 1], [1, 1]], sizes=[2, 2])
    vocabulary = SidVocabulary.from_offset([2, 2], 0)
    table = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    every = score_sids(lambda prefixes: table.expand(len(prefixes), -1), trie, vocabulary)
    assert np.exp(every) == pytest.approx([0.1 * 0.3, 0.1 * 0.4, 0.2 * 0.4])
    among = score_sids(
        lambda prefixes: table.expand(len(prefixes), -1), trie, vocabulary, normalize="children"
    )
    assert np.exp(among) == pytest.approx([1 / 3 * 3 / 7, 1 / 3 * 4 / 7, 2 / 3])


def test_tokens_are_added_to_a_tokenizer():
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    vocabulary = SidVocabulary.add_to(tokenizer, SIZES)
    sids = random_sids(np.random.default_rng(5), SIZES, 20)
    assert len(tokenizer) == 2 + sum(SIZES)
    for text, ids in zip(vocabulary.text(sids), vocabulary.encode(sids), strict=True):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids.tolist()
    again = SidVocabulary.add_to(tokenizer, SIZES)
    assert all(map(np.array_equal, again.ids, vocabulary.ids))


def processor(**options):
    given = {"prompt_length": 1, "eos_token_id": 1} | options
    trie = given.pop("trie", SidTrie([[0, 0], [1, 1]], sizes=[2, 2]))
    return SidLogitsProcessor(trie, SidVocabulary.from_offset([2, 2], 4), **given)


STEP = {
    "input_ids has 0 columns; prompt_length is 1": ({}, 0, 8),
    "eos_token_id is None; max_new_tokens must be 2": ({"eos_token_id": None}, 3, 8),
    "the model has 5 tokens; level 0 needs id 5: resize": ({}, 1, 5),
}


@pytest.mark.parametrize(("message", "case"), STEP.items())
def test_steps_that_cannot_be_are_refused(message, case):
    options, columns, size = case
    with pytest.raises(ValueError, match=message):
        processor(**options)(torch.zeros(1, columns, dtype=torch.int64), torch.zeros(1, size))


MADE = {
    r"the trie has sizes \(3, 2\); the vocabulary has \(2, 2\)": {
        "trie": SidTrie([[0, 0]], sizes=[3, 2])
    },
    "there is no SID to generate": {"trie": SidTrie(np.empty((0, 2), int), sizes=[2, 2])},
    "normalize is 'all'; it must be one of": {"normalize": "all"},
    "prompt_length is -1; at least 0": {"prompt_length": -1},
}


@pytest.mark.parametrize(("message", "options"), MADE.items())
def test_processors_that_cannot_be_are_refused(message, options):
    with pytest.raises(ValueError, match=message):
        processor(**options)


@pytest.mark.parametrize("normalize", ["vocabulary", "children"])
def test_scores_are_overwritten_only_where_allowed(normalize):
    scores = torch.log_softmax(torch.arange(8.0)[None], dim=1)
    for before in ([[0]], [[0, 4]], [[0, 4, 6]]):
        ids, given = torch.tensor(before), scores.clone()
        kept = processor(normalize=normalize)(ids, given)
        assert torch.equal(given, scores)
        assert torch.equal(processor(normalize=normalize, in_place=True)(ids, given), kept)
        assert torch.equal(given, kept)


def test_scores_of_a_step():
    scores = torch.log_softmax(torch.arange(8.0)[None], dim=1)
    at_first = processor()(torch.zeros(1, 1, dtype=torch.int64), scores)
    assert torch.equal(at_first[:, 4:6], scores[:, 4:6])
    assert torch.isinf(at_first[:, [0, 1, 2, 3, 6, 7]]).all()
    shared = processor(normalize="children")(torch.zeros(1, 1, dtype=torch.int64), scores)
    assert shared[:, 4:6].exp().sum().item() == pytest.approx(1)
    nowhere = processor(normalize="children")(torch.tensor([[0, 3]]), scores)
    assert torch.isinf(nowhere).all()
    assert processor()(torch.tensor([[0, 4, 6]]), scores)[0, 1] == scores[0, 1]
    assert following(np.array([[0, 0]]), np.array([[0]]), 2).tolist() == [[True, False]]
