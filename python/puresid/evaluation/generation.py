"""Answering queries: the SIDs that a model generates for each, best first."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.decoding import SidLogitsProcessor, SidTrie, SidVocabulary, score_sids
from puresid.evaluation.config import DecodingConfig
from puresid.evaluation.encoding import Ids
from puresid.evaluation.extras import extra
from puresid.evaluation.training import filled


@dataclass(frozen=True, eq=False)
class Answers:
    """What was generated.

    Attributes
    ----------
    ranked : ndarray, shape (Q, B), int64
        Places in `SidTrie.sids`, best first, -1 behind the last.
    generated : int
        Sequences that generation returned: Q · B.
    valid : int
        Those of them that are a SID of the trie. Fewer than `generated` only where a query has
        fewer than B of them to choose from.
    seconds : float
    """

    ranked: npt.NDArray[np.int64]
    generated: int
    valid: int
    seconds: float


class Generator:
    """Answers queries by a constrained beam search, or by scoring every SID.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    trie : SidTrie
        What may be generated.
    vocabulary : SidVocabulary
    config : DecodingConfig
    encoder_decoder : bool
    pad_token_id : int

    Notes
    -----
    A decoder reads each source once, for all beams. Queries of similar length go together.
    """

    def __init__(
        self,
        model: Any,
        trie: SidTrie,
        vocabulary: SidVocabulary,
        config: DecodingConfig,
        *,
        encoder_decoder: bool,
        pad_token_id: int,
    ) -> None:
        self._torch = extra("torch")
        self._transformers = extra("transformers")
        self._model = model
        self._trie = trie
        self._vocabulary = vocabulary
        self._config = config
        self._encoder_decoder = encoder_decoder
        self._pad = pad_token_id
        # transformers 5.24 renamed the argument, and warns of the old name.
        step = self._transformers.GenerationMixin.prepare_inputs_for_generation
        takes = inspect.signature(step).parameters
        self._cache = "cache" if "cache" in takes else "past_key_values"
        self._processor = SidLogitsProcessor(
            trie, vocabulary, prompt_length=1, normalize=config.normalize, in_place=True
        )

    def answer(self, sources: Sequence[Ids], *, progress: bool = False) -> Answers:
        """Generate SIDs for queries.

        Parameters
        ----------
        sources : sequence of ndarray of int64
            Token ids; see `Encoding.sources`.
        progress : bool
            Whether to show a progress bar on stderr.
        """
        from tqdm import tqdm

        start = time.perf_counter()
        self._model.eval()
        config = self._config
        ranked = np.full((len(sources), config.beams), -1, dtype=np.int64)
        generated = valid = 0
        order = np.argsort([len(source) for source in sources], kind="stable")
        with (
            self._torch.inference_mode(),
            tqdm(total=len(sources), desc="queries", leave=False, disable=not progress) as bar,
        ):
            for first in range(0, len(order), config.batch_size):
                rows = order[first : first + config.batch_size]
                batch = [sources[row] for row in rows]
                found = self._best(batch) if config.exact else self._beams(batch)
                generated += found.size
                valid += int((found >= 0).sum())
                ranked[rows, : found.shape[1]] = once_each(found)
                bar.update(len(rows))
        return Answers(ranked, generated, valid, time.perf_counter() - start)

    def _beams(self, sources: list[Ids]) -> npt.NDArray[np.int64]:
        torch, n_levels, beams = self._torch, self._trie.n_levels, self._config.beams
        device = self._model.device
        left = not self._encoder_decoder
        ids = torch.from_numpy(filled(sources, self._pad, left=left)).to(device)
        ones = [np.ones(len(source), dtype=np.int64) for source in sources]
        mask = torch.from_numpy(filled(ones, 0, left=left)).to(device)
        self._processor.prompt_length = 1 if self._encoder_decoder else ids.shape[1]
        read = {} if self._encoder_decoder else self._read(ids, mask)
        out = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=self._transformers.GenerationConfig(
                num_beams=beams,
                num_return_sequences=beams,
                max_new_tokens=n_levels,
                do_sample=False,
                pad_token_id=self._pad,
                decoder_start_token_id=self._model.config.decoder_start_token_id
                if self._encoder_decoder
                else None,
            ),
            logits_processor=self._transformers.LogitsProcessorList([self._processor]),
            **read,
        )
        sids = self._vocabulary.decode(out[:, self._processor.prompt_length :].cpu())
        return self._places(sids).reshape(len(sources), beams)

    def _read(self, ids: Any, mask: Any) -> dict[str, Any]:
        """Have a decoder read the sources but for their last token, once for all beams.

        `generate` would read each source once a beam.
        """
        if ids.shape[1] < 2:
            return {}
        cache = self._transformers.DynamicCache(config=self._model.config)
        before = mask[:, :-1]
        self._model(
            input_ids=ids[:, :-1],
            attention_mask=before,
            position_ids=(before.cumsum(dim=1) - 1).clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache: cache},
        )
        cache.batch_repeat_interleave(self._config.beams)
        return {self._cache: cache}

    def _places(self, sids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the places of SIDs in the trie, -1 for those with a token of no level."""
        whole = (sids >= 0).all(axis=1)
        places = np.full(len(sids), -1, dtype=np.int64)
        places[whole] = self._trie.find(sids[whole])
        return places

    def _best(self, sources: list[Ids]) -> npt.NDArray[np.int64]:
        """Score every SID for each source and return the best."""
        found = []
        for source in sources:
            ids = self._torch.from_numpy(source).to(self._model.device)[None]
            follow = self._after_encoder(ids) if self._encoder_decoder else self._after_source(ids)
            scores = score_sids(
                follow, self._trie, self._vocabulary, normalize=self._config.normalize
            )
            found.append(np.argsort(-scores, kind="stable")[: self._config.beams])
        return np.stack(found)

    def _after_encoder(self, ids: Any) -> Callable[[Any], Any]:
        torch, model = self._torch, self._model
        outputs = extra("transformers.modeling_outputs")
        state = model.get_encoder()(input_ids=ids).last_hidden_state
        start = model.config.decoder_start_token_id

        def next_logits(tokens: Any) -> Any:
            count = len(tokens)
            begun = torch.full((count, 1), start, dtype=torch.int64, device=ids.device)
            return model(
                encoder_outputs=outputs.BaseModelOutput(state.expand(count, -1, -1)),
                decoder_input_ids=torch.cat([begun, tokens.to(ids.device)], dim=1),
            ).logits[:, -1]

        return next_logits

    def _after_source(self, ids: Any) -> Callable[[Any], Any]:
        def next_logits(tokens: Any) -> Any:
            sources = ids.expand(len(tokens), -1)
            return self._model(
                input_ids=self._torch.cat([sources, tokens.to(ids.device)], dim=1),
                logits_to_keep=1,
            ).logits[:, -1]

        return next_logits


def once_each(found: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Keep the first of equal numbers in each row, with what is -1 or gone at the end.

    A beam search over fewer SIDs than beams returns some of them twice.
    """
    kept = found >= 0
    by_value = np.argsort(found, axis=1, kind="stable")
    ordered = np.take_along_axis(found, by_value, axis=1)
    again = np.zeros_like(kept)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeated = np.empty_like(again)
    np.put_along_axis(repeated, by_value, again, axis=1)
    kept &= ~repeated
    to_front = np.argsort(~kept, axis=1, kind="stable")
    return np.take_along_axis(np.where(kept, found, -1), to_front, axis=1)
