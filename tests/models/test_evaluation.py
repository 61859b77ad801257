"""Evaluation: the loss of a text depends on neither its neighbours nor the windows it is read in."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import EOS, TEXTS

from flaxchar import score_texts, token_losses
from flaxchar.data.encoded import EncodedTexts
from flaxchar.models.evaluation import evaluate


def encode(texts):
    return EncodedTexts(np.concatenate(texts), np.cumsum([0, *map(len, texts)]))


def test_a_texts_loss_does_not_depend_on_its_neighbours(model, params):
    together = score_texts(model, params, encode(TEXTS), EOS).nats
    backwards = score_texts(model, params, encode(TEXTS[::-1]), EOS).nats[::-1]
    alone = [score_texts(model, params, encode([text]), EOS).nats[0] for text in TEXTS]
    np.testing.assert_allclose(backwards, together, rtol=1e-6)
    np.testing.assert_allclose(alone, together, rtol=1e-6)


def test_the_loss_equals_a_numpy_loop(model, params):
    sums = score_texts(model, params, encode(TEXTS), EOS)
    for text, nats, tokens in zip(TEXTS, sums.nats, sums.tokens, strict=True):
        fed, targets = [EOS, *text], [*text, EOS]
        logits = np.asarray(model.apply({"params": params}, jnp.array([fed]))[0][0], np.float64)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        np.testing.assert_allclose(nats, -log_p[np.arange(len(targets)), targets].sum(), rtol=1e-5)
        assert tokens == len(targets)


def test_the_spelling_of_unknown_tokens_is_added_to_the_bits_alone(model, params):
    free, spelled = (evaluate(model, params, encode(TEXTS), 50, EOS, spelling=nats) for nats in (0.0, 35.0))
    assert free.spelling == 0
    assert spelled.spelling == pytest.approx(35 / np.log(2) / 50)
    assert spelled.bits_per_character == pytest.approx(free.bits_per_character + spelled.spelling)
    assert (spelled.loss, spelled.accuracy, spelled.tokens) == (free.loss, free.accuracy, free.tokens)


def test_running_text_is_scored_as_one_text_with_its_carry(model, params):
    """Windows of 4 must give what one pass over the whole stream gives."""
    stream = [EOS] + [k for text in TEXTS for k in [*text.tolist(), EOS]]
    logits, _ = model.apply({"params": params}, jnp.array([stream[:-1]]))
    whole = token_losses(logits, jnp.array([stream[1:]]), jnp.ones((1, len(stream) - 1), bool)).mean()
    result = evaluate(model, params, encode(TEXTS), characters=len(stream) - 1, eos=EOS, window=4)
    np.testing.assert_allclose(result.loss, whole, rtol=1e-6)
    assert result.tokens == len(stream) - 1
    np.testing.assert_allclose(result.bits_per_character, result.loss / np.log(2), rtol=1e-6)
