"""The loss: no padding changes it, nor its gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EOS, TEXTS, VOCAB

from flaxchar import Batch, masked_cross_entropy, pad_texts, token_losses

RNG = np.random.default_rng(0)


def test_the_loss_is_the_negative_log_probability_of_each_target_in_the_mask():
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]], np.float32))
    targets, mask = np.array([[1, 2]]), np.array([[True, True]])
    expected = -np.log(np.array([[0.25, 0.7]]))
    np.testing.assert_allclose(token_losses(logits, targets, mask), expected, rtol=1e-6)
    np.testing.assert_allclose(token_losses(logits, targets, ~mask), [[0, 0]])
    nats, count = masked_cross_entropy(logits, targets, np.array([[False, True]]))
    np.testing.assert_allclose(nats, expected[0, 1], rtol=1e-6)
    assert count == 1


def mean_loss(model, params, batch):
    logits, _ = model.apply({"params": params}, jnp.asarray(batch.inputs))
    nats, count = masked_cross_entropy(logits, batch.targets, batch.mask)
    return nats / count


@pytest.mark.parametrize(("rows", "width"), [(5, 40), (9, 15), pytest.param(12, 33, marks=pytest.mark.slow)])
def test_padding_further_changes_neither_loss_nor_gradient(model, params, rows, width):
    tight = pad_texts(TEXTS, rows=5, width=15, eos=EOS)
    padded = pad_texts(TEXTS, rows=rows, width=width, eos=EOS)
    value = jax.value_and_grad(lambda p, b: mean_loss(model, p, b))
    loss, gradient = value(params, tight)
    further_loss, further_gradient = value(params, padded)
    np.testing.assert_allclose(further_loss, loss, rtol=1e-6)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(further_gradient), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7, rtol=1e-5)


def test_the_loss_does_not_depend_on_what_stands_in_the_padding(model, params):
    batch = pad_texts(TEXTS, rows=6, width=16, eos=EOS)
    noise = RNG.integers(0, VOCAB, batch.inputs.shape).astype(np.int32)
    noisy = Batch(
        np.where(batch.mask, batch.inputs, noise), np.where(batch.mask, batch.targets, noise), batch.mask, batch.fresh
    )
    assert mean_loss(model, params, noisy) == mean_loss(model, params, batch)
