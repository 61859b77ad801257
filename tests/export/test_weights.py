"""Weights that somebody else may have made: their shapes fit together and to the vocabulary, and they are finite."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from exports import random_model, same_params, told

from flaxchar import Config, Vocabulary
from flaxchar.export.weights import model_from, plain_weights


@pytest.fixture(scope="module")
def lm():
    return random_model(embedding=5, layers=2)


def test_a_model_is_made_of_its_weights_again(lm):
    again = model_from(plain_weights(lm), lm.vocabulary, Config())
    assert same_params(again, lm)
    assert again.config.model.hidden == 12
    assert again.config.model.embedding == 5
    assert again.config.model.layers == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bias": np.zeros(7, np.float32)}, "the model has 7 ids, but the vocabulary makes 20: 18 tokens, padding"),
        ({"bias": np.float32(0)}, "the model has 0 ids"),
        ({"kernel": np.zeros((3, 20), np.float32)}, "logits.kernel has the shape [3, 20]; it must be [12, 20]"),
        ({"embedding": np.zeros((3, 5), np.float32)}, "embedding has the shape [3, 5]; it must be [20, 5]"),
        ({"embedding": None}, "lstm_0.kernel has the shape [5, 48]; it must be [20, 48]"),
        ({"cell": "gru"}, "gru_0.bias has the shape [48]; it must be [36]"),
        ({"kernel": np.full((12, 20), np.nan, np.float32)}, "weights that are not finite numbers"),
        ({"kernel": np.full((12, 20), np.inf, np.float32)}, "weights that are not finite numbers"),
    ],
)
def test_weights_that_do_not_fit_are_named(lm, change, expected):
    weights = dataclasses.replace(plain_weights(lm), **change)
    assert expected in told(model_from, weights, lm.vocabulary, Config())


def test_a_vocabulary_that_does_not_fit_is_explained(lm):
    sentence = told(model_from, plain_weights(lm), Vocabulary(("a", "b"), has_unknown=True), Config())
    assert "has 20 ids, but the vocabulary makes 5: 2 tokens, one for unknown tokens, padding (id 0)" in sentence


def test_sizes_beyond_the_limits_are_refused_before_anything_is_made_of_that_size(lm):
    weights = plain_weights(lm)
    huge = np.broadcast_to(np.float32(0), (1, 1))
    layer = {**weights.layers[0], "recurrent_kernel": np.broadcast_to(huge, (1 << 40, 1))}
    assert "`hidden` is 1099511627776" in told(
        model_from, dataclasses.replace(weights, layers=(layer,)), lm.vocabulary, Config()
    )
