"""A state is saved when it is due, and comes back to the bit."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from helpers import small_training

from flaxchar import TrainingConfig, TrainStep, init_state
from flaxchar.training import saver as module
from flaxchar.training.checkpoints import Checkpoints
from flaxchar.training.devices import single_device
from flaxchar.training.saver import Saver, restore_state


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path / "checkpoints")
    yield opened
    opened.close()


@pytest.mark.parametrize("ema", [None, 0.5])
def test_a_state_comes_back_to_the_bit(checkpoints, ema):
    model, optimizer, batches, _ = small_training(TrainingConfig())
    state = init_state(model, optimizer, batches.rows, jax.random.key(1), averaged=ema is not None)
    step = TrainStep(model, optimizer, jax.random.key(0), ema=ema)
    for k in range(3):
        state, _ = step(state, batches.batch(k), 0.1)
    Saver(single_device(), checkpoints).save(state, 3)
    template = init_state(model, optimizer, batches.rows, jax.random.key(2), averaged=ema is not None)
    jax.tree.map(np.testing.assert_array_equal, restore_state(checkpoints, 3, template), state)
    saved_params, _ = checkpoints.restore(3, template.params)
    jax.tree.map(np.testing.assert_array_equal, saved_params, state.evaluation_params)


def test_saving_is_due_when_the_last_save_is_long_ago(checkpoints, monkeypatch):
    _, _, _, state = small_training(TrainingConfig())
    saver = Saver(single_device(), checkpoints)
    assert not saver.due()
    monkeypatch.setattr(module, "SAVE_EVERY", -1.0)
    assert saver.due()
    monkeypatch.setattr(module, "SAVE_EVERY", 3600.0)
    saver.save(state, 0)
    assert not saver.due()
