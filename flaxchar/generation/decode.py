"""Decode loop in JAX: feed a token, draw the next one, write it into the buffer.

The prompt goes through the same loop as the rest: at each position the loop feeds the token there, and from the end of
the prompt on it draws the next token and writes it. The loop keeps the carry, so a token costs one step of the network
however long the text is.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from flaxchar.data.batches import AnyArray
from flaxchar.generation.blend import AnyModel
from flaxchar.generation.sampling import Sampling, draw_token
from flaxchar.hardware import this_hardware
from flaxchar.models.charlm import Params


class DecodeState(NamedTuple):
    """State of the decode loop.

    Attributes:
      position: number of tokens of each row that have been fed, int32 scalar.
      tokens: the prompts and the tokens drawn after them, 0 elsewhere, integers ``[batch, length]``.
      done: which rows are finished, bool ``[batch]``.
      carry: the model's carry for ``step``.
      constraint_states: the state of each row in the table of a constraint, int32 ``[batch]``; None for no constraint.
      seen: which tokens the text of each row holds, bool ``[batch, vocab]``; None without a repetition penalty.
    """

    position: Array
    tokens: Array
    done: Array
    carry: tuple
    constraint_states: Array | None = None
    seen: Array | None = None


class Guide(NamedTuple):
    """What changes the logits before a token is drawn; each part may be None.

    Attributes:
      next: ``Constraint.next``, int32 ``[states, vocab]``.
      needed: ``Constraint.needed``, int32 ``[states]``.
      repetition_penalty: multiplies the log-probabilities of the tokens that the text holds, float32 scalar.
    """

    next: Any = None
    needed: Any = None
    repetition_penalty: Any = None

    def apply(
        self, logits: Float[AnyArray, "batch vocab"], state: DecodeState, room: Int[AnyArray, " batch"]
    ) -> Float[AnyArray, "batch vocab"]:
        """The changed logits; ``room`` is the number of tokens that each row may hold after the next one."""
        if state.seen is not None:
            # CTRL (Keskar et al. 2019, https://arxiv.org/abs/1909.05858, section 4.1) divides the scores. A score of
            # either sign would be pushed towards zero; a log-probability, which is never above 0, only falls.
            logits = jax.nn.log_softmax(logits)
            logits = jnp.where(state.seen, logits * self.repetition_penalty, logits)
        if state.constraint_states is not None:
            after = jnp.asarray(self.next)[state.constraint_states]  # [batch, vocab]
            fits = (after >= 0) & (jnp.asarray(self.needed)[after] <= room[:, None])
            logits = jnp.where(fits, logits, -jnp.inf)
        return logits

    def advance(self, state: DecodeState, drawn: Int[AnyArray, " batch"], is_drawn: Array) -> DecodeState:
        """The state after a token for each row, where ``is_drawn`` says so."""
        if state.constraint_states is not None:
            after = jnp.asarray(self.next)[state.constraint_states, drawn]
            state = state._replace(constraint_states=jnp.where(is_drawn, after, state.constraint_states))
        if state.seen is not None:
            rows = jnp.arange(len(drawn))
            eos = state.seen.shape[1] - 1  # a text may always end
            state = state._replace(seen=state.seen.at[rows, drawn].max(is_drawn & (drawn != eos)))
        return state


@functools.partial(jax.jit, static_argnames=("model", "banned", "filtered"))
def decode(
    model: AnyModel,
    params: Params,
    state: DecodeState,
    prompt_lengths: Array,
    limits: Array,
    keys: Array,
    sampling: Sampling,
    until: Array,
    guide: Guide = Guide(),
    *,
    banned: tuple[int, ...],
    filtered: bool,
) -> DecodeState:
    """Feed, draw and write tokens until every row is finished or has been fed at least ``until`` tokens.

    On a GPU the loop looks every ``Hardware.decode_stretch`` tokens whether it is over, so a row may have been fed a
    few more tokens than ``until``.

    Args:
      model: the model; static.
      params: its parameters.
      state: the result of an earlier call; at first position 0, the prompts, no row done, ``initial_step_carry``.
      prompt_lengths: number of tokens that are given, not drawn, at least 1, int32 ``[batch]``.
      limits: the length at which a row is finished, int32 ``[batch]``.
      keys: random keys ``[batch]``; token ``j`` after the prompt, from 0, is drawn with ``fold_in(key, j)``.
      sampling: temperature, top-k, top-p and min-p, as scalars.
      until: number of tokens after which the loop ends, even if rows are unfinished then, int32 scalar.
      guide: constraints and repetition penalty, for a state that has ``constraint_states`` or ``seen``.
      banned: ids that are never drawn (padding, labels, the unknown token); static.
      filtered: ``Sampling.filtered``; static.

    Returns:
      The state after the loop. A row is finished when it has drawn ``<eos>`` or reached its limit.
    """
    draw = jax.vmap(functools.partial(draw_token, sampling=sampling, filtered=filtered))
    eos = model.vocab - 1
    allowed = ~np.isin(np.arange(model.vocab), banned)

    def advance(state: DecodeState) -> DecodeState:
        fed = lax.dynamic_index_in_dim(state.tokens, state.position, 1, keepdims=False).astype(jnp.int32)  # [batch]
        logits, carry = model.apply({"params": params}, fed, state.carry, method="step")  # [batch, vocab]
        position = state.position + 1
        logits = guide.apply(logits, state, limits - position - 1)
        step_keys = jax.vmap(jax.random.fold_in)(keys, position - prompt_lengths)
        drawn = draw(jnp.where(allowed, logits, -jnp.inf), step_keys)
        given = lax.dynamic_index_in_dim(state.tokens, position, 1, keepdims=False)
        in_prompt = position < prompt_lengths
        # A finished row keeps what the buffer holds, even where `position` is beyond the buffer's end.
        written = jnp.where(in_prompt | state.done, given, drawn.astype(given.dtype))
        tokens = lax.dynamic_update_index_in_dim(state.tokens, written, position, 1)
        done = state.done | ~in_prompt & (drawn == eos) | (position + 1 >= limits)
        state = guide.advance(state, drawn, ~in_prompt & ~state.done)
        return state._replace(position=position, tokens=tokens, done=done, carry=carry)

    def advance_stretch(state: DecodeState) -> DecodeState:
        return lax.fori_loop(0, stretch, lambda _, s: advance(s), state)

    stretch = this_hardware().decode_stretch
    return lax.while_loop(lambda s: (s.position < until) & ~s.done.all(), advance_stretch, state)
