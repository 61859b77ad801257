"""The other cells against Flax' own, NumPy loops, finite differences, and their own single steps."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from flaxchar import CharLM, ModelConfig, Sampling, count_params, init_params
from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.decode import generate
from flaxchar.kernels import cpu
from flaxchar.models.cells import CELLS

TIME, BATCH, HIDDEN, FEATURES = 6, 3, 5, 4


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def make_weights(name, hidden=HIDDEN, features=FEATURES, batch=BATCH):
    cell = CELLS[name]
    gates = cell.gates * hidden
    weights = {"kernel": normal(1, features, gates), "bias": normal(2, gates)}
    if cell.recurrent:
        weights["recurrent_kernel"] = normal(3, hidden, gates) / hidden**0.5
    if cell.recurrent_bias:
        weights["recurrent_bias"] = normal(4, gates)
    return weights, tuple(normal(5 + k, batch, hidden) for k in range(cell.states))


def make_inputs(kind, time=TIME, batch=BATCH, features=FEATURES):
    key = jax.random.key(9)
    if kind == "ids":
        return jax.random.randint(key, (time, batch), 0, features)
    return jax.random.normal(key, (time, batch, features))


@pytest.fixture(params=["native", "scan"])
def version(request, monkeypatch):
    """Which version of the recurrence runs."""
    if request.param == "native" and request.node.callspec.params["name"] not in cpu.CELLS:
        pytest.skip("this cell is in JAX alone")
    if request.param == "scan":
        monkeypatch.setattr(cpu, "available", lambda: False)
    elif not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")


def value_and_gradients(name, inputs, weights, carry, mask):
    """A number that depends on every output, the outputs, and its gradients."""

    def value(inputs, weights, carry):
        hs, last = CELLS[name].sequence(inputs, weights, carry, mask, "float32")
        loss = (hs * jnp.cos(jnp.arange(hs.size)).reshape(hs.shape)).sum() + sum((state**2).sum() for state in last)
        return loss, (hs, last)

    which = (1, 2) if jnp.issubdtype(inputs.dtype, jnp.integer) else (0, 1, 2)
    return jax.jit(jax.value_and_grad(value, argnums=which, has_aux=True))(inputs, weights, carry)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_cell(name, inputs, weights, carry, mask=1.0):
    """Each cell's equations, step by step in double precision: the states ``[time, batch, hidden]``."""
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
    return np.stack(hs)


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("kind", ["ids", "vectors"])
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_equals_its_equations(name, kind):
    weights, carry = make_weights(name)
    inputs = make_inputs(kind)
    hs, last = CELLS[name].sequence(inputs, weights, carry, None, "float32")
    np.testing.assert_allclose(hs, numpy_cell(name, inputs, weights, carry), atol=2e-5)
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
    np.testing.assert_allclose(hs, numpy_cell(name, inputs, weights, carry, np.asarray(mask)), atol=2e-5)


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


@pytest.mark.parametrize(("kind", "with_mask"), [("ids", False), ("vectors", True)])
@pytest.mark.parametrize(
    ("time", "batch", "hidden", "features"),
    [(5, 3, 16, 7), (3, 13, 33, 11), (3, 1, 520, 9)]
    + [
        pytest.param(*s, marks=pytest.mark.slow)
        for s in ((1, 1, 1, 2), (2, 7, 100, 84), (9, 32, 128, 84), (2, 40, 300, 65))
    ],
)
@pytest.mark.parametrize("name", cpu.CELLS)
def test_the_native_kernel_equals_the_scan(name, time, batch, hidden, features, kind, with_mask, monkeypatch):
    """Sizes on both sides of every block: rows, lanes, panels, and the cache that makes threads share units."""
    if not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")
    weights, carry = make_weights(name, hidden, features, batch)
    mask = jnp.where(normal(30, batch, hidden) > 0, 2.0, 0.0) if with_mask else None
    arguments = name, make_inputs(kind, time, batch, features), weights, carry, mask
    ours = value_and_gradients(*arguments)
    monkeypatch.setattr(cpu, "available", lambda: False)
    theirs = value_and_gradients(*arguments)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(b).max())))


