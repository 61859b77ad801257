"""Sampling: the distribution that tokens are drawn from, and the values that define none."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar import InputError
from flaxchar.generation.sampling import Sampling, draw_token, next_token_logits


def test_the_distribution_is_softmax_of_logits_over_temperature():
    logits = jnp.array([-jnp.inf, 1.0, 0.0, 2.0, -1.0])
    keys = jax.random.split(jax.random.key(0), 40_000)
    for temperature in (0.5, 1.0, 2.0):
        sampling = Sampling(temperature)
        drawn = jax.vmap(lambda key, s=sampling: draw_token(logits, key, s, filtered=False))(keys)
        frequencies = np.bincount(drawn, minlength=5) / len(keys)
        expected = np.exp(np.asarray(logits) / temperature)
        np.testing.assert_allclose(frequencies, expected / expected.sum(), atol=0.01)
        assert frequencies[0] == 0


def kept(logits, **settings):
    out = next_token_logits(jnp.log(jnp.array(logits)), Sampling(1.0, **settings), filtered=True)
    return np.flatnonzero(np.isfinite(out)).tolist()


def test_top_k_and_top_p_keep_the_most_probable():
    probabilities = [0.05, 0.4, 0.1, 0.3, 0.15]
    assert kept(probabilities, top_k=2) == [1, 3]
    assert kept(probabilities, top_p=0.5) == [1, 3]  # the smallest set that reaches the mass
    assert kept(probabilities, top_p=0.39) == [1]
    assert kept(probabilities, top_p=0.8) == [1, 3, 4]
    assert kept(probabilities, top_p=1.0) == [0, 1, 2, 3, 4]
    assert kept(probabilities, top_p=1e-9) == [1]
    assert kept(probabilities, top_k=3, top_p=0.5) == [1, 3]


def test_min_p_keeps_a_share_of_the_greatest_probability():
    probabilities = [0.05, 0.4, 0.1, 0.3, 0.15]
    assert kept(probabilities, min_p=0.0) == [0, 1, 2, 3, 4]
    assert kept(probabilities, min_p=0.2) == [1, 2, 3, 4]
    assert kept(probabilities, min_p=0.3) == [1, 3, 4]
    assert kept(probabilities, min_p=1.0) == [1]
    assert kept(probabilities, min_p=0.3, top_k=2) == [1, 3]


def test_min_p_is_a_share_of_the_probability_at_the_temperature():
    logits = jnp.log(jnp.array([0.6, 0.3, 0.1]))
    for temperature in (0.5, 1.0, 3.0):
        share = (0.1 / 0.6) ** (1 / temperature)
        for min_p, count in ((0.99 * share, 3), (1.01 * share, 2)):
            out = next_token_logits(logits, Sampling(temperature, min_p=min_p), filtered=True)
            assert np.isfinite(out).sum() == count


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"min_p": -0.1}, "min_p"),
        ({"min_p": 1.1}, "min_p"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_k": 10**14}, "top_k"),
    ],
)
def test_a_value_that_defines_no_distribution_is_an_error_that_names_it(values, name):
    with pytest.raises(InputError, match=f"^`{name}` is .*; it must be"):
        Sampling(**values).validate()


def test_numpy_scalars_are_numbers():
    Sampling(np.float32(0.5), np.int64(3), np.float64(0.5)).validate()
