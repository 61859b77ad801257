"""The plan of a run: steps from a time budget, points of evaluation, and the watch over the budget."""

from __future__ import annotations

import itertools
import re
import time

import jax.numpy as jnp
import pytest
from helpers import fake_clock, small_training
from hypothesis import given
from hypothesis import strategies as st

import flaxchar
from flaxchar import InputError, TrainingConfig
from flaxchar.training import plan
from flaxchar.training.devices import single_device
from flaxchar.training.gradients import StepSums
from flaxchar.training.loop import Progress
from flaxchar.training.plan import (
    Budget,
    Costs,
    Pace,
    evaluation_steps,
    fixed_steps,
    make_budget,
    most_evaluations,
    steps_within,
    time_steps,
    timing_seconds,
)


def test_a_long_time_budget_is_not_timed_for_minutes_before_the_first_line():
    assert timing_seconds(60) == pytest.approx(0.6)
    assert timing_seconds(8 * 3600) == 10


@pytest.mark.parametrize(
    ("total", "per_epoch", "expected"),
    [
        (50, 10, {10, 20, 30, 40, 50}),
        (55, 10, {10, 20, 30, 40, 50, 55}),
        (52, 10, {10, 20, 30, 40, 52}),
        (8, 100, {2, 4, 6, 8}),
        (1, 1, {1}),
        (25, 10, {6, 10, 20, 25}),
        (3452, 1875, {863, 1875, 2589, 3452}),
    ],
)
def test_runs_are_evaluated_at_the_ends_of_epochs_and_short_ones_at_quarters(total, per_epoch, expected):
    assert evaluation_steps(total, per_epoch) == expected


def test_long_runs_are_evaluated_ten_times():
    steps = evaluation_steps(5000, 10)
    assert len(steps) == 10
    assert all(step % 10 == 0 for step in steps)
    assert max(steps) == 5000


@given(st.integers(1, 10**6), st.integers(1, 10**5), st.integers(1, 10))
def test_evaluations_are_never_close_together_and_the_last_step_is_evaluated(total, per_epoch, most):
    points = sorted(evaluation_steps(total, per_epoch, most))
    assert points[-1] == total
    assert points[0] > 0
    epochs, fewest = total // per_epoch, min(4, most)
    usual = total / fewest if epochs < fewest else epochs * per_epoch / min(epochs, most)
    assert all(b - a >= usual / 2 for a, b in itertools.pairwise(points))
    assert len(points) >= min(most, 4, total) / 2


@given(st.floats(0.01, 1e5), st.floats(1e-4, 10), st.floats(0, 100), st.integers(1, 10_000), st.integers(1, 10))
def test_the_planned_steps_fit_and_no_more_would(seconds, per_step, per_evaluation, per_epoch, most):
    def count(steps):
        return len(evaluation_steps(steps, per_epoch, most))

    def duration(steps):
        return steps * per_step + count(steps) * per_evaluation

    steps = steps_within(seconds, Costs(per_step, per_evaluation), count)
    assert steps == 1 or duration(steps) <= seconds
    # A step more may come with more evaluations, or with fewer, where points move together.
    assert duration(steps + 1) > seconds or steps + 1 > seconds / per_step or count(steps + 1) < count(steps)


def test_settings_that_name_steps_or_epochs_need_no_budget():
    assert fixed_steps(TrainingConfig(steps=7), 10) == 7
    assert fixed_steps(TrainingConfig(epochs=3), 10) == 30
    assert fixed_steps(TrainingConfig(time_budget="20s"), 10) is None


def test_what_is_left_of_a_budget_is_without_what_has_passed_and_what_is_reserved():
    budget = make_budget("20s", time.monotonic() - 5, reserved=2)
    assert budget.left() == pytest.approx(13, abs=0.1)
    assert make_budget("1h30m", time.monotonic(), 0).seconds == 5400


def test_held_out_texts_that_outweigh_a_run_are_read_less_often():
    assert [most_evaluations(tokens, 1000) for tokens in (0, 3000, 10_000, 10**9)] == [1, 1, 3, 10]
    assert most_evaluations(10.0, 0) == 3


