"""What a catalogue has said of its items, and whether it keeps its word.

The ledger knows nothing of how SIDs are found. It takes down who has which, generation by
generation: a published SID must not move, have two owners, or be given out again before its time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .catalog_model import Key, Place


class Wrong(Exception):
    """The catalogue and the model, or the ledger, disagree."""


@dataclass
class Ledger:
    """Who has had what, in an epoch: for each place the keys, with when they came and went."""

    recycle_after: int | None
    share: bool
    owned: dict[Key, tuple[Place, Any]] = field(default_factory=dict)
    past: dict[Place, list[tuple[Key, int, int | None]]] = field(default_factory=dict)
    recycled: int = 0

    def take_down(
        self, now: dict[Key, tuple[Place, Any]], generation: int, may_move: set[Key]
    ) -> None:
        for key in self.owned:
            if key in now and now[key][0] != self.owned[key][0] and key not in may_move:
                raise Wrong(f"the SID of {key!r} moved from {self.owned[key][0]} to {now[key][0]}")
        for key in [key for key in self.owned if key not in now or key in may_move]:
            place, _ = self.owned.pop(key)
            self.past[place] = [
                (who, since, generation if who == key and until is None else until)
                for who, since, until in self.past[place]
            ]
        for key, (place, vector) in now.items():
            if key not in self.owned:
                self._check_free(key, place, vector, now, generation)
                self.past.setdefault(place, []).append((key, generation, None))
        self.owned = dict(now)

    def _check_free(
        self, key: Key, place: Place, vector: Any, now: dict[Key, tuple[Place, Any]], when: int
    ) -> None:
        others = [who for who, (its, _) in now.items() if its == place and who != key]
        if others and not (self.share and any(now[who][1] == vector for who in others)):
            raise Wrong(f"{place} was given to {key!r}, and {others[0]!r} has it")
        for who, _, until in self.past.get(place, []):
            if until is None or others:
                continue
            if self.recycle_after is None or when < until + self.recycle_after:
                raise Wrong(f"{place} was given to {key!r} in {when}; {who!r} left it in {until}")
            self.recycled += 1
