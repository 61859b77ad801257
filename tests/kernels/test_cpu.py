"""The native kernel against NumPy, the same layers in JAX, and Optax."""

from __future__ import annotations

import ctypes

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import python
from recurrences import assert_close, make_inputs, make_weights, normal, value_and_gradients

from flaxchar.kernels import build, cpu
from flaxchar.kernels.cpu import NATIVE_CELLS

pytestmark = pytest.mark.usefixtures("native")


@pytest.mark.parametrize(
    ("number", "reference", "least", "most", "error"),
    [
        (0, np.tanh, -12, 12, 4e-7),
        (1, lambda x: 1 / (1 + np.exp(-x)), -20, 20, 2e-7),
        (2, np.exp, -87, 0, 2.5e-7),
        (3, np.log, 1e-30, 1e30, 2.5e-7),
    ],
    ids=["tanh", "sigmoid", "exp", "log"],
)
def test_the_functions_of_vectors_equal_numpy(number, reference, least, most, error):
    spaced = np.geomspace if number == 3 else np.linspace
    values = spaced(least, most, 16 * 4096).astype(np.float32)
    expected = reference(values.astype(np.float64))
    pointer = values.ctypes.data_as(ctypes.c_void_p)
    build.library().flaxchar_apply(number, pointer, ctypes.c_int64(values.size))
    # sigmoid is tanh plus 1/2, so its error is relative to 1.
    np.testing.assert_allclose(values, expected, rtol=0 if number == 1 else error, atol=error if number == 1 else 0)


@pytest.mark.parametrize(("time", "batch", "words"), [(1, 1, 1), (7, 5, 33), (2, 3, 64), (60, 33, 16)])
def test_random_bits_are_those_of_jax(time, batch, words):
    """A count of words on both sides of the lanes, and rows on both sides of what a thread takes."""
    keys = jax.random.split(jax.random.key(2**32 - 1), batch)
    for number in (0, 1, 77):
        expected = [jax.random.bits(jax.random.fold_in(key, number), (time, words)) for key in keys]
        ours = jax.jit(cpu.random_bits, static_argnums=(1, 2, 3))(keys, number, time, words)
        np.testing.assert_array_equal(ours, np.stack(expected, 1))


@pytest.mark.parametrize(("kind", "with_mask"), [("ids", False), ("vectors", True)])
@pytest.mark.parametrize(
    ("time", "batch", "hidden", "features"),
    [(5, 3, 16, 7), (3, 13, 33, 11), (3, 1, 520, 9)]
    + [
        pytest.param(*s, marks=pytest.mark.slow)
        for s in ((1, 1, 1, 2), (2, 7, 100, 84), (9, 32, 128, 84), (2, 40, 300, 65))
    ],
)
@pytest.mark.parametrize("name", NATIVE_CELLS)
def test_a_layer_and_its_gradients_equal_the_same_layer_in_jax(
    name, time, batch, hidden, features, kind, with_mask, monkeypatch
):
    """Sizes on both sides of every block: rows, lanes, panels, and the cache that makes threads share units."""
    weights, carry = make_weights(name, hidden, features, batch)
    mask = jnp.where(normal(30, batch, hidden) > 0, 2.0, 0.0) if with_mask else None
    arguments = name, make_inputs(kind, time, batch, features), weights, carry, mask
    ours = value_and_gradients(*arguments)
    monkeypatch.setattr(build, "available", lambda: False)
    theirs = value_and_gradients(*arguments)
    assert_close(ours, theirs)


@pytest.mark.parametrize(("shape", "features", "vocab"), [((5, 3), 7, 11), ((9, 8), 128, 84), ((3,), 130, 300)])
def test_cross_entropy_and_its_gradients_equal_optax(shape, features, vocab):
    arguments = 3 * normal(1, *shape, features), normal(2, features, vocab), normal(3, vocab)
    targets = jax.random.randint(jax.random.key(4), shape, 0, vocab)
    weights = normal(5, *shape)

    def loss(function):
        return jax.value_and_grad(lambda *args: (function(*args) * weights).sum(), argnums=(0, 1, 2))(*arguments)

    ours = loss(lambda x, kernel, bias: cpu.cross_entropy(x, kernel, bias, targets))
    theirs = loss(lambda x, w, b: optax.softmax_cross_entropy_with_integer_labels(x @ w + b, targets))
    assert_close(ours, theirs)


def test_an_id_outside_the_vocabulary_is_an_error_not_a_read_outside_memory():
    weights, carry = make_weights("lstm")
    inputs = make_inputs("ids").at[0, 0].set(len(weights["kernel"]))
    with pytest.raises(Exception, match="outside the vocabulary"):
        jax.block_until_ready(cpu.sequence("lstm", inputs, weights, carry, None))


