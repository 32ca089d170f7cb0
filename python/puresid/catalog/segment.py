"""`Segment`: items that were added together, found by key, by SID and by prefix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from puresid._formats import CorruptFileError
from puresid.arrays import SidsArray, token_matrix, token_prefix
from puresid.catalog._columns import checked, stored
from puresid.catalog._sid_codes import AskedSids, SidCodes
from puresid.catalog.digests import Digests, vector_digests
from puresid.catalog.index import SortedIndex, check_rows, ragged
from puresid.catalog.keys import Keys, check_kinds, key_tensor_names

__all__ = ["Segment", "vector_digests"]

Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Stages = npt.NDArray[np.int8]
Slots = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False, repr=False)
class Segment:
    """Items that were added together; made by `Segment.of` and `Segment.from_tensors`.

    Every key is there once. A SID may be there more than once, where items share it. All arrays
    are read-only. For look-ups both ways: 24 bytes an item for the indexes, beside its key (8, or 8
    and its text) and its SID.

    Attributes
    ----------
    keys : Keys
    sids : ndarray, shape (n, L), uint16 or uint32
    slots : ndarray, shape (n,), uint8, or None
        Which of the items of its SID each is, where SIDs have more than one.
    digests : ndarray, shape (n, 2), uint64
        Of `vector_digests`.
    stages : ndarray, shape (n,), int8
        Of `Assignment.stages`.
    key_index : SortedIndex
        By the keys' hashes.
    sid_index : SortedIndex
        By the SIDs' codes: in lexicographic order of SIDs.
    codes : SidCodes
    """

    keys: Keys
    sids: SidsArray
    slots: Slots | None
    digests: Digests
    stages: Stages
    key_index: SortedIndex
    sid_index: SortedIndex
    codes: SidCodes

    @classmethod
    def of(
        cls,
        keys: Keys,
        sids: SidsArray,
        *,
        digests: Digests,
        stages: Stages,
        slots: Slots | None = None,
        threads: int | None = None,
    ) -> Segment:
        """Make a segment, without a copy of its arrays, and sort its indexes.

        Parameters
        ----------
        keys : Keys
            No key twice.
        sids : ndarray, shape (n, L), uint16 or uint32
        digests : ndarray, shape (n, 2), uint64
        stages : ndarray, shape (n,), int8
        slots : ndarray, shape (n,), uint8, optional
        threads : int, optional
            Default: what the process may use.

        Raises
        ------
        ValueError
            An array has another shape or type, or a key comes twice (naming the rows).
        """
        arrays: dict[str, Any] = {"sids": sids, "digests": digests, "stages": stages}
        arrays |= {} if slots is None else {"slots": slots}
        columns = {name: checked(name, array, len(keys)) for name, array in arrays.items()}
        check_rows(len(keys), "items")
        codes = SidCodes.of(columns["sids"])
        segment = cls(
            keys,
            columns["sids"],
            columns.get("slots"),
            columns["digests"],
            columns["stages"],
            SortedIndex.of(keys.hashes(threads=threads)),
            SortedIndex.of(
                codes.codes(columns["sids"]), minor=_other_levels(codes, columns["sids"])
            ),
            codes,
        )
        twice = segment._repeated_key()
        if twice is not None:
            raise ValueError(
                f"keys[{twice[1]}] is {keys[twice[1]]!r}, as keys[{twice[0]}] is; "
                "each key once is needed"
            )
        return segment

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"Segment({len(self)} items, {self.n_levels} levels, keys of {self.keys.kind})"

    @property
    def n_levels(self) -> int:
        """Number of levels, L."""
        return int(self.sids.shape[1])

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        slots = 0 if self.slots is None else self.slots.nbytes
        columns = self.sids.nbytes + self.digests.nbytes + self.stages.nbytes + slots
        return self.keys.nbytes + columns + self.key_index.nbytes + self.sid_index.nbytes

    def rows_of(self, keys: Keys, *, threads: int | None = None) -> Rows:
        """Find keys.

        Parameters
        ----------
        keys : Keys
            Of the segment's kind.
        threads : int, optional
            Default: what the process may use.

        Returns
        -------
        ndarray, shape (m,), int64
            The row of each, -1 where it is not there.

        Raises
        ------
        TypeError
            The keys are of another kind.
        """
        hashes = keys.hashes(threads=threads)
        return self.rows_of_some(keys, np.arange(len(keys)), hashes, threads=threads)

    def rows_of_some(
        self, keys: Keys, at: Rows, hashes: Hashes, *, threads: int | None = None
    ) -> Rows:
        """Find some keys, as `rows_of` does: those in the rows `at` of a column, of these hashes.

        So that whoever looks in many segments hashes them once.
        """
        check_kinds(self.keys, keys)
        first, last = self.key_index.find(hashes, threads=threads)
        found = np.full(len(at), -1, dtype=np.int64)
        left = np.flatnonzero(first < last)
        while len(left):  # once, but for different texts of one hash
            rows = self.key_index.rows(first[left])
            same = self.keys.equals(rows, keys, at[left], threads=threads)
            found[left[same]] = rows[same]
            left = left[~same]
            first[left] += 1
            left = left[first[left] < last[left]]
        return found

    def rows_of_sids(self, sids: Any, *, threads: int | None = None) -> tuple[Rows, Rows]:
        """Find all items of SIDs.

        Parameters
        ----------
        sids : array_like of int, shape (m, L)
        threads : int, optional
            Default: what the process may use.

        Returns
        -------
        offsets : ndarray, shape (m + 1,), int64
            Where the rows of each SID begin in `rows`, and where those of the last end.
        rows : ndarray, shape (offsets[-1],), int64
            Those of a SID ascend.

        Raises
        ------
        TypeError, ValueError
            They are no matrix of tokens with L columns.
        """
        asked = AskedSids(token_matrix(sids, self.n_levels, "sids"))
        numbers, rows = self.items_of(asked, threads=threads)
        offsets = np.zeros(len(asked.tokens) + 1, dtype=np.int64)
        np.cumsum(np.bincount(numbers, minlength=len(asked.tokens)), out=offsets[1:])
        return offsets, rows

    def items_of(self, asked: AskedSids, *, threads: int | None = None) -> tuple[Rows, Rows]:
        """Find all items of SIDs, as `rows_of_sids` does.

        Returns
        -------
        numbers : ndarray, shape (n,), int64
            For each item which of the SIDs it has, ascending.
        rows : ndarray, shape (n,), int64
            Those of a SID ascend.
        """
        first, last = self._intervals(asked, threads)
        there = np.flatnonzero(first < last)
        offsets, places = ragged(first[there], last[there])
        return np.repeat(there, np.diff(offsets)), self.sid_index.rows(places)

    def prefix(self, tokens: Any) -> Rows:
        """Find the items whose SIDs begin with some tokens.

        Parameters
        ----------
        tokens : sequence of int
            0 to L of them; none for all items.

        Returns
        -------
        ndarray, shape (m,), int64
            Their rows, in lexicographic order of the SIDs, then by row.

        Raises
        ------
        TypeError, ValueError
            They are no tokens, or more than L.
        """
        given = token_prefix(tokens, self.n_levels, "tokens")
        if len(given) == 0:
            return self.sid_index.order.astype(np.int64)
        first, last = self._intervals(AskedSids(given[None]), 1)
        return self.sid_index.rows(np.arange(first[0], last[0]))

    def repeated_sids(self) -> Rows:
        """Return the rows whose SID, and slot where there are slots, an earlier row has.

        Returns
        -------
        ndarray, shape (m,), int64
            Ascending. Empty where every item has a SID, or a slot of one, for itself.
        """
        order = self.sid_index.order
        minor = _other_levels(self.codes, self.sids)
        same = self.sid_index.values[1:] == self.sid_index.values[:-1]
        places = np.flatnonzero(same) + 1
        for level in minor:
            places = places[level[order[places]] == level[order[places - 1]]]
        if self.slots is None:
            return np.sort(self.sid_index.rows(places))
        rows = np.unique(order[np.concatenate([places - 1, places])])
        known = np.column_stack([self.sids[rows], self.slots[rows]])
        once = np.unique(known, axis=0, return_index=True)[1]
        return np.delete(rows, once).astype(np.int64)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return it as arrays for a file.

        Returns
        -------
        dict of str to ndarray
            ``keys`` or ``key_bytes`` and ``key_offsets``; ``sids``, ``slots`` (where there are),
            ``digests``, ``stages``; ``by_key_values``, ``by_key_order``, ``by_sid_values`` and
            ``by_sid_order``.
        """
        slots = {} if self.slots is None else {"slots": self.slots}
        return (
            self.keys.tensors()
            | {"sids": self.sids, "digests": self.digests, "stages": self.stages}
            | slots
            | self.key_index.tensors("by_key_")
            | self.sid_index.tensors("by_sid_")
        )

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Any],
        *,
        where: str = "segment",
        check: bool = True,
        threads: int | None = None,
    ) -> Segment:
        """Take it from the arrays of a file, without a copy.

        Parameters
        ----------
        tensors : mapping of str to ndarray
            Those of `to_tensors` and no others; they may be memory-mapped.
        where : str
            How errors call the file.
        check : bool
            Whether to look at every item: that texts are UTF-8, indexes are those of the keys and
            SIDs, and no key comes twice. Without it only names, types and shapes are looked at, and
            the SIDs' largest tokens. Even then no look-up reads outside the arrays: what is wrong
            in them is an error, or a wrong answer.
        threads : int, optional
            Default: what the process may use.

        Raises
        ------
        CorruptFileError
            Naming the file, the array and the place.
        """
        keys = Keys.from_tensors(tensors, where=where, check=check)
        names = {*key_tensor_names(keys.kind), *_COLUMNS, *_INDEXES} - {"slots"}
        wrong = (tensors.keys() - {"slots"}) ^ names
        if wrong:
            raise CorruptFileError(
                f"{where} holds the arrays {sorted(tensors)}; "
                f"{sorted(wrong)[0]!r} is missing or one too many"
            )
        rows = len(keys)
        columns = {
            name: stored(tensors, name, rows, where=where) for name in _COLUMNS if name in tensors
        }
        segment = cls(
            keys,
            columns["sids"],
            columns.get("slots"),
            columns["digests"],
            columns["stages"],
            SortedIndex.from_tensors(tensors, "by_key_", rows=rows, where=where),
            SortedIndex.from_tensors(tensors, "by_sid_", rows=rows, where=where),
            SidCodes.of(columns["sids"]),
        )
        if check:
            segment._check_indexes(where, threads)
        return segment

    def _check_indexes(self, where: str, threads: int | None) -> None:
        self.key_index.check(self.keys.hashes(threads=threads), where=f"{where}: by_key")
        self.sid_index.check(
            self.codes.codes(self.sids),
            minor=_other_levels(self.codes, self.sids),
            where=f"{where}: by_sid",
        )
        twice = self._repeated_key()
        if twice is not None:
            raise CorruptFileError(
                f"{where}: keys {twice[0]} and {twice[1]} are both {self.keys[twice[1]]!r}"
            )

    def _repeated_key(self) -> tuple[int, int] | None:
        """Return two rows of one key, or None."""
        values = self.key_index.values
        if not (values[1:] == values[:-1]).any():
            return None
        repeated = self.keys.duplicates()
        if len(repeated) == 0:
            return None
        row = int(repeated[0])
        same = np.flatnonzero(self.keys.equals([row] * row, self.keys, np.arange(row)))
        return int(same[0]), row

    def _intervals(self, asked: AskedSids, threads: int | None) -> tuple[Rows, Rows]:
        """Return which places of the SID index have SIDs that begin so."""
        low, high, beyond = asked.bounds(self.codes)
        first, last = self.sid_index.between(low, high, threads=threads)
        last[beyond] = first[beyond]
        for level in range(self.codes.packed, asked.tokens.shape[1]):
            column, wanted = self.sids[:, level], asked.tokens[:, level]
            above = self._place(column, wanted, first, last, after=True)
            first = self._place(column, wanted, first, last, after=False)
            last = above
        return first, last

    def _place(
        self, column: SidsArray, wanted: Any, first: Rows, last: Rows, *, after: bool
    ) -> Rows:
        """Bisect each interval for where a token would go, among those of a level in it."""
        low, high = first.copy(), last.copy()
        while (open_ := np.flatnonzero(low < high)).size:
            middle = (low[open_] + high[open_]) // 2
            found = column[self.sid_index.order[middle]]
            right = found <= wanted[open_] if after else found < wanted[open_]
            low[open_[right]] = middle[right] + 1
            high[open_[~right]] = middle[~right]
        return cast("Rows", low)


_COLUMNS = ("sids", "slots", "digests", "stages")
_INDEXES = ("by_key_values", "by_key_order", "by_sid_values", "by_sid_order")


def _other_levels(codes: SidCodes, sids: SidsArray) -> list[npt.NDArray[Any]]:
    """Return the columns that are not in a code, in the order of levels."""
    return [sids[:, level] for level in range(codes.packed, sids.shape[1])]