@pytest.mark.parametrize("hidden", [40, 520])
@pytest.mark.parametrize("name", cpu.CELLS)
def test_the_native_kernel_gives_the_same_bits_on_any_number_of_threads(name, hidden, monkeypatch):
    if not cpu.available():
        pytest.skip(f"the native kernel is not available: {cpu.status()}")
    weights, carry = make_weights(name, hidden, 20, 13)
    for kind, mask in (("ids", None), ("vectors", jnp.ones((13, hidden)))):
        results = []
        for threads in (1, 2, 3, 6):
            monkeypatch.setattr(cpu, "threads", lambda threads=threads: threads)
            results.append(value_and_gradients(name, make_inputs(kind, 3, 13, 20), weights, carry, mask))
        for other in results[1:]:
            jax.tree.map(np.testing.assert_array_equal, results[0], other)


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
    weights, carry = make_weights(name)
    exact, near = (
        CELLS[name].sequence(make_inputs("ids"), weights, carry, None, d)[0] for d in ("float32", "bfloat16")
    )
    assert near.dtype == jnp.float32
    np.testing.assert_allclose(near, exact, atol=0.1)


def test_parameters_are_as_many_as_keras_has():
    units, vocab = 128, 84
    head = units * vocab + vocab
    expected = {
        "lstm": 4 * units * (vocab + units + 1),
        "gru": 3 * units * (vocab + units + 2),  # reset_after: two biases
        "rnn": units * (vocab + units + 1),
        "mingru": 2 * units * (vocab + 1),
        "minlstm": 3 * units * (vocab + 1),
    }
    for name, count in expected.items():
        params = init_params(CharLM(vocab, ModelConfig(cell=name)), jax.random.key(0))
        assert count_params(params) == count + head


SHAPES = [
    ModelConfig(cell=name, hidden=6, layers=3, residual=extras, layer_norm=extras)
    for name in CELLS
    for extras in (False, True)
] + [ModelConfig(cell=name, hidden=6, embedding=3) for name in ("lstm", "gru")]


@pytest.mark.parametrize(
    "config", SHAPES, ids=lambda c: f"{c.cell}{'-residual-norm' * c.residual}{'-embedding' * bool(c.embedding)}"
)
def test_a_model_of_any_cell_goes_on_from_its_carry_and_steps_like_its_sequence(config):
    model = CharLM(9, config)
    params = init_params(model, jax.random.key(1))
    ids = jax.random.randint(jax.random.key(2), (2, 8), 0, 9)
    logits, last = model.apply({"params": params}, ids)
    first, carry = model.apply({"params": params}, ids[:, :5])
    rest, after = model.apply({"params": params}, ids[:, 5:], carry)
    np.testing.assert_allclose(jnp.concatenate([first, rest], 1), logits, atol=1e-5)
    for one, other in zip(jax.tree.leaves(after), jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    carry = model.initial_carry(2)
    for k in range(8):
        step, carry = model.apply({"params": params}, ids[:, k], carry, method="step")
        np.testing.assert_allclose(step, logits[:, k], atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [c for c in SHAPES if c.residual or c.cell in ("gru", "rnn")],
    ids=lambda c: f"{c.cell}{'-residual-norm' * c.residual}{'-embedding' * bool(c.embedding)}",
)
def test_a_model_of_any_cell_writes_what_its_logits_say(config):
    vocabulary = Vocabulary(tuple("abcdefg"))
    model = CharLM(9, config)
    params = init_params(model, jax.random.key(1))
    (text,) = generate(model, params, vocabulary, np.array([3, 1], np.int32), size=12, sampling=Sampling(0.0))
    ids = [8, 3, 1]
    for written in text:
        padded = jnp.array([ids + [0] * (14 - len(ids))])  # one shape to compile
        logits, _ = model.apply({"params": params}, padded)
        assert written == 1 + np.asarray(logits)[0, len(ids) - 1, 1:].argmax()
        ids.append(int(written))


def test_recurrent_dropout_is_one_mask_a_sequence_and_a_row():
    model = CharLM(5, ModelConfig(hidden=64, dropout=0.0, recurrent_dropout=0.5))
    params = init_params(model, jax.random.key(0))
    keys = jax.random.split(jax.random.key(3), 4)
    ids = jnp.ones((4, 6), jnp.int32)
    one, _ = model.apply({"params": params}, ids, None, keys)
    again, _ = model.apply({"params": params}, ids, None, keys)
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one[0], one[1])  # rows have masks of their own
    exact, _ = model.apply({"params": params}, ids)
    np.testing.assert_allclose(one[:, 0], exact[:, 0], atol=1e-5)  # nothing is fed back before the first step
    assert not np.allclose(one[:, 1], exact[:, 1])


def test_recurrent_dropout_where_nothing_is_fed_back_is_an_error():
    with pytest.raises(InputError, match=r"`recurrent_dropout`.*mingru"):
        Config().replace(cell="mingru", recurrent_dropout=0.1).validate()
