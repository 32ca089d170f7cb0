"""A page to look at: what SIDs a catalogue got, as one HTML file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from puresid._assign_options import METHODS
from puresid.arrays import float_matrix, to_numpy
from puresid.assignment import Assignment, assign
from puresid.atomic import atomic_write
from puresid.checks import integer
from puresid.codebooks import Codebooks, as_codebooks
from puresid.report import sections
from puresid.report.collect import ReportFigures, collect
from puresid.report.pack import Labels, Listing, fit_listing, one_line
from puresid.sources import vectors_or_source

__all__ = ["report"]

MOST_BYTES = 4_900_000
"""Size of a page at most; items and texts that do not fit are left out, which the page says."""

NEIGHBOURS = 10
SAMPLE = 500
"""Items whose neighbours are looked up: enough for intervals of some hundredths."""


def report(
    vectors: Any,
    codebooks: Codebooks | Sequence[Any],
    path: str | os.PathLike[str],
    *,
    methods: Sequence[str] = ("nearest", "suffix", "ecm", "rrs"),
    keys: Iterable[Any] | None = None,
    texts: Iterable[Any] | None = None,
    evaluation: bool = True,
    title: str = "Semantic IDs",
    random_state: int = 0,
    threads: int | None = None,
) -> None:
    """Write an HTML page about the SIDs that each method gives a catalogue.

    One file below 5 MB, which opens without a network: unique SIDs, conflicts and load; distortion
    by method; use of the tokens and load of the prefixes; neighbours kept (`evaluate_sids`); the
    largest conflict groups; and a tree of prefixes down to the items, with a search. The same input
    gives the same bytes.

    Parameters
    ----------
    vectors : array_like or VectorSource, shape (N, D)
        As for `assign`; one item at least.
    codebooks : Codebooks or sequence of array_like
        As for `assign`.
    path : str or path
        The file to write, whole or not at all.
    methods : sequence of str
        Of ``"nearest"``, ``"suffix"``, ``"ecm"``, ``"rrs"``, ``"beam"`` and ``"optimal"``, each
        once. The tree and the conflict groups show the SIDs of one: the first that is there of ecm,
        rrs, beam, optimal, suffix, nearest.
    keys : sequence, shape (N,), optional
        What items are called, as by `str`. Default: their row numbers.
    texts : sequence of str, shape (N,), optional
        What they say, such as titles; None for an item without one.
    evaluation : bool
        Whether to run `evaluate_sids` on the SIDs of each method but ``"suffix"``, with the
        neighbours of 500 items. It needs the vectors in memory.
    title : str
        Heading of the page.
    random_state : int
        Chooses the samples; 0 or more.
    threads : int, optional
        Default: as many as the process may use.

    Raises
    ------
    CapacityError
        If there are more items than SIDs and a method is to make them unique.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If there is no item, a method is unknown or named twice, there are not N keys or texts, or
        `random_state` is negative; and as `assign`.
    OSError
        If the file cannot be written.

    Notes
    -----
    Keys are cut to 64 characters and texts to 160, or to as few as 24 where many items would make
    the page too large. Items beyond what then fits (some 200,000 with texts) are left out of the
    tree at random and counted in all figures. The page says which of this was done.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "report.html"
    >>> levels = [np.array([[0.0], [8.0]]), np.array([[0.0], [1.0]])]
    >>> report(np.array([[8.1], [8.1], [0.2]]), levels, path, evaluation=False)
    >>> path.read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    names = _checked_methods(methods)
    if not isinstance(title, str):
        raise TypeError(f"title is {title!r}; a string is needed")
    books = as_codebooks(codebooks)
    seed = integer(random_state, "random_state", 0)
    rows = vectors_or_source(vectors)
    results = {"nearest": assign(rows, books, "nearest", threads=threads)}
    items = len(results["nearest"].sids)
    if items == 0:
        raise ValueError("vectors has no rows; a report needs an item at least")
    labels = Labels(_checked_labels(keys, items, "keys"), _checked_labels(texts, items, "texts"))
    for name in names:
        if name != "nearest":
            results[name] = assign(rows, books, name, threads=threads)
    evaluations = _evaluate(rows, results, names, books, seed, threads) if evaluation else []
    figures = collect(results, names, books, evaluations)
    page = _page(figures, results, labels, one_line(title), seed)
    with atomic_write(path) as handle:
        handle.write(page)


