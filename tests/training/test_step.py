"""The training step: what it computes, and when it compiles."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from helpers import small_training

from flaxchar import ModelConfig, TrainingConfig, TrainStep, init_state
from flaxchar.kernels.random import new_key
from flaxchar.training.gradients import apply_gradients, batch_gradients, row_keys
from flaxchar.training.state import copy_tree


@pytest.fixture
def compilations():
    """Seconds of each compilation that happens during the test."""
    seconds = []

    def hears(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seconds.append(duration)

    jax.monitoring.register_event_duration_secs_listener(hears)
    return seconds  # the listener stays, because JAX 0.8 cannot unregister it


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_averaged_weights_are_the_running_mean_that_forgets_its_beginning():
    model, optimizer, batches, _ = small_training(TrainingConfig())
    state = init_state(model, optimizer, batches.rows, jax.random.key(1), averaged=True)
    step = TrainStep(model, optimizer, jax.random.key(0), ema=0.5)
    expected = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(state.params)]
    for k in range(6):
        state, _ = step(state, batches.batch(k), 0.1)
        stays = min(0.5, (1 + k) / (10 + k))
        expected = [
            stays * e + (1 - stays) * np.asarray(p)
            for e, p in zip(expected, jax.tree.leaves(state.params), strict=True)
        ]
    for leaf, e in zip(jax.tree.leaves(state.evaluation_params), expected, strict=True):
        np.testing.assert_allclose(leaf, e, atol=1e-5)


def test_each_step_drops_other_units():
    model, optimizer, batches, state = small_training(TrainingConfig(), ModelConfig(hidden=8, dropout=0.5))
    step = TrainStep(model, optimizer, jax.random.key(0))
    losses = []
    for _ in range(3):
        state, sums = step(state, batches.batch(0), 0)
        losses.append(float(sums.nats))
    assert len(set(losses)) == 3


def test_a_step_is_its_three_programs_and_counts_itself():
    model, optimizer, batches, state = small_training(TrainingConfig())
    key, batch = jax.random.key(0), batches.batch(0)
    keys = row_keys(key, state.step, batches.rows)
    expected_sums = batch_gradients(model, state.params, state.carry, batch, keys)
    expected, expected_step_sums = apply_gradients(optimizer, copy_tree(state), expected_sums, np.float32(0.1))
    after, sums = TrainStep(model, optimizer, key)(state, batch, 0.1)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), (after, sums), (expected, expected_step_sums)
    )
    assert int(after.step) == 1
    assert int(sums.tokens) == batch.mask.sum()


def test_the_state_before_a_step_is_gone_after_it():
    """Its buffers are donated, so that a step needs the memory of one state only."""
    model, optimizer, batches, state = small_training(TrainingConfig())
    TrainStep(model, optimizer, jax.random.key(0))(state, batches.batch(0), 0.1)
    assert state.params["logits"]["kernel"].is_deleted()


def test_a_width_is_compiled_once_ahead_or_when_it_is_met(compilations):
    model, optimizer, batches, state = small_training(TrainingConfig(optimizer="adam"), ModelConfig(hidden=6))
    assert len(batches.widths) > 2
    ahead, lazy = (TrainStep(model, optimizer, new_key(0)) for _ in range(2))
    state, other = (ahead.layout.place(copy) for copy in (state, copy_tree(state)))  # as a run places its own
    by_width = {batch.inputs.shape[1]: batch for batch in map(batches.batch, range(batches.steps_per_epoch))}

    ahead.compile(state, batches.rows, batches.widths)
    assert compilations  # else JAX has renamed the event
    compilations.clear()
    for batch in [*by_width.values()] * 2:
        state, _ = ahead(state, batch, 0.1)
    assert compilations == []

    for batch in [*by_width.values()] * 2:
        other, _ = lazy(other, batch, 0.1)
    assert_equal(other, state)


def test_the_key_gives_the_same_step_in_either_implementation_of_its_numbers():
    """A user's ``jax.random.key`` gets the numbers of the training loop's faster keys."""
    model, optimizer, batches, state = small_training(TrainingConfig(), ModelConfig(hidden=8, dropout=0.5))
    other = copy_tree(state)
    by_users, _ = TrainStep(model, optimizer, jax.random.key(7))(state, batches.batch(0), 0.1)
    by_loops, _ = TrainStep(model, optimizer, new_key(7))(other, batches.batch(0), 0.1)
    assert_equal(by_users, by_loops)


@pytest.mark.parametrize("rate", [0.25, np.float64(0.25), np.float32(0.25)])
def test_a_learning_rate_is_any_number(rate):
    model, optimizer, batches, state = small_training(TrainingConfig(optimizer="sgd"))
    before = np.array(state.params["logits"]["bias"])
    after, _ = TrainStep(model, optimizer, jax.random.key(0))(state, batches.batch(0), rate)
    assert after.opt_state.hyperparams["learning_rate"] == 0.25
    assert not np.array_equal(after.params["logits"]["bias"], before)
