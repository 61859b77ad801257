"""Runs that are trained further: how many steps are added, their learning rates and their evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from flaxchar import InputError, TrainingConfig
from flaxchar.training.optimizers import learning_rates
from flaxchar.training.plan import evaluation_steps
from flaxchar.training.stretches import (
    Standing,
    Stretch,
    describe_further,
    further_steps,
    stretch_points,
    stretch_rates,
)


def test_a_further_stretch_rises_and_falls_again_and_the_past_keeps_its_rates():
    training = TrainingConfig(learning_rate=0.02, warmup_steps=10)
    rates = stretch_rates(training, [Stretch(200), Stretch(300)])
    np.testing.assert_array_equal(rates[:200], learning_rates(training, 200))
    np.testing.assert_array_equal(rates[210:], learning_rates(training, 300)[210:])  # as in one run of 300 steps
    assert rates[199] < 1e-5  # from there
    assert (np.diff(rates[199:209]) > 0).all()  # it rises
    assert (np.diff(rates[210:]) < 0).all()  # and falls again
    assert rates[200:].max() < 0.25 * 0.02


def test_the_longer_a_stretch_the_higher_its_rate():
    training = TrainingConfig(learning_rate=0.02, warmup_steps=10)
    peaks = [stretch_rates(training, [Stretch(200), Stretch(end)])[200:].max() for end in (220, 250, 400, 2000)]
    assert peaks == sorted(peaks)
    assert peaks[2] == pytest.approx(0.01, rel=0.1)


def test_a_constant_rate_stays():
    training = TrainingConfig(schedule="constant", learning_rate=0.1, warmup_steps=10)
    assert set(stretch_rates(training, [Stretch(50), Stretch(90)])[50:].tolist()) == {np.float32(0.1)}
    assert "stays at 0.1" in describe_further(training, [Stretch(50), Stretch(90)])


def test_a_stretch_is_evaluated_like_a_run_of_as_many_steps():
    def points(steps):
        return evaluation_steps(steps, 10)

    assert stretch_points([Stretch(100)], points) == points(100)
    whole = stretch_points([Stretch(100), Stretch(140)], points)
    assert whole == points(100) | {100 + point for point in points(40)}
    assert stretch_points([Stretch(140)], points, begin=100) == {100 + point for point in points(40)}


TWO_MINUTES = TrainingConfig(time_budget="2m")
STEPS = TrainingConfig(steps=100)


def standing(begun, stretches=(Stretch(100),), taken=100, complete=True):
    return Standing(tuple(stretches), taken, complete, begun)


@pytest.mark.parametrize(
    ("begun", "asked", "more_time", "expected"),
    [
        (STEPS, STEPS, False, None),
        (STEPS, TrainingConfig(steps=150), False, 150),
        (STEPS, TrainingConfig(epochs=15), False, 150),
        (STEPS, TrainingConfig(epochs=10), False, None),
        (STEPS, TrainingConfig(time_budget="1m"), False, "1m"),
        (TrainingConfig(), TrainingConfig(), False, None),
        (TrainingConfig(), TrainingConfig(steps=100), False, None),
        (TWO_MINUTES, TWO_MINUTES, False, None),  # the whole command once more
        (TWO_MINUTES, TrainingConfig(time_budget="120s"), False, None),
        (TWO_MINUTES, TWO_MINUTES, True, "2m"),
        (TWO_MINUTES, TrainingConfig(time_budget="3m"), False, "3m"),
    ],
)
def test_a_complete_run_is_trained_further_when_more_is_asked_for(begun, asked, more_time, expected):
    before = standing(begun, [Stretch(100, begun.time_budget)])
    assert further_steps(before, asked, 10, more_time) == expected


def test_an_extended_run_is_asked_with_the_command_that_began_or_extended_it():
    twice = standing(STEPS, [Stretch(100), Stretch(160), Stretch(200, "1m")], 200)
    for asked in (STEPS, TrainingConfig(steps=160), TrainingConfig(steps=200), TrainingConfig(time_budget="1m")):
        assert further_steps(twice, asked, 10) is None
    assert further_steps(twice, TrainingConfig(steps=300), 10) == 300
    unfinished = twice._replace(taken=170, complete=False)
    assert further_steps(unfinished, TrainingConfig(time_budget="60s"), 10, more_time=True) is None


def test_a_run_that_is_not_complete_can_be_given_more_steps_but_no_other_time():
    unfinished = standing(STEPS, taken=40, complete=False)
    assert further_steps(unfinished, TrainingConfig(steps=150), 10) == 150
    with pytest.raises(
        InputError, match=r"has taken 40 of its 100 steps; leave out `time_budget` and `preset` to go on"
    ):
        further_steps(unfinished, TWO_MINUTES, 10)


def test_fewer_steps_than_were_taken_are_refused():
    with pytest.raises(InputError, match=r"the run has taken 100 steps, and `steps` is 50; give more"):
        further_steps(standing(STEPS), TrainingConfig(steps=50), 10)
    with pytest.raises(InputError, match=r"the run is planned for 100 steps, and `epochs` is 5, which makes 50 steps"):
        further_steps(standing(STEPS, taken=10, complete=False), TrainingConfig(epochs=5), 10)


def test_a_run_that_patience_ended_goes_on_from_where_it_stopped():
    assert further_steps(standing(STEPS, taken=60), TrainingConfig(steps=80), 10) == 80
