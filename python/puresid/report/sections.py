"""The sections of a page as HTML: tables, plots and the largest conflict groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from puresid.report.collect import ConflictGroup, PrefixLoad, ReportFigures
from puresid.report.pack import Labels
from puresid.report.plots import COLOURS, boxes, columns, lines, rows, short

MOST_LOADS = 3
NONE = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"

# Classes s0, s1, … of the style sheet: a method has the same colour in every plot.
OF_METHOD = {"nearest": 0, "suffix": 1, "ecm": 2, "rrs": 3, "beam": 4, "optimal": 6}
PARTS = (0, 5)
STAGES = (5, 4, 1, 3, 0, 2)


def share(value: float) -> str:
    """Write a part of 1 in percent, without hiding that it is not nothing or not all."""
    if 0 < value < 0.00005:
        return f"{100 * value:.1g} %"
    if 0.99995 <= value < 1:
        return "> 99.99 %"
    return f"{100 * value:.{0 if value in (0, 1) else 2 if value < 0.01 or value > 0.99 else 1}f} %"


def digits(value: float | None) -> str:
    """Write a figure in four digits."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.4g}"


def sid_text(sid: Sequence[int]) -> str:
    """Write a SID as the page does: 12-5-200."""
    return "-".join(map(str, sid))


def sizes_text(figures: ReportFigures) -> str:
    """Write the sizes of the codebooks: 256 x 256 x 256."""
    return f" {TIMES} ".join(f"{size:,}" for size in figures.sizes)


def table(head: Sequence[str], body: Sequence[Sequence[str]], caption: str) -> str:
    """Return a table whose first column names its rows; cells are text, not HTML."""
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines_ = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in body
    )
    # No caption element: it would scroll away with the table.
    return (
        f'<p class="caption">{escape(caption)}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<thead><tr>{cells}</tr></thead><tbody>{lines_}</tbody></table></div>"
    )


def headline(figures: ReportFigures) -> str:
    """Return the figures that come first."""
    cards = [("items", f"{figures.items:,}", f"vectors of dimension {figures.dimension:,}")]
    for of in figures.methods:
        missing = figures.items - of.unique
        says = "every item has its own" if missing == 0 else f"{missing:,} fewer than items"
        cards.append((f"unique SIDs, {of.method}", f"{of.unique:,}", says))
    cards += [
        (
            "in conflict",
            share(figures.conflicts / figures.items),
            f"{figures.conflicts:,} items whose nearest SID another item owns",
        ),
        (
            "capacity",
            f"{figures.capacity:,}" if figures.capacity < 1e12 else short(figures.capacity),
            f"{sizes_text(figures)} SIDs",
        ),
        ("load", share(figures.load), "items ÷ capacity"),
    ]
    return "".join(
        f'<div class="card"><dt>{escape(name)}</dt><dd><b>{escape(value)}</b>'
        f"<span>{escape(says)}</span></dd></div>"
        for name, value, says in cards
    )


def method_table(figures: ReportFigures) -> str:
    """Return one row per method."""
    body = []
    for of in figures.methods:
        extra = of.extra
        body.append(
            [
                of.method,
                f"{of.tokens}",
                f"{of.unique:,}",
                f"{of.sharing:,}",
                f"{of.moved:,}",
                digits(of.distortion),
                NONE if of.ratio is None else f"{of.ratio:.4f}",
                NONE if extra is None else digits(extra.mean),
                NONE if extra is None else digits(extra.median),
                NONE if extra is None else digits(extra.high),
            ]
        )
    head = (
        *("method", "tokens", "unique SIDs", "items sharing a SID", "items moved"),
        *("mean distortion", "÷ nearest", "extra of moved: mean", "median", "95 %"),
    )
    return table(head, body, "Methods: what each makes of the same items")


def _figure(
    title: str,
    says: str,
    plot: str,
    numbers: str,
    legend: Sequence[str] = (),
    colours: Sequence[int] = range(COLOURS),
) -> str:
    keys = "".join(
        f'<li><i class="s{colours[number % len(colours)]}"></i>{escape(label)}</li>'
        for number, label in enumerate(legend)
    )
    return (
        f"<figure><figcaption><h3>{escape(title)}</h3><p>{escape(says)}</p></figcaption>"
        + (f'<ul class="legend">{keys}</ul>' if legend else "")
        + plot
        + f"<details><summary>Numbers</summary>{numbers}</details></figure>"
    )


def plots(figures: ReportFigures) -> str:
    """Return all figures with their numbers."""
    parts = [_conflicts(figures), _distortion(figures)]
    if any(of.extra is not None for of in figures.methods):
        parts += [_extra(figures), _stages(figures)]
    parts.append(_utilisation(figures))
    parts += [_load(load, figures.shown) for load in figures.loads[-MOST_LOADS:]]
    return "".join(parts)


