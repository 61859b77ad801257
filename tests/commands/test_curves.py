"""Learning curves: what is read from the records, and that every line of the picture is drawn and named."""

from __future__ import annotations

import itertools
import math
import warnings

import matplotlib.colors
import numpy as np
import pytest

from flaxchar.commands.curves import curves_figure, draw_curves, log_ticks, read_curves, spread


def training(step, bits, seconds=2.0, **others):
    record = {"step": step, "bits_per_character": bits, "gradient_norm": 1 / step, "learning_rate": 0.1, **others}
    return {**{name: value for name, value in record.items() if value is not None}, "seconds": seconds}


def evaluation(step, bits):
    return {"step": step, "held_out_loss": 1.0, "held_out_bits_per_character": bits}


RECORDS = [
    training(10, 4.0),
    training(20, 3.0),
    evaluation(25, 2.75),
    training(30, 2.5),
    evaluation(30, None),
    training(40, None, gradient_norm=None),
    evaluation(40, 2.25),
]
BASELINES = {"uniform": 5.0, "bz2": 2.3, "xz, after the training texts": 2.3001}


def test_curves_are_read_by_steps_and_by_seconds_of_training():
    curves = read_curves(RECORDS)
    assert curves.steps.tolist() == [10, 20, 30, 40]
    assert curves.seconds.tolist() == [2, 4, 6, 8]
    np.testing.assert_equal(curves.training, [4.0, 3.0, 2.5, math.nan])
    np.testing.assert_equal(curves.gradient_norm, [1 / 10, 1 / 20, 1 / 30, math.nan])
    assert curves.evaluated.tolist() == [25, 30, 40]
    assert curves.evaluated_seconds.tolist() == [5, 6, 8]  # between two records
    np.testing.assert_equal(curves.held_out, [2.75, math.nan, 2.25])


def test_every_line_is_drawn_and_named():
    figure = curves_figure(read_curves(RECORDS), "a run of $5_x", BASELINES, floor=2.0)
    bits, bits_by_seconds, rate, _, norm, _ = figure.axes
    for axes in (bits, bits_by_seconds):
        level = {line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1}
        assert {2.0, *BASELINES.values()} <= level
        np.testing.assert_equal([line.get_ydata() for line in axes.lines if line.get_marker() == "o"],
                                [[2.75, math.nan, 2.25]])  # fmt: skip
    assert {text.get_text() for text in bits_by_seconds.texts} == {
        "5.0000 uniform",
        "2.3000 bz2",
        "2.3001 xz, after the training texts",
        "2.0000 entropy floor",
        "2.5000 training",
        "2.2500 held out",
    }
    assert [axes.get_ylabel() for axes in (bits, rate, norm)] == [
        "bits per character",
        "learning rate",
        "gradient norm",
    ]
    assert figure.get_suptitle() == "a run of $5_x"


def test_names_do_not_overlap():
    figure = curves_figure(read_curves(RECORDS), "run", BASELINES, floor=2.0)
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in figure.axes[1].texts), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
    assert max(box.x1 for box in boxes) < figure.bbox.x1


def test_lines_differ_without_colour():
    bits = curves_figure(read_curves(RECORDS), "run", BASELINES, floor=2.0).axes[0]

    def style(line):
        r, g, b = matplotlib.colors.to_rgb(line.get_color())
        return line.get_marker(), line.get_linestyle(), round(line.get_linewidth()), round(2 * r + 5 * g + b)

    assert len({style(line) for line in bits.lines}) == 4  # training, held out, floor, baselines


@pytest.mark.parametrize("records", [
    [],
    RECORDS[:1],
    [RECORDS[2]],
    [training(1, 0.0, gradient_norm=0.0)],
    [training(1, None, gradient_norm=None), evaluation(1, None)],
    [training(step, 2 + 1e-9 * step, gradient_norm=1e30) for step in range(1, 9)],
])  # fmt: skip
@pytest.mark.parametrize("baselines", [{}, {"uniform": 0.0}])
def test_whatever_is_known_is_drawn(records, baselines):
    with warnings.catch_warnings(action="error"):
        picture = draw_curves(read_curves(records), "run", baselines, unit="text")
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize("title", ["run \N{FOX FACE}", "\u4e2d\u6587", "a\x1bb\nc", "\u0633\u0644\u0627\u0645"])
def test_a_run_may_be_named_in_characters_that_the_font_lacks(title):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_curves(read_curves(RECORDS), title, BASELINES).startswith(b"\x89PNG")


@pytest.mark.parametrize(("low", "high"), [(0.5, 6), (2.3, 2.5), (0.001, 1e6), (2, 2.01), (0.9, 1.1)])
@pytest.mark.parametrize("most", [4, 10])
def test_ticks_are_few_round_numbers_within_the_axis(low, high, most):
    ticks = log_ticks(low, high, most)
    assert 2 <= len(ticks) <= most
    assert ticks == sorted(set(ticks))
    assert all(low <= tick <= high and float(f"{tick:.3g}") == tick for tick in ticks)


def test_places_are_spread_as_little_as_needed():
    assert spread([], 0.1) == []
    assert spread([0.1, 0.1, 0.9], 0.2) == pytest.approx([0.0, 0.2, 0.9])
    places = np.sort(np.random.default_rng(0).random(40)).tolist()
    apart = spread(places, 0.02)
    assert min(np.diff(apart)) >= 0.02 - 1e-12
    assert spread(apart, 0.02) == pytest.approx(apart)
