"""``flaxchar classify``: accuracy, confusion matrix and calibration."""

from __future__ import annotations

import numpy as np
import pytest

from flaxchar.commands.classify import _evaluate, _indices
from flaxchar.config import InputError

NAMES = ("low", "high")
PROBABILITIES = np.array([[0.95, 0.05], [0.85, 0.15], [0.35, 0.65], [0.65, 0.35]])


def test_accuracy_confusion_and_calibration():
    lines = _evaluate(PROBABILITIES, np.array([0, 1, 1, 1]), NAMES)
    assert lines[0] == "accuracy 50.0% on 4 texts"
    rows = [line.split() for line in lines]
    assert rows[3] == ["low", "high"]
    assert rows[4:6] == [["low", "1", "0"], ["high", "2", "1"]]
    # Bins: 0.65 twice (one right), 0.85 (wrong), 0.95 (right): 2/4 · 0.15 + 1/4 · 0.85 + 1/4 · 0.05
    assert "expected calibration error: 0.300" in lines[-1]
    assert ["65.0%", "50.0%", "(2", "texts)"] in rows


def test_a_label_the_model_does_not_know_is_named():
    assert _indices(["high", "low"], NAMES).tolist() == [1, 0]
    with pytest.raises(InputError, match=r"'middle', which the model does not know; it knows low, high"):
        _indices(["low", "middle"], NAMES)
