"""SIDs as 64-bit codes that sort as the SIDs do, as far as they fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt

from puresid.arrays import SidsArray

__all__ = ["AskedSids", "SidCodes"]

Codes = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SidCodes:
    """How the leading tokens of SIDs share a code, the first in the highest bits.

    As many levels as fit in 64 bits: all of them, for the codebooks that `assign` takes. Where some
    do not fit, SIDs of one code are told apart by the other levels.

    Attributes
    ----------
    bits : tuple of int
        By level: how many bits its largest token needs.
    """

    bits: tuple[int, ...]

    @classmethod
    def of(cls, sids: SidsArray) -> SidCodes:
        """Return the narrowest for some SIDs."""
        tops = sids.max(axis=0, initial=0).tolist()
        return cls(tuple(int(top).bit_length() for top in tops))

    @cached_property
    def packed(self) -> int:
        """How many levels are in a code."""
        return int(np.searchsorted(np.cumsum(self.bits), 64, side="right"))

    def codes(self, sids: SidsArray) -> Codes:
        """Return the code of each row; its tokens must be in reach."""
        codes = np.zeros(len(sids), dtype=np.uint64)
        for level in range(min(self.packed, sids.shape[1])):
            codes <<= np.uint64(self.bits[level])
            codes |= sids[:, level]
        return codes

    def in_reach(self, prefixes: npt.NDArray[np.uint32]) -> Bools:
        """Whether no token of a row is beyond its level's bits."""
        limits = np.array(
            [(1 << bits) - 1 for bits in self.bits[: prefixes.shape[1]]], dtype=np.uint32
        )
        return cast("Bools", (prefixes <= limits).all(axis=1))

    def bounds(self, prefixes: npt.NDArray[np.uint32]) -> tuple[Codes, Codes]:
        """Return the lowest and the highest code under each prefix, whose tokens are in reach."""
        low = self.codes(prefixes)
        below = sum(self.bits[prefixes.shape[1] : self.packed])
        if below >= 64:  # no shift of a word by all its bits: NumPy leaves open what that is
            return low, np.full(len(low), np.iinfo(np.uint64).max)
        low <<= np.uint64(below)
        return low, low | np.uint64((1 << below) - 1)


@dataclass(eq=False)
class AskedSids:
    """SIDs, or prefixes of one length, that are looked up in many segments.

    Segments have few layouts of codes, most of them the same one: what follows from the last is
    kept. Not for several threads.

    Attributes
    ----------
    tokens : ndarray, shape (m, n), uint32
    """

    tokens: npt.NDArray[np.uint32]
    _last: tuple[SidCodes, tuple[Codes, Codes, Rows]] | None = field(default=None, init=False)

    def bounds(self, codes: SidCodes) -> tuple[Codes, Codes, Rows]:
        """Return `SidCodes.bounds`, and the rows that are not in reach, which are nowhere."""
        if self._last is None or self._last[0] != codes:
            beyond = np.flatnonzero(~codes.in_reach(self.tokens))
            self._last = codes, (*codes.bounds(self.tokens), beyond)
        return self._last[1]
