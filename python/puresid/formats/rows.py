"""SIDs with the keys of their items, checked once for all formats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._formats import checked_sids
from puresid.arrays import to_numpy
from puresid.assignment import Assignment
from puresid.codebooks import Codebooks

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
        """
        tokens = self.sids.astype(np.int64)
        if first_token is None:
            return tokens
        if first_token < 0:
            raise ValueError(f"first_token is {first_token}; at least 0 is needed")
        sizes = self.known_sizes(format)
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
        If keys are neither integers nor text.
    ValueError
        If lengths differ, a key comes twice, SIDs are no matrix of tokens, or a token is beyond its
        level's size.
    """
    sids = checked_sids(
        np.asarray(to_numpy(result.sids if isinstance(result, Assignment) else result)), "sids"
    )
    count = len(sids)
    if titles is not None:
        titles = [str(title) for title in titles]
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
    array = np.asarray(to_numpy(keys) if hasattr(keys, "__array__") else list(keys))
    if array.shape != (count,):
        raise ValueError(f"keys has shape {array.shape}; {count} items need shape ({count},)")
    if count and array.dtype.kind not in "iuUO":
        raise TypeError(f"keys has dtype {array.dtype}; integers or text are needed")
    checked: npt.NDArray[np.int64] | list[str]
    if array.dtype.kind in "iu":
        if count and int(array.max()) > np.iinfo(np.int64).max:
            raise ValueError(f"keys has {int(array.max())}; at most 2**63 - 1 is needed")
        checked = array.astype(np.int64)
    else:
        checked = array.tolist()
        wrong = [key for key in checked if not isinstance(key, str)]
        if wrong:
            raise TypeError(f"keys has {wrong[0]!r}; all must be integers or all text")
    different, counts = np.unique(np.asarray(checked), return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"the key {different[counts.argmax()].item()!r} comes more than once")
    return checked


def _sizes(result: Any, sizes: Any, sids: Sids) -> tuple[int, ...] | None:
    if sizes is None and isinstance(result, Assignment):
        sizes = result.sizes
        if len(sizes) < sids.shape[1]:  # method="suffix": the counter has as many as it needs
            sizes = (*sizes, int(sids[:, -1].max(initial=0)) + 1)
    if sizes is None:
        return None
    checked = tuple(int(size) for size in (sizes.sizes if isinstance(sizes, Codebooks) else sizes))
    if len(checked) != sids.shape[1]:
        raise ValueError(f"sizes has {len(checked)} levels; SIDs have {sids.shape[1]}")
    for level, size in enumerate(checked):
        most = int(sids[:, level].max(initial=0))
        if most >= size:
            raise ValueError(f"level {level} has token {most}; sizes[{level}] is {size}")
    return checked
