"""Memory: time constants of known gates, and the loss by context against the model run by hand."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_model

from flaxchar import Example, InputError
from flaxchar.insight.memory import context_losses, layer_memories
from flaxchar.insight.trace import Trace


def test_the_time_constant_of_a_constant_gate():
    gates = np.full((1, 50, 3), [0.5, 0.97, 1.0], np.float32)
    trace = Trace([""] * 50, np.zeros(50), [[]] * 50, np.zeros((1, 50, 3), np.float32), {"forget": gates})
    (layer,) = layer_memories("lstm", [trace])
    np.testing.assert_allclose(layer.constants[:2], [-1 / math.log(0.5), -1 / math.log(0.97)], rtol=1e-4)
    assert layer.constants[2] > 1e6
    assert layer.near_one == pytest.approx(2 / 3)
    assert layer_memories("rnn", [trace._replace(gates={})]) == []


@pytest.mark.parametrize("kind", [{}, {"labels": ("x", "y"), "bos": False}], ids=["plain", "labels"])
def test_the_loss_by_context_is_that_of_the_last_tokens_from_an_empty_state(kind):
    lm = untrained_model(["abba bab", "ba"], **kind)
    vocabulary = lm.vocabulary
    label = "x" if kind else None
    losses = context_losses(lm, [Example("abba bab", label)])
    head = [] if label is None else [vocabulary.label_id(label)]
    stream = [vocabulary.eos] * lm.config.data.bos + vocabulary.encode("abba bab").tolist() + [vocabulary.eos]
    assert [each.length for each in losses] == [1, 2, 4, 8, 16][: len(losses)]
    for each in losses:
        bits = []
        for at in range(1 - len(head), len(stream)):
            ids = jnp.array([head + stream[max(0, at - each.length) : at]])
            logits, _ = lm.model.apply({"params": lm.params}, ids)
            bits.append(-float(jax.nn.log_softmax(logits[0, -1])[stream[at]]) / math.log(2))
        assert each.bits == pytest.approx(np.mean(bits), rel=1e-4)
    assert losses[-1].longer == 0 or losses[-1].length == 512


def test_a_model_with_sources_says_why_not():
    lm = untrained_model(["ab"], sources=True, bos=False)
    with pytest.raises(InputError, match="source"):
        context_losses(lm, [Example("ab", source="ab")])
    with pytest.raises(InputError, match="nothing"):
        context_losses(untrained_model(["ab"], bos=False), [Example("")])
