"""`SidTrie`: which tokens may follow a prefix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from puresid import _core
from puresid._described import check_format, read_described, write_described
from puresid._formats import checked_sids
from puresid.arrays import to_numpy, token_matrix

if TYPE_CHECKING:
    from puresid.decoding.device import DeviceTrie

_FORMAT = "puresid.trie"

Bools = npt.NDArray[np.bool_]
Tokens = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class LiveSids:
    """Which of a trie's SIDs count at present; made by `SidTrie.live`.

    Attributes
    ----------
    members : ndarray, shape (len(trie),), bool
        By SID, in the order of `SidTrie.sids`. Read-only.
    """

    members: Bools
    _leaves: Any
    _trie: SidTrie
    _generation: int


class SidTrie:
    """The SIDs that exist.

    Parameters
    ----------
    sids : array_like of int, shape (N, L)
        In any order; a SID that comes twice is there once.
    sizes : sequence of int, optional
        Tokens per level, K_l. Default: one more than the largest token of each level.

    Raises
    ------
    TypeError
        If tokens are not integers.
    ValueError
        If there is no SID and no `sizes`, a token is not below its size (naming the row), or a SID
        needs more than 64 bits.

    Notes
    -----
    Memory: about 8 bytes a SID and 12 a node. Reading from several threads is safe while none adds
    or removes.

    Examples
    --------
    >>> trie = SidTrie([[0, 1], [0, 2], [1, 0]])
    >>> trie.allowed([[0], [1]]).tolist()
    [[False, True, True], [True, False, False]]
    """

    def __init__(self, sids: Any, *, sizes: Sequence[int] | None = None) -> None:
        if sizes is None:
            tokens = checked_sids(np.asarray(to_numpy(sids)), "sids")
            if len(tokens) == 0:
                raise ValueError("sids is empty; name the sizes of the levels")
            sizes = [int(top) + 1 for top in tokens.max(axis=0)]
        self._sizes = tuple(int(size) for size in sizes)
        if not self._sizes or min(self._sizes) < 1:
            raise ValueError(f"sizes is {self._sizes}; at least one level of at least 1 is needed")
        rows = token_matrix(sids, len(self._sizes), "sids")
        self._core = _core.SidTrie(list(self._sizes), rows)
        self._generation = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Tokens per level, K_l."""
        return self._sizes

    @property
    def n_levels(self) -> int:
        """Number of levels, L."""
        return len(self._sizes)

    @property
    def sids(self) -> Tokens:
        """All SIDs in lexicographic order, shape (N, L), uint32: STATIC's layout."""
        sids: Tokens = self._core.sids()
        return sids

    def __len__(self) -> int:
        return len(self._core)

    def add(self, sids: Any) -> int:
        """Add SIDs; return how many were not there.

        Costs a pass over all SIDs. What `live` and `to` gave before belongs to the old state.

        Raises
        ------
        TypeError, ValueError
            As for the constructor.
        """
        return self._change(self._core.add, sids)

    def remove(self, sids: Any) -> int:
        """Remove SIDs; return how many were there. Otherwise as `add`."""
        return self._change(self._core.remove, sids)

    def _change(self, change: Any, sids: Any) -> int:
        changed = int(change(token_matrix(sids, self.n_levels, "sids")))
        self._generation += changed > 0
        return changed

    def find(self, sids: Any) -> npt.NDArray[np.int64]:
        """Return the places of SIDs in `sids`, -1 for those that are not there: shape (M,)."""
        places: npt.NDArray[np.int64] = self._core.find(token_matrix(sids, self.n_levels, "sids"))
        return places

    def __contains__(self, sid: object) -> bool:
        return bool(self.find([sid])[0] >= 0)

    def live(self, sids: Any = None, *, members: Any = None) -> LiveSids:
        """Say which SIDs count at present (are fresh, in stock, unseen), for `allowed`.

        Costs a bit a SID and no rebuild: the SIDs below a prefix are one interval.

        Parameters
        ----------
        sids : array_like of int, shape (M, L), optional
            Those that count; all must be in the trie.
        members : array_like of bool, shape (len(trie),), optional
            In place of `sids`: one value for each of `SidTrie.sids`, in their order.

        Returns
        -------
        LiveSids
            For as long as nothing is added or removed.

        Raises
        ------
        TypeError
            If not exactly one of the two is given.
        ValueError
            If a SID is not in the trie (naming the row), or there are more or fewer members.
        """
        if (sids is None) == (members is None):
            raise TypeError("live needs either sids or members")
        if sids is not None:
            places = self.find(sids)
            if (places < 0).any():
                row = int((places < 0).argmax())
                raise ValueError(
                    f"sids[{row}] is {np.asarray(to_numpy(sids))[row].tolist()}, not in the trie"
                )
            chosen = np.zeros(len(self), dtype=np.bool_)
            chosen[places] = True
        else:
            chosen = np.array(to_numpy(members))
            if chosen.dtype != np.bool_ or chosen.shape != (len(self),):
                raise ValueError(
                    f"members has shape {chosen.shape} and dtype {chosen.dtype}; "
                    f"({len(self)},) and bool are needed"
                )
        chosen.flags.writeable = False
        return LiveSids(chosen, _core.LeafSet(chosen.view(np.uint8)), self, self._generation)

    def _leaves_of(self, live: LiveSids | None) -> Any:
        if live is None:
            return None
        if live._trie is not self or live._generation != self._generation:
            raise ValueError("live belongs to another trie, or to the time before add or remove")
        return live._leaves

    def allowed(self, prefixes: Any, *, live: LiveSids | None = None) -> Bools:
        """Return which tokens may come next.

        Parameters
        ----------
        prefixes : array_like of int, shape (B, t) with t < L
            The first t tokens of each beam.
        live : LiveSids, optional
            Only these SIDs.

        Returns
        -------
        ndarray, shape (B, K_t), bool
            No token for a prefix that no SID has.

        Raises
        ------
        TypeError
            If tokens are not integers.
        ValueError
            If there are L tokens or more, or `live` is not of this trie as it is now.
        """
        mask: Bools = self._core.mask(_prefixes(prefixes), self._leaves_of(live))
        return mask

    def allowed_tokens(
        self, prefixes: Any, *, live: LiveSids | None = None
    ) -> tuple[npt.NDArray[np.int64], Tokens]:
        """Return which tokens may come next, as lists.

        Returns
        -------
        offsets : ndarray, shape (B + 1,), int64
        tokens : ndarray, uint32
            Those of beam b are ``tokens[offsets[b]:offsets[b + 1]]``, ascending.

        Raises
        ------
        TypeError, ValueError
            As `allowed`.
        """
        offsets, tokens = self._core.lists(_prefixes(prefixes), self._leaves_of(live))
        return offsets, tokens

    def to(self, device: Any = "cpu", *, live: LiveSids | None = None) -> DeviceTrie:
        """Return the trie as torch tensors on a device. Needs torch."""
        from puresid.decoding.device import DeviceTrie

        return DeviceTrie(self, device=device, live=live)

    def rows(self, depth: int) -> tuple[Tokens, Tokens, Tokens]:
        """Return the compressed rows of a depth below L.

        Returns
        -------
        tokens : ndarray, uint32
            By node of depth + 1, in lexicographic order: its last token.
        first_child, first_leaf : ndarray, uint32
            By node of `depth`, and one more: where its children begin among those, and its SIDs
            among `sids`.
        """
        if not 0 <= depth < self.n_levels:
            raise ValueError(f"depth is {depth}; from 0 to {self.n_levels - 1} are possible")
        core = self._core
        return core.tokens(depth + 1), core.first_child(depth), core.first_leaf(depth)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, whole or not at all; the same bytes for the same trie."""
        write_described(path, _FORMAT, {"sizes": self._sizes}, {"sids": self.sids})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SidTrie:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If the file is damaged or holds no trie (naming it).
        OSError
            If it cannot be read.
        """
        description, tensors = read_described(path)
        check_format(path, description, _FORMAT)
        try:
            return cls(tensors["sids"], sizes=description["sizes"])
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} holds no trie: {error!r}") from error

    def __repr__(self) -> str:
        return f"SidTrie({len(self):,} SIDs, sizes={self._sizes})"


def _prefixes(values: Any) -> Tokens:
    array = np.asarray(to_numpy(values))
    if array.ndim != 2:
        raise ValueError(f"prefixes has shape {array.shape}; (beams, tokens) is needed")
    if array.size == 0:
        return np.empty(array.shape, dtype=np.uint32)
    return token_matrix(array, array.shape[1], "prefixes")
