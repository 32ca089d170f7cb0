"""`Places`: where items are among the parts of a catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Places", "Rows", "grouped"]

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Places:
    """Where items are: in which part, and in which row of it; -1 in both for nowhere.

    Attributes
    ----------
    parts : ndarray, shape (m,), int64
    rows : ndarray, shape (m,), int64
    """

    parts: Rows
    rows: Rows

    @classmethod
    def none(cls) -> Places:
        """Return no places."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

    @classmethod
    def nowhere(cls, count: int) -> Places:
        """Return so many items that are nowhere."""
        return cls(np.full(count, -1, dtype=np.int64), np.full(count, -1, dtype=np.int64))

    @classmethod
    def of_part(cls, part: int, rows: Rows) -> Places:
        """Return rows of one part."""
        return cls(np.full(len(rows), part, dtype=np.int64), rows)

    @classmethod
    def joined(cls, columns: Sequence[Places]) -> Places:
        """Return some places after the others."""
        several = [cls.none(), *columns]
        return cls(
            np.concatenate([places.parts for places in several]),
            np.concatenate([places.rows for places in several]),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, which: Any) -> Places:
        """Return those that a mask, or an array of numbers, chooses."""
        return Places(self.parts[which], self.rows[which])

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Which of them are somewhere."""
        return self.rows >= 0

    def by_part(self) -> Iterator[tuple[int, Rows]]:
        """Yield each part that comes, and where in the arrays it does."""
        yield from ((part, at) for part, at in grouped(self.parts) if part >= 0)


def grouped(numbers: npt.NDArray[Any]) -> Iterator[tuple[int, Rows]]:
    """Yield each number that comes, ascending, and where it does, ascending."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    for at in np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1):
        if len(at):
            yield int(numbers[at[0]]), at
