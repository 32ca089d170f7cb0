"""Results as plots: SVG by matplotlib, without its global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from puresid.evaluation.extras import eval_module
from puresid.evaluation.results import ALL
from puresid.evaluation.statistics import Analysis
from puresid.evaluation.tables import conflict_rate

__all__ = ["gains_by_conflict", "gains_by_split", "means_by_arm"]

COLOURS = (
    "#0072b2", "#c2570c", "#00805f", "#9b4f96", "#4a4a4a", "#8a6d00", "#c23b52", "#5a7d1e",
)  # fmt: skip
MARKERS = "osD^vPX*"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#57606a",
    "axes.labelcolor": "#1b1f24",
    "xtick.color": "#57606a",
    "ytick.color": "#1b1f24",
    "grid.color": "#d3d8de",
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

    def draw(axes: Any) -> None:
        for row, arm in enumerate(results.arms):
            found = analysis.mean(arm, metric)
            if found is not None:
                _whisker(axes, found.value, row, _colour(analysis, arm))
        axes.set_yticks(range(len(results.arms)), results.arms)
        axes.set_ylim(len(results.arms) - 0.5, -0.5)
        axes.set_xlabel(f"{metric}, mean over seeds, 95 % interval over users")

    return _svg(draw, height=0.9 + 0.32 * len(results.arms), across=True)


def gains_by_split(analysis: Analysis) -> str:
    """Draw each arm's difference to the one compared with, split by split, by the primary metric.

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
    metric, against = (results.header["primary"][key] for key in ("metric", "against"))
    arms = [arm for arm in results.arms if arm != against]
    splits = [name for name in (ALL, *results.splits) if results.mask(name).any()]

    def draw(axes: Any) -> None:
        pitch = 0.8 / max(len(arms), 1)
        for number, arm in enumerate(arms):
            label: str | None = arm
            for row, split in enumerate(splits):
                found = analysis.comparison(arm, metric, split)
                if found is not None and np.isfinite(found.difference.value):
                    y = row + pitch * (number - (len(arms) - 1) / 2)
                    _whisker(axes, found.difference, y, _colour(analysis, arm), label)
                    label = None
        for row in range(1, len(splits)):
            axes.axhline(row - 0.5, color="#d3d8de", linewidth=0.7)
        names = [f"{split}\n{int(results.mask(split).sum()):,}" for split in splits]
        axes.set_yticks(range(len(splits)), names)
        axes.set_ylim(len(splits) - 0.5, -0.5)
        axes.axvline(0, color="#1b1f24", linewidth=0.9)
        axes.set_xlabel(f"{metric}, difference to {against}, 95 % interval over users")
        _legend(axes)

    return _svg(draw, height=1.1 + 0.16 * max(len(arms), 3) * len(splits), across=True)


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
    tasks = list(dict.fromkeys(_task(one) for _, one in rated))
    spread = max(rate for rate, _ in rated) - min(rate for rate, _ in rated) or 1.0

    def draw(axes: Any) -> None:
        for number, arm in enumerate(arms):
            shift = 0.012 * spread * (number - (len(arms) - 1) / 2)
            for place, task in enumerate(tasks):
                points = [
                    (rate + shift, found.difference)
                    for rate, one in rated
                    if _task(one) == task and (found := one.comparison(arm, metric)) is not None
                ]
                name = arm if len(tasks) == 1 else f"{arm}, {task}"
                _line(axes, points, COLOURS[number % len(COLOURS)], MARKERS[place % 8], name)
        axes.axhline(0, color="#1b1f24", linewidth=0.9)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("items whose nearest SID has another owner")
        axes.set_ylabel(f"{metric}, difference to {against}")
        _legend(axes)

    return _svg(draw, height=max(3.6, 0.2 * len(arms) * len(tasks)), across=False)


def _measured_by(analysis: Analysis) -> tuple[str, str]:
    primary = analysis.results.header["primary"]
    return primary["metric"], primary["against"]


def _task(analysis: Analysis) -> str:
    header = analysis.results.header
    return str(header.get("task", {}).get("name", header["name"]))


def _colour(analysis: Analysis, arm: str) -> str:
    against = analysis.results.header["primary"]["against"]
    others = [name for name in analysis.results.arms if name != against]
    return "#1b1f24" if arm == against else COLOURS[others.index(arm) % len(COLOURS)]


def _whisker(axes: Any, value: Any, y: float, colour: str, label: str | None = None) -> None:
    axes.plot([value.low, value.high], [y, y], color=colour, linewidth=1.6)
    axes.plot([value.value], [y], "o", color=colour, markersize=4.5, label=label)


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


def _legend(axes: Any) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=1.2)


def _svg(draw: Any, *, height: float, across: bool) -> str:
    matplotlib: Any = eval_module("matplotlib")
    figures: Any = eval_module("matplotlib.figure")
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=(7.2, height), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(visible=True, axis="x" if across else "both", linewidth=0.7)
        axes.set_axisbelow(True)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return file.getvalue()