def _conflicts(figures: ReportFigures) -> str:
    title = "Conflicts per level"
    longest = max(of.tokens for of in figures.methods)
    categories = [str(length) for length in range(1, longest + 1)]
    series = [
        (of.method, [100 * rate for rate in of.conflicts] + [0.0] * (longest - of.tokens))
        for of in figures.methods
    ]
    says = "Items that are not the first with their prefix; the last bar is that of whole SIDs."
    colours = [OF_METHOD[of.method] for of in figures.methods]
    plot = columns(
        title,
        categories,
        series,
        x_label="tokens of the prefix",
        y_label="% of items",
        unit=" %",
        colours=colours,
    )
    body = [
        [of.method, *(share(rate) for rate in of.conflicts), *[""] * (longest - of.tokens)]
        for of in figures.methods
    ]
    heads = ["method", *(f"{length} token{'s' * (length > '1')}" for length in categories)]
    numbers = table(heads, body, title)
    return _figure(title, says, plot, numbers, [of.method for of in figures.methods], colours)


def _distortion(figures: ReportFigures) -> str:
    title = "Distortion by method"
    base = next((of.distortion for of in figures.methods if of.method == "nearest"), None)
    bars, body = [], []
    for of in figures.methods:
        under = of.distortion if base is None else min(base, of.distortion)
        ratio = "" if of.ratio is None else f", {of.ratio:.4f} {TIMES} nearest"
        parts = [("of the nearest SIDs", under), ("extra", of.distortion - under)]
        bars.append((of.method, parts, f"{digits(of.distortion)}{ratio}"))
        body.append([of.method, digits(of.distortion), digits(of.distortion - under)])
    plot = rows(title, bars, x_label="mean squared distance", colours=PARTS)
    says = "Mean over all items, and how much of it moving items to free SIDs adds."
    numbers = table(("method", "mean distortion", "extra"), body, title)
    return _figure(title, says, plot, numbers, ("of the nearest SIDs", "extra"), PARTS)


def _extra(figures: ReportFigures) -> str:
    title = "Extra distortion of moved items"
    spreads = [(of.method, of.extra) for of in figures.methods if of.extra is not None]
    says = (
        "Squared distance to the SID less that to the nearest SID. Box: 25 to 75 %, with the "
        "median; whiskers: 5 and 95 %; dot: mean."
    )
    body = [
        [
            name,
            *map(digits, (of.mean, of.low, of.quarter, of.median)),
            *map(digits, (of.three_quarters, of.high, of.largest)),
        ]
        for name, of in spreads
    ]
    colours = [OF_METHOD[name] for name, _ in spreads]
    plot = boxes(title, spreads, x_label="extra squared distance", colours=colours)
    head = ("method", "mean", "5 %", "25 %", "median", "75 %", "95 %", "largest")
    return _figure(title, says, plot, table(head, body, title))


def _stages(figures: ReportFigures) -> str:
    title = "Where moved items found a SID"
    methods = [of for of in figures.methods if of.moved > 0]
    names = sorted(
        {name for of in methods for name, _ in of.stages if name not in ("nearest", "shared")},
        key=lambda name: (name == "completion", len(name), name),
    )
    bars, body = [], []
    for of in methods:
        counts = dict(of.stages)
        parts = [(name, 100 * counts.get(name, 0) / of.moved) for name in names]
        told = [f"{name}: {value:.3g} %" for name, value in parts if value > 0]
        bars.append((of.method, parts, ", ".join(told)))
        body.append([of.method, *(f"{counts.get(name, 0):,}" for name in names)])
    plot = rows(title, bars, x_label="% of the items moved", unit=" %", colours=STAGES)
    says = "The first tiers look near an item's nearest SID; completion takes any prefix with room."
    return _figure(title, says, plot, table(("method", *names), body, title), names, STAGES)


def _utilisation(figures: ReportFigures) -> str:
    title = "Token use per level"
    labels, series, body = [], [], []
    for use in figures.levels:
        even = figures.items / use.size
        span = max(use.size - 1, 1)
        series.append(
            (
                f"level {use.level}",
                [(100 * rank / span, items / even) for rank, items in use.counts],
            )
        )
        labels.append(f"level {use.level}: {share(use.used / use.size)} used")
        most, least = use.counts[0][1], use.counts[-1][1]
        row = (use.size, use.used, use.size - use.used, most, least)
        body.append([f"level {use.level}", *(f"{count:,}" for count in row)])
    plot = lines(
        title,
        series,
        x_label="tokens, most used first (% of the level's)",
        y_label="items ÷ even share",
        reference=1,
    )
    head = ("", "codewords", "used", "dead", "most items", "fewest items")
    says = f"SIDs of {figures.shown}. The dashed line is an even load; a line that ends at 0 has "
    return _figure(title, says + "dead codewords.", plot, table(head, body, title), labels)


