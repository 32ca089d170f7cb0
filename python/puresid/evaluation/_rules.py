"""What the values of a config may be: one small function for each kind of value.

A rule takes a value and its place (``[model] dim``) and returns the value as it is kept, or raises
ValueError with what is wrong, the rule and the place.
"""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rule = Callable[[Any, str], Any]

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class ConfigError(ValueError):
    """A config that cannot be: the message names file, table, key and what is allowed."""


@dataclass(frozen=True)
class FilePath:
    """A path as a config has it, and where it leads.

    Results repeat `written`, which says the same on every machine; files are opened at `path`.
    """

    written: str
    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @classmethod
    def of(cls, value: Any, place: str, folder: Path | None = None) -> FilePath:
        """Expand ``$VAR``, ``${VAR}`` and ``~``; what is relative is relative to `folder`.

        Raises
        ------
        ConfigError
            If it is no text or empty, or a variable of it is unset or empty.
        """
        if isinstance(value, FilePath):
            return value
        written = text(os.fspath(value) if isinstance(value, os.PathLike) else value, place)

        def variable(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if not os.environ.get(name):
                raise ConfigError(
                    f"{place} is {written!r}; the environment variable {name} is unset"
                )
            return os.environ[name]

        path = Path(_VARIABLE.sub(variable, written)).expanduser()
        return cls(written, Path(os.path.abspath((folder or Path()) / path)))


def text(value: Any, place: str) -> str:
    """Hold `value` to be a string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{place} is {value!r}; a text that is not empty is needed")
    return value


def flag(value: Any, place: str) -> bool:
    """Hold `value` to be True or False, and nothing that is like them."""
    if not isinstance(value, bool):
        raise ConfigError(f"{place} is {value!r}; true or false is needed")
    return value


def choice(*names: str) -> Rule:
    """Make the rule for one of `names`."""

    def rule(value: Any, place: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise ConfigError(f"{place} is {value!r}; it must be one of {_listed(names)}")
        return value

    return rule


def whole(least: int, most: int | None = None) -> Rule:
    """Make the rule for an integer from `least` to `most`."""

    def rule(value: Any, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{place} is {value!r}; an integer is needed")
        if value < least or (most is not None and value > most):
            limits = f"at least {least}" if most is None else f"from {least} to {most}"
            raise ConfigError(f"{place} is {value}; {limits} is needed")
        return value

    return rule


def real(least: float, below: float = math.inf, *, positive: bool = False) -> Rule:
    """Make the rule for a finite number from `least` on and below `below`."""

    def rule(value: Any, place: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"{place} is {value!r}; a number is needed")
        if not least <= value < below or (positive and value == 0):
            lower = "above 0" if positive else f"at least {least:g}"
            upper = "" if below == math.inf else f" and below {below:g}"
            raise ConfigError(f"{place} is {value}; it must be {lower}{upper}")
        return float(value)

    return rule


def several(rule: Rule) -> Rule:
    """Make the rule for a list without repetitions, kept as a tuple."""

    def both(value: Any, place: str) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigError(f"{place} is {value!r}; a list that is not empty is needed")
        kept = tuple(rule(part, f"{place}[{number}]") for number, part in enumerate(value))
        for number, part in enumerate(kept):
            if part in kept[:number]:
                raise ConfigError(f"{place}[{number}] is {part!r}, which the list has already")
        return kept

    return both


def sizes(value: Any, place: str) -> int | tuple[int, ...]:
    """Hold `value` to be one size for all levels, or a list of them."""
    rule = whole(1)
    if isinstance(value, (list, tuple)):
        if not value:
            raise ConfigError(f"{place} is empty; a size for each level is needed")
        return tuple(rule(part, f"{place}[{number}]") for number, part in enumerate(value))
    return int(rule(value, place))


def plain_table(value: Any, place: str) -> dict[str, Any]:
    """Hold `value` to be a table of numbers, texts, flags, or lists of them."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place} is {value!r}; a table is needed")
    for key, part in value.items():
        parts = part if isinstance(part, (list, tuple)) else [part]
        if not all(isinstance(one, (bool, int, float, str)) for one in parts):
            raise ConfigError(f"{place} {key} is {part!r}; numbers, texts and flags are possible")
    return dict(value)


def check_names(given: Mapping[str, Any], allowed: Sequence[str], place: str) -> None:
    """Refuse keys that are not among `allowed`."""
    for key in given:
        if key not in allowed:
            known = _listed(allowed) if allowed else "nothing"
            raise ConfigError(f"{place} has the unknown key {key!r}; possible: {known}")


def check_options(
    function: Any, options: Mapping[str, Any], fixed: Sequence[str], place: str
) -> None:
    """Refuse options that are no keyword arguments of `function`, or that others set (`fixed`)."""
    allowed = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in fixed
    ]
    check_names(options, allowed, place)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
