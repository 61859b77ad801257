"""Decode loop in JAX: feed a token, draw the next one, write it into the buffer.

The prompt goes through the same loop as the rest: at each position the loop feeds the token there, and from the end of
the prompt on it draws the next token and writes it. The loop keeps the carry, so a token costs one step of the network
however long the text is.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from flaxchar.data.vocabulary import PAD
from flaxchar.generation.sampling import Sampling, draw_token
from flaxchar.models.charlm import CharLM, Params


class DecodeState(NamedTuple):
    """State of the decode loop.

    Attributes:
      position: number of tokens of each row that have been fed, int32 scalar.
      tokens: the prompts and the tokens drawn after them, 0 elsewhere, int32 ``[batch, length]``.
      done: which rows are finished, bool ``[batch]``.
      carry: the model's carry for ``step``.
    """

    position: Array
    tokens: Array
    done: Array
    carry: tuple


@functools.partial(jax.jit, static_argnames=("model", "banned", "filtered"))
def decode(
    model: CharLM,
    params: Params,
    state: DecodeState,
    prompt_lengths: Array,
    limits: Array,
    keys: Array,
    sampling: Sampling,
    until: Array,
    *,
    banned: tuple[int, ...],
    filtered: bool,
) -> DecodeState:
    """Feed, draw and write tokens until every row is finished or has been fed ``until`` tokens.

    Args:
      model: the model; static.
      params: its parameters.
      state: the result of an earlier call; at first position 0, the prompts, no row done, ``initial_step_carry``.
      prompt_lengths: number of tokens that are given, not drawn, at least 1, int32 ``[batch]``.
      limits: the length at which a row is finished, int32 ``[batch]``.
      keys: random keys ``[batch]``; token ``j`` after the prompt, from 0, is drawn with ``fold_in(key, j)``.
      sampling: temperature, top-k, top-p and min-p, as scalars.
      until: number of tokens to feed, even if rows are unfinished then, int32 scalar.
      banned: ids that are never drawn (padding, labels, the unknown token); static.
      filtered: ``Sampling.filtered``; static.

    Returns:
      The state after the loop. A row is finished when it has drawn ``<eos>`` or reached its limit.
    """
    draw = jax.vmap(functools.partial(draw_token, sampling=sampling, filtered=filtered))
    eos = model.vocab - 1
    allowed = ~np.isin(np.arange(model.vocab), banned)

    def advance(state: DecodeState) -> DecodeState:
        fed = lax.dynamic_index_in_dim(state.tokens, state.position, 1, keepdims=False)  # [batch]
        logits, carry = model.apply({"params": params}, fed, state.carry, method="step")  # [batch, vocab]
        position = state.position + 1
        step_keys = jax.vmap(jax.random.fold_in)(keys, position - prompt_lengths)
        drawn = draw(jnp.where(allowed, logits, -jnp.inf), step_keys)
        given = lax.dynamic_index_in_dim(state.tokens, position, 1, keepdims=False)
        in_prompt = position < prompt_lengths
        written = jnp.where(in_prompt, given, jnp.where(state.done, PAD, drawn))
        tokens = lax.dynamic_update_index_in_dim(state.tokens, written, position, 1)
        done = state.done | ~in_prompt & (written == eos) | (position + 1 >= limits)
        return DecodeState(position, tokens, done, carry)

    return lax.while_loop(lambda s: (s.position < until) & ~s.done.all(), advance, state)
