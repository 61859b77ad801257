"""The recurrence against a NumPy loop, Flax's own cell and finite differences: values, gradients, carry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import python
from jax.test_util import check_grads

from flaxchar.kernels import cpu
from flaxchar.models.lstm import lstm, lstm_scan, lstm_step, project

TIME, BATCH, HIDDEN, FEATURES = 7, 3, 5, 4


def scan(inputs, kernel, bias, recurrent, carry):
    return lstm_scan("float32", project(inputs, kernel, bias), recurrent, carry)


def native_lstm(inputs, kernel, bias, recurrent, carry):
    weights = {"kernel": kernel, "bias": bias, "recurrent_kernel": recurrent}
    return cpu.sequence("lstm", inputs, weights, carry, None)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


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
    if not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")
    return native_lstm


@pytest.fixture(params=["ids", "vectors"])
def arguments(request):
    return make_arguments(request.param)


def numpy_lstm(inputs, kernel, bias, recurrent, carry):
    """The textbook's equations, in double precision."""
    kernel, bias, recurrent, h, c = (np.asarray(part, np.float64) for part in (kernel, bias, recurrent, *carry))
    hs = []
    for x in np.asarray(inputs):
        x = kernel[x] if x.ndim == 1 else x @ kernel
        i, f, g, o = np.split(x + bias + h @ recurrent, 4, axis=-1)
        i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        hs.append(h)
    return np.stack(hs), (h, c)


def weighted(function, arguments):
    """A number that depends on every output, its gradients, and the outputs."""

    def value(inputs, *others):
        hs, (h, c) = function(inputs, *others)
        loss = (hs * jnp.cos(jnp.arange(hs.size)).reshape(hs.shape)).sum() + (h * c).sum() + (c * c).sum()
        return loss, (hs, h, c)

    which = tuple(range(jnp.issubdtype(arguments[0].dtype, jnp.integer), 5))
    return jax.jit(jax.value_and_grad(value, argnums=which, has_aux=True))(*arguments)


def assert_close(ours, theirs, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(b).max())))


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


def test_a_row_of_the_native_kernel_does_not_depend_on_its_batch():
    if not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")
    inputs, *weights, (h, c) = make_arguments("ids", 6, 17, 48, 20)
    whole, _ = native_lstm(inputs, *weights, (h, c))
    for row in (0, 7, 16):
        rows = slice(row, row + 1)
        alone, _ = native_lstm(inputs[:, rows], *weights, (h[rows], c[rows]))
        np.testing.assert_array_equal(alone[:, 0], whole[:, row])


def test_native_calls_from_several_threads_at_once_do_not_mix():
    if not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")
    many = [make_arguments("ids", 20, 8 + k, 64, 20) for k in range(6)]
    alone = [weighted(native_lstm, arguments) for arguments in many]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            together = list(pool.map(lambda arguments: weighted(native_lstm, arguments), many))
            jax.tree.map(np.testing.assert_array_equal, alone, together)


def test_an_id_outside_the_vocabulary_is_an_error_not_a_read_outside_memory():
    if not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")
    inputs, *others = make_arguments("ids")
    with pytest.raises(Exception, match="outside the vocabulary"):
        jax.block_until_ready(native_lstm(inputs.at[0, 0].set(FEATURES), *others))


@pytest.mark.parametrize(("shape", "features", "vocab"), [((5, 3), 7, 11), ((9, 8), 128, 84), ((3,), 130, 300)])
def test_native_cross_entropy_equals_optax(shape, features, vocab):
    if not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")
    arguments = 3 * normal(1, *shape, features), normal(2, features, vocab), normal(3, vocab)
    targets = jax.random.randint(jax.random.key(4), shape, 0, vocab)
    weights = normal(5, *shape)

    def loss(function):
        return jax.value_and_grad(lambda *args: (function(*args) * weights).sum(), argnums=(0, 1, 2))(*arguments)

    ours = loss(lambda x, kernel, bias: cpu.cross_entropy(x, kernel, bias, targets))
    theirs = loss(lambda x, w, b: optax.softmax_cross_entropy_with_integer_labels(x @ w + b, targets))
    assert_close(ours, theirs)


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


@pytest.mark.parametrize(
    ("variables", "reason"),
    [({"FLAXCHAR_NATIVE": "0"}, "FLAXCHAR_NATIVE=0"), ({"PATH": ""}, "there is no C++ compiler")],
)
def test_without_the_native_kernel_the_scan_runs_and_the_status_says_why(variables, reason):
    program = (
        "import jax.numpy as j; from flaxchar.kernels import cpu; from flaxchar.models.lstm import lstm\n"
        "z = (j.zeros((1, 2)),) * 2\n"
        "print(float(lstm(j.zeros((1, 1), int), j.ones((1, 8)), j.zeros(8), j.ones((2, 8)), z)[0][0, 0, 0]))\n"
        "print(cpu.status())"
    )
    value, status = python(program, **variables).splitlines()
    expected, _ = numpy_lstm(
        np.zeros((1, 1), int), np.ones((1, 8)), np.zeros(8), np.ones((2, 8)), (np.zeros((1, 2)),) * 2
    )
    assert abs(float(value) - expected[0, 0, 0]) < 1e-6
    assert status.startswith("JAX (")
    assert reason in status


@pytest.mark.parametrize(("variables", "waits"), [({}, True), ({"FLAXCHAR_NATIVE": "0"}, False), ({"PATH": ""}, False)])
def test_a_command_waits_for_each_program_where_the_kernel_runs_and_nowhere_else(variables, waits):
    if waits and not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")
    program = (
        "from flaxchar.commands.process import prepare; prepare()\n"
        "import jax, jax.numpy as j; x = j.ones((1500, 1500)); f = jax.jit(lambda x: x @ x @ x @ x)\n"
        "f(x).block_until_ready(); print(f(x).is_ready())"
    )
    assert python(program, **variables).strip() == str(waits)


def test_a_compiler_that_fails_is_named_and_nothing_breaks(tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'native.cpp:1: error: no such header' >&2\nexit 1\n")
    compiler.chmod(0o755)
    said = python(
        "from flaxchar.kernels import cpu; print(cpu.status())", PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path)
    )
    assert "error: no such header" in said
    assert not list(tmp_path.rglob("*.so"))


def test_the_public_recurrence_is_the_native_one_where_it_can_be():
    arguments = make_arguments("ids")
    chosen = native_lstm if cpu.available() else scan
    jax.tree.map(np.testing.assert_array_equal, lstm(*arguments), chosen(*arguments))
