"""The state of a run before its first step."""

from __future__ import annotations

import functools

import jax
import numpy as np
from helpers import small_training

from flaxchar import TrainingConfig, init_params, init_state
from flaxchar.training.state import copy_tree


def test_the_state_begins_with_the_parameters_of_its_key_and_no_carry():
    model, _, _, state = small_training(TrainingConfig())
    # In one program or operation by operation, a GPU's last bits differ.
    near = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(near, state.params, init_params(model, jax.random.key(1)))
    assert (int(state.step), state.carry, state.average) == (0, (), None)
    assert state.evaluation_params is state.params


def test_running_text_has_a_carry_of_zeros_for_each_row():
    model, optimizer, _, _ = small_training(TrainingConfig())
    state = init_state(model, optimizer, 3, jax.random.key(1), running=True)
    assert [leaf.shape for leaf in jax.tree.leaves(state.carry)] == [(3, 8)] * 2
    assert not any(leaf.any() for leaf in jax.tree.leaves(state.carry))


def test_with_an_average_the_average_is_evaluated():
    model, optimizer, _, _ = small_training(TrainingConfig())
    state = init_state(model, optimizer, 3, jax.random.key(1), averaged=True)
    assert state.evaluation_params is state.average
    jax.tree.map(np.testing.assert_array_equal, state.average, state.params)


def test_a_copy_survives_its_original():
    _, _, _, state = small_training(TrainingConfig())
    expected = np.array(state.params["logits"]["kernel"])
    copy = copy_tree(state)
    jax.tree.map(lambda leaf: leaf.delete(), state)
    np.testing.assert_array_equal(copy.params["logits"]["kernel"], expected)
