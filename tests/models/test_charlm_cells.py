"""The model with each cell: its size, its carry, its single steps, its text, and recurrent dropout."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar import CharLM, ModelConfig, Sampling, Vocabulary, count_params, init_params
from flaxchar.generation.generate import generate
from flaxchar.models.cells import CELLS


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
        model = CharLM(vocab, ModelConfig(cell=name))
        shapes = jax.eval_shape(lambda model=model: init_params(model, jax.random.key(0)))
        assert count_params(shapes) == count + head


SHAPES = [
    ModelConfig(cell=name, hidden=6, layers=3, residual=extras, layer_norm=extras)
    for name in CELLS
    for extras in (False, True)
] + [ModelConfig(cell=name, hidden=6, embedding=3) for name in ("lstm", "gru")]


def each(configs):
    """The configurations as parameters. Each cell is among the quick ones, with or without the extras."""
    slow = {("gru", False), ("rnn", True), ("mingru", False), ("minlstm", False)}
    return [
        pytest.param(c, marks=[pytest.mark.slow] * ((c.cell, c.residual) in slow and c.layers > 1)) for c in configs
    ]


@pytest.mark.parametrize(
    "config", each(SHAPES), ids=lambda c: f"{c.cell}{'-residual-norm' * c.residual}{'-embedding' * bool(c.embedding)}"
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
    each(c for c in SHAPES if c.residual or c.cell in ("gru", "rnn")),
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
