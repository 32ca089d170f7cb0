"""SIDs with the keys of their items, checked once for all formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._formats import checked_sids
from puresid.arrays import to_numpy
from puresid.assignment import Assignment
from puresid.checks import integer
from puresid.codebooks import Codebooks
from puresid.formats.tokens import checked_sizes

__all__ = ["ItemSids", "item_sids", "read_keys"]

Sids = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ItemSids:
    """Items and their SIDs.

    Attributes
    ----------
    sids : ndarray of uint16 or uint32, shape (N, L)
    keys : ndarray of int64, or list of str
        Items' ids, all different.
    titles : list of str, or None
    sizes : tuple of int, or None
        Tokens per level, where known.
    """

    sids: Sids
    keys: npt.NDArray[np.int64] | list[str]
    titles: list[str] | None = None
    sizes: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.sids)

    @property
    def names(self) -> list[str]:
        """The keys as text."""
        return [str(key) for key in self.keys]

    def by_row(self, format: str) -> Sids:
        """Return SIDs in the order of keys 0, 1, …, for formats whose rows are the keys.

        Raises
        ------
        ValueError
            If the keys are others.
        """
        if not isinstance(self.keys, list):
            order = np.argsort(self.keys, kind="stable")
            if np.array_equal(self.keys[order], np.arange(len(self))):
                return np.ascontiguousarray(self.sids[order])
        raise ValueError(
            f"the format {format!r} has no place for keys: row i is item i, so keys must be 0 to "
            f"{len(self) - 1} in any order"
        )

    def integers(self, format: str) -> npt.NDArray[np.int64]:
        """Return the keys as integers. Raises ValueError if they are text."""
        if isinstance(self.keys, list):
            raise ValueError(f"the format {format!r} has integer keys; {self.keys[0]!r} is none")
        return self.keys

    def known_sizes(self, format: str) -> tuple[int, ...]:
        """Return the sizes. Raises ValueError if they are not known."""
        if self.sizes is None:
            raise ValueError(
                f"the format {format!r} needs the tokens per level; pass sizes, such as "
                "codebooks.sizes"
            )
        return self.sizes

    def token_ids(self, format: str, first_token: int | None) -> npt.NDArray[np.int64]:
        """Return tokens as ids of one vocabulary, level after level from `first_token` on.

        With None, tokens as they are.

        Raises
        ------
        TypeError
            If `first_token` is no integer.
        ValueError
            If it is negative, ids go beyond 2**63 - 1, or the sizes are not known.
        """
        tokens = self.sids.astype(np.int64)
        if first_token is None:
            return tokens
        first_token = integer(first_token, "first_token", 0)
        sizes = self.known_sizes(format)
        if first_token + sum(sizes) > 2**63:
            raise ValueError(
                f"first_token is {first_token}; with {sum(sizes)} tokens, ids would go beyond "
                "2**63 - 1"
            )
        return tokens + first_token + np.cumsum([0, *sizes[:-1]], dtype=np.int64)

    def duplicate(self) -> tuple[int, int] | None:
        """Return two rows with the same SID, or None."""
        if len(self) < 2:
            return None
        _, first, inverse = np.unique(self.sids, axis=0, return_index=True, return_inverse=True)
        owner = first[inverse.reshape(-1)]
        shared = owner != np.arange(len(self))
        if not shared.any():
            return None
        row = int(shared.argmax())
        return int(owner[row]), row


def item_sids(
    result: Any,
    *,
    keys: Any = None,
    titles: Sequence[str] | None = None,
    sizes: Any = None,
) -> ItemSids:
    """Check what `export` was given.

    Raises
    ------
    TypeError
        If keys are neither all integers nor all text, a title is no text, or a size no integer.
    ValueError
        If lengths differ, a key comes twice, SIDs are no matrix of tokens, or a token is beyond its
        level's size.
    """
    sids = checked_sids(
        np.asarray(to_numpy(result.sids if isinstance(result, Assignment) else result)), "sids"
    )
    count = len(sids)
    if titles is not None:
        if isinstance(titles, str) or not isinstance(titles, Iterable):
            raise TypeError(f"titles is {titles!r}; a sequence of text is needed")
        titles = _texts(titles, "titles", "text is needed")
        if len(titles) != count:
            raise ValueError(f"there are {len(titles)} titles; {count} items need {count}")
    return ItemSids(sids, _keys(keys, count), titles, _sizes(result, sizes, sids))


def read_keys(texts: list[str]) -> list[str] | list[int]:
    """Return keys that were read as text: integers where all of them are written as such."""
    whole = all(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", text) for text in texts)
    return [int(text) for text in texts] if whole else texts


def _keys(keys: Any, count: int) -> npt.NDArray[np.int64] | list[str]:
    if keys is None:
        return np.arange(count, dtype=np.int64)
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise TypeError(f"keys is {keys!r}; a sequence of integers or of text is needed")
    keys = np.asarray(to_numpy(keys)) if hasattr(keys, "__array__") else list(keys)
    shape = keys.shape if isinstance(keys, np.ndarray) else (len(keys),)
    if shape != (count,):
        raise ValueError(f"keys has shape {shape}; {count} items need shape ({count},)")
    if isinstance(keys, np.ndarray):
        if keys.dtype.kind not in "iu":
            keys = keys.tolist()
        elif count and int(keys.max()) > np.iinfo(np.int64).max:
            raise ValueError(f"keys has {int(keys.max())}; at most 2**63 - 1 is needed")
    checked: npt.NDArray[np.int64] | list[str]
    if isinstance(keys, np.ndarray) or (count and not isinstance(keys[0], str)):
        checked = keys.astype(np.int64) if isinstance(keys, np.ndarray) else _integers(keys)
        different, counts = np.unique(checked, return_counts=True)
        twice = different[counts > 1].tolist()
    else:  # a list to the end: an array of text drops NUL at the end of each
        checked = _texts(keys, "keys", "all must be integers or all text")
        twice = [key for key, times in Counter(checked).items() if times > 1]
    if twice:
        raise ValueError(f"the key {twice[0]!r} comes more than once")
    return checked


def _integers(keys: list[Any]) -> npt.NDArray[np.int64]:
    for row, key in enumerate(keys):
        if not isinstance(key, (int, np.integer)) or isinstance(key, bool):
            raise TypeError(f"keys[{row}] is {key!r}; all must be integers or all text")
        if not -(2**63) <= key < 2**63:
            raise ValueError(f"keys[{row}] is {key}; integers go from -2**63 to 2**63 - 1")
    return np.array(keys, dtype=np.int64)


def _texts(values: Iterable[Any], name: str, rule: str) -> list[str]:
    texts = []
    for row, text in enumerate(values):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{row}] is {text!r}; {rule}")
        if not text.isascii() and re.search("[\ud800-\udfff]", text):
            raise ValueError(f"{name}[{row}] is {text!r}; half a surrogate pair is no text")
        texts.append(str(text))
    return texts


def _sizes(result: Any, sizes: Any, sids: Sids) -> tuple[int, ...] | None:
    if sizes is None and isinstance(result, Assignment):
        sizes = result.sizes
        if len(sizes) < sids.shape[1]:  # method="suffix": the counter has as many as it needs
            sizes = (*sizes, int(sids[:, -1].max(initial=0)) + 1)
    if sizes is None:
        return None
    checked = checked_sizes(sizes.sizes if isinstance(sizes, Codebooks) else sizes)
    if len(checked) != sids.shape[1]:
        raise ValueError(f"sizes has {len(checked)} levels; SIDs have {sids.shape[1]}")
    for level, size in enumerate(checked):
        most = int(sids[:, level].max(initial=0))
        if most >= size:
            raise ValueError(f"level {level} has token {most}; sizes[{level}] is {size}")
    return checked
