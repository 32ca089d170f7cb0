"""Plots as inline SVG. Colours and fonts are the style sheet's; a plot is 420 units wide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from puresid.report.collect import Spread

WIDTH = 420
LEFT = 52
RIGHT = 12
TOP = 10
HEIGHT = 230
FOOT = 42
"""Units below the axis: labels of the ticks, then of the axis."""

COLOURS = 8
"""Classes s0, s1, … of the style sheet."""

Point = tuple[float, float]


def short(value: float) -> str:
    """Write a number in about three digits: 12, 0.0123, 4.5k, 1.2M, 3.4e-07."""
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-4:
        return f"{value:.2g}"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            scale = 1e3 if unit == "k" else limit
            return f"{value / scale:.3g}{unit}"
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"


def ticks(high: float, most: int = 5) -> list[float]:
    """Return round numbers from 0 to at least `high`."""
    if not high > 0:
        return [0.0, 1.0]
    rough = high / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 2.5, 5, 10) if power * digit >= rough * 0.999)
    return [step * number for number in range(math.ceil(high / step * 0.999) + 1)]


def _svg(name: str, height: int, body: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(name)}">'
        f"{''.join(body)}</svg>"
    )


def _colour(colours: Sequence[int], number: int) -> str:
    return f"s{colours[number % len(colours)]}"


def _text(x: float, y: float, text: str, kind: str = "tick", anchor: str = "middle") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _box(x: float, y: float, width: float, height: float, kind: str, title: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
        f'height="{max(height, 0):.1f}"><title>{escape(title)}</title></rect>'
    )


def _y_axis(high: float, label: str, least_step: float = 0) -> tuple[list[str], float]:
    """Draw grid, ticks and label; return them and the value at the top."""
    marks = ticks(high)
    if marks[1] < least_step:
        marks = [least_step * count for count in range(math.ceil(high / least_step) + 1)]
    body = []
    for mark in marks:
        y = _height(mark, marks[-1])
        body.append(_line(LEFT, y, WIDTH - RIGHT, y, "grid" if mark else "axis"))
        body.append(_text(LEFT - 5, y + 4, short(mark), anchor="end"))
    middle = (HEIGHT - FOOT + TOP) / 2
    body.append(
        f'<text class="label" transform="translate(11 {middle:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(label)}</text>'
    )
    return body, marks[-1]


def _height(value: float, top: float) -> float:
    return HEIGHT - FOOT - (HEIGHT - FOOT - TOP) * value / top


def _x_label(label: str, height: int = HEIGHT) -> str:
    return _text((LEFT + WIDTH - RIGHT) / 2, height - 6, label, "label")


def lines(
    name: str,
    series: Sequence[tuple[str, Sequence[Point]]],
    *,
    x_label: str,
    y_label: str,
    reference: float | None = None,
) -> str:
    """Draw lines over x from 0 to 100, with a dashed one at height `reference`."""
    top = max((y for _, points in series for _, y in points), default=1)
    body, top = _y_axis(max(top, reference or 0), y_label)
    across = WIDTH - RIGHT - LEFT
    for mark in (0, 25, 50, 75, 100):
        body.append(_text(LEFT + across * mark / 100, HEIGHT - FOOT + 15, str(mark)))
    if reference is not None:
        y = _height(reference, top)
        body.append(_line(LEFT, y, WIDTH - RIGHT, y, "reference"))
    for number, (label, points) in enumerate(series):
        path = " ".join(f"{LEFT + across * x / 100:.1f},{_height(y, top):.1f}" for x, y in points)
        body.append(
            f'<polyline class="line {_colour(range(COLOURS), number)}" points="{path}">'
            f"<title>{escape(label)}</title></polyline>"
        )
    body.append(_x_label(x_label))
    return _svg(name, HEIGHT, body)


def columns(
    name: str,
    categories: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    unit: str = "",
    colours: Sequence[int] = range(COLOURS),
) -> str:
    """Draw upright bars, side by side in each category."""
    heights = [value for _, values in series for value in values]
    whole = all(value == int(value) for value in heights)
    body, top = _y_axis(max(heights, default=1), y_label, least_step=1 if whole else 0)
    across = (WIDTH - RIGHT - LEFT) / max(len(categories), 1)
    wide = across * (0.96 if len(categories) > 12 else 0.76) / max(len(series), 1)
    every = -(-max(map(len, categories), default=1) * len(categories) // 48)
    for place, category in enumerate(categories):
        middle = LEFT + across * (place + 0.5)
        if place % max(every, 1) == 0:
            inside = WIDTH - 2 - 3.4 * len(category)  # a wide label moves in from the edge
            body.append(_text(min(middle, inside), HEIGHT - FOOT + 15, category))
        for number, (label, values) in enumerate(series):
            x = middle + wide * (number - len(series) / 2)
            y = _height(values[place], top)
            says = f"{category}, {label}: {short(values[place])}{unit}"
            body.append(_box(x, y, wide - 1, HEIGHT - FOOT - y, _colour(colours, number), says))
    body.append(_x_label(x_label))
    return _svg(name, HEIGHT, body)


def rows(
    name: str,
    bars: Sequence[tuple[str, Sequence[tuple[str, float]], str]],
    *,
    x_label: str,
    unit: str = "",
    colours: Sequence[int] = range(COLOURS),
) -> str:
    """Draw lying bars made of parts: a label, (part, value) pairs and a text above its end."""
    high = max((sum(value for _, value in parts) for _, parts, _ in bars), default=1)
    marks = ticks(high)
    left, pitch = 62, 46
    across = WIDTH - left - RIGHT - 6
    foot = TOP + pitch * len(bars) + 4
    body = _x_grid(marks, left, across, foot)
    for place, (label, parts, says) in enumerate(bars):
        y, x = TOP + pitch * place + 18, float(left)
        body.append(_text(left - 6, y + 14, label, "name", "end"))
        for number, (part, value) in enumerate(parts):
            width = across * value / marks[-1]
            title = f"{label}, {part}: {short(value)}{unit}"
            body.append(_box(x, y, width - (width > 2), 20, _colour(colours, number), title))
            x += width
        body.append(_text(left + 2, y - 5, says, "value", "start"))
    body.append(_x_label(x_label, foot + FOOT - 4))
    return _svg(name, foot + FOOT, body)


def boxes(
    name: str,
    spreads: Sequence[tuple[str, Spread]],
    *,
    x_label: str,
    colours: Sequence[int] = range(COLOURS),
) -> str:
    """Draw a box from 25 to 75 %, whiskers from 5 to 95 %, the median and the mean per row."""
    low = min(min(spread.low, spread.mean, 0) for _, spread in spreads)
    high = max(max(spread.high, spread.mean, 0) for _, spread in spreads)
    high = high if high > low else 1.0
    step = ticks(max(high, -low))[1]
    marks = [step * count for count in range(math.floor(low / step), math.ceil(high / step) + 1)]
    left, pitch = 62, 46
    across = WIDTH - left - RIGHT - 6
    foot = TOP + pitch * len(spreads) + 4
    body = _x_grid(marks, left, across, foot)

    def place(value: float) -> float:
        return left + across * (value - marks[0]) / (marks[-1] - marks[0])

    for number, (label, spread) in enumerate(spreads):
        y = TOP + pitch * number + 20
        says = (
            f"{label}: 5 % {short(spread.low)}, 25 % {short(spread.quarter)}, median "
            f"{short(spread.median)}, 75 % {short(spread.three_quarters)}, 95 % "
            f"{short(spread.high)}, mean {short(spread.mean)}"
        )
        body.append(_text(left - 6, y + 4, label, "name", "end"))
        body.append(_line(place(spread.low), y, place(spread.high), y, "whisker"))
        for end in (spread.low, spread.high):
            body.append(_line(place(end), y - 5, place(end), y + 5, "whisker"))
        start = place(spread.quarter)
        body.append(
            _box(
                start,
                y - 11,
                place(spread.three_quarters) - start,
                22,
                _colour(colours, number),
                says,
            )
        )
        body.append(_line(place(spread.median), y - 11, place(spread.median), y + 11, "median"))
        x = place(spread.mean)
        body.append(f'<circle class="mean" cx="{x:.1f}" cy="{y}" r="3.5"/>')
    body.append(_x_label(x_label, foot + FOOT - 4))
    return _svg(name, foot + FOOT, body)


def _x_grid(marks: Sequence[float], left: int, across: float, foot: int) -> list[str]:
    body = []
    for mark in marks:
        x = left + across * (mark - marks[0]) / (marks[-1] - marks[0])
        body.append(_line(x, TOP, x, foot, "grid" if mark else "axis"))
        body.append(_text(x, foot + 15, short(mark)))
    return body
