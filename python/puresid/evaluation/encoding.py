"""Histories, queries and SIDs as the token ids that a language model reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.decoding import SidVocabulary
from puresid.evaluation.arms import Arm
from puresid.evaluation.task import Queries, Task

Ids = npt.NDArray[np.int64]
Pair = tuple[Ids, Ids]

SOURCES = ("ids", "text")
TEMPLATE = "<id_{level}_{token}>"


@dataclass(frozen=True, eq=False)
class Encoding:
    """How one arm's items are told to a model.

    Attributes
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        With the arm's SID tokens.
    vocabulary : SidVocabulary
    item_ids : ndarray, shape (N, L), int64
        Token ids of each item's SID.
    encoder_decoder : bool
        Whether sources and targets go to an encoder and a decoder, or one after the other to a
        decoder alone.
    source : {"ids", "text"}
        How a history is written: SIDs, oldest first, or the items' texts, latest first.
    max_history : int
        Items of a history, the latest.
    max_tokens : int
        Tokens of a source that is text; what is longer loses its end.
    """

    tokenizer: Any
    vocabulary: SidVocabulary
    item_ids: Ids
    encoder_decoder: bool
    source: str
    max_history: int
    max_tokens: int

    def sources(self, task: Task, queries: Queries) -> list[Ids]:
        """Return what the model reads for each query."""
        if queries.histories is not None:
            return self._histories(task, queries.histories)
        return self._texts(queries.texts or ())

    def pairs(self, task: Task, *, text_task: bool, subsequences: int, seed: int) -> list[Pair]:
        """Return the training examples: what the model reads, and the token ids it learns to write.

        Parameters
        ----------
        task : Task
        text_task : bool
            Whether each item's text with its SID is an example as well.
        subsequences : int
            For an encoder-decoder or histories as text: this many random parts of each training
            sequence, drawn once; 0: every position but the first is a target once. A decoder that
            reads SIDs learns all positions of a sequence in one example.
        seed : int
            Of the random parts.
        """
        sequences = task.sequences or ()
        if task.train is not None:
            found = self._query_pairs(task, task.train)
        elif self.source == "ids" and not self.encoder_decoder:
            found = self._whole_sequences(sequences)
        else:
            found = self._positions(task, sequences, subsequences, seed)
        if text_task:
            found += list(zip(self._texts(_item_texts(task)), self.item_ids, strict=True))
        return found

    def _query_pairs(self, task: Task, queries: Queries) -> list[Pair]:
        sources = self.sources(task, queries)
        return [
            (source, self.item_ids[row])
            for source, rows in zip(sources, queries.relevant, strict=True)
            for row in rows
        ]

    def _whole_sequences(self, sequences: Iterable[Ids]) -> list[Pair]:
        """Cut sequences, from their end, into windows whose positions but the first are targets."""
        found: list[Pair] = []
        for sequence in sequences:
            end = len(sequence)
            while end >= 2:
                start = max(0, end - self.max_history - 1)
                first, *_ = window = self.item_ids[sequence[start:end]]
                found.append((self._begun(first), window[1:].reshape(-1)))
                end = start + 1
        return found

    def _positions(
        self, task: Task, sequences: Sequence[Ids], subsequences: int, seed: int
    ) -> list[Pair]:
        rng = np.random.default_rng(seed)
        histories: list[Ids] = []
        targets: list[int] = []
        for sequence in sequences:
            if subsequences == 0:
                spans = [(0, end) for end in range(1, len(sequence))]
            else:
                ends = rng.integers(1, len(sequence), size=subsequences)
                spans = [(int(rng.integers(end)), int(end)) for end in ends]
            for start, end in spans:
                histories.append(sequence[start:end])
                targets.append(int(sequence[end]))
        sources = self._histories(task, histories)
        return [(source, self.item_ids[row]) for source, row in zip(sources, targets, strict=True)]

    def _histories(self, task: Task, histories: Sequence[Ids]) -> list[Ids]:
        recent = [history[-self.max_history :] for history in histories]
        if self.source == "ids":
            return [self._begun(self.item_ids[rows].reshape(-1)) for rows in recent]
        texts = _item_texts(task)
        return self._texts(["; ".join(texts[row] for row in rows[::-1]) for rows in recent])

    def _texts(self, texts: Sequence[str]) -> list[Ids]:
        if not texts:
            return []
        ids = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            truncation=True,
            max_length=self.max_tokens,
            return_attention_mask=False,
        )["input_ids"]
        return [self._begun(np.array(row, dtype=np.int64), ends=True) for row in ids]

    def _begun(self, ids: Ids, *, ends: bool = False) -> Ids:
        """Put the special tokens around a source.

        An encoder's ends with the end token; a decoder's begins with the start token and, if it is
        text, ends with the end token, behind which the SID begins.
        """
        start, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        before = [] if self.encoder_decoder or start is None else [start]
        after = [end] if (self.encoder_decoder or ends) and end is not None else []
        return np.concatenate([before, ids, after]).astype(np.int64)


def _item_texts(task: Task) -> tuple[str, ...]:
    if task.catalogue.texts is None:
        raise ValueError(f"the items of {task.name} have no texts")
    return task.catalogue.texts


def encode(
    arm: Arm,
    tokenizer: Any,
    *,
    encoder_decoder: bool,
    source: str,
    max_history: int,
    max_tokens: int,
) -> Encoding:
    """Add an arm's SID tokens to a tokenizer and return how its items are told to a model.

    Parameters
    ----------
    arm : Arm
    tokenizer : transformers.PreTrainedTokenizerBase
        Changed in place.
    encoder_decoder, source, max_history, max_tokens
        See `Encoding`.

    Raises
    ------
    ValueError
        If `source` is none of the two.
    """
    if source not in SOURCES:
        raise ValueError(f"source is {source!r}; it must be one of {SOURCES}")
    vocabulary = SidVocabulary.add_to(tokenizer, arm.sizes, template=TEMPLATE)
    return Encoding(
        tokenizer,
        vocabulary,
        vocabulary.encode(arm.sids),
        encoder_decoder,
        source,
        max_history,
        max_tokens,
    )
