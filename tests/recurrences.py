"""What the tests of the recurrences share: random layers, and the equations of every cell in NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flaxchar.models.cells import CELLS

TIME, BATCH, HIDDEN, FEATURES = 6, 3, 5, 4


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def make_weights(name, hidden=HIDDEN, features=FEATURES, batch=BATCH):
    """The weights and the carry of a layer."""
    cell = CELLS[name]
    gates = cell.gates * hidden
    weights = {"kernel": normal(1, features, gates), "bias": normal(2, gates)}
    if cell.recurrent:
        weights["recurrent_kernel"] = normal(3, hidden, gates) / hidden**0.5
    if cell.recurrent_bias:
        weights["recurrent_bias"] = normal(4, gates)
    return weights, tuple(normal(5 + k, batch, hidden) for k in range(cell.states))


def make_inputs(kind, time=TIME, batch=BATCH, features=FEATURES):
    """Ids or vectors."""
    key = jax.random.key(9)
    if kind == "ids":
        return jax.random.randint(key, (time, batch), 0, features)
    return jax.random.normal(key, (time, batch, features))


def value_and_gradients(name, inputs, weights, carry, mask):
    """A number that depends on every output, the outputs, and the number's gradients."""

    def value(inputs, weights, carry):
        hs, last = CELLS[name].sequence(inputs, weights, carry, mask, "float32")
        loss = (hs * jnp.cos(jnp.arange(hs.size)).reshape(hs.shape)).sum() + sum((state**2).sum() for state in last)
        return loss, (hs, last)

    which = (1, 2) if jnp.issubdtype(inputs.dtype, jnp.integer) else (0, 1, 2)
    return jax.jit(jax.value_and_grad(value, argnums=which, has_aux=True))(inputs, weights, carry)


def assert_close(ours, theirs, tolerance=1e-5):
    """Compare two pytrees, leaf by leaf, relative to each leaf's greatest number."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(b).max())))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_cell(name, inputs, weights, carry, mask=1.0):
    """Each cell's equations, step by step in double precision: the states ``[time, batch, hidden]`` and the carry."""
    w = {key: np.asarray(value, np.float64) for key, value in weights.items()}
    h, *rest = (np.asarray(state, np.float64) for state in carry)
    hs = []
    for x in np.asarray(inputs):
        a = (w["kernel"][x] if x.ndim == 1 else x @ w["kernel"]) + w["bias"]
        if name == "gru":
            a_z, a_r, a_n = np.split(a, 3, -1)
            q_z, q_r, q_n = np.split((h * mask) @ w["recurrent_kernel"] + w["recurrent_bias"], 3, -1)
            z, r = sigmoid(a_z + q_z), sigmoid(a_r + q_r)
            h = z * h + (1 - z) * np.tanh(a_n + r * q_n)
        elif name == "rnn":
            h = np.tanh(a + (h * mask) @ w["recurrent_kernel"])
        elif name == "lstm":
            i, f, g, o = np.split(a + (h * mask) @ w["recurrent_kernel"], 4, -1)
            rest[0] = sigmoid(f) * rest[0] + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(rest[0])
        elif name == "mingru":
            a_z, n = np.split(a, 2, -1)
            h = (1 - sigmoid(a_z)) * h + sigmoid(a_z) * n
        else:
            f, i, n = np.split(a, 3, -1)
            f, i = sigmoid(f), sigmoid(i)
            h = f / (f + i) * h + i / (f + i) * n
        hs.append(h)
    return np.stack(hs), (h, *rest)
