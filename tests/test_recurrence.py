"""The recurrence against a NumPy loop, Flax's own cell and finite differences: values, gradients, carry."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from flaxchar.recurrence import lstm, lstm_initial_carry, lstm_step

TIME, BATCH, HIDDEN = 7, 3, 5


@pytest.fixture
def arguments():
    keys = jax.random.split(jax.random.key(0), 4)
    projected = jax.random.normal(keys[0], (TIME, BATCH, 4 * HIDDEN))
    recurrent = jax.random.normal(keys[1], (HIDDEN, 4 * HIDDEN)) / 2
    carry = (jax.random.normal(keys[2], (BATCH, HIDDEN)), jax.random.normal(keys[3], (BATCH, HIDDEN)))
    return projected, recurrent, carry


def numpy_lstm(projected, recurrent, carry):
    """The textbook's equations, in double precision."""
    projected, recurrent, h, c = (np.asarray(part, np.float64) for part in (projected, recurrent, *carry))
    hs = []
    for x in projected:
        i, f, g, o = np.split(x + h @ recurrent, 4, axis=-1)
        i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        hs.append(h)
    return np.stack(hs), (h, c)


def test_values_and_carry_equal_a_numpy_loop(arguments):
    hs, (h, c) = lstm(*arguments)
    expected, (expected_h, expected_c) = numpy_lstm(*arguments)
    np.testing.assert_allclose(hs, expected, atol=1e-6)
    np.testing.assert_allclose(h, expected_h, atol=1e-6)
    np.testing.assert_allclose(c, expected_c, atol=1e-6)


def test_gradients_equal_finite_differences(arguments):
    check_grads(lstm, arguments, order=1, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)


def test_values_and_gradients_equal_flax(arguments):
    """Flax's OptimizedLSTMCell with the same weights, differentiated by JAX."""
    _, recurrent, carry = arguments
    inputs = jax.random.normal(jax.random.key(9), (TIME, BATCH, 2))
    kernel = jax.random.normal(jax.random.key(8), (2, 4 * HIDDEN))
    bias = jax.random.normal(jax.random.key(7), (4 * HIDDEN,))
    cell = nn.OptimizedLSTMCell(HIDDEN)

    def theirs(kernel, recurrent, bias, carry):
        pieces = zip("ifgo", np.arange(4), strict=True)
        params = {}
        for gate, k in pieces:
            columns = slice(k * HIDDEN, (k + 1) * HIDDEN)
            params[f"i{gate}"] = {"kernel": kernel[:, columns]}
            params[f"h{gate}"] = {"kernel": recurrent[:, columns], "bias": bias[columns]}
        state, outputs = (carry[1], carry[0]), []  # Flax carries (c, h)
        for x in inputs:
            state, out = cell.apply({"params": params}, state, x)
            outputs.append(out)
        return jnp.stack(outputs), (state[1], state[0])

    def ours(kernel, recurrent, bias, carry):
        return lstm(inputs @ kernel + bias, recurrent, carry)

    def loss(function):
        def value(*arguments):
            hs, (h, c) = function(*arguments)
            weights = jnp.cos(jnp.arange(hs.size)).reshape(hs.shape)
            return (hs * weights).sum() + (h * c).sum()

        return value

    weights = (kernel, recurrent, bias, carry)
    for mine, flax in zip(jax.tree.leaves(ours(*weights)), jax.tree.leaves(theirs(*weights)), strict=True):
        np.testing.assert_allclose(mine, flax, atol=1e-5)
    mine = jax.grad(loss(ours), argnums=(0, 1, 2, 3))(*weights)
    flax = jax.grad(loss(theirs), argnums=(0, 1, 2, 3))(*weights)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(flax), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-4)


def test_single_steps_equal_the_sequence(arguments):
    projected, recurrent, carry = arguments
    hs, last = lstm(projected, recurrent, carry)
    for x, h in zip(projected, hs, strict=True):
        out, carry = lstm_step(x, recurrent, carry)
        np.testing.assert_allclose(out, h, atol=1e-6)
    for a, b in zip(carry, last, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_sequence_in_two_parts_equals_the_whole(arguments):
    projected, recurrent, carry = arguments
    whole, end = lstm(projected, recurrent, carry)
    first, middle = lstm(projected[:3], recurrent, carry)
    second, last = lstm(projected[3:], recurrent, middle)
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, atol=1e-6)
    np.testing.assert_allclose(last, end, atol=1e-6)


def test_large_pre_activations_give_finite_values_and_gradients():
    projected = jnp.array([[[200.0, -200.0, 90.0, -90.0]]]).repeat(3, axis=0)
    value, gradient = jax.value_and_grad(lambda x: lstm(x, jnp.ones((1, 4)) * 50, lstm_initial_carry(1, 1))[0].sum())(
        projected
    )
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()
