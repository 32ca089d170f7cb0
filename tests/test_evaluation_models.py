"""Models and tokenizers: from scratch, from folders, adapters; and never the network."""

import importlib
import socket
import warnings

import numpy as np
import pytest

from puresid.decoding import SidVocabulary
from puresid.evaluation import _local, models, tokenizer
from puresid.evaluation.config import ConfigError, FilePath, ModelConfig

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

TEXTS = ["Return the sine of x.", "Return the cosine of x.", "Close the file, größer."] * 3
SIZES = [3, 4]
SMALL = {"dim": 16, "heads": 2, "ff": 24, "layers": 2}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whoever looks up a name or connects fails, and the test with it."""
    tried = []

    def refuse(*arguments, **_):
        tried.append(arguments)
        raise OSError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield
    assert tried == []


def with_sids(made=None):
    made = tokenizer.train_tokenizer(TEXTS, 300) if made is None else made
    return made, SidVocabulary.add_to(made, SIZES)


def saved(folder, kind, *, tokens=True):
    """A folder with a small model, as transformers saves it."""
    made, _ = with_sids()
    model, _ = models.build(ModelConfig(kind=kind, **SMALL), made, seed=3)
    with _local.quiet():
        model.save_pretrained(folder)
    if tokens:
        made.save_pretrained(folder)
    return model, made


def equal_weights(one, other):
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


# ---- tokenizers


def test_a_tokenizer_knows_every_text_and_sids():
    made, vocabulary = with_sids()
    assert made.convert_tokens_to_ids(list(tokenizer.SPECIAL)) == [0, 1, 2, 3]
    assert (made.pad_token_id, made.bos_token_id, made.eos_token_id) == (0, 1, 2)
    for text in ("return the sine", "größer 漢字 ~"):
        ids = made(text)["input_ids"]
        assert made.unk_token_id not in ids
        assert made.decode(ids).strip() == text
    assert made("RETURN")["input_ids"] == made("return")["input_ids"]
    assert len(made("return the sine")["input_ids"]) < 10  # words, not bytes
    assert (
        made(vocabulary.text([[1, 2]])[0])["input_ids"] == vocabulary.encode([[1, 2]])[0].tolist()
    )


def test_tokenizers_of_the_same_texts_are_the_same(run_python):
    script = """
