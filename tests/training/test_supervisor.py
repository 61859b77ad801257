"""Between the steps of a run: what is evaluated, saved and kept, and when training stops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import small_training

from flaxchar import Config, TrainingConfig
from flaxchar.models.evaluation import Evaluation
from flaxchar.training.best import Best
from flaxchar.training.devices import single_device
from flaxchar.training.divergence import MOST_NATS
from flaxchar.training.metrics import Metrics
from flaxchar.training.reporting import Observer, Report, Sample
from flaxchar.training.supervisor import Supervisor


class Results:
    """An evaluator that finds the given held-out losses, one after another."""

    def __init__(self, *losses):
        self._losses = iter(losses)

    def evaluate(self, params):
        loss = next(self._losses)
        return Evaluation(loss, loss / math.log(2), 0.5, 30), (Sample("A", 0.8, "Anna"),)

    def trained(self, params):
        return None


class Saves:
    """A saver that remembers what it was given."""

    def __init__(self):
        self.saved, self.late = [], False

    def due(self):
        return self.late

    def save(self, state, step, bits_per_character=None):
        self.saved.append((step, bits_per_character))


class Hears(Observer):
    def __init__(self):
        self.steps, self.went_back, self.stop = [], [], False

    def evaluated(self, report):
        self.steps.append((report.step, report.samples[0].text))

    def set_back(self, step, to, share):
        self.went_back.append((step, to, share))

    def should_stop(self):
        return self.stop


@pytest.fixture
def state():
    return small_training(TrainingConfig())[-1]


def supervisor(state, *losses, **training):
    config, hears = Config().replace(steps=9, **training), Hears()
    return Supervisor(
        config,
        single_device(),
        Results(*losses),
        hears,
        Metrics(None, hears, steps=9, steps_per_epoch=3, characters_per_token=1.0),
        lambda step: Report(step, 9, step / 3),
        Best(config.training.patience),
        state,
        Saves(),
    )


def at(state, step):
    """The state after a step, with parameters of its own."""
    params = {**state.params, "logits": {name: leaf + step for name, leaf in state.params["logits"].items()}}
    return state._replace(step=state.step + step, params=params)


def bias(params):
    return np.asarray(params["logits"]["bias"])


def test_each_evaluation_is_saved_and_told_and_the_best_is_kept(state):
    course = supervisor(state, 3.0, 1.0, 2.0)
    for step in (3, 6, 9):
        course.evaluate(at(state, step), step)
    assert course.saver.saved == [(step, pytest.approx(loss / math.log(2))) for step, loss in ((3, 3), (6, 1), (9, 2))]
    assert course.observer.steps == [(3, "Anna"), (6, "Anna"), (9, "Anna")]
    np.testing.assert_array_equal(bias(course.best.params), bias(at(state, 6).params))
    assert int(course.good.step) == 6


@pytest.mark.parametrize("loss", [math.nan, 2 * MOST_NATS])
def test_a_diverged_evaluation_is_saved_without_a_result_and_never_kept(state, loss):
    course = supervisor(state, loss)
    course.evaluate(at(state, 3), 3)
    assert course.saver.saved == [(3, None)]
    assert course.best.params is None
    assert int(course.good.step) == 0


def test_diverged_training_goes_on_from_the_best_state_at_half_the_rate(state):
    course = supervisor(state, 1.0)
    course.evaluate(at(state, 3), 3)
    back = course.set_back(at(state, 5), 5)
    np.testing.assert_array_equal(bias(back.params), bias(at(state, 3).params))
    assert course.observer.went_back == [(5, 3, 0.5)]


def test_training_stops_when_the_observer_asks_or_patience_runs_out(state):
    course = supervisor(state, 1.0, 2.0, patience=1)
    assert not course.should_stop(1)
    course.observer.stop = True
    assert course.should_stop(1)
    course.observer.stop = False
    for step in (3, 6):
        course.evaluate(at(state, step), step)
    assert course.should_stop(6)


def test_a_save_is_due_where_the_last_one_is_long_ago_and_the_run_is_kept(state):
    course = supervisor(state)
    assert not course.should_save(1)
    course.saver.late = True
    assert course.should_save(1)
    course.saver = None
    assert not course.should_save(1)
