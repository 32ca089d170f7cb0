"""Results as one HTML page, which holds all it needs and asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from puresid.evaluation.plots import gains_by_conflict, gains_by_split, means_by_arm
from puresid.evaluation.results import ALL, Results
from puresid.evaluation.statistics import Analysis, analyse
from puresid.evaluation.tables import WORDS, Section, Table, overview, sections

__all__ = ["page"]

MANY_ROWS = 40
"""Longer tables are folded."""

_STYLE = Path(__file__).with_name("page.css")


def page(results_list: Iterable[Results], *, resamples: int = 9999, seed: int = 0) -> str:
    """Write the tables and plots of several runs as an HTML page.

    Parameters
    ----------
    results_list : iterable of Results
    resamples, seed : int
        Of intervals and tests.

    Returns
    -------
    str
        The whole page; plots are SVG inside it.

    Raises
    ------
    ImportError
        statsmodels or matplotlib is not installed.
    ValueError
        There are no results.
    """
    analyses = [analyse(one, resamples=resamples, seed=seed) for one in results_list]
    if not analyses:
        raise ValueError("there are no results to make a page of")
    body = _head(analyses)
    for number, (section, analysis) in enumerate(zip(sections(analyses), analyses, strict=True)):
        body += _section(number, section, analysis)
    return _document("Semantic IDs with language models", body)


def _document(title: str, body: Sequence[str]) -> str:
    from puresid import __version__

    style = _STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f'<meta name="generator" content="puresid {escape(__version__)}">',
            f"<title>{escape(title)}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            f"<header><h1>{escape(title)}</h1></header>",
            "<main>",
            *body,
            "</main>",
            f"<footer><p>Made by puresid {escape(__version__)} from results.json and queries.npz "
            "of each run.</p></footer>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _head(analyses: Sequence[Analysis]) -> list[str]:
    if len(analyses) == 1:
        return []
    links = [
        f'<a href="#run{number}">{escape(one.results.header["name"])}</a>'
        for number, one in enumerate(analyses)
    ]
    body = ['<nav aria-label="Runs">', *links, "</nav>", *_table(overview(analyses))]
    drawn = gains_by_conflict(analyses)
    if drawn is not None:
        says = "Difference over the share of items in conflict, all queries"
        body += ['<div class="plots">', _figure(drawn, says), "</div>"]
    return body


def _section(number: int, section: Section, analysis: Analysis) -> list[str]:
    primary = analysis.results.header["primary"]
    body = [
        f'<section id="run{number}">',
        f"<h2>{escape(section.title)}</h2>",
        f'<p class="primary">{escape(section.primary)}</p>',
        '<dl class="notes">',
        *(f"<dt>{escape(topic)}</dt><dd>{escape(text)}</dd>" for topic, text in section.notes),
        "</dl>",
        '<div class="plots">',
        _figure(means_by_arm(analysis), f"{primary['metric']} of every arm, all queries"),
    ]
    if analysis.comparisons:
        says = (
            f"{primary['metric']}: difference to {primary['against']} by split (with its queries)"
        )
        body.append(_figure(gains_by_split(analysis), says))
    body.append("</div>")
    chosen = {ALL, primary["arm"], primary["metric"]}
    for table in section.tables:
        body += _table(table, chosen, folded=len(table.rows) > MANY_ROWS)
    return [*body, "</section>"]


def _figure(svg: str, says: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    return (
        f"<figure><figcaption>{escape(says)}</figcaption>"
        f'<img alt="{escape(says)}; the numbers are in the tables" '
        f'src="data:image/svg+xml;base64,{data}"></figure>'
    )


def _table(table: Table, chosen: Iterable[str] = (), *, folded: bool = False) -> list[str]:
    """Lay out a table; the row whose words are all chosen ones stands out."""
    if not table.rows:
        return [f"<h3>{escape(table.title)}</h3>", '<p class="caption">Nothing to compare.</p>']
    words = [place for place, name in enumerate(table.head) if name in WORDS]
    kinds = ["word" if name in WORDS else "" for name in table.head]
    marked = len(words) > 1 and "run" not in table.head
    lines = []
    before = None
    for row in table.rows:
        classes = ["first"] if marked and before not in (None, row[0]) else []
        if marked and {row[place] for place in words} <= set(chosen):
            classes.append("chosen")
        before = row[0]
        cells = "".join(_cell(text, kind) for text, kind in zip(row, kinds, strict=True))
        lines.append(f'<tr class="{" ".join(classes)}">{cells}</tr>')
    heads = "".join(
        f'<th scope="col" class="{kind}">{escape(name)}</th>'
        for name, kind in zip(table.head, kinds, strict=True)
    )
    title = f"<h3>{escape(table.title)}</h3>"
    opening = [title]
    if folded:
        opening = [f"<details><summary>{escape(table.title)}</summary>"]
    return [
        *opening,
        f'<p class="caption">{escape(table.caption)}</p>',
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>',
        *lines,
        "</tbody></table></div>",
        *(["</details>"] if folded else []),
    ]


def _cell(text: str, kind: str) -> str:
    value, bracket, rest = text.partition(" (")
    if kind == "word" or not bracket:
        return f'<td class="{kind}">{escape(text)}</td>'
    return f"<td>{escape(value)} <small>({escape(rest)}</small></td>"
