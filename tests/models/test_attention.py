"""Attention to a source, against a loop in Python and against its own single steps."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar.models.attention import attend, attend_step, empty_memory

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("query", [np.eye(6), RNG.normal(size=(6, 6))])
def test_attention_equals_a_loop(query):
    states, output, penalty = RNG.normal(size=(9, 3, 6)), RNG.normal(size=(6, 6)), 1.5
    ends = [4, 0, 8]  # where the source of each row ends
    ended = np.arange(9)[:, None] >= np.array(ends)
    expected = states.copy()
    for row in range(3):
        looked_at = np.zeros(9)  # while the text is written
        for t in range(9):
            places = range(min(t, ends[row]))
            scores = {s: states[t, row] @ query @ states[s, row] / math.sqrt(6) for s in places}
            less = {s: math.exp(score - penalty * looked_at[s]) for s, score in scores.items()}
            for s, share in less.items():
                expected[t, row] += share / (sum(less.values()) + 1) * states[s + 1, row] @ output
            if ended[t, row]:
                for s, score in scores.items():
                    looked_at[s] += math.exp(score) / (sum(map(math.exp, scores.values())) + 1)
    np.testing.assert_allclose(attend(states, ended, query, output, penalty), expected, atol=1e-4)


def test_steps_one_by_one_equal_whole_texts():
    states = RNG.normal(size=(9, 3, 6)).astype(np.float32)
    query, output = RNG.normal(size=(2, 6, 6)).astype(np.float32)
    ends = np.array([4, 0, 8])  # where the source of each row ends
    whole = attend(states, np.arange(9)[:, None] >= ends, query, output, 1.5)
    memory = empty_memory(3, 9, 6)
    for t in range(9):
        step, memory = attend_step(jnp.asarray(states[t]), memory, ends == t, query, output, 1.5)
        np.testing.assert_allclose(step, whole[t], atol=1e-4)
    assert memory.filled.tolist() == [5, 1, 9]


def test_a_new_model_has_no_attention_yet():
    states = RNG.normal(size=(5, 2, 3))
    ended = np.arange(5)[:, None] >= np.array([2, 3])
    np.testing.assert_array_equal(attend(states, ended, np.eye(3), np.zeros((3, 3)), 0.0), states.astype(np.float32))
