"""The cells against their equations in NumPy, Flax' own cells, finite differences, and their own single steps."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from recurrences import BATCH, HIDDEN, TIME, assert_close, make_inputs, make_weights, normal, numpy_cell

from flaxchar.config import Config, InputError
from flaxchar.kernels import build
from flaxchar.kernels.cpu import NATIVE_CELLS
from flaxchar.models.cells import CELLS


@pytest.fixture(params=["native", "scan"])
def version(request, monkeypatch):
    """Which version of the recurrence runs."""
    if request.param == "native" and request.node.callspec.params["name"] not in NATIVE_CELLS:
        pytest.skip("this cell is in JAX alone")
    if request.param == "scan":
        monkeypatch.setattr(build, "available", lambda: False)
    else:
        request.getfixturevalue("native")


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("kind", ["ids", "vectors"])
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_equals_its_equations(name, kind):
    weights, carry = make_weights(name)
    inputs = make_inputs(kind)
    hs, last = CELLS[name].sequence(inputs, weights, carry, None, "float32")
    np.testing.assert_allclose(hs, numpy_cell(name, inputs, weights, carry)[0], atol=2e-5)
    np.testing.assert_array_equal(last[0], hs[-1])


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("name", CELLS)
def test_steps_one_by_one_equal_the_sequence(name):
    weights, carry = make_weights(name)
    inputs = make_inputs("ids")
    hs, last = CELLS[name].sequence(inputs, weights, carry, None, "float32")
    for x, expected in zip(inputs, hs, strict=True):
        h, carry = CELLS[name].step(x, weights, carry, "float32")
        np.testing.assert_allclose(h, expected, atol=2e-6)
    for one, other in zip(carry, last, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_the_mask_is_on_what_is_fed_back(name):
    weights, carry = make_weights(name)
    inputs, mask = make_inputs("vectors"), jnp.array(np.random.default_rng(0).integers(0, 2, (BATCH, HIDDEN)) * 2.0)
    hs, _ = CELLS[name].sequence(inputs, weights, carry, mask, "float32")
    np.testing.assert_allclose(hs, numpy_cell(name, inputs, weights, carry, np.asarray(mask))[0], atol=2e-5)


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_gradients_equal_finite_differences(name, with_mask):
    if with_mask and not CELLS[name].recurrent:
        pytest.skip("nothing is fed back through weights")
    weights, carry = make_weights(name)
    mask = jnp.array([[2.0, 0, 2, 0, 2]] * BATCH) if with_mask else None
    where = normal(20, TIME, BATCH, HIDDEN)

    def loss(inputs, weights, carry):
        hs, last = CELLS[name].sequence(inputs, weights, carry, mask, "float32")
        return (hs * where).sum() + sum((state**2).sum() for state in last)

    check_grads(loss, (make_inputs("vectors"), weights, carry), order=1, modes="rev", atol=3e-2, rtol=3e-2, eps=1e-2)


@pytest.mark.parametrize(("name", "flax_cell"), [("gru", nn.GRUCell), ("rnn", nn.SimpleCell)])
def test_values_and_gradients_equal_those_of_flax_own_cell(name, flax_cell):
    weights, (h,) = make_weights(name)
    inputs = make_inputs("vectors")

    def converted(weights):
        gates = {"gru": "zrn", "rnn": ""}[name]
        if name == "rnn":
            return {
                "i": {"kernel": weights["kernel"], "bias": weights["bias"]},
                "h": {"kernel": weights["recurrent_kernel"]},
            }
        split = {key: jnp.split(value, 3, -1) for key, value in weights.items()}
        params = {}
        for k, gate in enumerate(gates):
            both = split["bias"][k] + split["recurrent_bias"][k]  # Flax has one bias for z and r
            params["i" + gate] = {"kernel": split["kernel"][k], "bias": both if gate != "n" else split["bias"][k]}
            params["h" + gate] = {"kernel": split["recurrent_kernel"][k]}
        params["hn"]["bias"] = split["recurrent_bias"][2]
        return params

    def ours(weights):
        return CELLS[name].sequence(inputs, weights, (h,), None, "float32")[0]

    def theirs(weights):
        layer = nn.RNN(flax_cell(HIDDEN), time_major=True)
        return layer.apply({"params": {"cell": converted(weights)}}, inputs, initial_carry=h)

    np.testing.assert_allclose(ours(weights), theirs(weights), atol=1e-5)
    gradients = [jax.grad(lambda w, f=f: (f(w) ** 2).sum())(weights) for f in (ours, theirs)]
    for key in weights:
        np.testing.assert_allclose(*(gradient[key] for gradient in gradients), atol=1e-4)


@pytest.mark.parametrize("name", CELLS)
def test_bfloat16_is_near(name):
    if name == "rnn" and jax.__version_info__ < (0, 9):
        pytest.skip("jaxlib 0.8 compiles it with optimizations only, which these tests leave out")
    weights, carry = make_weights(name)
    exact, near = (
        CELLS[name].sequence(make_inputs("ids"), weights, carry, None, d)[0] for d in ("float32", "bfloat16")
    )
    assert near.dtype == jnp.float32
    np.testing.assert_allclose(near, exact, atol=0.1)


def test_recurrent_dropout_where_nothing_is_fed_back_is_an_error():
    with pytest.raises(InputError, match=r"`recurrent_dropout`.*mingru"):
        Config().replace(cell="mingru", recurrent_dropout=0.1).validate()


@pytest.mark.parametrize("name", CELLS)
def test_a_text_in_a_packed_row_is_computed_as_in_a_row_of_its_own(name):
    """Values and gradients of two texts in one row equal those of the texts apart, in the states too."""
    inputs, first = make_inputs("vectors"), TIME // 2
    weights, before = make_weights(name)
    starts = jnp.zeros((TIME, BATCH), bool).at[jnp.array([0, first])].set(True)
    wanted = normal(10, TIME, BATCH, HIDDEN)

    def together(weights):
        hs, last = CELLS[name].sequence(inputs, weights, before, None, "float32", starts)
        return (hs * wanted).sum(), (hs, last)

    def apart(weights):
        zeros = jax.tree.map(jnp.zeros_like, before)
        parts = [CELLS[name].sequence(part, weights, zeros, None, "float32") for part in jnp.split(inputs, [first])]
        hs = jnp.concatenate([hs for hs, _ in parts])
        return (hs * wanted).sum(), (hs, parts[1][1])

    results = [jax.value_and_grad(loss, has_aux=True)(weights) for loss in (together, apart)]
    assert_close(*results)