def test_an_array_of_another_shape_or_dtype_is_refused_not_read_as_what_it_is_not():
    """In a program of its own, where nothing checks the annotations."""
    program = """if True:
        import jax.numpy as jnp
        import numpy as np
        from flaxchar.kernels import cpu

        def array(*shape):
            return jnp.zeros(shape, jnp.float32)

        def told(function, *arguments):
            try:
                function(*arguments)
            except (TypeError, ValueError) as error:
                print(type(error).__name__, str(error).split()[0])
            else:
                print("accepted")

        ids, vectors = jnp.zeros((4, 3), jnp.int32), array(4, 3, 7)
        weights = {"kernel": array(7, 64), "bias": array(64), "recurrent_kernel": array(16, 64)}
        states = array(3, 16), array(3, 16)
        told(cpu.sequence, "lstm", ids, weights, states, None)
        told(cpu.sequence, "lstm", ids, weights, (states[0], array(2, 16)), None)
        told(cpu.sequence, "lstm", ids, weights, (array(1, 16), states[1]), None)
        told(cpu.sequence, "lstm", ids, weights, states[:1], None)
        told(cpu.sequence, "lstm", ids, weights, states, array(3, 15))
        told(cpu.sequence, "lstm", ids, weights | {"bias": array(63)}, states, None)
        told(cpu.sequence, "lstm", ids, weights | {"kernel": array(7, 60)}, states, None)
        told(cpu.sequence, "lstm", vectors, weights | {"kernel": array(6, 64)}, states, None)
        told(cpu.sequence, "lstm", ids, weights | {"recurrent_kernel": array(16, 60)}, states, None)
        told(cpu.sequence, "lstm", ids[0], weights, states, None)
        told(cpu.sequence, "lstm", ids, weights | {"kernel": array()}, states, None)
        told(cpu.sequence, "lstm", ids.astype(float), weights, states, None)
        told(cpu.sequence, "lstm", vectors.astype(int), weights, states, None)
        told(cpu.sequence, "lstm", ids, weights, (states[0], states[1].astype(int)), None)
        told(cpu.sequence, "lstm", ids, weights, states, states[0].astype(int))
        for name in weights:
            told(cpu.sequence, "lstm", ids, weights | {name: weights[name].astype("float16")}, states, None)
        doubles = {name: np.zeros(array.shape) for name, array in weights.items()}
        told(cpu.sequence, "lstm", np.zeros((4, 3), int), doubles, states, None)
        pairs, kernel, targets = array(5, 7), array(7, 9), jnp.zeros((5,), jnp.int32)
        told(cpu.cross_entropy, pairs, kernel, array(9), targets)
        told(cpu.cross_entropy, pairs, array(6, 9), array(9), targets)
        told(cpu.cross_entropy, pairs, kernel, array(8), targets)
        told(cpu.cross_entropy, pairs, kernel, array(9), targets[1:])
        told(cpu.cross_entropy, pairs, kernel, array(9), targets.astype(float))
    """

    def refused(error, *names):
        return [f"{error} `{name}`" for name in names]

    layer = ["carry", "carry", "carry", "mask", "bias", "kernel", "kernel", "recurrent_kernel", "inputs", "kernel"]
    assert python(program).splitlines() == [
        "accepted",
        *refused("ValueError", *layer),
        *refused("TypeError", "inputs", "inputs", "carry", "mask", "kernel", "bias", "recurrent_kernel"),
        "accepted",  # NumPy's own dtypes, which JAX makes float32 and int32
        "accepted",
        *refused("ValueError", "kernel", "bias", "targets"),
        *refused("TypeError", "targets"),
    ]


@pytest.mark.parametrize("kind", ["ids", "vectors"])
@pytest.mark.parametrize(("time", "batch"), [(0, 3), (4, 0)])
@pytest.mark.parametrize(
    "name", [name if name == "lstm" else pytest.param(name, marks=pytest.mark.slow) for name in NATIVE_CELLS]
)
def test_a_sequence_without_steps_or_rows_leaves_the_carry_as_it_is(name, time, batch, kind):
    weights, carry = make_weights(name, batch=batch)
    inputs = make_inputs(kind, time, batch)
    (loss, (hs, last)), gradients = value_and_gradients(name, inputs, weights, carry, None)
    assert hs.shape == (time, batch, len(weights["recurrent_kernel"]))
    jax.tree.map(np.testing.assert_array_equal, (last, gradients[-1]), (carry, tuple(2 * state for state in carry)))
    assert loss == sum((state**2).sum() for state in carry)
    assert not any(gradient.any() for gradient in jax.tree.leaves(gradients[:-1]))


def test_the_cross_entropy_of_nothing_has_no_gradient():
    gradients = jax.grad(lambda *args: cpu.cross_entropy(*args, jnp.zeros(0, jnp.int32)).sum(), argnums=(0, 1, 2))(
        normal(1, 0, 7), normal(2, 7, 9), normal(3, 9)
    )
    assert [array.shape for array in gradients] == [(0, 7), (7, 9), (9,)]
    assert not any(array.any() for array in gradients)
