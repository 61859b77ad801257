"""The model: its size, its two kinds of input, its carry, its embedding, its dropout, and 32 bits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EOS, TEXTS, VOCAB

from flaxchar import CharLM, ModelConfig, count_params, init_params, one_hot, pad_texts
from flaxchar.kernels import build
from flaxchar.kernels.random import new_key
from flaxchar.models.lstm import lstm

RNG = np.random.default_rng(0)


def test_the_reference_model_has_119892_parameters():
    model = CharLM(84)
    params = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
    assert count_params(params) == 119_892
    assert count_params(params["lstm_0"]) == 109_056
    assert count_params(params["logits"]) == 10_836


def test_initial_values_are_as_keras_where_asked_for():
    params = init_params(CharLM(84, ModelConfig(input_init="glorot")), jax.random.key(0))["lstm_0"]
    assert params["bias"].tolist() == [0.0] * 128 + [1.0] * 128 + [0.0] * 256
    limit = (6 / (84 + 512)) ** 0.5  # Glorot & Bengio 2010, uniform
    assert limit * 0.95 < jnp.abs(params["kernel"]).max() <= limit
    product = params["recurrent_kernel"] @ params["recurrent_kernel"].T
    np.testing.assert_allclose(product, np.eye(128), atol=1e-5)
    for embedding in (0, 64):
        unit = init_params(CharLM(84, ModelConfig(embedding=embedding)), jax.random.key(0))
        brought = unit["embedding"] @ unit["lstm_0"]["kernel"] if embedding else unit["lstm_0"]["kernel"]
        assert abs(float(brought.std()) - 1) < (0.05 if embedding else 0.02)


def test_ids_and_one_hot_give_the_same_logits(model, params):
    batch = pad_texts(TEXTS, rows=6, width=16, eos=EOS)
    by_id, carry = model.apply({"params": params}, jnp.asarray(batch.inputs))
    by_vector, other = model.apply({"params": params}, jnp.asarray(one_hot(batch.inputs, VOCAB)))
    np.testing.assert_allclose(by_id, by_vector, atol=1e-5)
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_text_in_two_parts_with_the_carry_gives_the_logits_of_the_whole(model, params):
    ids = jnp.asarray(pad_texts(TEXTS, rows=5, width=16, eos=EOS).inputs)
    whole, end = model.apply({"params": params}, ids)
    first, carry = model.apply({"params": params}, ids[:, :5])
    second, last = model.apply({"params": params}, ids[:, 5:], carry)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, atol=1e-5)
    for a, b in zip(jax.tree.leaves(end), jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_single_steps_give_the_logits_of_the_whole(model, params):
    ids = jnp.asarray(pad_texts(TEXTS, rows=5, width=16, eos=EOS).inputs)
    whole, _ = model.apply({"params": params}, ids)
    carry = model.initial_carry(5)
    for t in range(ids.shape[1]):
        logits, carry = model.apply({"params": params}, ids[:, t], carry, method="step")
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)


def test_an_embedding_equals_a_lookup_before_the_layer():
    """And has the parameters of Keras' Embedding, LSTM and Dense."""
    model = CharLM(VOCAB, ModelConfig(hidden=16, embedding=5))
    params = init_params(model, jax.random.key(0))
    assert count_params(params) == VOCAB * 5 + 4 * 16 * (5 + 16 + 1) + VOCAB * 17
    ids = jnp.asarray(pad_texts(TEXTS, rows=5, width=16, eos=EOS).inputs)
    vectors = params["embedding"][ids.T]  # [time, batch, 5]
    weights = (params["lstm_0"][name] for name in ("kernel", "bias", "recurrent_kernel"))
    hidden, _ = lstm(vectors, *weights, (jnp.zeros((5, 16)),) * 2)
    expected = hidden.swapaxes(0, 1) @ params["logits"]["kernel"] + params["logits"]["bias"]
    np.testing.assert_allclose(model.apply({"params": params}, ids)[0], expected, atol=1e-5)


@pytest.mark.parametrize("settings", [{"dropout": 0.5}, {"dropout": 0.0, "embedding": 8, "input_dropout": 0.5}])
def test_dropout_acts_in_training_only(settings):
    model = CharLM(VOCAB, ModelConfig(hidden=16, **settings))
    params = init_params(model, jax.random.key(0))
    ids = jnp.asarray(pad_texts(TEXTS, rows=5, width=16, eos=EOS).inputs)

    def logits(seed=None):
        keys = None if seed is None else jax.random.split(jax.random.key(seed), 5)
        return model.apply({"params": params}, ids, None, keys)[0]

    assert (logits() == logits()).all()
    assert (logits(1) == logits(1)).all()
    assert not jnp.allclose(logits(1), logits(2))
    assert not jnp.allclose(logits(1), logits())


@pytest.mark.parametrize(
    ("cell", "source_end", "in_jax"),
    [("lstm", 4, True)]
    + [
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (("gru", None, False), ("lstm", None, False), ("gru", None, True), ("minlstm", None, True))
    ],
)
def test_where_jax_was_told_to_use_64_bits_the_model_still_computes_in_32(cell, source_end, in_jax, monkeypatch):
    if in_jax:
        monkeypatch.setattr(build, "available", lambda: False)
    rates = {"input_dropout": 0.2, "dropout": 0.2, "recurrent_dropout": 0.0 if cell.startswith("min") else 0.2}
    config = ModelConfig(cell=cell, hidden=8, layers=2, embedding=6, residual=True, layer_norm=True, **rates)
    model = CharLM(VOCAB, config, source_end)
    inputs, targets = RNG.integers(1, EOS, (2, 3, 7)).astype(np.int32)

    def loss_and_gradients():
        keys = jax.random.split(new_key(1), 3)

        def loss(params):
            nats, carry = model.apply({"params": params}, inputs, targets, None, keys, method="cross_entropy")
            return nats.mean(), carry

        params = jax.jit(lambda: init_params(model, new_key(0)))()
        return params, jax.jit(jax.value_and_grad(loss, has_aux=True))(params)

    expected = loss_and_gradients()
    with jax.enable_x64(True):
        found = loss_and_gradients()
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(np.float32)}
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6), found, expected)