def test_the_time_of_a_step_is_measured_over_all_widths_and_leaves_the_state_alone(monkeypatch):
    """A fake step takes a second for each time step of its batch, by a fake clock."""
    clock = fake_clock(monkeypatch, plan.__name__)
    _, _, batches, state = small_training(TrainingConfig())
    assert len(batches.widths) > 1

    class FakeStep:
        layout = single_device()

        def __call__(self, state, batch, rate):
            clock[0] += batch.inputs.shape[1]
            return state, StepSums(jnp.float32(8), jnp.int32(4), jnp.float32(1))

    assert time_steps(FakeStep(), state, batches, seconds=1.0) == pytest.approx(batches.mean_width())
    assert clock[0] < 8 * max(batches.widths)
    assert time_steps(FakeStep(), state, batches, seconds=500.0) == pytest.approx(batches.mean_width())
    assert clock[0] > 250
    assert not state.params["logits"]["kernel"].is_deleted()


def pace(monkeypatch, step_seconds):
    """The first thing that is told of a run whose steps take this long instead of 0.1 s; and how often."""
    clock = fake_clock(monkeypatch, plan.__name__, 2.0)
    evaluate_after = frozenset({40, 80, 120, 160})
    watch = Pace(Budget(20.0, started=0.0, reserved=1.0), Costs(0.1, 0.25), evaluate_after, steps=160)
    told = []
    for step in range(4, 161, 4):
        clock[0] += 4 * step_seconds(step)
        progress = Progress(step=step, steps=4, seconds=4 * step_seconds(step))
        if (expected := watch.add(progress)) is not None:
            told.append((step, expected))
        clock[0] += 0.25 * (step in evaluate_after)
    return told, clock[0] + 1.0


def test_a_run_that_keeps_its_budget_says_nothing(monkeypatch):
    assert pace(monkeypatch, lambda step: 0.1)[0] == []
    assert pace(monkeypatch, lambda step: 0.105)[0] == []


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.2), (0.1, 0.05), (0.15, 0.15)])
def test_a_run_that_will_end_off_its_budget_says_so_once_with_its_time(monkeypatch, before, after):
    told, took = pace(monkeypatch, lambda step: before if step < 40 else after)
    ((step, expected),) = told
    assert step <= 100
    assert abs(expected - 20) > 2
    assert expected == pytest.approx(took, rel=0.15)


def test_a_run_that_cannot_keep_its_budget_says_so_at_its_first_step():
    watch = Pace(Budget(5.0, time.monotonic() - 15, 1.0), Costs(0.1, 0.25), frozenset({1}), steps=1)
    assert watch.add(Progress(step=1, steps=1, seconds=0.1)) == pytest.approx(16.25, abs=0.1)


@pytest.mark.usefixtures("as_on_a_cpu")
def test_the_attention_to_long_sources_counts(monkeypatch, tmp_path):
    pairs = [flaxchar.Example("ab", source="ab" * 5000)] * 4
    monkeypatch.setattr(plan, "machine_memory", lambda: 10**9)
    told = r"a batch of 4 × 10,00\d tokens takes \d.*GB or more .*; lower `max_length` or `batch_size`$"
    with pytest.raises(InputError, match=told):
        flaxchar.train(
            pairs, workdir=tmp_path / "r", hidden=4, steps=1, batch_size=4, val_fraction=0.0, max_length=10**5
        )
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ({"max_length": 10**7}, "lower `max_length` or `batch_size`, or read running text with `window`"),
        ({"window": 10**6}, "lower `window` or `batch_size`"),
    ],
)
def test_batches_that_do_not_fit_into_the_memory_are_refused_before_they_are_made(monkeypatch, data, advice):
    texts = ["ab" * 400_000] * 4
    monkeypatch.setattr(plan, "machine_memory", lambda: 10**9)
    with pytest.raises(InputError) as refused:
        flaxchar.train(texts, hidden=64, steps=1, bos=False, val_fraction=0.0, **{"max_length": 10**7, **data})
    assert re.fullmatch(
        r"a batch of \d+ × [\d,]+ tokens takes [\d.]+ GB or more to train on, but this machine has 1 GB of memory; "
        + advice,
        str(refused.value),
    )
