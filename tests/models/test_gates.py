"""The gates of a layer, against the equations of each cell (tests/insight/test_trace.py compares whole models)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar.models.cells import CELLS
from flaxchar.models.gates import layer_gates, retention
from flaxchar.models.layers import RecurrentLayer


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def gates_of(cell, time=5, batch=2, hidden=3, features=4):
    layer = RecurrentLayer(cell, features, hidden)
    rng = np.random.default_rng(0)
    ids = jnp.asarray(rng.integers(0, features, (time, batch)), jnp.int32)
    carry = tuple(jnp.asarray(rng.normal(size=(batch, hidden)), jnp.float32) for _ in range(CELLS[cell].states))
    weights = layer.init(jax.random.key(1), ids, carry)["params"]
    weights = {name: value + rng.normal(size=value.shape).astype(np.float32) for name, value in weights.items()}
    states, _ = layer.apply({"params": weights}, ids, carry)
    before = np.concatenate([carry[0][None], states[:-1]])
    return layer_gates(cell, ids, weights, carry, states), weights, np.asarray(ids), before


def test_lstm():
    gates, weights, ids, before = gates_of("lstm")
    z = weights["kernel"][ids] + weights["bias"] + before @ weights["recurrent_kernel"]
    for name, part in zip(("input", "forget", "output"), (0, 1, 3), strict=True):
        np.testing.assert_allclose(gates[name], sigmoid(np.split(z, 4, -1)[part]), rtol=1e-5)


def test_gru():
    gates, weights, ids, before = gates_of("gru")
    z = weights["kernel"][ids] + weights["bias"] + before @ weights["recurrent_kernel"] + weights["recurrent_bias"]
    for name, part in zip(("update", "reset"), (0, 1), strict=True):
        np.testing.assert_allclose(gates[name], sigmoid(np.split(z, 3, -1)[part]), rtol=1e-5)


def test_mingru_and_minlstm():
    gates, weights, ids, _ = gates_of("mingru")
    np.testing.assert_allclose(gates["update"], sigmoid((weights["kernel"][ids] + weights["bias"])[..., :3]), rtol=1e-5)
    gates, weights, ids, _ = gates_of("minlstm")
    f, i, _ = np.split(sigmoid(weights["kernel"][ids] + weights["bias"]), 3, -1)
    np.testing.assert_allclose(gates["forget"], f / (f + i), rtol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_retention_is_between_0_and_1_and_none_without_gates(cell):
    factor = retention(cell, gates_of(cell)[0])
    assert (factor is None) == (cell == "rnn")
    assert factor is None or np.abs(np.asarray(factor) - 0.5).max() <= 0.5
