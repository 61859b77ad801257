"""Charts as inline SVG: lines, bars, and a map of labels. They carry a title and a description for screen readers.

Colours come from the classes of the page's style sheet, for light and dark. Each line also has a dash pattern and a
name in the legend, so that no chart depends on colour.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

# Size of a chart in SVG units, about the pixels of a phone's screen; the page scales it.
WIDTH, HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 10, 36
_NUMBERS = itertools.count(1)


class Series(NamedTuple):
    """A line of a chart.

    Attributes:
      name: what it shows, for the legend.
      points: ``(x, y)`` pairs.
      marked: whether each point has a mark.
    """

    name: str
    points: Sequence[tuple[float, float]]
    marked: bool = False


class Axis(NamedTuple):
    """An axis.

    Attributes:
      label: its label, with the unit.
      low: its lowest value.
      high: its highest value.
      log: whether it is logarithmic, to base 2.
    """

    label: str
    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value is, from 0 at ``low`` to 1 at ``high``."""
        if self.log:
            return (math.log2(value) - math.log2(self.low)) / max(1e-12, math.log2(self.high) - math.log2(self.low))
        return (value - self.low) / max(1e-12, self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values along the axis."""
        if self.log:
            powers = range(math.ceil(math.log2(self.low)), math.floor(math.log2(self.high)) + 1)
            step = max(1, -(-len(powers) // 8))
            return [2.0**k for k in powers[::step]]
        span = max(1e-12, self.high - self.low)
        step = 10 ** math.floor(math.log10(span / 4))
        step *= next(k for k in (1, 2, 5, 10) if span / (step * k) <= 5)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def line_chart(
    title: str, description: str, series: Sequence[Series], x: Axis, y: Axis, lines: Sequence[tuple[str, float]] = ()
) -> Markup:
    """Lines in one chart.

    Args:
      title: the chart's title.
      description: what it shows, in a sentence or two.
      series: the lines, at most four.
      x: the horizontal axis.
      y: the vertical axis.
      lines: horizontal lines and their names, such as a lower bound, at most two.
    """
    parts = [_axes(x, y)]
    for number, (_, value) in enumerate(lines):
        at = _y(y, value)
        rule = Markup('<line class="rule rule{}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
        parts.append(rule.format(number, _LEFT, WIDTH - _RIGHT, at, at))
    for number, each in enumerate(series):
        points = [(_x(x, a), _y(y, b)) for a, b in each.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(Markup('<polyline class="line line{}" points="{}"/>').format(number, path))
        if each.marked:
            parts += [_mark(number, *point) for point in points]
    legend = _legend(series, [label for label, _ in lines]) if len(series) + len(lines) > 1 else Markup("")
    return _svg(title, description, parts) + legend


def bar_chart(title: str, description: str, bars: Sequence[tuple[str, float]], x: str, y: Axis) -> Markup:
    """Labelled bars; ``x`` is the label of the horizontal axis."""
    width = (WIDTH - _LEFT - _RIGHT) / max(1, len(bars))
    parts = [_axes(Axis(x, 0, 1), y, ticks=False)]
    for number, (label, value) in enumerate(bars):
        top, left = _y(y, value), _LEFT + number * width
        parts.append(
            Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                left + 1, top, max(1.0, width - 2), max(0.0, HEIGHT - _BOTTOM - top)
            )
        )
        parts.append(_text(left + width / 2, HEIGHT - _BOTTOM + 12, label, "note middle"))
    return _svg(title, description, parts)


def label_map(title: str, description: str, labels: Sequence[tuple[str, float, float, int]]) -> Markup:
    """A map of labels ``(label, x, y, kind)``; the kind, 0 to 3, chooses the colour."""
    height = 300
    xs, ys = [x for _, x, _, _ in labels], [y for _, _, y, _ in labels]
    across = Axis("", min(xs, default=0), max(xs, default=1))
    up = Axis("", min(ys, default=0), max(ys, default=1))
    parts = [
        _text(14 + across.share(x) * (WIDTH - 28), 14 + (1 - up.share(y)) * (height - 24), label, f"label kind{kind}")
        for label, x, y, kind in labels
    ]
    return _svg(title, description, parts, height)


def _svg(title: str, description: str, parts: Sequence[Markup], height: int = HEIGHT) -> Markup:
    number = next(_NUMBERS)
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="t{} d{}">'
        '<title id="t{}">{}</title><desc id="d{}">{}</desc>{}</svg>'
    ).format(WIDTH, height, number, number, number, title, number, description, Markup("").join(parts))


def _axes(x: Axis, y: Axis, ticks: bool = True) -> Markup:
    bottom = HEIGHT - _BOTTOM
    parts = [
        Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, WIDTH - _RIGHT, bottom, bottom)
    ]
    for value in y.ticks():
        at = _y(y, value)
        grid = Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
        parts.append(grid.format(_LEFT, WIDTH - _RIGHT, at, at))
        parts.append(_text(_LEFT - 4, at + 3.5, short(value), "note end"))
    for value in x.ticks() if ticks else ():
        inside = min(_x(x, value), WIDTH - 3.3 * len(short(value)))  # a long number at the end is not cut
        parts.append(_text(inside, bottom + 12, short(value), "note middle"))
    parts.append(_text((WIDTH + _LEFT) / 2, HEIGHT - 5, x.label, "note middle"))
    turned = Markup('<text class="note middle" transform="translate(9 {}) rotate(-90)">{}</text>')
    return Markup("").join([*parts, turned.format(_TOP + (bottom - _TOP) / 2, y.label)])


def _legend(series: Sequence[Series], lines: Sequence[str]) -> Markup:
    """The names of all lines, below the chart: in it they would lie on the curves."""
    items = [
        Markup(
            '<li><svg class="key" viewBox="0 0 28 10" aria-hidden="true">'
            '<polyline class="line line{}" points="1,5 27,5"/>{}</svg> {}</li>'
        ).format(number, _mark(number, 14, 5) if each.marked else "", each.name)
        for number, each in enumerate(series)
    ]
    rule = Markup(
        '<li><svg class="key" viewBox="0 0 28 10" aria-hidden="true">'
        '<line class="rule rule{}" x1="1" x2="27" y1="5" y2="5"/></svg> {}</li>'
    )
    items += [rule.format(number, name) for number, name in enumerate(lines)]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _mark(number: int, x: float, y: float) -> Markup:
    if number % 2:
        return Markup('<rect class="mark mark{}" x="{:.1f}" y="{:.1f}" width="5" height="5"/>').format(
            number, x - 2.5, y - 2.5
        )
    return Markup('<circle class="mark mark{}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>').format(number, x, y)


def _text(x: float, y: float, text: str, names: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(names, x, y, text)


def _x(axis: Axis, value: float) -> float:
    return _LEFT + min(1.0, max(0.0, axis.share(value))) * (WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - _BOTTOM - min(1.0, max(0.0, axis.share(value))) * (HEIGHT - _TOP - _BOTTOM)


def short(value: float) -> str:
    """A number as an axis shows it: ``0.5``, ``12``, ``3k``."""
    if abs(value) >= 10_000:
        return f"{value / 1000:,.4g}k"
    return f"{value:,.4g}"
