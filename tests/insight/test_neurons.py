"""The search for neurons: it finds a unit made to answer, scores it on other texts, and is not fooled by luck."""

from __future__ import annotations

import numpy as np
import pytest

from flaxchar.insight.neurons import Neuron, Unit, find_neurons, resampled_areas, resampled_correlations
from flaxchar.insight.questions import QUESTIONS
from flaxchar.insight.trace import Trace

BRACKETS = QUESTIONS[1]
POSITION = QUESTIONS[3]


def traces_of(count=40, units=30, seed=0):
    """Texts with brackets and traces of units that know nothing."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        text = "ab " * int(rng.integers(2, 6)) + "(cd ef) " * (k % 3 > 0) + "xyz" * int(rng.integers(1, 4))
        states = rng.normal(size=(2, len(text), units)).astype(np.float32)
        made.append(Trace(list(text), np.zeros(len(text)), [[]] * len(text), states, {}))
    return made


def test_a_unit_that_answers_is_found_with_its_sign():
    traces = traces_of()
    for trace in traces:
        trace.activations[1, :, 7] -= 4 * BRACKETS.answers(trace)
        trace.activations[0, :, 3] += POSITION.answers(trace)
    by_name = {neuron.question.name: neuron for neuron in find_neurons(traces)}
    brackets, position = by_name[BRACKETS.name], by_name[POSITION.name]
    assert (brackets.unit, brackets.sign) == (Unit(1, 7), -1)
    assert brackets.score > 0.95
    assert brackets.low <= brackets.score <= brackets.high
    assert (position.unit, position.sign, position.chance) == (Unit(0, 3), 1, 0.0)
    assert brackets.found
    assert position.found


def test_units_that_know_nothing_look_good_only_where_they_were_searched():
    found = [neuron for seed in range(8) for neuron in find_neurons(traces_of(seed=seed), [BRACKETS])]
    assert all(neuron.searched > 0.55 for neuron in found)  # the best of 60 units is lucky
    assert abs(np.mean([neuron.score for neuron in found]) - 0.5) < 0.04
    assert sum(neuron.found for neuron in found) <= 2


def test_questions_that_hardly_occur_are_not_asked():
    names = {neuron.question.name for neuron in find_neurons(traces_of())}
    assert "Inside quotation marks?" not in names
    assert find_neurons(traces_of(count=1)) == []
    assert find_neurons([]) == []


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(1)
    values = [rng.integers(0, 64, 30).astype(float) for _ in range(4)]
    answers = [rng.integers(0, 2, 30).astype(float) for _ in range(4)]
    x, yes = np.concatenate(values), np.concatenate(answers) > 0
    pairs = x[yes][:, None] - x[~yes][None]
    expected = (pairs > 0).mean() + (pairs == 0).mean() / 2
    assert resampled_areas(values, answers)[0] == pytest.approx(expected, abs=1e-9)


def test_the_correlation_is_pearsons():
    rng = np.random.default_rng(2)
    values = [rng.normal(size=20) for _ in range(3)]
    answers = [value + rng.normal(size=20) for value in values]
    expected = np.corrcoef(np.concatenate(values), np.concatenate(answers))[0, 1]
    assert resampled_correlations(values, answers)[0] == pytest.approx(expected)


def test_a_unit_that_is_low_where_the_answer_is_yes_says_so_in_words():
    yes_or_no = next(question for question in QUESTIONS if not question.numeric)
    number = next(question for question in QUESTIONS if question.numeric)
    rest = (0.9, 0.9, 0.8, 1.0, 0.5, 100, 0.5)
    assert Neuron(yes_or_no, Unit(0, 1), 1, *rest).direction == ""
    assert Neuron(yes_or_no, Unit(0, 1), -1, *rest).direction == ", lower where the answer is yes"
    assert Neuron(number, Unit(0, 1), -1, *rest).direction == ", lower where the number is larger"
