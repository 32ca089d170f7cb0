"""Constrained decoding: the SIDs that exist, as a trie, and language models that generate them.

`SidTrie` needs only numpy; `DeviceTrie` and `SidLogitsProcessor` need torch, which they import
when they are made.
"""

from puresid.decoding.device import DeviceTrie
from puresid.decoding.exact import score_sids
from puresid.decoding.logits import SidLogitsProcessor
from puresid.decoding.trie import LiveSids, SidTrie
from puresid.decoding.vocabulary import SidVocabulary

__all__ = [
    "DeviceTrie",
    "LiveSids",
    "SidLogitsProcessor",
    "SidTrie",
    "SidVocabulary",
    "score_sids",
]
