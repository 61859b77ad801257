"""Beam search: held to the enumeration of all texts."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar import CharLM, InputError, ModelConfig, Vocabulary, init_params
from flaxchar.generation.beam import beam_search


@pytest.fixture(scope="module")
def tiny():
    model = CharLM(5, ModelConfig(hidden=6))
    params = init_params(model, jax.random.key(2))
    params["logits"]["kernel"] = params["logits"]["kernel"] * 6
    return model, params, Vocabulary(tuple("abc"))


def log_probability(tiny, text):
    """Of a text and its end, by the model's logits for the whole."""
    model, params, vocabulary = tiny
    ids = [vocabulary.eos, *text, vocabulary.eos]
    logits, _ = model.apply({"params": params}, jnp.array([ids[:-1]]))
    return sum(float(jax.nn.log_softmax(logits)[0, k, token]) for k, token in enumerate(ids[1:]))


def test_a_wide_beam_finds_the_likeliest_text_there_is(tiny):
    size = 4
    everything = [text for n in range(size) for text in itertools.product((1, 2, 3), repeat=n)]
    best = max(everything, key=lambda text: log_probability(tiny, text) / (len(text) + 1))
    text, total = beam_search(*tiny, np.empty(0, np.int32), beams=3**size, size=size)
    assert tuple(text) == best
    assert total == pytest.approx(log_probability(tiny, best), abs=1e-4)


def test_more_beams_are_never_worse_than_greedy_and_respect_the_size(tiny):
    greedy, wide = (beam_search(*tiny, np.array([1], np.int32), beams, size=6) for beams in (1, 8))
    mean = [total / (len(text) + 1) for text, total in (greedy, wide)]
    assert mean[1] >= mean[0] - 1e-6
    assert all(len(text) <= 5 for text, _ in (greedy, wide))
    with pytest.raises(InputError, match="`beams` is 0"):
        beam_search(*tiny, np.empty(0, np.int32), 0)
