"""Results as plots: SVG by matplotlib, without its global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from puresid.evaluation.extras import extra
from puresid.evaluation.results import ALL
from puresid.evaluation.statistics import Analysis
from puresid.evaluation.tables import conflict_rate
from puresid.judging.results import Interval

__all__ = ["gains_by_conflict", "gains_by_split", "means_by_arm"]

COLOURS = (
    "#0072b2", "#c2570c", "#00805f", "#9b4f96", "#4a4a4a", "#8a6d00", "#c23b52", "#5a7d1e",
)  # fmt: skip
MARKERS = "osD^vPX*"
_ACROSS = 3
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#57606a",
    "axes.labelcolor": "#1b1f24",
    "xtick.color": "#57606a",
    "ytick.color": "#1b1f24",
    "axes.axisbelow": True,
    "grid.color": "#d3d8de",
    "grid.linewidth": 0.7,
    "svg.fonttype": "path",
    "svg.hashsalt": "puresid",
}


def means_by_arm(analysis: Analysis) -> str:
    """Draw each arm's mean of the primary metric over all queries, with its interval.

    Returns
    -------
    str
        An SVG document; the same bytes for the same input and matplotlib.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    results = analysis.results
    metric = results.header["primary"]["metric"]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=True, axis="x")
        for row, arm in enumerate(results.arms):
            found = analysis.mean(arm, metric)
            if found is not None:
                _whisker(axes, found.value, row, _colour(analysis, arm))
        axes.set_yticks(range(len(results.arms)), results.arms)
        axes.set_ylim(len(results.arms) - 0.5, -0.5)
        axes.set_xlabel(f"{metric}, mean over seeds, 95 % interval over users")

    return _svg(draw, height=0.9 + 0.32 * len(results.arms))


def gains_by_split(analysis: Analysis) -> str:
    """Draw each arm's difference to the one compared with, split by split, by the primary metric.

    Each split has a scale of its own, as small ones have wide intervals.

    Returns
    -------
    str
        An SVG document.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    results = analysis.results
    metric, against = _measured_by(analysis)
    arms = [arm for arm in results.arms if arm != against]
    splits = [name for name in (ALL, *results.splits) if results.mask(name).any()]
    rows = -(-len(splits) // _ACROSS)

    def draw(figure: Any) -> None:
        grid = figure.subplots(rows, _ACROSS, sharey=True, squeeze=False)
        for axes, split in zip(grid.flat, splits, strict=False):  # the last row may have room
            for row, arm in enumerate(arms):
                found = analysis.comparison(arm, metric, split)
                if found is not None and np.isfinite(found.difference.value):
                    _whisker(axes, found.difference, row, _colour(analysis, arm))
            axes.axvline(0, color="#1b1f24", linewidth=0.9)
            axes.set_title(f"{split} ({int(results.mask(split).sum()):,})", fontsize=9)
            axes.set_yticks(range(len(arms)), arms)
            axes.set_ylim(len(arms) - 0.5, -0.5)
            axes.locator_params(axis="x", nbins=4)
            axes.grid(visible=True, axis="x")
        for axes in list(grid.flat)[len(splits) :]:
            axes.set_axis_off()
        figure.supxlabel(
            f"{metric}, difference to {against}, 95 % interval over users; scales differ",
            fontsize=9,
        )

    return _svg(draw, height=0.4 + rows * (0.8 + 0.2 * len(arms)))


def gains_by_conflict(analyses: Sequence[Analysis]) -> str | None:
    """Draw each arm's difference to the one compared with, over the share of items in conflict.

    Runs are drawn together that have the primary metric and the arm compared with of the first;
    lines join those of one task.

    Returns
    -------
    str or None
        An SVG document; None where fewer than two such runs name their conflicts.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    if not analyses:
        return None
    metric, against = _measured_by(analyses[0])
    same = [one for one in analyses if _measured_by(one) == (metric, against)]
    rated = [(rate, one) for one in same if (rate := conflict_rate(one.results)) is not None]
    if len(rated) < 2:
        return None
    rated.sort(key=lambda pair: pair[0])
    arms = dict.fromkeys(arm for one in same for arm in one.results.arms if arm != against)
    lines = list(dict.fromkeys(_line_of(one) for _, one in rated))
    spread = max(rate for rate, _ in rated) - min(rate for rate, _ in rated) or 1.0

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=True)
        for number, arm in enumerate(arms):
            shift = 0.012 * spread * (number - (len(arms) - 1) / 2)
            for place, line in enumerate(lines):
                points = [
                    (rate + shift, found.difference)
                    for rate, one in rated
                    if _line_of(one) == line and (found := one.comparison(arm, metric)) is not None
                ]
                name = arm if len(lines) == 1 else f"{arm}, {line}"
                _line(axes, points, COLOURS[number % len(COLOURS)], MARKERS[place % 8], name)
        axes.axhline(0, color="#1b1f24", linewidth=0.9)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("items whose nearest SID has another owner")
        axes.set_ylabel(f"{metric}, difference to {against}")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=1.2)

    return _svg(draw, height=max(3.6, 0.2 * len(arms) * len(lines)))


def _measured_by(analysis: Analysis) -> tuple[str, str]:
    primary = analysis.results.header["primary"]
    return primary["metric"], primary["against"]


def _task(analysis: Analysis) -> str:
    header = analysis.results.header
    return str(header.get("task", {}).get("name", header["name"]))


def _line_of(analysis: Analysis) -> str:
    """Name what a line may join: runs of one task with SIDs of one length."""
    levels = analysis.results.header.get("config", {}).get("quantizer", {}).get("levels")
    return _task(analysis) if levels is None else f"{_task(analysis)}, {levels} levels"


def _colour(analysis: Analysis, arm: str) -> str:
    against = analysis.results.header["primary"]["against"]
    others = [name for name in analysis.results.arms if name != against]
    return "#1b1f24" if arm == against else COLOURS[others.index(arm) % len(COLOURS)]


def _whisker(axes: Any, value: Interval, y: float, colour: str) -> None:
    axes.plot([value.low, value.high], [y, y], color=colour, linewidth=1.6)
    axes.plot([value.value], [y], "o", color=colour, markersize=4.5)


def _line(axes: Any, points: Sequence[Any], colour: str, marker: str, label: str) -> None:
    if not points:
        return
    x = [place for place, _ in points]
    y = np.array([value.value for _, value in points])
    ends = np.array([[value.low for _, value in points], [value.high for _, value in points]])
    axes.errorbar(
        x, y, np.maximum(np.abs(ends - y), 0), color=colour, marker=marker, markersize=4.5,
        linewidth=1.2, elinewidth=1.2, label=label,
    )  # fmt: skip


def _svg(draw: Any, *, height: float) -> str:
    matplotlib: Any = extra("matplotlib")
    figures: Any = extra("matplotlib.figure")
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=(7.2, height), layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return file.getvalue()
