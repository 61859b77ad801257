"""The learning curves of a run as a picture: bits per character, learning rate and gradient norm, by steps and seconds.

Everything can be told apart without colour: the lines have different styles and shades, and each is named beside it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Two labels in the margin are at least this part of the axes' height apart.
_LABEL_SPACING = 0.04
_TRAINING = {"color": "#5b9bd5", "linewidth": 0.9}
_HELD_OUT = {"color": "black", "linewidth": 1.8, "marker": "o", "markersize": 4.5, "clip_on": False, "zorder": 3}
_FLOOR = {"color": "black", "linewidth": 1.3, "linestyle": (0, (7, 2, 1.5, 2))}
_BASELINE = {"color": "#8a8a8a", "linewidth": 0.9, "linestyle": (0, (1.2, 2))}
_OTHERS = {"color": "#404040", "linewidth": 1.0}


class Curves(NamedTuple):
    """What ``metrics.jsonl`` tells of a run. A value that is missing or was not finite is NaN.

    Attributes:
      steps: step of each record of the training loss, float64 ``[records]``.
      seconds: seconds of training until then, without evaluations, float64 ``[records]``.
      training: bits per character of the training texts since the record before, float64 ``[records]``.
      learning_rate: float64 ``[records]``.
      gradient_norm: before clipping, float64 ``[records]``.
      evaluated: step of each evaluation, float64 ``[evaluations]``.
      evaluated_seconds: seconds of training until then, float64 ``[evaluations]``.
      held_out: held-out bits per character, float64 ``[evaluations]``.
    """

    steps: np.ndarray
    seconds: np.ndarray
    training: np.ndarray
    learning_rate: np.ndarray
    gradient_norm: np.ndarray
    evaluated: np.ndarray
    evaluated_seconds: np.ndarray
    held_out: np.ndarray


def read_curves(records: Sequence[Mapping[str, Any]]) -> Curves:
    """The curves of a run from the records of its ``metrics.jsonl``, in their order."""
    held_out = "held_out_bits_per_character"
    training = [record for record in records if "learning_rate" in record]
    evaluations = [record for record in records if held_out in record]

    def column(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
        values = (record.get(name) for record in records)
        return np.array([math.nan if value is None else value for value in values], np.float64)

    steps, seconds = column(training, "step"), np.cumsum(np.nan_to_num(column(training, "seconds")))
    evaluated = column(evaluations, "step")
    return Curves(
        steps=steps,
        seconds=seconds,
        training=column(training, "bits_per_character"),
        learning_rate=column(training, "learning_rate"),
        gradient_norm=column(training, "gradient_norm"),
        evaluated=evaluated,
        evaluated_seconds=np.interp(evaluated, [0, *steps], [0, *seconds]),
        held_out=column(evaluations, held_out),
    )


def draw_curves(
    curves: Curves, title: str, baselines: Mapping[str, float], floor: float | None = None, unit: str = "character"
) -> bytes:
    """Draw the curves of a run as a PNG picture; the arguments are those of ``curves_figure``."""
    picture = io.BytesIO()
    figure = curves_figure(curves, title, baselines, floor, unit)
    with warnings.catch_warnings():  # a run's name may hold any character; one without a glyph is drawn as a box
        warnings.filterwarnings(
            "ignore", r"Glyph .* missing from font|Matplotlib currently does not support", UserWarning
        )
        figure.savefig(picture, format="png")
    return picture.getvalue()


def curves_figure(
    curves: Curves, title: str, baselines: Mapping[str, float], floor: float | None = None, unit: str = "character"
) -> Figure:
    """Draw the curves of a run.

    Args:
      curves: from ``read_curves``.
      title: what the picture is headed by.
      baselines: bits per character of other models on the held-out texts, by name.
      floor: entropy of the held-out texts, bits per character, if it is known.
      unit: what the bits are counted by: ``"character"``, or for a classifier ``"text"``.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mpl.rcdefaults()  # the user's own style may have any colours
    figure = Figure(figsize=(11, 7.5), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 2, sharex="col", sharey="row", height_ratios=[4, 1, 1])
    figure.subplots_adjust(left=0.08, right=0.775, top=0.94, bottom=0.075, wspace=0.08, hspace=0.1)
    figure.suptitle(title, x=0.08, y=0.985, ha="left", fontsize=11, parse_math=False)
    lines = {**({} if floor is None else {"entropy floor": floor}), **baselines}
    for column, (steps, evaluated) in enumerate(
        ((curves.steps, curves.evaluated), (curves.seconds, curves.evaluated_seconds))
    ):
        bits, rate, norm = axes[:, column]
        for name, value in lines.items():
            bits.axhline(value, **(_FLOOR if name == "entropy floor" else _BASELINE))
        bits.plot(steps, curves.training, **_TRAINING)
        bits.plot(evaluated, curves.held_out, **_HELD_OUT)
        rate.plot(steps, curves.learning_rate, **_OTHERS)
        norm.plot(steps, curves.gradient_norm, **_OTHERS)
        norm.set_xlim(0, max([1.0, *steps[-1:], *evaluated[-1:]]))
    axes[2, 0].set_xlabel("steps")
    axes[2, 1].set_xlabel("seconds of training")
    axes[2, 0].xaxis.set_major_formatter("{x:,.0f}")
    for row, name in enumerate((f"bits per {unit}", "learning rate", "gradient norm")):
        axes[row, 0].set_ylabel(name)
    figure.align_ylabels(axes[:, 0])
    ends = {"training": curves.training, "held out": curves.held_out}
    finite = {name: values[np.isfinite(values)] for name, values in ends.items()}
    _scale(axes[0, 0], np.concatenate([*finite.values(), list(lines.values())]))
    _scale(axes[2, 0], curves.gradient_norm, most_ticks=4)
    _name_lines(axes[0, 1], lines | {name: values[-1] for name, values in finite.items() if len(values)})
    return figure


