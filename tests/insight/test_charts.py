"""Charts: escaped, inside their frame, and legible without colour."""

from __future__ import annotations

import re

import pytest

from flaxchar.insight.charts import HEIGHT, WIDTH, Axis, Series, bar_chart, label_map, line_chart, short


def test_labels_are_escaped():
    chart = line_chart(
        "<b>", "<i>", [Series("<s>", [(0, 1)])] * 2, Axis("<x>", 0, 1), Axis("<y>", 0, 1), [("<r>", 0.5)]
    )
    chart += bar_chart("t", "d", [("<l>", 1.0)], "<x>", Axis("y", 0, 1)) + label_map("t", "d", [("<m>", 0.0, 0.0, 0)])
    for name in "bisxyrlm":
        assert f"<{name}>" not in chart
        assert f"&lt;{name}&gt;" in chart


def test_points_outside_an_axis_stay_inside_the_frame():
    chart = line_chart("t", "d", [Series("a", [(-5, -5), (50, 50)])], Axis("x", 0, 1), Axis("y", 0, 1))
    (points,) = re.findall(r'points="([^"]*)"', chart)
    for point in points.split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_lines_differ_by_more_than_colour():
    chart = line_chart("t", "d", [Series("a", [(0, 1)], True), Series("b", [(1, 0)], True)], *[Axis("x", 0, 1)] * 2)
    assert "line0" in chart
    assert "line1" in chart
    assert "<circle" in chart
    assert 'class="mark mark1" x=' in chart
    assert chart.count("<li>") == 2


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("x", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (Axis("x", 0, 1500), [0, 500, 1000, 1500]),
        (Axis("x", 1, 16, log=True), [1, 2, 4, 8, 16]),
        (Axis("x", 3, 3), [3]),
    ],
)
def test_ticks_are_round_numbers(axis, ticks):
    assert axis.ticks()[: len(ticks)] == pytest.approx(ticks)
    assert len(axis.ticks()) <= 9


def test_short_numbers():
    assert [short(value) for value in (0.5, 12.0, 1500.0, 30_000.0)] == ["0.5", "12", "1,500", "30k"]


def test_the_names_of_lines_stand_below_the_chart_where_they_lie_on_no_curve():
    lines = [("the floor", 0.2), ("the baseline", 0.8)]
    chart = line_chart("t", "d", [Series("a", [(0, 1)])], *[Axis("x", 0, 1)] * 2, lines)
    drawn, legend = chart.split("</svg><ul", 1)
    for name, _ in lines:
        assert name not in drawn
        assert name in legend
    assert "rule0" in legend  # a dash pattern for each
    assert "rule1" in legend
