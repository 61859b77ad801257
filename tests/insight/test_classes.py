"""The class neuron: found where there is one, at chance where there is none."""

from __future__ import annotations

import numpy as np

from flaxchar.insight.classes import find_class_neuron
from flaxchar.insight.neurons import Unit


def test_the_unit_that_tells_the_class_is_found():
    rng = np.random.default_rng(0)
    labels = [("sport", "world", "science")[k] for k in rng.integers(0, 3, 120)]
    states = rng.normal(size=(120, 2, 20)).astype(np.float32)
    states[:, 1, 4] += 4 * np.array([("sport", "world", "science").index(label) for label in labels])
    found = find_class_neuron(states, labels)
    assert found.unit == Unit(1, 4)
    assert found.accuracy > 0.9
    assert found.low < found.accuracy < found.high
    assert found.found
    assert found.names == ("science", "sport", "world")
    assert found.means[0] > found.means[2] > found.means[1]


def test_units_that_know_nothing_are_at_chance():
    rng = np.random.default_rng(1)
    labels = ["good" if k else "bad" for k in rng.integers(0, 2, 200)]
    found = find_class_neuron(rng.normal(size=(200, 1, 60)).astype(np.float32), labels)
    assert found.accuracy < 0.65
    assert not found.found


def test_too_few_texts_of_a_class_are_not_searched():
    assert find_class_neuron(np.zeros((12, 1, 3), np.float32), ["a"] * 10 + ["b"] * 2) is None
