"""Attention from a text to the source it is written from.

A model with sources reads the source, then writes the text. At every character of the text a query is compared with the
state after each character of the source (scaled dot products, as in Luong et al. 2015,
https://arxiv.org/abs/1508.04025). The value of a position is the state one character later, which has read the next
character. With ``h`` the states of the recurrence, ``s`` a position in the source and ``t`` one in the text::

    score_t,s = h_t Q h_s / sqrt(hidden)
    u_t       = softmax over s of  score_t,s                                  (attention without coverage)
    w_t       = softmax over s of  score_t,s - c coverage_t,s
    coverage_t,s = sum over t' < t in the text of u_t',s
    output_t  = h_t + (sum over s of w_t,s h_{s+1}) F

Both softmaxes have an extra position of score 0 and value 0, so that a state can attend to nothing. ``Q`` starts as the
identity: the same recurrence reads source and text, so positions with similar states attend to each other from the
first step. ``F`` and ``c`` start at 0. Within the source, each position attends to the positions before it.

Coverage lowers the weight of positions that were attended to before, so that nothing is written twice (See et al. 2017,
https://arxiv.org/abs/1704.04368). It sums ``u`` and not ``w``, so that training computes all steps in parallel.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from flaxchar.data.batches import AnyArray


class SourceMemory(NamedTuple):
    """The states of the sources read so far, for ``attend_step``.

    Attributes:
      states: the state after each character of the source, float32 ``[batch, length, hidden]``.
      filled: number of states, int32 ``[batch]``.
      reading: whether the row is still reading its source, bool ``[batch]``.
      coverage: the sum of ``u`` over the characters of the text so far, float32 ``[batch, length - 1]``.
    """

    states: Array
    filled: Array
    reading: Array
    coverage: Array


def empty_memory(batch: int, length: int, hidden: int) -> SourceMemory:
    """Memory before the first character, with room for ``length`` states of each row."""
    return SourceMemory(
        states=jnp.zeros((batch, length, hidden), jnp.float32),
        filled=jnp.zeros(batch, jnp.int32),
        reading=jnp.ones(batch, bool),
        coverage=jnp.zeros((batch, length - 1), jnp.float32),
    )


def attend(
    states: Float[AnyArray, "time batch hidden"],
    ended: Bool[AnyArray, "time batch"],
    query: Float[AnyArray, "hidden hidden"],
    output: Float[AnyArray, "hidden hidden"],
    penalty: Float[AnyArray, ""] | float,
) -> Float[Array, "time batch hidden"]:
    """Attention over whole texts, all time steps at once.

    Args:
      states: ``h``, float32 ``[time, batch, hidden]``: the source of each row, then its text.
      ended: True from the character that ends the source on, bool ``[time, batch]``.
      query: ``Q``, ``[hidden, hidden]``.
      output: ``F``, ``[hidden, hidden]``.
      penalty: ``c``, a scalar.

    Returns:
      ``output``, float32 ``[time, batch, hidden]``.
    """
    before = jnp.tri(len(states), len(states) - 1, -1, dtype=bool)  # [time, positions]
    usable = before & ~ended[:-1].T[:, None]  # [batch, time, positions]
    by_row = jnp.swapaxes(states, 0, 1)  # [batch, time, hidden]
    scores = _scores(by_row, by_row, usable, query)
    attention = _softmax(scores) * ended.T[..., None]
    coverage = jnp.cumsum(attention, 1) - attention  # [batch, time, positions], of the steps before each
    weights = _softmax(scores - penalty * coverage)
    return states + jnp.swapaxes(weights @ by_row[:, 1:] @ output, 0, 1)


def attend_step(
    state: Float[AnyArray, "batch hidden"],
    memory: SourceMemory,
    end: Bool[AnyArray, " batch"],
    query: Float[AnyArray, "hidden hidden"],
    output: Float[AnyArray, "hidden hidden"],
    penalty: Float[AnyArray, ""] | float,
) -> tuple[Float[Array, "batch hidden"], SourceMemory]:
    """Attention for one new state, while a text is being written.

    Args:
      state: ``h_t``, float32 ``[batch, hidden]``.
      memory: the memory before this state.
      end: rows whose last character ends their source, bool ``[batch]``.
      query: ``Q``, ``[hidden, hidden]``.
      output: ``F``, ``[hidden, hidden]``.
      penalty: ``c``, a scalar.

    Returns:
      ``output_t``, float32 ``[batch, hidden]``, as ``attend`` computes it, and the memory after this state.
    """
    length = memory.states.shape[1]
    position = jnp.where(memory.reading, memory.filled, length)  # after the source: outside the array, so dropped
    states = memory.states.at[jnp.arange(len(state)), position].set(state, mode="drop")
    filled = memory.filled + memory.reading
    reading = memory.reading & ~end
    usable = jnp.arange(length - 1) < filled[:, None] - 1  # [batch, positions]
    scores = _scores(state[:, None], states, usable[:, None], query)
    weights = _softmax(scores - penalty * memory.coverage[:, None])
    coverage = memory.coverage + jnp.where(reading[:, None], 0.0, _softmax(scores)[:, 0])
    return state + (weights @ states[:, 1:] @ output)[:, 0], SourceMemory(states, filled, reading, coverage)


def _scores(
    states: Float[AnyArray, "batch time hidden"],
    source: Float[AnyArray, "batch states hidden"],
    usable: Bool[Array, "batch time states-1"],
    query: Float[AnyArray, "hidden hidden"],
) -> Float[Array, "batch time states-1"]:
    """Scaled dot products of states and source positions, -inf where a position is not ``usable``."""
    scores = states @ query @ jnp.swapaxes(source[:, :-1], 1, 2) / math.sqrt(states.shape[-1])
    return jnp.where(usable, scores, -jnp.inf)


def _softmax(scores: Float[Array, "batch time positions"]) -> Float[Array, "batch time positions"]:
    """Softmax over the positions and an extra one with score 0; the result leaves out the extra one."""
    nothing = jnp.zeros((*scores.shape[:2], 1), scores.dtype)
    return jax.nn.softmax(jnp.concatenate([scores, nothing], -1))[..., :-1]
