"""A run of the long form: its options, what it prints, and what was wrong."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Run:
    """The options, how long there still is, and what was wrong."""

    options: argparse.Namespace
    problems: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        minutes = self.options.minutes
        return minutes is not None and time.monotonic() - self.started > 60 * minutes

    def chosen(self, name: str) -> bool:
        return self.options.only is None or self.options.only in name

    def say(self, *cells: object) -> None:
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)

    def head(self, title: str, *cells: str) -> None:
        print(f"\n## {title}\n")
        self.say(*cells)
        self.say(*("---" for _ in cells))

    @property
    def left(self) -> float:
        """Seconds that are left; infinite without a limit."""
        minutes = self.options.minutes
        if minutes is None:
            return float("inf")
        return float(60 * minutes - (time.monotonic() - self.started))


@dataclass
class Tried:
    """Counts by way, and what went wrong."""

    tried: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    exact: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    calls: int = 0

    def note(self, ways: list[str], outcome: str, place: str) -> None:
        self.calls += 1
        self.tried.update(ways)
        kinds = {"refused": self.refused, "exact": self.exact}
        kinds.get(outcome, self.wrong).update(ways)
        if outcome not in kinds:
            self.problems.append(f"{place}, {' + '.join(ways)}: {outcome}")
