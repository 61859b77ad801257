"""Figures of the page, from numbers that are known."""

from __future__ import annotations

import re

import numpy as np

from flaxchar.insight import page_figures as figures
from flaxchar.insight.memory import ContextLoss, LayerMemory
from flaxchar.insight.surprise import CalibrationBin, PositionBits


def test_contexts_say_how_much_is_enough():
    losses = [ContextLoss(n, bits, 0.01, 0.5) for n, bits in ((1, 4.0), (2, 3.0), (4, 2.04), (8, 2.0))]
    caption = figures.contexts(losses, "character")["caption"]
    assert "A context of one leaves 4.00 bits, one of 8 leaves 2.00 (standard error 0.01). The last 4 are" in caption
    assert figures.contexts([], "character") is None


def test_gates_count_every_unit_once():
    (figure,) = figures.gates([LayerMemory(0.25, np.array([0.5, 3.0, 20.0, 9000.0]))], "lstm", "character")
    heights = [float(h) for h in re.findall(r'class="bar"[^>]*height="([\d.]+)"', figure["chart"])]
    assert sum(h > 0 for h in heights) == 4
    assert "25% of its forget gates" in figure["caption"]
    assert "50% of the units for more than 16" in figure["caption"]


def test_too_few_positions_or_predictions_make_no_figure():
    assert figures.positions([PositionBits(1, 1, 3.0, 9)], running=False) is None
    assert figures.reliability([], float("nan")) is None
    assert "5.0 percentage points" in figures.reliability([CalibrationBin(0.5, 0.55, 9)], 0.05)["caption"]
