"""The decode loop: stops where it is told, continues where it stopped, and never draws what is banned."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar import CharLM, DecodeState, ModelConfig, Sampling, decode, init_params
from flaxchar.hardware import Hardware

ROWS, LENGTH, VOCAB = 3, 12, 8


@pytest.fixture(scope="module")
def model():
    model = CharLM(VOCAB, ModelConfig(hidden=6))
    return model, init_params(model, jax.random.key(0))


def run(model, state=None, until=LENGTH, banned=(0,), limit=LENGTH, temperature=2.0):
    network, params = model
    if state is None:
        tokens = np.zeros((ROWS, LENGTH), np.int32)
        tokens[:, :2] = [[1, 2], [3, 4], [5, 6]]
        carry = network.initial_step_carry(ROWS, LENGTH)
        state = DecodeState(jnp.int32(0), jnp.asarray(tokens), jnp.zeros(ROWS, bool), carry)
    lengths, limits = np.full(ROWS, 2, np.int32), np.full(ROWS, limit, np.int32)
    keys = jax.random.split(jax.random.key(7), ROWS)
    sampling = Sampling(np.float32(temperature), np.int32(0), np.float32(1))
    return decode(
        network, params, state, lengths, limits, keys, sampling, np.int32(until), banned=banned, filtered=False
    )


def test_in_two_stretches_the_loop_writes_what_it_writes_in_one(model, monkeypatch):
    monkeypatch.setattr(Hardware, "decode_stretch", 1)
    decode.clear_cache()
    whole, half = run(model), run(model, until=5)
    assert int(half.position) == 5
    np.testing.assert_array_equal(run(model, half).tokens, whole.tokens)


def test_several_tokens_between_two_looks_write_the_same(model, monkeypatch):
    whole = run(model, limit=9)
    monkeypatch.setattr(Hardware, "decode_stretch", 5)  # 10 and 15 tokens: beyond the limit, and beyond the buffer
    decode.clear_cache()
    for until in (6, LENGTH):
        state = run(model, limit=9, until=until)
        assert int(state.position) >= until or state.done.all()
        np.testing.assert_array_equal(run(model, state, limit=9).tokens, whole.tokens)
    decode.clear_cache()


def test_the_prompt_stays_and_banned_ids_are_never_drawn(model):
    banned = (0, 3, VOCAB - 1)
    tokens = np.asarray(run(model, banned=banned, temperature=50.0).tokens)
    assert tokens[:, :2].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert not np.isin(tokens[:, 2:], banned).any()


def test_a_row_is_done_at_its_limit_and_only_padding_follows(model):
    state = run(model, banned=(0, VOCAB - 1), limit=6)
    assert state.done.all()
    assert (np.asarray(state.tokens)[:, 6:] == 0).all()
    assert (np.asarray(state.tokens)[:, 2:6] > 0).all()
