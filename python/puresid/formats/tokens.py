"""SIDs as text: the token strings of the field, and the tokens that a tokenizer has to learn."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from puresid._formats import checked_sids
from puresid.arrays import to_numpy

__all__ = ["TEMPLATES", "TokenTemplate", "new_tokens", "read_tokens", "token_strings"]

_FIELDS = {"letter": "[a-z]", "level": "[0-9]+", "token": "[0-9]+"}


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
        If `token` lacks ``{token}`` or has another field.
    """

    token: str
    start: str = ""
    end: str = ""
    separator: str = ""

    def __post_init__(self) -> None:
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(self.token) if name}
        except ValueError as error:
            raise ValueError(f"template {self.token!r} is malformed: {error}") from error
        if "token" not in fields or not fields <= _FIELDS.keys():
            raise ValueError(
                f"template {self.token!r} must have the field {{token}}, and may have {{level}} "
                "and {letter}; it has no other"
            )

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
    ValueError
        If it is neither.
    """
    if isinstance(template, TokenTemplate):
        return template
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
    ValueError
        If the SIDs are no matrix of tokens, the template is not known or malformed, or it has
        letters and there are more than 26 levels.

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
    ValueError
        As `token_strings`, or a size is below 1.

    Examples
    --------
    >>> new_tokens((2, 1))
    ['<a_0>', '<a_1>', '<b_0>']
    """
    form = as_template(template)
    if len(sizes) == 0 or min(sizes) < 1:
        raise ValueError(f"sizes is {tuple(sizes)}; at least one level of at least 1 is needed")
    texts = [form.text(level, t) for level, size in enumerate(sizes) for t in range(size)]
    return list(dict.fromkeys([*texts, *filter(None, (form.start, form.end))]))


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
    rows = [[int(number) for number in pattern.findall(line)] for line in lines]
    width = len(rows[0]) if rows else 0
    for number, row in enumerate(rows):
        if len(row) != width or width == 0:
            raise ValueError(
                f"{place}: line {number + 1} has {len(row)} tokens; the first has {width}"
            )
    if not rows:
        raise ValueError(f"{place} has no lines")
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
