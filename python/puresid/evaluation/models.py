"""Language models by a config: from scratch, or pretrained and on this machine.

The order of work: a tokenizer (`tokenizer.tokenizer_for`), SIDs added to it
(`SidVocabulary.add_to`), `build`, `resize`, and `add_lora` where the config has a `lora_rank`.
Nothing here touches the network, and the same seed gives the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from puresid.arrays import to_numpy
from puresid.evaluation._local import local_folder, quiet
from puresid.evaluation.config import ConfigError, ModelConfig
from puresid.evaluation.extras import extra

_POSITIONS = 16_384  # rotary positions are computed when asked for, so this costs nothing


def build(model: ModelConfig, tokenizer: Any, *, seed: int) -> tuple[Any, bool]:
    """Make the model of a config, in float32, on the CPU.

    Parameters
    ----------
    model : ModelConfig
        What to make.
    tokenizer : transformers.PreTrainedTokenizerBase
        Gives the special tokens, and to a model with random weights its number of tokens.
    seed : int
        Seed of random weights; torch's, numpy's and Python's generators are set to it.

    Returns
    -------
    model : transformers.PreTrainedModel
        As it trains (``model.train()``). A pretrained one has the embeddings that it came with:
        see `resize`. What was stored of how to generate text is dropped, but for special tokens.
    is_encoder_decoder : bool

    Raises
    ------
    FileNotFoundError
        If a pretrained model is not on this machine.
    ConfigError
        If its shape or weights are not those of such a model, or the override changes what the
        shape has not.
    ImportError
        Without torch or transformers.

    Notes
    -----
    ``decoder`` is Llama-like (RMSNorm, rotary positions, gated feed-forward), with dropout on what
    attention and feed-forward add to the stream. ``t5`` has ReLU, as TIGER (Rajput et al., NeurIPS
    2023), and T5's dropout. Both share the embedding of input and output.
    """
    transformers = extra("transformers")
    extra("torch")
    transformers.set_seed(seed)
    with quiet():
        if model.kind == "decoder":
            made = _decoder(transformers, model, tokenizer)
        elif model.kind == "t5":
            made = _t5(transformers, model, tokenizer)
        else:
            made = _from_folder(transformers, model, tokenizer)
    _set_generation(transformers, made, tokenizer)
    return made.train(), bool(made.config.is_encoder_decoder)


def _special(tokenizer: Any) -> dict[str, int]:
    return {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }


def _decoder(transformers: Any, model: ModelConfig, tokenizer: Any) -> Any:
    made = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=model.dim,
            intermediate_size=model.ff,
            num_hidden_layers=model.layers,
            num_attention_heads=model.heads,
            num_key_value_heads=model.heads,
            max_position_embeddings=_POSITIONS,
            tie_word_embeddings=True,
            **_special(tokenizer),
        )
    )
    if model.dropout:
        _add_dropout(made, model.dropout)
    return made


def _add_dropout(made: Any, rate: float) -> None:
    """Drop parts of what each layer adds to the stream; Llama itself has it inside attention only.

    By hooks, so that the names of the weights stay those of Llama.
    """
    dropout = extra("torch").nn.functional.dropout

    def hook(module: Any, _: Any, output: Any) -> Any:
        if isinstance(output, tuple):  # of attention: with the weights
            return dropout(output[0], rate, module.training), *output[1:]
        return dropout(output, rate, module.training)

    for layer in made.model.layers:
        layer.self_attn.register_forward_hook(hook)
        layer.mlp.register_forward_hook(hook)


def _t5(transformers: Any, model: ModelConfig, tokenizer: Any) -> Any:
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=len(tokenizer),
            d_model=model.dim,
            d_kv=model.d_kv or model.dim // model.heads,
            d_ff=model.ff,
            num_layers=model.layers,
            num_heads=model.heads,
            dropout_rate=model.dropout,
            feed_forward_proj="relu",
            decoder_start_token_id=tokenizer.pad_token_id,
            **_special(tokenizer),
        )
    )


def _from_folder(transformers: Any, model: ModelConfig, tokenizer: Any) -> Any:
    folder = local_folder(model.path)
    local = {"local_files_only": True, "trust_remote_code": False}
    shape = transformers.AutoConfig.from_pretrained(folder, **local)
    wanted = model.kind == "seq2seq"
    if bool(shape.is_encoder_decoder) != wanted:
        other = "causal" if wanted else "seq2seq"
        raise ConfigError(
            f"[model] kind is {model.kind!r}; the model of {str(model.path)!r} is a "
            f"{shape.model_type}, which is {other!r}"
        )
    auto = transformers.AutoModelForSeq2SeqLM if wanted else transformers.AutoModelForCausalLM
    dtype = extra("torch").float32
    if model.random_weights:
        shape = _reshaped(
            shape, model.override, _special(tokenizer) | {"vocab_size": len(tokenizer)}
        )
        return auto.from_config(shape, dtype=dtype, trust_remote_code=False)
    _need_weights(folder, model)
    made, loaded = auto.from_pretrained(folder, dtype=dtype, output_loading_info=True, **local)
    absent = sorted(loaded["missing_keys"]) + sorted(map(str, loaded["mismatched_keys"]))
    if absent:
        raise ConfigError(
            f"[model] path is {str(model.path)!r}; its files lack {len(absent)} of the model's "
            f"weights, {absent[0]} among them. random_weights = true tries the shape alone"
        )
    return made


def _need_weights(folder: Path, model: ModelConfig) -> None:
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise FileNotFoundError(
            f"[model] path is {str(model.path)!r}; it has no weights (*.safetensors). "
            "random_weights = true tries the shape alone"
        )


def _reshaped(shape: Any, override: Mapping[str, Any], special: Mapping[str, Any]) -> Any:
    """Return the shape with changes, for another tokenizer."""
    values = shape.to_dict()
    for name in override:
        if name not in values:
            raise ConfigError(
                f"[model] override has {name!r}, which a {shape.model_type} does not have"
            )
    changes = dict(override)
    if values.get("num_decoder_layers") == values.get("num_layers") and "num_layers" in override:
        changes.setdefault("num_decoder_layers", override["num_layers"])  # as T5Config itself does
    if values.get("decoder_start_token_id") is not None:
        changes["decoder_start_token_id"] = special["pad_token_id"]
    try:
        return type(shape).from_dict(values | dict(special) | changes)
    except Exception as error:  # each release of transformers has its own kinds
        raise ConfigError(f"[model] override makes no {shape.model_type}: {error}") from error


def _set_generation(transformers: Any, made: Any, tokenizer: Any) -> None:
    """Drop what was stored of sampling and lengths; every call says for itself what it needs."""
    special = _special(tokenizer)
    start = getattr(made.config, "decoder_start_token_id", None)
    for name, value in special.items():
        setattr(made.config, name, value)
    made.generation_config = transformers.GenerationConfig(decoder_start_token_id=start, **special)


def resize(model: Any, tokenizer: Any, *, seed: int) -> None:
    """Give a model an embedding for each token of its tokenizer, in place.

    New rows are drawn as the model draws its own at the start, not near the mean of the others:
    SIDs must differ from each other from the first step on.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Changed in place, if its number of embeddings is another.
    tokenizer : transformers.PreTrainedTokenizerBase
        After the tokens of SIDs were added.
    seed : int
        As for `build`.
    """
    if model.get_input_embeddings().num_embeddings != len(tokenizer):
        extra("transformers").set_seed(seed)
        with quiet():
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)


def add_lora(model: Any, rank: int, *, new_tokens: Sequence[int] | Any, seed: int) -> Any:
    """Freeze a model but for adapters of its linear layers and the embeddings of new tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        After `resize`; its modules are changed in place.
    rank : int
        Rank of the adapters; their scale is 2.
    new_tokens : array_like of int
        Token ids whose embeddings are trained, of input and output: those of SIDs. All other
        embeddings stay as they are.
    seed : int
        Seed of the adapters' weights.

    Returns
    -------
    peft.PeftModel
        ``merge_and_unload()`` gives the model without adapters.

    Raises
    ------
    ValueError
        If `rank` is below 1, or `new_tokens` is empty or names a token that has no embedding.
    ImportError
        Without peft.

    References
    ----------
    Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}; at least 1 is needed")
    known = model.get_input_embeddings().num_embeddings
    ids = np.unique(to_numpy(new_tokens)).tolist()
    if not ids or ids[0] < 0 or ids[-1] >= known:
        raise ValueError(f"new_tokens must be ids from 0 to {known - 1}, at least one")
    peft = extra("peft")
    extra("transformers").set_seed(seed)
    encoder = bool(model.config.is_encoder_decoder)
    options = peft.LoraConfig(
        task_type="SEQ_2_SEQ_LM" if encoder else "CAUSAL_LM",
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",  # but the output layer
        trainable_token_indices={name: ids for name in _embedding_names(model)},
    )
    with quiet():
        made = peft.get_peft_model(model, options)
    # Where saving sees a name, it asks a hub for it, and stores all embeddings beside the adapters.
    made.active_peft_config.base_model_name_or_path = ""
    return made


def _embedding_names(model: Any) -> list[str]:
    """Return the modules that embed tokens; of those that share weights, the first."""
    modules = [model.get_input_embeddings(), model.get_output_embeddings()]
    different = {id(module.weight): module for module in reversed(modules)}
    return [name for name, module in model.named_modules() if module in different.values()]
