"""The recurrence against a NumPy loop, Flax's own cell and finite differences: values, gradients, carry."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from recurrences import assert_close, normal, numpy_cell

from flaxchar import CharLM, ModelConfig, init_params
from flaxchar.kernels import build, cpu
from flaxchar.models.cells import CELLS
from flaxchar.models.lstm import lstm, lstm_scan, lstm_step
from flaxchar.models.projection import project

TIME, BATCH, HIDDEN, FEATURES = 7, 3, 5, 4


def scan(inputs, kernel, bias, recurrent, carry):
    return lstm_scan("float32", project(inputs, kernel, bias), recurrent, carry)


def native_lstm(inputs, kernel, bias, recurrent, carry):
    weights = {"kernel": kernel, "bias": bias, "recurrent_kernel": recurrent}
    return cpu.sequence("lstm", inputs, weights, carry, None)


def make_arguments(kind, time=TIME, batch=BATCH, hidden=HIDDEN, features=FEATURES):
    inputs = normal(1, time, batch, features)
    if kind == "ids":
        inputs = jax.random.randint(jax.random.key(1), (time, batch), 0, features)
    weights = normal(2, features, 4 * hidden), normal(3, 4 * hidden), normal(4, hidden, 4 * hidden) / hidden**0.5
    return inputs, *weights, (normal(5, batch, hidden), normal(6, batch, hidden))


@pytest.fixture(params=["native", "scan"])
def version(request):
    """Each version of the recurrence."""
    if request.param == "scan":
        return scan
    request.getfixturevalue("native")
    return native_lstm


@pytest.fixture(params=["ids", "vectors"])
def arguments(request):
    return make_arguments(request.param)


def numpy_lstm(inputs, kernel, bias, recurrent, carry):
    """The textbook's equations, in double precision."""
    weights = {"kernel": kernel, "bias": bias, "recurrent_kernel": recurrent}
    return numpy_cell("lstm", inputs, weights, carry)


def weighted(function, arguments):
    """A number that depends on every output, its gradients, and the outputs."""

    def value(inputs, *others):
        hs, (h, c) = function(inputs, *others)
        loss = (hs * jnp.cos(jnp.arange(hs.size)).reshape(hs.shape)).sum() + (h * c).sum() + (c * c).sum()
        return loss, (hs, h, c)

    which = tuple(range(jnp.issubdtype(arguments[0].dtype, jnp.integer), 5))
    return jax.jit(jax.value_and_grad(value, argnums=which, has_aux=True))(*arguments)


def test_values_and_carry_equal_a_numpy_loop(version, arguments):
    hs, (h, c) = version(*arguments)
    expected, (expected_h, expected_c) = numpy_lstm(*arguments)
    np.testing.assert_allclose(hs, expected, atol=1e-6)
    np.testing.assert_allclose(h, expected_h, atol=1e-6)
    np.testing.assert_allclose(c, expected_c, atol=1e-6)


def test_gradients_equal_finite_differences(version):
    check_grads(version, make_arguments("vectors"), order=1, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)


def test_values_and_gradients_equal_flax(version):
    """Flax's OptimizedLSTMCell with the same weights, differentiated by JAX."""
    arguments = make_arguments("vectors")
    cell = nn.OptimizedLSTMCell(HIDDEN)

    def theirs(inputs, kernel, bias, recurrent, carry):
        params = {}
        for k, gate in enumerate("ifgo"):
            columns = slice(k * HIDDEN, (k + 1) * HIDDEN)
            params[f"i{gate}"] = {"kernel": kernel[:, columns]}
            params[f"h{gate}"] = {"kernel": recurrent[:, columns], "bias": bias[columns]}
        state, outputs = (carry[1], carry[0]), []  # Flax carries (c, h)
        for x in inputs:
            state, out = cell.apply({"params": params}, state, x)
            outputs.append(out)
        return jnp.stack(outputs), (state[1], state[0])

    assert_close(weighted(version, arguments), weighted(theirs, arguments), 2e-5)


def test_single_steps_equal_the_sequence(version, arguments):
    inputs, *weights, carry = arguments
    hs, last = version(*arguments)
    for x, h in zip(inputs, hs, strict=True):
        out, carry = lstm_step(x, *weights, carry)
        np.testing.assert_allclose(out, h, atol=1e-6)
    for a, b in zip(carry, last, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_sequence_in_two_parts_equals_the_whole(version, arguments):
    inputs, *weights, carry = arguments
    whole, end = version(*arguments)
    first, middle = version(inputs[:3], *weights, carry)
    second, last = version(inputs[3:], *weights, middle)
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, atol=1e-6)
    np.testing.assert_allclose(last, end, atol=1e-6)


def test_large_pre_activations_give_finite_values_and_gradients(version):
    inputs, carry = jnp.ones((3, 1, 1)), (jnp.zeros((1, 1)), jnp.zeros((1, 1)))
    kernel, bias, recurrent = jnp.array([[200.0, -200.0, 90.0, -90.0]]), jnp.zeros(4), jnp.ones((1, 4)) * 50
    value, gradient = jax.value_and_grad(lambda w: version(inputs, w, bias, recurrent, carry)[0].sum())(kernel)
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()


def test_a_diverged_state_stays_visible(version):
    """NaN must come out as NaN, or a run that has diverged would look like one that learns."""
    inputs, *weights, (h, c) = make_arguments("ids")
    hs, _ = version(inputs, *weights, (h * jnp.nan, c))
    assert jnp.isnan(hs).all()


def compiled_text(cell, dtype="float32"):
    """The program of a model's loss and its gradients, as it is handed to the compiler."""
    model = CharLM(5, ModelConfig(cell=cell, hidden=4, dropout=0, dtype=dtype))
    params = init_params(model, jax.random.key(0))
    ids = jnp.ones((2, 3), jnp.int32)
    loss = jax.grad(lambda params: model.apply({"params": params}, ids, ids, method="cross_entropy")[0].sum())
    return jax.jit(loss).lower(params).as_text()


CALLS = ("forward", "backward", "cross_entropy_forward", "cross_entropy_backward")


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_model_calls_the_native_kernel_where_it_can_and_scans_elsewhere(cell, monkeypatch):
    native = compiled_text(cell)
    assert [call for call in CALLS if f"@flaxchar_{call}(" in native] == [*CALLS]
    assert "stablehlo.while" not in native
    half = compiled_text(cell, "bfloat16")
    monkeypatch.setattr(build, "available", lambda: False)
    for text in (compiled_text(cell), half):
        assert "flaxchar_" not in text
        assert "stablehlo.while" in text


@pytest.mark.usefixtures("native")
def test_the_public_functions_call_the_native_kernel():
    inputs, *weights, carry = make_arguments("ids")
    assert "@flaxchar_forward(" in jax.jit(lstm).lower(inputs, *weights, carry).as_text()
    weights = dict(zip(("kernel", "bias", "recurrent_kernel"), weights, strict=True))
    sequence = jax.jit(lambda *arguments: CELLS["lstm"].sequence(*arguments, None, "float32"))
    assert "@flaxchar_forward(" in sequence.lower(inputs, weights, carry).as_text()
