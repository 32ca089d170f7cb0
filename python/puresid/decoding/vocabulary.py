"""`SidVocabulary`: SIDs as the token ids of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.arrays import to_numpy, token_matrix
from puresid.formats.tokens import (
    TokenTemplate,
    as_template,
    new_tokens,
    read_tokens,
    token_strings,
)

Ids = npt.NDArray[np.int64]


class SidVocabulary:
    """Which of a language model's token ids stands for which token of which level.

    Made by `add_to`, for a tokenizer, or by `from_offset`, for a model without one.

    Parameters
    ----------
    ids : sequence of array_like of int, shape (K_l,)
        Per level, the id of each token.
    template : str or TokenTemplate
        How SIDs are written; see `puresid.token_strings`.

    Raises
    ------
    ValueError
        If an id is negative or stands for two tokens of one level.
    """

    def __init__(self, ids: Sequence[Any], *, template: str | TokenTemplate = "lc-rec") -> None:
        self.template = as_template(template)
        levels = []
        for number, level in enumerate(ids):
            array = np.array(to_numpy(level), dtype=np.int64)
            if array.ndim != 1 or len(array) == 0 or array.min() < 0:
                raise ValueError(f"ids[{number}] must be a list of numbers from 0 on")
            if len(np.unique(array)) != len(array):
                raise ValueError(f"ids[{number}] has an id twice")
            array.flags.writeable = False
            levels.append(array)
        if not levels:
            raise ValueError("ids is empty; at least one level is needed")
        self.ids: tuple[Ids, ...] = tuple(levels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Tokens per level, K_l."""
        return tuple(map(len, self.ids))

    @classmethod
    def add_to(
        cls,
        tokenizer: Any,
        sizes: Sequence[int],
        *,
        template: str | TokenTemplate = "<id_{level}_{token}>",
    ) -> SidVocabulary:
        """Add the tokens of SIDs to a Hugging Face tokenizer, where it lacks them.

        Parameters
        ----------
        tokenizer : transformers.PreTrainedTokenizerBase
            Changed in place. The model's embedding then needs ``len(tokenizer)`` rows:
            ``model.resize_token_embeddings(len(tokenizer))``.
        sizes : sequence of int
            Tokens per level, K_l.
        template : str or TokenTemplate
            With ``{token}`` and, so that levels do not share tokens, ``{level}`` or ``{letter}``.

        Raises
        ------
        ValueError
            If the tokenizer does not take a token as it is.
        """
        form = as_template(template)
        tokenizer.add_tokens(new_tokens(sizes, form))
        ids = []
        for level, size in enumerate(sizes):
            texts = [form.text(level, token) for token in range(size)]
            found = tokenizer.convert_tokens_to_ids(texts)
            for text, number in zip(texts, found, strict=True):
                if number is None or number == tokenizer.unk_token_id:
                    raise ValueError(f"the tokenizer does not know {text!r} after it was added")
            ids.append(found)
        return cls(ids, template=form)

    @classmethod
    def from_offset(
        cls,
        sizes: Sequence[int],
        offset: int,
        *,
        template: str | TokenTemplate = "<id_{level}_{token}>",
    ) -> SidVocabulary:
        """Make the ids ``offset + K_0 + … + K_(l-1) + token``, for a model without a tokenizer."""
        starts = offset + np.concatenate([[0], np.cumsum(sizes)])
        return cls(
            [np.arange(start, start + size) for start, size in zip(starts, sizes, strict=False)],
            template=template,
        )

    def encode(self, sids: Any) -> Ids:
        """Return the token ids of SIDs.

        Parameters
        ----------
        sids : array_like of int, shape (N, L)

        Returns
        -------
        ndarray, shape (N, L), int64

        Raises
        ------
        ValueError
            If a token is not below its size (naming the row).
        """
        tokens = token_matrix(sids, len(self.ids), "sids")
        for level, ids in enumerate(self.ids):
            outside = tokens[:, level] >= len(ids)
            if outside.any():
                row = int(outside.argmax())
                raise ValueError(
                    f"sids[{row}] has token {tokens[row, level]} at level {level}; there are "
                    f"{len(ids)}"
                )
        columns = [ids[tokens[:, level]] for level, ids in enumerate(self.ids)]
        return np.stack(columns, axis=1)

    def decode(self, ids: Any) -> npt.NDArray[np.int64]:
        """Return the SIDs of token ids, shape (N, L), int64; -1 for an id that is none there."""
        rows = np.asarray(to_numpy(ids))
        if rows.ndim != 2 or rows.shape[1] != len(self.ids):
            raise ValueError(f"ids has shape {rows.shape}; (rows, {len(self.ids)}) is needed")
        sids = np.empty(rows.shape, dtype=np.int64)
        for level, known in enumerate(self.ids):
            order = np.argsort(known)
            places = np.searchsorted(known[order], rows[:, level]).clip(max=len(known) - 1)
            tokens = order[places]
            sids[:, level] = np.where(known[tokens] == rows[:, level], tokens, -1)
        return sids

    def text(self, sids: Any) -> list[str]:
        """Return SIDs as text; see `puresid.token_strings`."""
        return token_strings(sids, self.template)

    def parse(self, texts: Sequence[str]) -> Any:
        """Return the SIDs of texts, shape (N, L). Raises ValueError for what `text` cannot give."""
        return read_tokens(texts, self.template, "texts")

    def __repr__(self) -> str:
        return f"SidVocabulary(sizes={self.sizes}, template={self.template.token!r})"