from puresid.evaluation.tokenizer import train_tokenizer
words = [f"{a}{b} {b}{a}" for a in "abcdefgh" for b in "hgfedcba"] * 2
print(train_tokenizer(words, 400).backend_tokenizer.to_str())
"""
    assert run_python(script) == run_python(script)


def test_a_plain_tokenizer_knows_sids_only():
    made, vocabulary = with_sids(tokenizer.plain_tokenizer())
    assert len(made) == 4 + sum(SIZES)
    assert [ids.tolist() for ids in vocabulary.ids] == [[4, 5, 6], [7, 8, 9, 10]]
    assert made("word")["input_ids"] == [made.unk_token_id]


def test_a_vocabulary_smaller_than_bytes_is_refused():
    with pytest.raises(ValueError, match="size is 259; at least 260 are needed"):
        tokenizer.train_tokenizer(TEXTS, 259)
    assert len(tokenizer.train_tokenizer(TEXTS, 260)) == 260


def test_which_tokenizer_a_model_gets(tmp_path):
    saved(tmp_path, "t5")
    scratch = ModelConfig(kind="t5", vocabulary=300)
    assert tokenizer.load_tokenizer(scratch) is None
    assert len(tokenizer.tokenizer_for(scratch, None)) == 4
    assert 260 < len(tokenizer.tokenizer_for(scratch, TEXTS)) <= 300
    own = tokenizer.tokenizer_for(ModelConfig(kind="seq2seq", path=str(tmp_path)), None)
    assert own.get_vocab() == with_sids()[0].get_vocab()


def test_a_folder_without_tokenizer(tmp_path):
    saved(tmp_path, "t5", tokens=False)
    with pytest.raises(FileNotFoundError, match=r"it has no tokenizer \(one of tokenizer\.json"):
        tokenizer.load_tokenizer(ModelConfig(kind="seq2seq", path=str(tmp_path)))
    shape = ModelConfig(kind="seq2seq", path=str(tmp_path), random_weights=True, vocabulary=300)
    assert tokenizer.load_tokenizer(shape) is None
    assert 260 < len(tokenizer.tokenizer_for(shape, TEXTS)) <= 300


def test_a_tokenizer_without_pad_and_end_gets_them(tmp_path):
    saved(tmp_path, "decoder", tokens=False)
    backend = tokenizer.train_tokenizer(TEXTS, 300).backend_tokenizer
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    made = tokenizer.load_tokenizer(ModelConfig(kind="causal", path=str(tmp_path)))
    assert (made.pad_token, made.eos_token) == ("<pad>", "</s>")
    assert made.pad_token_id != made.eos_token_id


# ---- from scratch


@pytest.mark.parametrize(("kind", "encoder"), [("t5", True), ("decoder", False)])
def test_from_scratch(kind, encoder):
    made, _ = with_sids()
    config = ModelConfig(kind=kind, dropout=0.25, **SMALL)
    model, is_encoder_decoder = models.build(config, made, seed=1)
    assert is_encoder_decoder is encoder
    assert model.training
    assert model.get_input_embeddings().weight.shape == (len(made), 16)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert (model.config.pad_token_id, model.config.eos_token_id) == (0, 2)
    assert model.generation_config.pad_token_id == 0
    assert model.generation_config.decoder_start_token_id == (0 if encoder else None)
    assert equal_weights(model, models.build(config, made, seed=1)[0])
    assert not equal_weights(model, models.build(config, made, seed=2)[0])


def test_sizes_of_t5():
    made = tokenizer.plain_tokenizer()
    config = models.build(ModelConfig(kind="t5", d_kv=6, **SMALL), made, seed=0)[0].config
    assert (config.d_kv, config.d_ff, config.num_layers, config.num_decoder_layers) == (6, 24, 2, 2)
    assert config.feed_forward_proj == "relu"
    assert models.build(ModelConfig(kind="t5", **SMALL), made, seed=0)[0].config.d_kv == 8


@pytest.mark.parametrize("kind", ["t5", "decoder"])
def test_dropout_is_for_training_only(kind):
    made = tokenizer.plain_tokenizer()
    ids = torch.tensor([[1, 3, 2]])

    def twice(rate, training):
        model, _ = models.build(ModelConfig(kind=kind, dropout=rate, **SMALL), made, seed=0)
        model.train(training)
        inputs = {"input_ids": ids, "labels": ids}
        return torch.equal(model(**inputs).logits, model(**inputs).logits)

    assert not twice(0.5, True)
    assert twice(0.5, False)
    assert twice(0.0, True)


def test_every_layer_of_a_decoder_drops():
    made = tokenizer.plain_tokenizer()
    model, _ = models.build(ModelConfig(kind="decoder", dropout=0.5, **SMALL), made, seed=0)
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            assert len(part._forward_hooks) == 1
    hidden = torch.ones(1, 50, 16)
    layer = model.model.layers[0]
    kept = (layer.mlp(hidden) != 0).float().mean().item()
    assert 0.4 < kept < 0.6
    positions = model.model.rotary_emb(hidden, torch.arange(50)[None])
    attended = layer.self_attn(hidden, position_embeddings=positions, attention_mask=None)[0]
    assert 0.4 < (attended != 0).float().mean().item() < 0.6


# ---- from a folder


@pytest.mark.parametrize(("kind", "pretrained"), [("t5", "seq2seq"), ("decoder", "causal")])
def test_a_saved_model_comes_back(kind, pretrained, tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of writing; what is held to be quiet is reading
        original, made = saved(tmp_path, kind)
    capfd.readouterr()
    config = ModelConfig(kind=pretrained, path=str(tmp_path))
    assert isinstance(config.path, FilePath)
    model, is_encoder_decoder = models.build(config, tokenizer.load_tokenizer(config), seed=9)
    assert is_encoder_decoder is (kind == "t5")
    assert model.training
    assert equal_weights(model, original)
    assert len(made) == model.get_input_embeddings().num_embeddings
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_what_a_folder_says_of_sampling_is_dropped(tmp_path):
    original, _ = saved(tmp_path, "decoder")
    stored = transformers.GenerationConfig(do_sample=True, temperature=0.7, max_length=5)
    stored.save_pretrained(tmp_path)
    config = ModelConfig(kind="causal", path=str(tmp_path))
    model, _ = models.build(config, tokenizer.load_tokenizer(config), seed=0)
    assert not model.generation_config.do_sample
    assert model.generation_config.temperature is None
    assert model.generation_config.eos_token_id == 2
    assert type(model) is type(original)


def test_random_weights_of_a_shape(tmp_path):
    original, _ = saved(tmp_path, "t5", tokens=False)
    made = tokenizer.plain_tokenizer()
    shape = {"kind": "seq2seq", "path": str(tmp_path), "random_weights": True}
    model, _ = models.build(ModelConfig(**shape), made, seed=0)
    assert model.config.d_ff == 24
    assert model.get_input_embeddings().num_embeddings == len(made) == 4
    assert not torch.equal(model.lm_head.weight, original.lm_head.weight[:4])
    assert equal_weights(model, models.build(ModelConfig(**shape), made, seed=0)[0])
    assert not equal_weights(model, models.build(ModelConfig(**shape), made, seed=1)[0])
    small, _ = models.build(
        ModelConfig(**shape, override={"num_layers": 1, "d_ff": 8}), made, seed=0
    )
    assert (len(small.encoder.block), len(small.decoder.block), small.config.d_ff) == (1, 1, 8)
    uneven, _ = models.build(
        ModelConfig(**shape, override={"num_layers": 1, "num_decoder_layers": 3}), made, seed=0
    )
    assert (len(uneven.encoder.block), len(uneven.decoder.block)) == (1, 3)


def test_the_shape_of_t5_base_is_in_the_repository(request):
    folder = request.config.rootpath / "configs" / "t5-base"
    override = {"num_layers": 1, "d_model": 32, "d_ff": 16, "num_heads": 2}
    config = ModelConfig(kind="seq2seq", path=str(folder), random_weights=True, override=override)
    model, is_encoder_decoder = models.build(config, tokenizer.plain_tokenizer(), seed=0)
    assert is_encoder_decoder
    shape = transformers.T5Config.from_pretrained(folder, local_files_only=True)
    assert (shape.d_model, shape.d_kv, shape.d_ff, shape.vocab_size) == (768, 64, 3072, 32128)
    assert (shape.num_layers, shape.num_decoder_layers, shape.num_heads) == (12, 12, 12)
    assert model.config.d_kv == 64


def test_overrides_that_cannot_be_are_refused(tmp_path):
    saved(tmp_path, "t5", tokens=False)
    made = tokenizer.plain_tokenizer()
    for override, message in {
        "layers": r"\[model\] override has 'layers', which a t5 does not have",
        "num_layers": r"\[model\] override makes no t5: ",
    }.items():
        config = ModelConfig(
            kind="seq2seq", path=str(tmp_path), random_weights=True, override={override: "two"}
        )
        with pytest.raises(ConfigError, match=message):
            models.build(config, made, seed=0)


@pytest.mark.parametrize(
    "load",
    [
        tokenizer.load_tokenizer,
        lambda config: models.build(config, tokenizer.plain_tokenizer(), seed=0),
    ],
)
@pytest.mark.parametrize("name", ["nobody/no-such-model-0", "no such:name//x"])
def test_a_name_that_is_not_here_is_refused_without_the_network(load, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = ModelConfig(kind="causal", path=name)
    with pytest.raises(FileNotFoundError, match=r"is downloaded: pass the path|no config\.json"):
        load(config)


def test_folders_that_lack_something_are_refused(tmp_path):
    made = tokenizer.plain_tokenizer()
    config = ModelConfig(kind="seq2seq", path=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no config\.json. Pass a folder"):
        models.build(config, made, seed=0)
    model, _ = saved(tmp_path, "t5")
    with pytest.raises(ConfigError, match="is a t5, which is 'seq2seq'"):
        models.build(ModelConfig(kind="causal", path=str(tmp_path)), made, seed=0)
    weights = model.state_dict()
    del weights["decoder.final_layer_norm.weight"]
    with _local.quiet():
        model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ConfigError, match="lack 1 of the model's weights, decoder"):
        models.build(config, made, seed=0)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"it has no weights .*random_weights = true"):
        models.build(config, made, seed=0)


# ---- new tokens and adapters


@pytest.mark.parametrize("kind", ["t5", "decoder"])
def test_new_tokens_get_embeddings(kind):
    made = tokenizer.train_tokenizer(TEXTS, 300)
    model, _ = models.build(ModelConfig(kind=kind, **SMALL), made, seed=0)
    before = model.get_input_embeddings().weight.detach().clone()
    with_sids(made)
    models.resize(model, made, seed=5)
    after = model.get_input_embeddings().weight
    assert after.shape == (len(made), 16)
    assert torch.equal(after[: len(before)], before)
    new = after[len(before) :].detach()
    assert new.std().item() == pytest.approx(before.std().item(), rel=0.3)  # not all alike
    again, _ = models.build(
        ModelConfig(kind=kind, **SMALL), tokenizer.train_tokenizer(TEXTS, 300), seed=0
    )
    models.resize(again, made, seed=5)
    assert equal_weights(again, model)
    kept = model.get_input_embeddings()
    models.resize(model, made, seed=6)
    assert model.get_input_embeddings() is kept


def untied(made):
    config = transformers.LlamaConfig(
        vocab_size=len(made),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=False,
    )
    transformers.set_seed(0)
    return transformers.LlamaForCausalLM(config)


@pytest.mark.parametrize("kind", ["t5", "decoder", "untied"])
def test_adapters_train_new_tokens_and_leave_the_old(kind):
    pytest.importorskip("peft", reason="peft is not installed")
    made, vocabulary = with_sids()
    if kind == "untied":
        model = untied(made)
    else:
        model, _ = models.build(ModelConfig(kind=kind, dropout=0, **SMALL), made, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    new = np.concatenate(vocabulary.ids)
    adapted = models.add_lora(model, 2, new_tokens=new, seed=0)
    trained = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert all("lora_" in name or "trainable_tokens_delta" in name for name in trained)
    assert sum("trainable_tokens" in name for name in trained) == (2 if kind == "untied" else 1)
    ids = torch.tensor([[4, 5, *new.tolist(), 2]])
    optimizer = torch.optim.AdamW(adapted.parameters(), lr=0.1, weight_decay=0.1)
    losses = []
    for _ in range(3):
        loss = adapted(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    logits = adapted.eval()(input_ids=ids, labels=ids).logits
    merged = adapted.merge_and_unload()
    assert torch.allclose(merged.eval()(input_ids=ids, labels=ids).logits, logits, atol=1e-4)
    rows = set(new.tolist())
    for embedding, name in (
        (merged.get_input_embeddings(), "shared" if kind == "t5" else "model.embed_tokens"),
        (merged.get_output_embeddings(), "lm_head"),
    ):
        changed = (embedding.weight != before[f"{name}.weight"]).any(dim=1)
        assert set(torch.nonzero(changed).ravel().tolist()) == rows
    if kind == "t5":
        assert torch.equal(merged.encoder.embed_tokens.weight, merged.shared.weight)
        assert torch.equal(merged.decoder.embed_tokens.weight, merged.shared.weight)


def test_adapters_that_cannot_be_are_refused():
    made = tokenizer.plain_tokenizer()
    model, _ = models.build(ModelConfig(kind="decoder", **SMALL), made, seed=0)
    with pytest.raises(ValueError, match="rank is 0; at least 1"):
        models.add_lora(model, 0, new_tokens=[1], seed=0)
    for ids in ([], [4], [-1]):
        with pytest.raises(ValueError, match="new_tokens must be ids from 0 to 3, at least one"):
            models.add_lora(model, 1, new_tokens=ids, seed=0)


def test_what_is_not_installed_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r"needs tokenizers: pip install 'puresid\[eval\]'"):
        tokenizer.plain_tokenizer()
