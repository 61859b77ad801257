"""The figures of the page: charts with their captions, and the numbers behind each chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from flaxchar.insight.charts import Axis, Series, bar_chart, label_map, line_chart
from flaxchar.insight.embedding import EmbeddingMap
from flaxchar.insight.memory import ENOUGH_BITS, NEAR_ONE, ContextLoss, LayerMemory, enough_context
from flaxchar.insight.paint import visible
from flaxchar.insight.report import ModelReport
from flaxchar.insight.surprise import CalibrationBin, PositionBits

Figure = dict[str, Any]
# Points of a curve that are drawn.
_POINTS = 200
# Units are counted between powers of 2 of what they remember; the last bar has all that remember longer.
_LONGEST_KEPT = 512


def curves(report: ModelReport) -> Figure | None:
    """Training and held-out loss against steps."""
    training, held_out = _thinned(report.training_curve), report.held_out_curve
    if not training and not held_out:
        return None
    unit = "bits per text" if report.classifies else "bits per character"
    lines = [] if report.floor is None else [(f"entropy floor {report.floor:.3f}", report.floor)]
    if report.baselines:
        name, bits = min(report.baselines.items(), key=lambda item: item[1])
        lines.append((f"{name} {bits:.2f}", bits))
    values = [bits for _, bits in [*training, *held_out]]
    high = min(max(values), 2.5 * float(np.median(values)))  # the first steps would flatten all others
    training, held_out = ([point for point in curve if point[1] <= high] for curve in (training, held_out))
    high = max([high, *(value for _, value in lines)]) * 1.04
    low = min([*values, *(value for _, value in lines)])
    low -= 0.12 * (high - low)
    x = Axis("steps", 0, max(step for step, _ in [*training, *held_out]))
    series = [Series("training texts", training)] * bool(training)
    series += [Series("held-out texts", held_out, marked=True)] * bool(held_out)
    caption = f"{unit.capitalize()} while it trained; lower is better."
    if training and report.config.model.dropout:
        caption += " The training loss is measured with dropout, which the evaluations leave out."
    chart = line_chart("Learning curves", caption, series, x, Axis(unit, low, high), lines)
    rows = [(f"{step:,.0f}", f"{bits:.4f}") for step, bits in report.held_out_curve]
    return {"chart": chart, "caption": caption, "rows": rows}


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    step = max(1, len(points) // _POINTS)
    return [*points[::step], *points[-1:]] if points else []


def positions(groups: Sequence[PositionBits], running: bool) -> Figure | None:
    """Bits against the position in the text."""
    if len(groups) < 2:
        return None
    points = [((group.first + group.last) / 2, group.bits) for group in groups]
    x = Axis("position in the passage" if running else "position in the text", 1, max(points)[0], log=True)
    y = Axis("bits", 0, max(bits for _, bits in points) * 1.05)
    caption = (
        f"Mean bits at each position of the {'passages' if running else 'texts'}, later ones in groups. The first "
        f"takes {groups[0].bits:.2f} bits, position {groups[-1].first} and later {groups[-1].bits:.2f}."
    )
    chart = line_chart("Surprise by position", caption, [Series("bits", points, marked=True)], x, y)
    rows = [
        (f"{g.first}" if g.first == g.last else f"{g.first}–{g.last}", f"{g.bits:.3f}", f"{g.tokens:,}") for g in groups
    ]
    return {"chart": chart, "caption": caption, "rows": rows}


def reliability(bins: Sequence[CalibrationBin], error: float) -> Figure | None:
    """Predicted probabilities against the share that came true."""
    if not bins:
        return None
    caption = (
        f"All predictions of the five likeliest, in ten groups by their probability. On the straight line, "
        f"probabilities come true as often as they say. The mean distance from it (expected calibration error) is "
        f"{100 * error:.1f} percentage points."
    )
    series = [
        Series("this model", [(each.predicted, each.observed) for each in bins], marked=True),
        Series("perfectly calibrated", [(0, 0), (1, 1)]),
    ]
    chart = line_chart("Calibration", caption, series, Axis("predicted probability", 0, 1), Axis("came true", 0, 1))
    rows = [(f"{b.predicted:.1%}", f"{b.observed:.1%}", f"{b.predictions:,}") for b in bins]
    return {"chart": chart, "caption": caption, "rows": rows}


def contexts(losses: Sequence[ContextLoss], unit: str) -> Figure | None:
    """Bits against the length of the context."""
    if not losses:
        return None
    last = losses[-1]
    enough = enough_context(losses)
    longest = max(2, last.length)
    suffices = "The last is" if enough.length == 1 else f"The last {enough.length} are"
    x = Axis(f"{unit}s of context", 1, longest, log=True)
    y = Axis("bits", 0, max(each.bits for each in losses) * 1.05)
    caption = (
        f"Mean bits of the same held-out {unit}s, predicted from at most the last n {unit}s before them, read from an "
        f"empty state. A context of one leaves {losses[0].bits:.2f} bits, one of {last.length} leaves {last.bits:.2f} "
        f"(standard error {last.error:.2f}). {suffices} enough to come within "
        f"{ENOUGH_BITS} bits of that; what lies further back hardly helps this model."
    )
    points = [(each.length, each.bits) for each in losses]
    chart = line_chart("Loss by length of context", caption, [Series("bits", points, marked=True)], x, y)
    rows = [(each.length, f"{each.bits:.3f}", f"± {each.error:.3f}", f"{each.longer:.0%}") for each in losses]
    return {"chart": chart, "caption": caption, "rows": rows}


def gates(memories: Sequence[LayerMemory], cell: str, unit: str) -> list[Figure]:
    """For each layer, how many units remember for how long."""
    name = {"gru": "update gates z", "mingru": "gates 1 − z"}.get(cell, "forget gates")
    figures = []
    edges = [2**k for k in range(int(math.log2(_LONGEST_KEPT)) + 1)]
    for number, layer in enumerate(memories):
        counts = np.histogram(layer.kept, [0, *edges, np.inf])[0]
        labels = ["< 1", *map(str, edges)]
        middle = float(np.median(layer.kept))
        caption = (
            f"Layer {number}: {layer.near_one:.0%} of its {name} are above {NEAR_ONE}, at all units and positions "
            f"together. Until its gates have left less than 1/e (37 %) of what it holds, the median unit keeps it for "
            f"{_rounded(middle)} {unit}s on average, and {(layer.kept > 16).mean():.0%} of the units for more than 16. "
            "The end of a text ends the count. Each bar counts the units from its number up to the next."
        )
        y = Axis("units", 0, max(1, int(counts.max())) * 1.08)
        bars = [(label, float(count)) for label, count in zip(labels, counts, strict=True)]
        chart = bar_chart(
            f"How long units of layer {number} remember", caption, bars, f"{unit}s that a unit remembers", y
        )
        figures.append({"chart": chart, "caption": caption})
    return figures


def _rounded(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def embedding(places: EmbeddingMap, unit: str) -> Figure:
    """The map of the tokens."""
    first, second = places.shares
    vectors = "embedding" if places.embedded else "rows of the first layer's input kernel (there is no embedding)"
    caption = (
        f"The {len(places.tokens)} most frequent {unit}s by their {vectors}: first two principal components, "
        f"{first:.0%} and {second:.0%} of the variance. What is near is treated alike. Bold: vowels; further colours: "
        "digits, and what is neither letter nor digit."
    )
    labels = [
        (visible(token), float(x), float(y), _kind(token))
        for token, (x, y) in zip(places.tokens, places.places, strict=True)
    ]
    rows = [
        (visible(token), ", ".join(f"{visible(other)} ({similarity:.2f})" for other, similarity in near))
        for token, near in zip(places.tokens, places.neighbours, strict=True)
    ]
    return {"chart": label_map(f"Map of the {unit}s", caption, labels), "caption": caption, "rows": rows}


def _kind(token: str) -> int:
    if token.isdigit():
        return 2
    if not any(map(str.isalpha, token)):
        return 3
    return int(token.lower() in "aeiouäöüyаеёиоуыэюяαεηιουω")


def bar(share: float) -> Markup:
    """A bar in a cell of a table; it repeats a number of the row, so a screen reader skips it."""
    opening = Markup('<svg viewBox="0 0 100 8" width="100" height="8" aria-hidden="true">')
    return opening + Markup('<rect class="bar" width="{:.1f}" height="8"/></svg>').format(100 * share)
