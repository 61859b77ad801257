"""Many rows are decoded together as each would be alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar.generation.sampling import Sampling
from flaxchar.kernels.random import fold_in, new_key
from flaxchar.serve.decoding import NO_TOP_P, ROWS, STEPS, Inputs, decode_rows


def decode(lm, given, *, temperature=0.0, carry=None, fresh=True, drawn=0):
    """One call for rows that are given some tokens each; the other rows are given token 1."""
    inputs = Inputs(
        np.full(ROWS, fresh), np.ones((ROWS, STEPS), np.int32), np.ones(ROWS, np.int32), np.full(ROWS, drawn, np.int32)
    )
    for row, tokens in enumerate(given):
        inputs.given[row, : len(tokens)], inputs.counts[row] = tokens, len(tokens)
    if carry is None:
        carry = jax.tree.map(jnp.copy, lm.model.initial_step_carry(ROWS, 8))
    ones = np.ones(ROWS, np.float32)
    sampling = Sampling(ones * temperature, np.zeros(ROWS, np.int32), ones * NO_TOP_P, ones * 0)
    keys = fold_in(new_key(0), np.arange(ROWS))
    return decode_rows(lm.model, lm.params, carry, inputs, keys, sampling, banned=lm.vocabulary.never_written)


def greedy(lm, tokens, steps):
    """What a loop of one row draws: after each fed token the most probable one, its probability and the likeliest."""
    step = jax.jit(lambda ids, carry: lm.model.apply({"params": lm.params}, ids, carry, method="step"))
    carry, drawn = lm.model.initial_step_carry(1, 8), []
    for k in range(steps):
        fed = tokens[k] if k < len(tokens) else drawn[-1][0]
        logits, carry = step(jnp.array([fed], jnp.int32), carry)
        probabilities = np.array(jax.nn.softmax(logits[0]))
        allowed = probabilities.copy()
        allowed[list(lm.vocabulary.never_written)] = -1
        drawn.append((int(allowed.argmax()), probabilities[allowed.argmax()], np.argsort(-allowed)[:5]))
    return drawn


def test_each_row_is_fed_its_own_tokens_and_then_what_it_draws(lm):
    given = [[lm.vocabulary.eos], [3, 1, 4], [2] * STEPS]
    outputs, _ = decode(lm, given)
    for row, tokens in enumerate(given):
        expected = greedy(lm, tokens, STEPS)
        after = len(tokens) - 1
        assert outputs.ids[after:, row].tolist() == [token for token, _, _ in expected][after:]
        assert outputs.probabilities[after:, row] == pytest.approx([p for _, p, _ in expected][after:], rel=1e-4)
        assert [likeliest.tolist() for likeliest in outputs.likeliest[after:, row]] == [
            likeliest.tolist() for _, _, likeliest in expected
        ][after:]


def test_a_row_goes_on_where_the_call_before_ended_and_a_fresh_one_begins_anew(lm):
    first, carry = decode(lm, [[3, 1]])
    kept = jax.tree.map(jnp.copy, carry)
    second, _ = decode(lm, [[int(first.ids[-1, 0])]], carry=carry, fresh=False)
    expected = [token for token, _, _ in greedy(lm, [3, 1], 2 * STEPS)]
    assert [*first.ids[1:, 0].tolist(), *second.ids[:, 0].tolist()] == expected[1:]
    anew, _ = decode(lm, [[3, 1]], carry=kept)
    assert anew.ids[1:, 0].tolist() == first.ids[1:, 0].tolist()


def test_what_may_not_be_written_is_neither_drawn_nor_offered(labelled):
    outputs, _ = decode(labelled, [[1]], temperature=50.0)
    banned = set(labelled.vocabulary.never_written)
    assert len(banned) > 2
    assert not banned & set(np.asarray(outputs.ids).ravel().tolist())
    assert not banned & set(np.asarray(outputs.likeliest).ravel().tolist())
