"""The training loop: when it reports, evaluates, saves and stops."""

from __future__ import annotations

import time

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_training

from flaxchar import TrainingConfig
from flaxchar.training.devices import single_device
from flaxchar.training.gradients import StepSums
from flaxchar.training.loop import fit, log_interval

pytestmark = pytest.mark.usefixtures("as_on_a_cpu")


class FakeStep:
    """Counts steps, takes some seconds for each, and skips some of them."""

    layout = single_device()

    def __init__(self, seconds=0.0, skips=()):
        self.seconds, self.rates, self.skips = seconds, [], skips

    def __call__(self, state, batch, rate):
        time.sleep(self.seconds)
        self.rates.append(float(rate))
        nats = jnp.float32(jnp.nan if int(state.step) + 1 in self.skips else 8)
        skipped = state.skipped + 1 if jnp.isnan(nats) else jnp.int32(0)
        return state._replace(step=state.step + 1, skipped=skipped), StepSums(nats, jnp.int32(4), jnp.float32(1))


class Records:
    """Callbacks that write down what is called, and stop or save after some steps."""

    def __init__(self, stop_after=None, save_after=()):
        self.calls, self.stop_after, self.save_after = [], stop_after, save_after
        self.progress = []

    def progressed(self, progress):
        self.progress.append(progress)

    def evaluate(self, state, step):
        self.calls.append(("evaluate", step, int(state.step)))

    def set_back(self, state, step):
        self.calls.append(("set back", step, int(state.step)))
        return state._replace(skipped=jnp.int32(0), setbacks=state.setbacks + 1)

    def should_stop(self, step):
        return step == self.stop_after

    def should_save(self, step):
        return step in self.save_after

    def save(self, state, step):
        self.calls.append(("save", step, int(state.step)))


@pytest.fixture
def run():
    _, _, batches, state = small_training(TrainingConfig())

    def run(step, callbacks, steps, evaluate_after=(), begin=0, setbacks=0):
        rates = np.arange(steps, dtype=np.float32)
        begun = state._replace(step=jnp.int32(begin), setbacks=jnp.int32(setbacks))
        return fit(step, begun, batches, rates, frozenset(evaluate_after), callbacks)

    return run


def test_progress_is_told_of_when_a_step_is_done_and_not_before(run):
    """Steps are handed over before they are done, and nothing is known of the first two for a while."""
    records = Records(stop_after=4)
    run(FakeStep(0.3), records, 1000)
    assert [(progress.step, progress.tokens, progress.steps) for progress in records.progress] == [(3, 4, 1), (4, 4, 1)]


def test_a_run_evaluates_saves_and_stops_where_it_is_told_to(run):
    records = Records(stop_after=7, save_after=(3,))
    state = run(FakeStep(), records, 10, evaluate_after=(2, 5, 10))
    assert records.calls == [("evaluate", 2, 2), ("save", 3, 3), ("evaluate", 5, 5), ("save", 7, 7)]
    assert int(state.step) == 7


def test_a_run_goes_on_from_the_step_of_its_state_with_the_rates_of_those_steps(run):
    step, records = FakeStep(), Records()
    run(step, records, 9, evaluate_after=(9,), begin=5)
    assert step.rates == [5, 6, 7, 8]
    assert records.calls == [("evaluate", 9, 9)]


def test_every_step_is_reported_once(run):
    records = Records()
    run(FakeStep(), records, 450, evaluate_after=(7, 450))
    assert sum(progress.steps for progress in records.progress) == 450
    assert sum(progress.nats for progress in records.progress) == 8 * 450
    logged = {progress.step for progress in records.progress}
    assert logged >= {*range(log_interval(450), 451, log_interval(450)), 7}


def test_a_run_is_logged_two_hundred_times_and_a_long_one_every_thousand_steps():
    assert [log_interval(steps) for steps in (1, 199, 400, 200_000, 10_000_000)] == [1, 1, 2, 1000, 1000]


def test_skipped_steps_count_for_nothing_and_many_in_a_row_set_the_run_back_at_half_the_rate(run):
    step, records = FakeStep(skips={3, 10, 11, 12, 13, 14, 20}), Records()
    state = run(step, records, 24, evaluate_after=(14, 24))
    assert records.calls == [("set back", 14, 14), ("evaluate", 14, 14), ("evaluate", 24, 24)]
    assert step.rates == [k if k < 14 else k / 2 for k in range(24)]
    assert int(state.setbacks) == 1
    assert sum(progress.skipped for progress in records.progress) == 7
    assert sum(progress.steps for progress in records.progress) == 24
    assert sum(progress.nats for progress in records.progress) == 8 * 17


def test_a_run_that_was_set_back_before_goes_on_at_its_lower_rate(run):
    step = FakeStep()
    run(step, Records(), 4, setbacks=2)
    assert step.rates == [0, 0.25, 0.5, 0.75]
