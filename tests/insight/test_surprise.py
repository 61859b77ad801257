"""Surprise: bits by position, the ranking, and calibration against probabilities that are known to be right."""

from __future__ import annotations

import numpy as np
import pytest

from flaxchar.insight.surprise import bits_by_position, bits_per_character, calibration, rank
from flaxchar.insight.trace import END, Trace


def trace_of(tokens, bits, alternatives=None):
    alternatives = [[]] * len(tokens) if alternatives is None else alternatives
    return Trace(list(tokens), np.array(bits, float), alternatives, np.zeros((1, len(tokens), 1), np.float32), {})


def test_the_end_of_a_text_counts_as_one_character_and_a_word_as_several():
    assert bits_per_character(trace_of(["a", "b", END], [1, 2, 6])) == 3
    assert bits_per_character(trace_of(["ab", " cd", END], [3, 3, 6])) == 2


def test_the_most_surprising_text_is_first_and_empty_ones_are_left_out():
    traces = [trace_of("ab", [1, 1]), trace_of("", []), trace_of("ab", [5, 1]), trace_of("a", [2])]
    assert rank(traces) == [2, 3, 0]


def test_bits_by_position_are_means_over_the_texts_that_reach_it():
    traces = [trace_of("a" * 8, range(8)) for _ in range(30)] + [trace_of("a" * 2, [3, 4])] * 30
    groups = bits_by_position(traces)
    assert groups[0][:3] == (1, 1, 1.5)
    assert groups[1][:3] == (2, 2, 2.5)
    assert groups[0].tokens == 60
    assert groups[-1].last == 8
    covered = [k for group in groups for k in range(group.first, group.last + 1)]
    assert covered == list(range(1, 9))


def test_right_probabilities_are_calibrated_and_overconfident_ones_are_not():
    rng = np.random.default_rng(0)
    tokens = ["a" if k < 0.7 else "b" for k in rng.random(4000)]
    right, error = calibration([trace_of(tokens, np.ones(4000), [[("a", 0.7), ("b", 0.3)]] * 4000)])
    assert error < 0.03
    assert [round(each.predicted, 3) for each in right] == [0.3, 0.7]
    assert calibration([trace_of(tokens, np.ones(4000), [[("a", 0.95)]] * 4000)])[1] == pytest.approx(0.25, abs=0.03)
    assert calibration([])[0] == []