def _load(load: PrefixLoad, shown: str) -> str:
    plural = "" if load.length == 1 else "s"
    title = f"Load per prefix of {load.length} token{plural}"
    ranges = [str(low) if low == high else f"{low}{NONE}{high}" for low, high, _ in load.bins]
    series = [("prefixes", [float(count) for _, _, count in load.bins])]
    says = (
        f"SIDs of {shown}. {load.used:,} of {load.possible:,} prefixes have items, the fullest "
        f"{load.largest:,}; each has room for {load.room:,}."
    )
    plot = columns(title, ranges, series, x_label="items of the prefix", y_label="prefixes")
    body = [[name, f"{count:,}"] for name, (_, _, count) in zip(ranges, load.bins, strict=True)]
    return _figure(title, says, plot, table(("items", "prefixes"), body, title))


def evaluation(figures: ReportFigures) -> str:
    """Return the tables of `evaluate_sids`, or a sentence where it did not run."""
    if figures.items == 1:
        return "<p>One item has no neighbours.</p>"
    if not figures.evaluations:
        return "<p>Left out of this page (<code>evaluation=False</code>).</p>"
    parts = [_neighbours(figures.evaluations)]
    parts += [_evaluated_levels(name, found) for name, found in figures.evaluations]
    return "".join(parts)


def _interval(value: Any) -> str:
    if not all(map(math.isfinite, (value.value, value.low, value.high))):
        return NONE
    if value.low == value.high:
        return f"{value.value:.3f}"
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def _neighbours(evaluations: Sequence[tuple[str, Any]]) -> str:
    k = evaluations[0][1].neighbours.k
    body = []
    for name, found in evaluations:
        near = found.neighbours
        body.append(
            [
                name,
                _interval(near.recall),
                _interval(near.ndcg),
                *(_interval(part) for part in near.prefix_recall),
                _interval(found.distance_correlation),
                f"{near.queries:,}",
            ]
        )
    lengths = range(1, len(evaluations[0][1].neighbours.prefix_recall) + 1)
    head = (
        *("method", f"recall@{k}", f"NDCG@{k}"),
        *(f"same {length} token{'s' * (length > 1)}" for length in lengths),
        *("distance correlation", "queries"),
    )
    caption = f"Neighbours: how many of the {k} nearest by vector are as near, or share a prefix"
    return table(head, body, f"{caption} (95 % intervals where sampled)")


def _evaluated_levels(name: str, found: Any) -> str:
    body = [
        [
            f"level {of.level}",
            f"{of.size:,}",
            f"{of.used:,}",
            f"{of.dead:,}",
            share(of.utilisation),
            *(digits(value) for value in (of.entropy, of.perplexity)),
            share(of.conflict_rate),
            f"{of.prefixes:,}",
            f"{of.largest_prefix:,}",
            digits(of.mean_load),
            digits(of.distortion),
        ]
        for of in found.levels
    ]
    head = (
        *("", "codewords", "used", "dead", "utilisation", "entropy, bits", "perplexity"),
        *("conflicts", "prefixes", "largest prefix", "mean load", "distortion so far"),
    )
    return table(head, body, f"Levels: SIDs of {name}")


def groups(figures: ReportFigures, labels: Labels) -> str:
    """Return the largest conflict groups."""
    if not figures.groups:
        return "<p>No two items have the same nearest SID.</p>"
    shown = "".join(_group(group, labels, place == 0) for place, group in enumerate(figures.groups))
    return (
        f"<p>{figures.shared_sids:,} SIDs are the nearest of more than one item; these are the "
        f"{len(figures.groups)} with the most items. The SIDs in the tables are those of "
        f"{figures.shown}.</p>{shown}"
    )


def _group(group: ConflictGroup, labels: Labels, is_open: bool) -> str:
    body = "".join(
        f'<tr><th scope="row"><a class="sid" href="#tree" data-sid="{sid_text(of.sid)}">'
        f'{sid_text(of.sid)}</a></th><td class="key">{escape(labels.key(of.row))}</td>'
        + ("" if labels.texts is None else f'<td class="text">{escape(labels.text(of.row))}</td>')
        + f'<td>{of.how}</td><td class="number">{digits(of.distortion)}</td>'
        f'<td class="number">{digits(of.distortion - of.nearest_distortion)}</td></tr>'
        for of in group.members
    )
    more = group.items - len(group.members)
    names = (
        *("SID", "row" if labels.keys is None else "key"),
        *(() if labels.texts is None else ("text",)),
        *("how", "distortion", "extra"),
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    name = f"Items whose nearest SID is {sid_text(group.sid)}"
    return (
        f"<details{' open' if is_open else ''}><summary><span class='sid'>{sid_text(group.sid)}"
        f"</span> is the nearest SID of {group.items:,} items</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        f'<table class="items"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        + (f"<p>… and {more:,} more items.</p>" if more else "")
        + "</details>"
    )
