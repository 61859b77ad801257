"""Traces: their bits are the score's, and their states and gates those of the recurrence, step by step."""

from __future__ import annotations

import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_model

from flaxchar import Example, InputError
from flaxchar.analysis.score import score_examples
from flaxchar.data import batches
from flaxchar.insight.trace import END, trace, trace_many
from flaxchar.models import evaluation
from flaxchar.models.cells import CELLS
from flaxchar.models.gates import retention

trace_module = importlib.import_module("flaxchar.insight.trace")
KINDS = {
    "bos": {},
    "no bos": {"bos": False},
    "layers": {"layers": 2, "residual": True, "layer_norm": True, "embedding": 5},
    "running": {"window": 16},
    "labels": {"labels": ("x", "y"), "bos": False},
    "sources": {"sources": True, "bos": False},
    "words": {"unit": "word"},
    "unknown": {"unit": "word", "max_vocab": 4},
    **{cell: {"cell": cell} for cell in CELLS},
}
TEXTS = ["abba ab b", "a", "bab " * 20]


def model_of(kind):
    return untrained_model(["ab ba abba", "b a bab bab "], **KINDS[kind])


def examples_for(lm, texts):
    label = lm.vocabulary.labels[0] if lm.vocabulary.labels else None
    source = None if lm.vocabulary.source_end is None else "ab ba"
    return [Example(text, label, source) for text in texts]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_the_score(kind):
    lm = model_of(kind)
    for example, result in zip(examples_for(lm, TEXTS), trace_many(lm, examples_for(lm, TEXTS)), strict=True):
        assert result.bits.sum() == pytest.approx(score_examples(lm, [example]).nats[0] / math.log(2), rel=1e-5)
        assert result.given + "".join(result.tokens) == example.text
        assert (result.tokens[-1] == END) != lm.config.data.running
        assert result.activations.shape == (lm.config.model.layers, len(result.bits), 12)


@pytest.mark.parametrize("kind", ["bos", "layers", "running", "labels", "sources"])
def test_the_states_and_gates_are_those_of_the_recurrence_step_by_step(kind):
    lm = model_of(kind)
    (example,) = examples_for(lm, ["abba bab ab"])
    result = trace(lm, *example[:1], label=example.label, source=example.source)
    vocabulary, config = lm.vocabulary, lm.config.model
    ids = [
        *[vocabulary.eos] * lm.config.data.bos,
        *vocabulary.prefix(example.label, example.source),
        *vocabulary.encode(example.text),
    ]
    carry = lm.model.initial_step_carry(1, len(ids))
    states, kept = [], []
    for k in ids:
        before = carry
        _, carry = lm.model.apply({"params": lm.params}, jnp.array([k]), carry, method="step")
        states.append([carry[layer][0][0] for layer in range(config.layers)])
        # The factor f of the LSTM's c = f c' + i g, from the equations, for the first layer without an embedding.
        if config.cell == "lstm" and not config.embedding:
            weights = lm.params["lstm_0"]
            table = weights["kernel"][k] + weights["bias"] + before[0][0][0] @ weights["recurrent_kernel"]
            kept.append(jax.nn.sigmoid(table.reshape(4, -1)[1]))
    states = np.swapaxes(np.array(states), 0, 1)
    skipped = states.shape[1] - len(result.tokens)
    if lm.config.data.running:  # the last state predicts nothing
        states, kept, skipped = states[:, :-1], kept[:-1], skipped - 1
    np.testing.assert_allclose(result.activations, states[:, skipped:], atol=1e-5)
    if kept:
        np.testing.assert_allclose(result.gates["forget"][0], np.array(kept)[skipped:], atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_the_gates_explain_the_states(cell):
    """The equation of each cell, solved for what the gates do not hold, stays within the range of its activation."""
    lm = untrained_model(["ab ba abba"], cell=cell, layers=2)
    result = trace(lm, "abba ab")
    states, before = result.activations[:, 1:], result.activations[:, :-1]
    factor = retention(cell, {name: values[:, 1:] for name, values in result.gates.items()})
    if cell == "lstm":
        cells = result.gates["cell"]
        np.testing.assert_allclose(result.activations, result.gates["output"] * np.tanh(cells), atol=1e-5)
        added = (cells[:, 1:] - factor * cells[:, :-1]) / result.gates["input"][:, 1:]
        assert np.abs(added).max() <= 1 + 1e-4
    elif cell == "gru":
        assert np.abs((states - factor * before) / (1 - factor)).max() <= 1 + 1e-4
    elif cell == "rnn":
        assert factor is None
        assert result.gates == {}
    else:  # minGRU and minLSTM: what is added is linear in the inputs, so equal ids add equal amounts in layer 0
        added = ((states - factor * before) / (1 - factor))[0]
        assert result.tokens[1] == result.tokens[2] == "b"
        np.testing.assert_allclose(added[1], added[2], atol=1e-4)


def test_alternatives_are_the_likeliest_tokens_that_can_be_written():
    lm = model_of("labels")
    result = trace(lm, "abba", label="y", alternatives=3)
    for token, bits, alternatives in zip(result.tokens, result.bits, result.alternatives, strict=True):
        probabilities = [p for _, p in alternatives]
        assert len(alternatives) == 3
        assert probabilities == sorted(probabilities, reverse=True)
        known = dict(alternatives)
        assert known.get(token, 2**-bits) == pytest.approx(2**-bits, rel=1e-4)
        assert 2**-bits <= probabilities[0] * (1 + 1e-5)
    # "a", "b", " " and the end are all that can be written: neither padding nor a label nor the unknown token
    every = trace(lm, "a", label="x", alternatives=99).alternatives[0]
    assert sorted(token for token, _ in every) == [END, " ", "a", "b"]


@pytest.mark.parametrize("kind", ["bos", "sources", "running", "mingru"])
def test_a_long_text_is_traced_in_windows_as_if_it_were_one(kind, monkeypatch):
    lm = model_of(kind)
    examples = examples_for(lm, [*TEXTS, "ab" * 40])
    whole = trace_many(lm, examples, gates=True)
    for module in (batches, evaluation, trace_module):
        monkeypatch.setattr(module, "LONGEST_SCORED", 8)
    jax.clear_caches()
    for windowed, expected in zip(trace_many(lm, examples, gates=True), whole, strict=True):
        assert windowed.tokens == expected.tokens
        np.testing.assert_allclose(windowed.bits, expected.bits, atol=1e-4)
        np.testing.assert_allclose(windowed.activations, expected.activations, atol=1e-5)
        for name in expected.gates:
            np.testing.assert_allclose(windowed.gates[name], expected.gates[name], atol=1e-5)


def test_few_programs_are_compiled_however_many_texts_there_are():
    lm = untrained_model(["ab ba"])
    trace_module._trace_batch.clear_cache()
    trace_many(lm, [Example("ab" * k) for k in range(1, 100)])
    for k in range(1, 30):
        trace(lm, "ab" * k, gates=False)
    assert trace_module._trace_batch._cache_size() <= 7


def test_what_cannot_be_traced_says_why():
    classifier = untrained_model(["ab"], labels=("x", "y"), head="classifier", bos=False)
    with pytest.raises(InputError, match="predicts no characters"):
        trace(classifier, "ab")
    with pytest.raises(InputError, match="say which with `label`"):
        trace(model_of("labels"), "ab")
    with pytest.raises(InputError, match="'ä'"):
        trace(model_of("bos"), "aäb")
    assert trace(model_of("bos"), "aäb", unknown="drop").tokens == ["a", "b", END]
    assert trace(model_of("no bos"), "").tokens == []
