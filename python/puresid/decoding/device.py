"""`DeviceTrie`: a trie as torch tensors, for beams that live on an accelerator."""

from __future__ import annotations

from typing import Any

import numpy as np

from puresid._torch import import_torch
from puresid.decoding.trie import LiveSids, SidTrie


class DeviceTrie:
    """A `SidTrie` as it was, as tensors on a device.

    Every step is a few gathers for the whole batch of beams: no Python per beam, and no value comes
    back from the device.

    Parameters
    ----------
    trie : SidTrie
    device : str or torch.device
    live : LiveSids, optional
        Only these SIDs.

    Raises
    ------
    ImportError
        If torch is not installed.
    ValueError
        If `live` is not of this trie as it is now.
    """

    def __init__(self, trie: SidTrie, *, device: Any = "cpu", live: LiveSids | None = None) -> None:
        torch = import_torch("decoding on a device")
        trie._leaves_of(live)
        self.sizes = trie.sizes
        self._empty = len(trie) == 0
        self._levels = []
        counts = None
        if live is not None:
            counts = np.concatenate([[0], np.cumsum(live.members)])
        for depth in range(trie.n_levels):
            tokens, first_child, _ = trie.rows(depth)
            starts = first_child.astype(np.int64)
            children = starts[1:] - starts[:-1]
            parents = np.repeat(np.arange(len(children)), children)
            alive = np.ones(len(tokens), dtype=np.bool_)
            if counts is not None:
                ends = trie.rows(depth + 1)[2] if depth + 1 < trie.n_levels else None
                leaves = np.arange(len(tokens) + 1) if ends is None else ends.astype(np.int64)
                alive = np.diff(counts[leaves]) > 0
            self._levels.append(
                _Level(
                    tokens=torch.from_numpy(tokens.astype(np.int64)).to(device),
                    keys=torch.from_numpy(parents * trie.sizes[depth] + tokens).to(device),
                    first=torch.from_numpy(first_child.astype(np.int64)).to(device),
                    alive=None if counts is None else torch.from_numpy(alive).to(device),
                    most=int(children.max(initial=0)),
                )
            )
        self._ranges = torch.arange(max(level.most for level in self._levels), device=device)

    @property
    def n_levels(self) -> int:
        """Number of levels, L."""
        return len(self.sizes)

    def root(self, beams: int) -> Any:
        """Return the state before the first token: int64 tensor of shape (beams,)."""
        torch = import_torch("decoding on a device")
        nodes = torch.zeros(beams, dtype=torch.int64, device=self._ranges.device)
        return nodes - 1 if self._empty else nodes

    def advance(self, nodes: Any, tokens: Any, depth: int) -> Any:
        """Go on by one token each.

        Parameters
        ----------
        nodes : tensor of int64, shape (B,)
            Of `depth`, from `root` or `advance`; -1 stays -1.
        tokens : tensor of int64, shape (B,)
            Anything outside 0 to K - 1 leads nowhere.
        depth : int
            How many tokens came before, 0 to L - 1.

        Returns
        -------
        tensor of int64, shape (B,)
            Nodes of depth + 1; -1 where no SID begins so.
        """
        torch = import_torch("decoding on a device")
        level, size = self._levels[depth], self.sizes[depth]
        if len(level.keys) == 0:
            return torch.full_like(nodes, -1)
        wanted = nodes * size + tokens
        places = torch.searchsorted(level.keys, wanted).clamp_(max=len(level.keys) - 1)
        found = (level.keys[places] == wanted) & (nodes >= 0) & (tokens >= 0) & (tokens < size)
        return torch.where(found, places, -1)

    def mask(self, nodes: Any, depth: int) -> Any:
        """Return which tokens may come next: bool tensor of shape (B, K_depth)."""
        torch = import_torch("decoding on a device")
        level, size = self._levels[depth], self.sizes[depth]
        allowed = torch.zeros(len(nodes), size + 1, dtype=torch.bool, device=nodes.device)
        if len(level.tokens) > 0:
            known = nodes.clamp(min=0)
            starts, ends = level.first[known], level.first[known + 1]
            places = starts[:, None] + self._ranges[: level.most]
            valid = (places < ends[:, None]) & (nodes >= 0)[:, None]
            places = places.clamp_(max=len(level.tokens) - 1)
            if level.alive is not None:
                valid &= level.alive[places]
            # What is not valid goes to a column that is cut off.
            allowed.scatter_(1, torch.where(valid, level.tokens[places], size), True)
        return allowed[:, :size]

    def walk(self, prefixes: Any) -> Any:
        """Return the nodes of prefixes, an int64 tensor of shape (B, t); -1 for none."""
        nodes = self.root(prefixes.shape[0])
        for depth in range(prefixes.shape[1]):
            nodes = self.advance(nodes, prefixes[:, depth], depth)
        return nodes

    def allowed(self, prefixes: Any) -> Any:
        """Return which tokens may follow prefixes.

        Parameters
        ----------
        prefixes : tensor of int64, shape (B, t) with t < L, on the device

        Returns
        -------
        tensor of bool, shape (B, K_t)

        Raises
        ------
        ValueError
            If there are L tokens or more.
        """
        depth = int(prefixes.shape[1])
        if depth >= self.n_levels:
            raise ValueError(
                f"prefixes have {depth} tokens; at most {self.n_levels - 1} are possible in a "
                f"trie of {self.n_levels} levels"
            )
        return self.mask(self.walk(prefixes), depth)


class _Level:
    """The children of one depth's nodes."""

    def __init__(self, *, tokens: Any, keys: Any, first: Any, alive: Any, most: int) -> None:
        self.tokens = tokens  # by child
        self.keys = keys  # by child: parent * K + token, ascending
        self.first = first  # by parent, and one more
        self.alive = alive  # by child, or None where all are
        self.most = most  # children of one parent