def _scale(axes: Axes, values: np.ndarray, most_ticks: int = 10) -> None:
    """Show all the values on a logarithmic axis, whose ticks are plain numbers.

    The first bits are learned in seconds and the last in hours; on a linear axis the last would be one flat line.
    """
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return
    low, high = 0.93 * float(values.min()), 1.08 * float(values.max())
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(log_ticks(low, high, most_ticks)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers between two positive ones, for the ticks of a logarithmic axis.

    Example::

        log_ticks(0.5, 6, most=10)  # [0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0]
    """
    powers, chosen = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1), list[float]()
    for digits in ((10,), (10, 20, 50), (10, 15, 20, 30, 50, 70), range(10, 100), range(100, 1000)):
        shift = 2 if digits[0] == 100 else 1
        ticks = (float(f"{digit * 10.0 ** (power - shift):.3g}") for power in powers for digit in digits)
        between = [tick for tick in ticks if low <= tick <= high]
        if len(between) > most and len(chosen) >= 2:
            break
        chosen = between
    return chosen[:: 1 + (len(chosen) - 1) // most]


def _name_lines(axes: Axes, ends: Mapping[str, float]) -> None:
    """Name lines in the right margin, at the height of their ends or as near as there is room."""
    to_axes = axes.transData + axes.transAxes.inverted()
    places = {name: float(to_axes.transform((0, value))[1]) for name, value in ends.items()}
    names = sorted(places, key=places.__getitem__)
    for name, height in zip(names, spread([places[name] for name in names], _LABEL_SPACING), strict=True):
        weight = "bold" if name == "held out" else "normal"
        text = f"{ends[name]:.4f} {name}"
        axes.text(1.07, height, text, transform=axes.transAxes, va="center", fontsize=9, fontweight=weight)
        axes.plot(
            [1, 1.05], [places[name], height], transform=axes.transAxes, clip_on=False, color="#8a8a8a", linewidth=0.5
        )


def spread(places: Sequence[float], spacing: float) -> list[float]:
    """Move places apart to at least ``spacing``, each as little as the others let it.

    Args:
      places: in rising order.
      spacing: the least distance of neighbours.

    Example::

        spread([0.1, 0.1, 0.9], 0.2)  # [0.0, 0.2, 0.9]
    """
    groups: list[list[float]] = []  # places that touch, around their mean

    def begin(group: list[float]) -> float:
        return sum(group) / len(group) - spacing * (len(group) - 1) / 2

    for place in places:
        groups.append([place])
        while len(groups) > 1 and begin(groups[-2]) + spacing * len(groups[-2]) > begin(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    return [begin(group) + spacing * k for group in groups for k in range(len(group))]
