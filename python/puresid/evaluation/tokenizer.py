"""Tokenizers: trained on a task's texts, of special tokens alone, or from a model's folder.

All have a token that pads and one that ends a text. None of them adds tokens of its own accord to
what it encodes if asked with ``add_special_tokens=False``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from puresid.evaluation._local import local_folder, quiet
from puresid.evaluation.config import ModelConfig
from puresid.evaluation.extras import extra

PAD, START, END, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
SPECIAL = (PAD, START, END, UNKNOWN)  # their ids are 0, 1, 2, 3
BYTES = 256  # every byte is a token, so that no text is unknown

# What a folder with a tokenizer has at least one of.
_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def train_tokenizer(texts: Iterable[str], size: int) -> Any:
    """Train byte-level byte pair encoding on lower-cased texts.

    The same texts in the same order give the same tokenizer.

    Parameters
    ----------
    texts : iterable of str
        What to learn words from.
    size : int
        Tokens at most, with the four special ones and 256 bytes. Pairs of tokens that occur only
        once are not joined, so few texts give fewer.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        With ``<pad>`` 0, ``<s>`` 1, ``</s>`` 2 and ``<unk>`` 3. It adds none of them to a text.

    Raises
    ------
    ValueError
        If `size` is too small for bytes and special tokens.
    ImportError
        Without tokenizers or transformers.

    References
    ----------
    Sennrich, Haddow & Birch, "Neural machine translation of rare words with subword units", ACL
    2016.
    """
    least = BYTES + len(SPECIAL)
    if size < least:
        raise ValueError(f"size is {size}; at least {least} are needed, for bytes and special ones")
    tokenizers = extra("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=UNKNOWN))
    model.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.NFKC(), tokenizers.normalizers.Lowercase()]
    )
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    model.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    return _wrapped(model)


def plain_tokenizer() -> Any:
    """Make a tokenizer that knows the special tokens only, for tasks without text.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        With ``<pad>`` 0, ``<s>`` 1, ``</s>`` 2 and ``<unk>`` 3; SIDs are added by
        `puresid.decoding.SidVocabulary.add_to`.

    Raises
    ------
    ImportError
        Without tokenizers or transformers.
    """
    tokenizers = extra("tokenizers")
    ids = {token: number for number, token in enumerate(SPECIAL)}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token=UNKNOWN))
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return _wrapped(model)


def _wrapped(model: Any) -> Any:
    return extra("transformers").PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        model_max_length=2**30,  # sources are cut by the config's max_tokens
    )


def load_tokenizer(model: ModelConfig) -> Any | None:
    """Load the tokenizer that belongs to a model, without the network.

    Parameters
    ----------
    model : ModelConfig
        Of a config.

    Returns
    -------
    transformers.PreTrainedTokenizerBase or None
        With ``<pad>`` and ``</s>`` added where it has no such tokens. None for a model from
        scratch, and for a folder without tokenizer whose weights are random: there
        `train_tokenizer` and `plain_tokenizer` are at hand.

    Raises
    ------
    FileNotFoundError
        If the model is not on this machine, or has no tokenizer.
    ImportError
        Without transformers.
    """
    if not model.path:
        return None
    folder = local_folder(model.path)
    if not any((folder / name).is_file() for name in _FILES):
        if model.random_weights:
            return None
        raise FileNotFoundError(
            f"[model] path is {str(model.path)!r}; it has no tokenizer (one of "
            f"{', '.join(_FILES)}). Save the model's tokenizer there"
        )
    with quiet():
        tokenizer = extra("transformers").AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    # Not the end token in the pad's place: ends would then be masked where padding is.
    missing = {"pad_token": PAD, "eos_token": END}
    lacking = {name: token for name, token in missing.items() if getattr(tokenizer, name) is None}
    if lacking:
        tokenizer.add_special_tokens(lacking)
    return tokenizer


def tokenizer_for(model: ModelConfig, texts: Iterable[str] | None) -> Any:
    """Return the model's own tokenizer, else one trained on texts, else a plain one.

    Parameters
    ----------
    model : ModelConfig
        Of a config.
    texts : iterable of str or None
        What the model will read; None where it reads SIDs only.

    Returns
    -------
    transformers.PreTrainedTokenizerBase

    Raises
    ------
    FileNotFoundError
        As `load_tokenizer`.
    ImportError
        Without tokenizers or transformers.
    """
    loaded = load_tokenizer(model)
    if loaded is not None:
        return loaded
    return plain_tokenizer() if texts is None else train_tokenizer(texts, model.vocabulary)
