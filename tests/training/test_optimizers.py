"""The optimisers' arithmetic, each against its formula, and the schedule."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_training

from flaxchar import (
    CharLM,
    ModelConfig,
    TrainingConfig,
    TrainStep,
    init_state,
    learning_rates,
    make_optimizer,
    masked_cross_entropy,
)
from flaxchar.settings import CellName
from flaxchar.training.state import copy_tree


def gradient_of(model, params, batch):
    def loss(params):
        logits, _ = model.apply({"params": params}, jnp.asarray(batch.inputs))
        nats, count = masked_cross_entropy(logits, batch.targets, batch.mask)
        return nats / count

    return jax.grad(loss)(params)


def one_step(training: TrainingConfig, rate: float, model: ModelConfig | None = None):
    """The gradient of a first batch and what a step changes, ``{path: float64 array}`` each."""
    model, optimizer, batches, state = small_training(training, model)
    before = copy_tree(state.params)
    after, _ = TrainStep(model, optimizer, jax.random.key(0))(state, batches.batch(0), rate)
    change = jax.tree.map(lambda a, b: np.asarray(b - a, np.float64), before, after.params)
    gradient = jax.tree.map(lambda g: np.asarray(g, np.float64), gradient_of(model, before, batches.batch(0)))
    return _by_path(gradient), _by_path(change)


def _by_path(tree):
    return {tuple(key.key for key in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def both(gradients_and_changes):
    gradients, changes = gradients_and_changes
    return [(gradients[path], changes[path]) for path in gradients]


def test_sgd_steps_against_the_gradient():
    for g, d in both(one_step(TrainingConfig(optimizer="sgd", clip_norm=None), 0.5)):
        np.testing.assert_allclose(d, -0.5 * g, atol=1e-6)


def test_gradients_are_clipped_to_the_norm():
    gradient, change = one_step(TrainingConfig(optimizer="sgd", clip_norm=0.01), 1.0)
    norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
    assert norm > 0.01
    for g, d in both((gradient, change)):
        np.testing.assert_allclose(d, -g * 0.01 / norm, atol=1e-6)


def test_rmsprop_is_keras_with_epsilon_outside_the_root():
    for g, d in both(one_step(TrainingConfig(optimizer="rmsprop", clip_norm=None), 1e-3)):
        np.testing.assert_allclose(d, -1e-3 * g / (np.sqrt(0.1 * g**2) + 1e-7), atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adams_first_step_is_the_sign_of_the_gradient(optimizer):
    for g, d in both(one_step(TrainingConfig(optimizer=optimizer, clip_norm=None, weight_decay=0), 1e-3)):
        large = np.abs(g) > 1e-4
        np.testing.assert_allclose(d[large], -1e-3 * np.sign(g[large]), atol=1e-5)


def test_matrices_decay_and_biases_do_not():
    training = TrainingConfig(optimizer="adamw", clip_norm=None, weight_decay=0.5)
    _, optimizer, _, state = small_training(training)
    before = copy_tree(state.params)
    gradients = jax.tree.map(jnp.zeros_like, before)
    opt_state = state.opt_state._replace(hyperparams={"learning_rate": jnp.float32(0.1)})
    updates, _ = optimizer.update(gradients, opt_state, before)
    for leaf, update in zip(jax.tree.leaves(before), jax.tree.leaves(updates), strict=True):
        expected = -0.1 * 0.5 * leaf if leaf.ndim > 1 else jnp.zeros_like(leaf)
        np.testing.assert_allclose(update, expected, atol=1e-7)


@pytest.mark.parametrize("embedding", [0, 5])
def test_muon_makes_each_gates_change_nearly_orthogonal_and_adam_changes_the_rest(embedding):
    training = TrainingConfig(optimizer="muon", clip_norm=None, weight_decay=0.0)
    gradients, changes = one_step(training, 0.01, ModelConfig(hidden=8, dropout=0, embedding=embedding))
    by_muon = [("lstm_0", "recurrent_kernel")] + ([("lstm_0", "kernel")] if embedding else [])
    for path, gradient in gradients.items():
        if path not in by_muon:
            ahead = 0.9 * 0.1 / (1 - 0.9**2) + 1  # Nesterov's momentum after one step
            np.testing.assert_allclose(changes[path], -0.02 * ahead * gradient / (np.abs(gradient) + 1e-8), atol=1e-6)
            continue
        for gate, change in zip(np.split(gradient, 4, 1), np.split(changes[path], 4, 1), strict=True):
            x = gate if gate.shape[0] <= gate.shape[1] else gate.T
            x = x / np.sqrt(np.linalg.norm(x @ x.T))  # the sum of the singular values' fourth powers is 1
            for _ in range(2):  # Jordan's polynomial
                x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
            x = x if gate.shape[0] <= gate.shape[1] else x.T
            np.testing.assert_allclose(change, -0.01 * 0.2 * np.sqrt(max(x.shape)) * x, rtol=1e-3, atol=1e-6)


def test_muon_knows_the_gates_of_every_cell():
    for cell in get_args(CellName):
        model = CharLM(9, ModelConfig(hidden=8, cell=cell, layers=2, embedding=3))
        state = init_state(model, make_optimizer(TrainingConfig(optimizer="muon")), 2, jax.random.key(0))
        params, gates = state.params[f"{cell}_1"], state.params[f"{cell}_1"]["bias"].size // 8
        momentum = jax.tree.leaves(state.opt_state.inner_state[1].inner_states["muon"])
        shapes = [leaf.shape for leaf in momentum if leaf.ndim == 3]
        matrices = sum(leaf.ndim == 2 for layer in (params, state.params[f"{cell}_0"]) for leaf in layer.values())
        assert len(shapes) == matrices
        assert {shape[1:] for shape in shapes} == {(gates, 8)}


def test_the_schedule_rises_then_follows_a_cosine():
    rates = learning_rates(TrainingConfig(learning_rate=0.1, warmup_steps=10), 110)
    np.testing.assert_allclose(rates[:10], 0.1 * np.arange(1, 11) / 10, rtol=1e-5)
    np.testing.assert_allclose(rates[10:], 0.05 * (1 + np.cos(np.pi * np.arange(100) / 100)), rtol=1e-4)
    constant = learning_rates(TrainingConfig(learning_rate=0.1, warmup_steps=0, schedule="constant"), 7)
    np.testing.assert_allclose(constant, np.full(7, 0.1), rtol=1e-6)
    assert len(learning_rates(TrainingConfig(), 1)) == 1
