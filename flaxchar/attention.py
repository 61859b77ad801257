"""Attention to a source: what is written from it looks up, at every character, what stood there after places like this.

A query made of the state is compared with the state after each character of the source (dot products, as in Luong et
al. 2015, https://arxiv.org/abs/1508.04025), and what is found is the state one character later, which knows what came::

    w_s = softmax over s of  q_t Q h_s / sqrt(hidden),  with one place more of score 0, where nothing is
    h_t + F (sum over s of w_s h_{s+1})

Source and text are read by the same recurrence, so with ``Q`` the identity, as it starts, places find one another that
were come to alike. ``F`` starts at 0. Within the source, each place looks at those before it.
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
    """

    states: Array
    read: Array
    reading: Array


def empty_memory(batch: int, length: int, hidden: int) -> Memory:
    """Nothing read yet; room for ``length`` states of each row."""
    states = jnp.zeros((batch, length, hidden), jnp.float32)
    return Memory(states, jnp.zeros(batch, jnp.int32), jnp.ones(batch, bool))


def attend(states: Array, ended: Array, query: Array, found: Array) -> Array:
    """The states of whole texts with what each finds in its source.

    Args:
      states: ``[time, batch, hidden]``.
      ended: where the source is read to its end, that character included, bool ``[time, batch]``.
      query: ``Q``, ``[hidden, hidden]``.
      found: ``F``, ``[hidden, hidden]``.

    Returns:
      ``[time, batch, hidden]``.
    """
    before = jnp.tri(len(states), len(states) - 1, -1, dtype=bool)  # [time, places]
    usable = before & ~ended[:-1].T[:, None]  # [batch, time, places]
    by_row = jnp.swapaxes(states, 0, 1)  # [batch, time, hidden]
    return states + jnp.swapaxes(_look_up(by_row, by_row, usable, query, found), 0, 1)


def attend_step(state: Array, memory: Memory, end: Array, query: Array, found: Array) -> tuple[Array, Memory]:
    """One more state ``[batch, hidden]``, with what it finds, and the memory after it.

    ``end``: which rows have just read the end of their source, bool ``[batch]``; otherwise as ``attend``.
    """
    length = memory.states.shape[1]
    place = jnp.where(memory.reading, memory.read, length)  # after the source: none
    states = memory.states.at[jnp.arange(len(state)), place].set(state, mode="drop")
    read = memory.read + memory.reading
    usable = jnp.arange(length - 1) < read[:, None] - 1  # [batch, places]
    looked_up = _look_up(state[:, None], states, usable[:, None], query, found)[:, 0]
    return state + looked_up, Memory(states, read, memory.reading & ~end)


def _look_up(states: Array, source: Array, usable: Array, query: Array, found: Array) -> Array:
    """What ``[batch, time, hidden]`` find in ``[batch, places + 1, hidden]``; ``usable`` ``[batch, time, places]``."""
    scores = states @ query @ jnp.swapaxes(source[:, :-1], 1, 2) / math.sqrt(states.shape[-1])
    nowhere = jnp.zeros((*scores.shape[:2], 1))
    scores = jnp.concatenate([jnp.where(usable, scores, -jnp.inf), nowhere], -1)
    weights = jax.nn.softmax(scores)[..., :-1]  # [batch, time, places]
    return weights @ source[:, 1:] @ found
