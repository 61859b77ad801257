"""Attention to a source: what is written from it looks up, at every character, what stood there after places like this.

A query made of the state is compared with the state after each character of the source (dot products, as in Luong et
al. 2015, https://arxiv.org/abs/1508.04025), and what is found is the state one character later, which knows what came::

    u_t,s = softmax over s of  q_t Q h_s / sqrt(hidden),  with one place more of score 0, where nothing is
    w_t,s = the same of  q_t Q h_s / sqrt(hidden) - c (sum over the characters written before t of u_s)
    h_t + F (sum over s of w_t,s h_{s+1})

Source and text are read by the same recurrence, so with ``Q`` the identity, as it starts, places find one another that
were come to alike. ``F`` starts at 0. Within the source, each place looks at those before it. What has been looked at
while the text was written counts less, by ``c``, so that nothing is written twice; ``c`` starts at 0. (Coverage, as in
See et al. 2017, https://arxiv.org/abs/1704.04368; but of ``u``, not of ``w`` itself: so all steps are taken at once.)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Memory(NamedTuple):
    """What has been read of the sources that are written from.

    Attributes:
      states: after each of their characters, float32 ``[batch, length, hidden]``.
      read: how many there are, int32 ``[batch]``.
      reading: whether the source goes on, bool ``[batch]``.
      covered: how much has been looked at each of them but the last, while writing, float32 ``[batch, length - 1]``.
    """

    states: Array
    read: Array
    reading: Array
    covered: Array


def empty_memory(batch: int, length: int, hidden: int) -> Memory:
    """Nothing read yet; room for ``length`` states of each row."""
    return Memory(
        states=jnp.zeros((batch, length, hidden), jnp.float32),
        read=jnp.zeros(batch, jnp.int32),
        reading=jnp.ones(batch, bool),
        covered=jnp.zeros((batch, length - 1), jnp.float32),
    )


def attend(states: Array, ended: Array, query: Array, found: Array, coverage: Array) -> Array:
    """The states of whole texts with what each finds in its source.

    Args:
      states: ``[time, batch, hidden]``.
      ended: where the source is read to its end, that character included, bool ``[time, batch]``.
      query: ``Q``, ``[hidden, hidden]``.
      found: ``F``, ``[hidden, hidden]``.
      coverage: ``c``, a scalar.

    Returns:
      ``[time, batch, hidden]``.
    """
    before = jnp.tri(len(states), len(states) - 1, -1, dtype=bool)  # [time, places]
    usable = before & ~ended[:-1].T[:, None]  # [batch, time, places]
    by_row = jnp.swapaxes(states, 0, 1)  # [batch, time, hidden]
    scores = _scores(by_row, by_row, usable, query)
    looked = _softmax(scores) * ended.T[..., None]
    covered = jnp.cumsum(looked, 1) - looked  # [batch, time, places]
    weights = _softmax(scores - coverage * covered)
    return states + jnp.swapaxes(weights @ by_row[:, 1:] @ found, 0, 1)


def attend_step(
    state: Array, memory: Memory, end: Array, query: Array, found: Array, coverage: Array
) -> tuple[Array, Memory]:
    """One more state ``[batch, hidden]``, with what it finds, and the memory after it.

    ``end``: which rows have just read the end of their source, bool ``[batch]``; otherwise as ``attend``.
    """
    length = memory.states.shape[1]
    place = jnp.where(memory.reading, memory.read, length)  # after the source: none
    states = memory.states.at[jnp.arange(len(state)), place].set(state, mode="drop")
    read = memory.read + memory.reading
    reading = memory.reading & ~end
    usable = jnp.arange(length - 1) < read[:, None] - 1  # [batch, places]
    scores = _scores(state[:, None], states, usable[:, None], query)
    weights = _softmax(scores - coverage * memory.covered[:, None])
    covered = memory.covered + jnp.where(reading[:, None], 0.0, _softmax(scores)[:, 0])
    return state + (weights @ states[:, 1:] @ found)[:, 0], Memory(states, read, reading, covered)


def _scores(states: Array, source: Array, usable: Array, query: Array) -> Array:
    """How alike ``[batch, time, hidden]`` and ``[batch, places + 1, hidden]`` are, where ``usable``.

    Both that and what is returned are ``[batch, time, places]``.
    """
    scores = states @ query @ jnp.swapaxes(source[:, :-1], 1, 2) / math.sqrt(states.shape[-1])
    return jnp.where(usable, scores, -jnp.inf)


def _softmax(scores: Array) -> Array:
    """Over places ``[batch, time, places]`` and one more of score 0, which is left out of what is returned."""
    nowhere = jnp.zeros((*scores.shape[:2], 1), scores.dtype)
    return jax.nn.softmax(jnp.concatenate([scores, nowhere], -1))[..., :-1]
