"""SIDs as text: the token strings of the field, and the tokens that a tokenizer has to learn."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from puresid._formats import checked_sids
from puresid.arrays import to_numpy
from puresid.checks import integer

__all__ = ["TEMPLATES", "TokenTemplate", "new_tokens", "read_tokens", "token_strings"]

_FIELDS = {"letter": "[a-z]", "level": "[0-9]+", "token": "[0-9]+"}
_DIGITS = 18  # fit an int64, whatever they are
_NOT_WHOLE = tuple("cneEfFgG%")  # formats that round, change with the locale, or end at U+10FFFF


@dataclass(frozen=True)
class TokenTemplate:
    """How a SID becomes text.

    Attributes
    ----------
    token : str
        One token's text, with the fields ``{token}``, ``{level}`` (0, 1, …) and ``{letter}`` (a,
        b, …).
    start, end : str
        What stands around a SID.
    separator : str
        What stands between tokens.

    Raises
    ------
    ValueError
        If `token` lacks ``{token}``, has another field, or a format that is none for integers.
    TypeError
        If one of the four is no text.
    """

    token: str
    start: str = ""
    end: str = ""
    separator: str = ""

    def __post_init__(self) -> None:
        for part in ("token", "start", "end", "separator"):
            if not isinstance(getattr(self, part), str):
                raise TypeError(f"{part} of a template is {getattr(self, part)!r}; text is needed")
        try:
            parts = [part for part in string.Formatter().parse(self.token) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"template {self.token!r} is malformed: {error}") from error
        fields = {name for _, name, _, _ in parts}
        if "token" not in fields or not fields <= _FIELDS.keys():
            raise ValueError(
                f"template {self.token!r} must have the field {{token}}, and may have {{level}} "
                "and {letter}; it has no other"
            )
        for _, name, spec, _ in parts:
            if "{" in (spec or "") or (name == "token" and (spec or "")[-1:] in _NOT_WHOLE):
                raise ValueError(
                    f"template {self.token!r} has the format {spec!r}; one for integers is needed, "
                    "such as '05d'"
                )
        try:
            self.token.format(level=0, token=0, letter="a")
        except ValueError as error:
            raise ValueError(f"template {self.token!r} is malformed: {error}") from error

    def text(self, level: int, token: int) -> str:
        """Return one token's text."""
        return self.token.format(level=level, token=token, letter=_letter(self, level))


TEMPLATES = {
    "lc-rec": TokenTemplate("<{letter}_{token}>"),
    "lmindexer": TokenTemplate("<id_{level}_{token}>"),
    "openonerec": TokenTemplate("<s_{letter}_{token}>", "<|sid_begin|>", "<|sid_end|>"),
    "rectokens": TokenTemplate("<item_L{level}_C{token}>", "<|item_start|>", "<|item_end|>"),
    "semantic-id": TokenTemplate("{token}", separator="-"),
}


def as_template(template: str | TokenTemplate) -> TokenTemplate:
    """Return a template for its name in `TEMPLATES` or for the text of one token.

    Raises
    ------
    TypeError
        If it is no text.
    ValueError
        If it is neither.
    """
    if isinstance(template, TokenTemplate):
        return template
    if not isinstance(template, str):
        raise TypeError(
            f"template is {template!r}; a name, one token's text or a TokenTemplate is needed"
        )
    if template in TEMPLATES:
        return TEMPLATES[template]
    if "{" not in template:
        known = ", ".join(map(repr, TEMPLATES))
        raise ValueError(
            f"template is {template!r}; it must be one of {known}, or one token's text such as "
            "'<{letter}_{token}>'"
        )
    return TokenTemplate(template)


def token_strings(sids: Any, template: str | TokenTemplate = "lc-rec") -> list[str]:
    """Write each SID as text.

    Parameters
    ----------
    sids : array_like of int, shape (N, L)
    template : str or TokenTemplate
        ``"lc-rec"`` (``<a_3><b_9>``), ``"lmindexer"`` (``<id_0_3><id_1_9>``), ``"openonerec"``
        (``<|sid_begin|><s_a_3><s_b_9><|sid_end|>``), ``"rectokens"``
        (``<|item_start|><item_L0_C3><item_L1_C9><|item_end|>``), ``"semantic-id"`` (``3-9``), or
        one token's text with the fields ``{token}``, ``{level}`` and ``{letter}``.

    Returns
    -------
    list of str
        One for each item.

    Raises
    ------
    TypeError
        If the template is neither text nor a TokenTemplate.
    ValueError
        If the SIDs are no matrix of tokens, the template is not known or malformed, or it has
        letters and there are more than 26 levels.

    Notes
    -----
    A template of your own may write two SIDs alike: ``"{token}"`` with nothing between tokens makes
    ``112`` of (1, 12) and of (11, 2). Those that are known here never do. `export` refuses to.

    Examples
    --------
    >>> token_strings([[3, 9], [0, 1]])
    ['<a_3><b_9>', '<a_0><b_1>']
    """
    form = as_template(template)
    tokens = checked_sids(np.asarray(to_numpy(sids)), "sids")
    labels = []
    for level in range(tokens.shape[1]):
        used, places = np.unique(tokens[:, level], return_inverse=True)
        texts = [form.text(level, token) for token in used.tolist()]
        labels.append(np.array(texts, dtype=object)[places].tolist() if texts else [])
    rows = map(form.separator.join, zip(*labels, strict=True))
    return [f"{form.start}{row}{form.end}" for row in rows]


