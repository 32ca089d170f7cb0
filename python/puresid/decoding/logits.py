"""`SidLogitsProcessor`: has a Hugging Face model generate SIDs that exist, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from puresid._torch import import_torch
from puresid.decoding.device import DeviceTrie
from puresid.decoding.trie import LiveSids, SidTrie
from puresid.decoding.vocabulary import SidVocabulary

NORMALIZATIONS = ("vocabulary", "children")


class SidLogitsProcessor:
    """Masks the scores of all tokens that lead to no SID.

    Pass it to ``model.generate(logits_processor=LogitsProcessorList([processor]))`` of an
    encoder-decoder or a decoder-only model, with ``max_new_tokens`` of L + 1 where generation ends
    with a token of its own, else L.

    Parameters
    ----------
    trie : SidTrie
        As it is now: what is added or removed later is for the next processor.
    vocabulary : SidVocabulary
        Of the same sizes.
    prompt_length : int
        Columns of ``input_ids`` before the first token of a SID: 1 for an encoder-decoder (the
        start token), the padded length of the prompts for a decoder-only model.
    eos_token_id : int, optional
        What comes after a SID, alone. Without it a SID is the end.
    normalize : {"vocabulary", "children"}
        What the probabilities that beams add up are shares of. ``"vocabulary"``: all tokens, as the
        model gives them; what is masked is lost. ``"children"``: the tokens that may come next, so
        that the probabilities of all SIDs add up to 1.
    live : LiveSids, optional
        Only these SIDs.
    in_place : bool
        Whether the scores that come in may be overwritten: spares a CPU most of a step's time,
        which goes into memory for the scores that come out. Not where they are asked for
        themselves, as by ``generate(output_logits=True)`` without beams.

    Raises
    ------
    ImportError
        If torch is not installed.
    ValueError
        If sizes differ, the trie is empty, or an option is none of those above.

    Notes
    -----
    One step is a few gathers for the whole batch of beams on the scores' device; nothing is
    copied back from it. The tensors are made for the first device that scores come on.
    """

    def __init__(
        self,
        trie: SidTrie,
        vocabulary: SidVocabulary,
        *,
        prompt_length: int,
        eos_token_id: int | None = None,
        normalize: str = "vocabulary",
        live: LiveSids | None = None,
        in_place: bool = False,
    ) -> None:
        import_torch("SidLogitsProcessor")
        if trie.sizes != vocabulary.sizes:
            raise ValueError(
                f"the trie has sizes {trie.sizes}; the vocabulary has {vocabulary.sizes}"
            )
        if len(trie) == 0 or (live is not None and not live.members.any()):
            raise ValueError("there is no SID to generate")
        if normalize not in NORMALIZATIONS:
            raise ValueError(
                f"normalize is {normalize!r}; it must be one of "
                f"{', '.join(map(repr, NORMALIZATIONS))}"
            )
        if prompt_length < 0:
            raise ValueError(f"prompt_length is {prompt_length}; at least 0 is needed")
        self.trie = trie
        self.vocabulary = vocabulary
        self.prompt_length = prompt_length
        self.eos_token_id = eos_token_id
        self.normalize = normalize
        self.in_place = bool(in_place)
        self._made = trie.to("cpu", live=live)
        self._live = live
        self._device: Any = None
        self._ids: list[Any] = []  # by level: the ids of its tokens
        self._tokens: list[
            Any
        ] = []  # by level: the token of an id; one too large for those without

    def _move_to(self, device: Any) -> DeviceTrie:
        torch = import_torch("SidLogitsProcessor")
        if self._device != device:
            self._made = self.trie.to(device, live=self._live)
            most = max(int(ids.max()) for ids in self.vocabulary.ids) + 1
            self._ids, self._tokens = [], []
            for ids in self.vocabulary.ids:
                table = np.full(most + 1, len(ids), dtype=np.int64)
                table[ids] = np.arange(len(ids))
                self._ids.append(torch.tensor(ids, device=device))
                self._tokens.append(torch.from_numpy(table).to(device))
            self._device = device
        return self._made

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return the scores of a step.

        Parameters
        ----------
        input_ids : tensor of int64, shape (B, prompt_length + t)
        scores : tensor of float, shape (B, V)
            Logits or log-probabilities.

        Returns
        -------
        tensor, shape (B, V)
            -inf where no SID goes on; log-probabilities where ``normalize="children"``.

        Raises
        ------
        ValueError
            If `input_ids` is shorter than the prompt, or the vocabulary lacks an id of a SID.
        """
        torch = import_torch("SidLogitsProcessor")
        step = input_ids.shape[1] - self.prompt_length
        if step < 0:
            raise ValueError(
                f"input_ids has {input_ids.shape[1]} columns; prompt_length is {self.prompt_length}"
            )
        if step >= self.trie.n_levels:
            if self.eos_token_id is None:
                raise ValueError(
                    f"a SID has {self.trie.n_levels} tokens and eos_token_id is None; "
                    f"max_new_tokens must be {self.trie.n_levels}"
                )
            ended = scores[:, self.eos_token_id].clone()
            masked = self._nothing_of(scores)
            masked[:, self.eos_token_id] = 0 if self.normalize == "children" else ended
            return masked
        trie = self._move_to(scores.device)
        ids = self._ids[step]
        if scores.shape[1] <= int(self.vocabulary.ids[step].max()):
            raise ValueError(
                f"the model has {scores.shape[1]} tokens; level {step} needs id "
                f"{int(self.vocabulary.ids[step].max())}: resize its embedding"
            )
        generated = input_ids[:, self.prompt_length :]
        last = len(self._tokens[0]) - 1
        nodes = trie.root(len(scores))
        for depth in range(step):
            tokens = self._tokens[depth][generated[:, depth].clamp(max=last)]
            nodes = trie.advance(nodes, tokens, depth)
        allowed = trie.mask(nodes, step)
        chosen = scores[:, ids].masked_fill(~allowed, -torch.inf)
        if self.normalize == "children":
            shares = torch.log_softmax(chosen.float(), dim=1).to(scores.dtype)
            chosen = shares.masked_fill(~allowed, -torch.inf)
        masked = self._nothing_of(scores)
        masked[:, ids] = chosen
        return masked

    def _nothing_of(self, scores: Any) -> Any:
        torch = import_torch("SidLogitsProcessor")
        return scores.fill_(-torch.inf) if self.in_place else torch.full_like(scores, -torch.inf)