def _evaluate(
    rows: Any,
    results: dict[str, Assignment],
    methods: Sequence[str],
    books: Codebooks,
    random_state: int,
    threads: int | None,
) -> list[tuple[str, Any]]:
    """Evaluate the SIDs of each method; a counter says nothing about vectors."""
    from puresid.judging import evaluate_sids

    if not isinstance(rows, np.ndarray):
        rows = np.concatenate([float_matrix(batch, "vectors") for batch in rows.batches()])
    k = min(NEIGHBOURS, len(rows) - 1)
    if k == 0:
        return []
    found = []
    for name in methods:
        if name != "suffix":
            sids = results[name].sids
            of = evaluate_sids(
                rows, sids, books, k=k, sample=SAMPLE, random_state=random_state, threads=threads
            )
            found.append((name, of))
    return found


def _checked_methods(methods: Sequence[str]) -> tuple[str, ...]:
    if isinstance(methods, (str, bytes)) or not hasattr(methods, "__iter__"):
        raise TypeError(f"methods is {methods!r}; a sequence is needed, such as ('nearest', 'ecm')")
    names = tuple(methods)
    known = ", ".join(map(repr, METHODS))
    if not names:
        raise ValueError(f"methods is empty; one at least of {known} is needed")
    for number, name in enumerate(names):
        if name not in METHODS:
            raise ValueError(f"methods[{number}] is {name!r}; it must be one of {known}")
        if name in names[:number]:
            raise ValueError(f"methods[{number}] is {name!r}, which is there twice")
    return names


def _checked_labels(values: Any, items: int, name: str) -> tuple[str, ...] | None:
    if values is None:
        return None
    values = to_numpy(values)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(
            f"{name} is of type {type(values).__name__}; a sequence of {items} is needed"
        )
    given = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if len(given) != items:
        raise ValueError(f"{name} has {len(given)} entries; vectors has {items} rows")
    return tuple("" if value is None else one_line(value) for value in given)


def _page(
    figures: ReportFigures,
    results: dict[str, Assignment],
    labels: Labels,
    title: str,
    random_state: int,
) -> bytes:
    """Fill the page, and then as many items in as still fit."""
    empty = _fill(figures, labels, title, Listing({}, ()))
    listing = fit_listing(
        results[figures.shown],
        results["nearest"],
        labels,
        budget=MOST_BYTES - len(empty) - 2_000,  # for the notes
        random_state=random_state,
    )
    return _fill(figures, labels, title, listing)


def _fill(figures: ReportFigures, labels: Labels, title: str, listing: Listing) -> bytes:
    folder = resources.files("puresid.report")
    html, css, script = (
        (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")
    )
    data = {"format": "puresid.report", "title": title, "figures": figures, "items": listing.data}
    space = figures.space if figures.metric == "euclidean" else f"{figures.space}, {figures.metric}"
    sizes = sections.sizes_text(figures)
    parts = {
        "title": escape(title),
        "subtitle": escape(f"{figures.items:,} items, {space} codebooks of {sizes} codewords"),
        "version": escape(figures.version),
        "shown": figures.shown,
        "style": css,
        "style_hash": _source_hash(css),
        "script": script,
        "script_hash": _source_hash(script),
        "headline": sections.headline(figures),
        "methods": sections.method_table(figures),
        "plots": sections.plots(figures),
        "evaluation": sections.evaluation(figures),
        "groups": sections.groups(figures, labels),
        "notes": "".join(f"<p>{escape(note)}</p>" for note in listing.notes),
        "data": _script_json(data),
    }
    # In one pass, so that nothing in a title or text is taken for a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], html).encode()


def _source_hash(text: str) -> str:
    """Return what a Content-Security-Policy calls this script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _script_json(data: Any) -> str:
    """Return JSON that cannot end the script element that it stands in."""
    text = json.dumps(_plain(data), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    """Return dataclasses as dicts, and None for what is no number: JSON has neither."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
