"""The items of a page in few bytes, and what was left out to keep them few.

Whole numbers become byte planes (all lowest bytes first) and strings become lines; both are
deflated (RFC 1950) and written in base64, which a page unpacks with ``DecompressionStream``.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid.assignment import Assignment
from puresid.report.collect import in_order, stage_name

KEY_WIDTH = 64
TEXT_WIDTHS = (160, 120, 90, 60, 40, 24)
DISTORTION_CODES = 65_535
"""Codes 1, 2, … stand for distances that grow by equal factors, 0 for the distance 0."""


@dataclass(frozen=True)
class Labels:
    """What to call items: one line each, or None where the user gave none."""

    keys: tuple[str, ...] | None
    texts: tuple[str, ...] | None

    def key(self, row: int) -> str:
        """Return the key of an item, its row number where there are no keys."""
        return str(row) if self.keys is None else cut(self.keys[row], KEY_WIDTH)

    def text(self, row: int) -> str:
        """Return the text of an item, cut."""
        return "" if self.texts is None else cut(self.texts[row], TEXT_WIDTHS[0])


@dataclass(frozen=True)
class Listing:
    """The items of a page.

    Attributes
    ----------
    data : dict
        What the page's script reads; plain JSON.
    notes : tuple of str
        A sentence for each thing that was left out.
    """

    data: dict[str, Any]
    notes: tuple[str, ...]


def one_line(text: object) -> str:
    """Return the text without line breaks, control characters and lone surrogates."""
    joined = " ".join(str(text).split())
    if not joined.isprintable():
        joined = "".join(
            char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in joined
        )
    return joined


def cut(text: str, width: int) -> str:
    """Return at most `width` characters, the last an ellipsis where some are missing."""
    return text if len(text) <= width else text[: width - 1] + "…"


def pack_numbers(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Pack whole numbers from 0 to 2**32 - 1 in the fewest bytes that hold the largest."""
    largest = int(values.max()) if values.size else 0
    width = 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4
    planes = values.astype(f"<u{width}").view(np.uint8).reshape(-1, width).T
    return {"count": len(values), "bytes": width, "data": _deflate(planes.tobytes())}


def pack_lines(lines: Sequence[str]) -> dict[str, Any]:
    """Pack strings without line breaks."""
    return {"count": len(lines), "data": _deflate("\n".join(lines).encode())}


def pack_distances(values: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Pack distances of 0 or more in two bytes each, to three digits or more."""
    exact = values.astype(np.float64)
    positive = exact[exact > 0]
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (1.0, 1.0)
    codes = np.zeros(len(exact))
    if high > low:
        steps = np.log(positive / low) / np.log(high / low) * (DISTORTION_CODES - 1)
        codes[exact > 0] = 1 + steps.round()
    else:
        codes[exact > 0] = 1
    return {"low": low, "high": high} | pack_numbers(codes.astype(np.uint16))


def fit_listing(
    shown: Assignment, nearest: Assignment, labels: Labels, *, budget: int, random_state: int
) -> Listing:
    """List as many items, with texts as long, as fit into a number of bytes.

    Parameters
    ----------
    shown, nearest : Assignment
        Of the same items.
    labels : Labels
    budget : int
        Bytes of JSON that the listing may need.
    random_state : int
        Chooses the items where not all fit.

    Returns
    -------
    Listing
    """
    items = len(shown.sids)
    order = in_order(shown.sids).order
    for listed in _halves(items):
        chosen = order
        if listed < items:
            kept = np.zeros(items, dtype=bool)
            kept[np.random.default_rng(random_state).permutation(items)[:listed]] = True
            chosen = order[kept[order]]
        data = _columns(shown, nearest, chosen)
        data["keys"] = None
        if labels.keys is not None:
            keys = labels.keys
            data["keys"] = pack_lines([cut(keys[row], KEY_WIDTH) for row in chosen.tolist()])
        room = budget - len(json.dumps(data))
        if room < 0:
            continue
        if labels.texts is None:
            return Listing(data | {"texts": None}, _notes(items, listed, labels, None))
        ordered = [labels.texts[row] for row in chosen.tolist()]
        for width in TEXT_WIDTHS:
            packed = pack_lines([cut(text, width) for text in ordered])
            if len(json.dumps(packed)) <= room:
                return Listing(data | {"texts": packed}, _notes(items, listed, labels, width))
    return Listing({}, ("No item is listed: not even one fits into the page.",))


def _halves(items: int) -> Iterator[int]:
    while items > 0:
        yield items
        items //= 2


def _columns(shown: Assignment, nearest: Assignment, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    stages = shown.stages[rows]
    moved = rows[stages > 0]
    names = {
        str(stage): stage_name(stage, len(shown.tiers)) for stage in np.unique(stages).tolist()
    }
    return {
        "method": shown.method,
        "levels": len(shown.sizes),
        "sizes": shown.sizes,
        "items": len(shown.sids),
        "listed": len(rows),
        "tokens": [pack_numbers(column[rows]) for column in shown.sids.T],
        "rows": pack_numbers(rows),
        "stages": pack_numbers(stages + 1),  # -1 is a stage
        "stage_names": names,
        "distortion": pack_distances(shown.distortion[rows]),
        "nearest": [pack_numbers(column[moved]) for column in nearest.sids.T],
    }


def _notes(items: int, listed: int, labels: Labels, width: int | None) -> tuple[str, ...]:
    notes = []
    if listed < items:
        notes.append(
            f"The list holds {listed:,} of the {items:,} items, chosen at random: more do not fit "
            "into the page. Its counts are of those; all other figures are of all items."
        )
    if labels.keys is not None:
        long = sum(len(key) > KEY_WIDTH for key in labels.keys)
        if long:
            notes.append(f"{long:,} keys are cut to {KEY_WIDTH} characters.")
    if labels.texts is not None and width is not None:
        long = sum(len(text) > width for text in labels.texts)
        if long:
            notes.append(
                f"{long:,} of {items:,} texts are cut to {width} characters; the search looks at "
                "what is left."
            )
    return tuple(notes)


def _deflate(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 6)).decode()
