"""What is asked of texts, as the decode loop applies it to logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from helpers import untrained_model

from flaxchar import DecodeState
from flaxchar.generation.control import Control, make_control
from flaxchar.generation.prompt import encode_prompt

VOCAB = 5


def begun(control, rows):
    state = DecodeState(jnp.int32(0), jnp.zeros((rows, 4), jnp.int32), jnp.zeros(rows, bool), ())
    return control.begin(state, np.arange(rows, dtype=np.uint32), VOCAB)


def test_a_penalty_multiplies_the_log_probabilities_of_what_the_text_holds():
    logits = np.array([[3.0, -1.0, 0.5, 2.0, 0.0]], np.float32)
    control = Control(repetition_penalty=1.5, repeated=np.array([1, 3]))
    out = control.guide().apply(logits, begun(control, 1), np.array([9]))
    expected = np.array(jax.nn.log_softmax(logits))
    expected[:, [1, 3]] *= 1.5
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    # The same for logits that differ by a constant: they mean the same distribution.
    shifted = control.guide().apply(logits - 7, begun(control, 1), np.array([9]))
    np.testing.assert_allclose(shifted, out, rtol=1e-5)


def test_drawn_tokens_count_for_the_penalty_but_not_the_end_of_a_text():
    control = Control(repetition_penalty=1.5)
    state = control.guide().advance(begun(control, 3), np.array([2, 3, VOCAB - 1]), np.array([True, False, True]))
    assert np.argwhere(state.seen).tolist() == [[0, 2]]


def test_a_prompt_counts_for_the_penalty_but_no_label_and_no_unknown_token():
    lm = untrained_model(["abc"], labels=["x", "y"])
    control = make_control(lm.vocabulary, encode_prompt(lm, "ab", label="y"), {}, 2.0)
    assert control.repeated.tolist() == lm.vocabulary.encode("ab").tolist()
    lm = untrained_model(["aabbc"], max_vocab=2)
    assert lm.vocabulary.unknown in lm.vocabulary.encode("abz")
    control = make_control(lm.vocabulary, encode_prompt(lm, "abz"), {}, 2.0)
    assert control.repeated.tolist() == lm.vocabulary.encode("ab").tolist()


def test_nothing_asked_is_nothing_carried():
    lm = untrained_model(["abc"])
    control = make_control(lm.vocabulary, encode_prompt(lm), {})
    assert not control.active
    state = begun(control, 2)
    assert (state.constraint_states, state.seen, *control.guide()) == (None,) * 5
