"""`score_sids`: the probability of every SID, as a check on beams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._torch import import_torch
from puresid.decoding.logits import NORMALIZATIONS
from puresid.decoding.trie import SidTrie
from puresid.decoding.vocabulary import SidVocabulary


def score_sids(
    next_logits: Callable[[Any], Any],
    trie: SidTrie,
    vocabulary: SidVocabulary,
    *,
    normalize: str = "vocabulary",
    batch_size: int = 256,
) -> npt.NDArray[np.float64]:
    """Score every SID of a trie for one query.

    Parameters
    ----------
    next_logits : callable
        Takes an int64 tensor of shape (B, t), the token ids of the first t tokens of B SIDs, and
        returns the model's logits of the next token, shape (B, V).
    trie : SidTrie
    vocabulary : SidVocabulary
        Of the same sizes.
    normalize : {"vocabulary", "children"}
        As for `SidLogitsProcessor`.
    batch_size : int
        Prefixes at a time.

    Returns
    -------
    ndarray, shape (len(trie),), float64
        Log-probabilities, in the order of `SidTrie.sids`.

    Raises
    ------
    ValueError
        If sizes differ or `normalize` is none of the two.

    Notes
    -----
    The model runs once for each prefix that exists: 1 + K_0 + … for a small catalogue.
    """
    torch = import_torch("score_sids")
    if trie.sizes != vocabulary.sizes:
        raise ValueError(f"the trie has sizes {trie.sizes}; the vocabulary has {vocabulary.sizes}")
    if normalize not in NORMALIZATIONS:
        raise ValueError(f"normalize is {normalize!r}; it must be one of {NORMALIZATIONS}")
    prefixes = np.empty((min(1, len(trie)), 0), dtype=np.int64)
    scores = np.zeros(len(prefixes))
    for depth in range(trie.n_levels):
        tokens, first_child, _ = trie.rows(depth)
        starts = first_child.astype(np.int64)
        parents = np.repeat(np.arange(len(prefixes)), starts[1:] - starts[:-1])
        steps = []
        for first in range(0, len(prefixes), batch_size):
            block = prefixes[first : first + batch_size]
            with torch.no_grad():
                logits = next_logits(torch.from_numpy(block)).double()
            known = torch.log_softmax(logits, dim=1)[:, torch.tensor(vocabulary.ids[depth])]
            steps.append(known.cpu().numpy())
        by_parent = np.concatenate(steps) if steps else np.empty((0, trie.sizes[depth]))
        gained = by_parent[parents, tokens]
        if normalize == "children" and len(parents) > 0:
            gained = gained - np.logaddexp.reduceat(gained, starts[:-1])[parents]
        scores = scores[parents] + gained
        ids = vocabulary.ids[depth][tokens]
        prefixes = np.concatenate([prefixes[parents], ids[:, None]], axis=1)
    return scores