def new_tokens(sizes: Sequence[int], template: str | TokenTemplate = "lc-rec") -> list[str]:
    """List the tokens that a tokenizer has to learn.

    Parameters
    ----------
    sizes : sequence of int
        Tokens per level, K_l.
    template : str or TokenTemplate
        As for `token_strings`.

    Returns
    -------
    list of str
        Level by level, then the start and the end where the template has them; each once. Added to
        a vocabulary in this order, token ``t`` of level ``l`` gets the id ``size + K_0 + … +
        K_(l-1) + t``.

    Raises
    ------
    TypeError
        As `token_strings`, or a size is no integer.
    ValueError
        As `token_strings`, or a size is below 1, or there are none.

    Notes
    -----
    Levels whose tokens have the same text, as ``"semantic-id"`` and ``"{token}"`` give them, share
    tokens: there are fewer than the sizes add up to, and the rule above for ids does not hold.

    Examples
    --------
    >>> new_tokens((2, 1))
    ['<a_0>', '<a_1>', '<b_0>']
    """
    form = as_template(template)
    checked = checked_sizes(sizes)
    if not checked:
        raise ValueError("sizes is (); at least one level is needed")
    texts = [form.text(level, t) for level, size in enumerate(checked) for t in range(size)]
    return list(dict.fromkeys([*texts, *filter(None, (form.start, form.end))]))


def checked_sizes(sizes: Any) -> tuple[int, ...]:
    """Return tokens per level as a tuple.

    Raises
    ------
    TypeError
        If it is no sequence of integers.
    ValueError
        If one is below 1.
    """
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise TypeError(f"sizes is {sizes!r}; a sequence of integers is needed")
    return tuple(integer(size, f"sizes[{level}]", 1) for level, size in enumerate(sizes))


def read_tokens(lines: Sequence[str], template: str | TokenTemplate, place: str) -> Any:
    """Turn text of `token_strings` back into SIDs.

    Parameters
    ----------
    lines : sequence of str
    template : str or TokenTemplate
    place : str
        What errors call the lines.

    Returns
    -------
    ndarray of uint16 or uint32, shape (N, L)

    Raises
    ------
    ValueError
        If a line is not of the template or has another number of tokens than the first.
    """
    form = as_template(template)
    pattern = _pattern(form)
    rows = [pattern.findall(line) for line in lines]
    width = len(rows[0]) if rows else 0
    for number, row in enumerate(rows):
        if len(row) != width or width == 0:
            raise ValueError(
                f"{place}: line {number + 1} has {len(row)} tokens; the first has {width}"
            )
    if not rows:
        raise ValueError(f"{place} has no lines")
    for number, row in enumerate(rows):
        if any(len(token) > _DIGITS and len(token.lstrip("0")) > _DIGITS for token in row):
            token = max(row, key=len)[:40]
            raise ValueError(f"{place}: line {number + 1} has token {token}; at most 2**32 - 1")
    sids = checked_sids(np.array(rows, dtype=np.int64), place)
    # Written again they must be the same: this finds wrong levels, leading zeros, what is between.
    for number, (line, again) in enumerate(zip(lines, token_strings(sids, form), strict=True)):
        if line != again:
            raise ValueError(
                f"{place}: line {number + 1} is {line[:80]!r}; expected {again[:80]!r}"
            )
    return sids


def _pattern(form: TokenTemplate) -> re.Pattern[str]:
    parts = []
    for literal, name, _, _ in string.Formatter().parse(form.token):
        parts.append(re.escape(literal))
        if name:
            parts.append(f"({_FIELDS[name]})" if name == "token" else _FIELDS[name])
    return re.compile("".join(parts))


def _letter(form: TokenTemplate, level: int) -> str:
    if level < len(string.ascii_lowercase):
        return string.ascii_lowercase[level]
    if "{letter" in form.token:
        raise ValueError(
            f"template {form.token!r} names levels by the letters a to z; there are more than 26"
        )
    return ""
