"""Decode loop: feed a token, draw the next one, write it down; compiled once, with the recurrent state carried along.

The prompt goes through the same loop as the rest. At each position the loop feeds the token that stands there; after
the prompt it draws the next token and writes it. A token costs one step of the network, however long the text is.
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
      position: tokens of each row that have been fed, int32 scalar.
      tokens: the prompts and the tokens written after them, 0 elsewhere, int32 ``[batch, length]``.
      done: finished rows, bool ``[batch]``.
      carry: the recurrent state.
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
    """Feed, draw and write one token after the other.

    Args:
      model: the model; static.
      params: its parameters.
      state: from an earlier call, or the start: position 0, the prompts, no row done, ``initial_step_carry``.
      prompt_lengths: tokens that are given, not drawn, at least 1, int32 ``[batch]``.
      limits: the length at which a row is finished, int32 ``[batch]``.
      keys: random keys ``[batch]``; token ``j`` after the prompt is drawn with the key folded by ``j``.
      sampling: scalars.
      until: position at which to return even if rows are unfinished, int32 scalar.
      banned: ids that are never drawn (padding, labels, the unknown token); static.
      filtered: whether top-k or top-p is in use; static.

    Returns:
      The state when every row is finished (``<eos>`` drawn, or its limit reached) or ``until`` is reached.
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
