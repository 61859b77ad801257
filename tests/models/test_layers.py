"""Recurrent layers and dropout."""

from __future__ import annotations

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT
from recurrences import make_inputs, make_weights

from flaxchar.models.cells import CELLS
from flaxchar.models.layers import RecurrentLayer, dropout, with_embedding


@pytest.mark.parametrize("name", CELLS)
def test_a_layer_is_its_cell_with_parameters_that_start_as_in_keras(name):
    inputs, (_, carry) = make_inputs("vectors"), make_weights(name)
    layer = RecurrentLayer(name, features=4, hidden=5)
    params = layer.init(jax.random.key(0), inputs, carry)
    weights, gates = params["params"], CELLS[name].gates
    assert weights["kernel"].shape == (4, gates * 5)
    assert set(weights) - {"kernel", "bias"} == {
        key for key in ("recurrent_kernel", "recurrent_bias") if getattr(CELLS[name], key.replace("_kernel", ""))
    }
    bias = np.zeros((gates, 5))
    if CELLS[name].forget_gate is not None:
        bias[CELLS[name].forget_gate] = 1
    np.testing.assert_array_equal(weights["bias"], bias.ravel())
    expected = CELLS[name].sequence(inputs, weights, carry, None, "float32")
    jax.tree.map(np.testing.assert_array_equal, layer.apply(params, inputs, carry), expected)


def test_an_embedding_multiplied_into_the_kernel_equals_a_lookup_before_the_layer():
    weights, carry = make_weights("gru")
    ids, embedding = make_inputs("ids", features=7), jax.random.normal(jax.random.key(3), (7, 4))
    merged = CELLS["gru"].sequence(ids, with_embedding(weights, embedding), carry, None, "float32")
    looked_up = CELLS["gru"].sequence(embedding[ids], weights, carry, None, "float32")
    np.testing.assert_allclose(merged[0], looked_up[0], atol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    values = dropout(jnp.ones((40, 30, 51)), rate, jax.random.split(jax.random.key(0), 30), 0)
    kept = values[values > 0]
    assert abs(1 - kept.size / values.size - rate) < 0.005
    np.testing.assert_allclose(kept, 1 / (1 - rate), rtol=1e-4)
    np.testing.assert_allclose(values.mean(axis=(0, 2)), 1.0, atol=0.1)  # in every row


def test_a_rate_close_to_1_leaves_finite_numbers():
    values = dropout(jnp.ones((40, 30, 51)), 1 - 1e-9, jax.random.split(jax.random.key(0), 30), 0)
    assert set(np.unique(values).tolist()) <= {0.0, 2.0**16}


def test_a_rows_dropout_does_not_depend_on_its_neighbours():
    keys = jax.random.split(jax.random.key(0), 6)
    whole = dropout(jnp.ones((4, 6, 10)), 0.5, keys, 0)
    np.testing.assert_array_equal(dropout(jnp.ones((4, 2, 10)), 0.5, keys[3:5], 0), whole[:, 3:5])


def test_only_the_layers_and_the_model_import_flax():
    importing = set()
    for path in (ROOT / "flaxchar").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == "flax" for name in names):
                importing.add(path.name)
    assert importing == {"layers.py", "charlm.py"}
