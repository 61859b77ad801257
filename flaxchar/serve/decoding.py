"""Decoding for several people at once: a few steps of the network for a batch of rows, each row with its own settings.

A batch always has ``ROWS`` rows, even if it has fewer texts: a matrix product may round differently for another number
of rows, and a text must not depend on who else is served.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from flaxchar.generation.sampling import Sampling, draw_token
from flaxchar.insight.trace import ALTERNATIVES
from flaxchar.models.charlm import CharLM, Params

# Rows of a batch, and steps of one call. Texts enter and leave rows only between calls.
ROWS, STEPS = 16, 8
# The value of top-p for a row without it. No sum of probabilities reaches it, even with rounding errors.
NO_TOP_P = 2.0


class Inputs(NamedTuple):
    """The inputs of one call of ``decode_rows``.

    Attributes:
      fresh: rows that begin a text, bool ``[rows]``.
      given: ids that are fed first, int32 ``[rows, STEPS]``. After them a row is fed the tokens that it draws.
      counts: number of given ids, at least 1, int32 ``[rows]``.
      drawn: number of tokens that each text drew in earlier calls, int32 ``[rows]``.
    """

    fresh: np.ndarray
    given: np.ndarray
    counts: np.ndarray
    drawn: np.ndarray


class Outputs(NamedTuple):
    """The outputs of one call: the token drawn after each of ``STEPS`` steps.

    The steps before that of the last given id have no meaning.

    Attributes:
      ids: int32 ``[STEPS, rows]``.
      probabilities: the model's probability of each token, at temperature 1, float32 ``[STEPS, rows]``.
      likeliest: ids of the likeliest tokens, best first, int32 ``[STEPS, rows, alternatives]``.
      likeliest_probabilities: their probabilities, float32 ``[STEPS, rows, alternatives]``.
    """

    ids: Array
    probabilities: Array
    likeliest: Array
    likeliest_probabilities: Array


@functools.partial(jax.jit, static_argnames=("model", "banned"), donate_argnames="carry")
def decode_rows(
    model: CharLM,
    params: Params,
    carry: tuple,
    inputs: Inputs,
    keys: Array,
    sampling: Sampling,
    *,
    banned: tuple[int, ...],
) -> tuple[Outputs, tuple]:
    """Feed and draw ``STEPS`` tokens in each row.

    Args:
      model: the model; static.
      params: its parameters.
      carry: the carry of the call before; ``model.initial_step_carry`` at first. Its buffers are donated.
      inputs: the ids to feed.
      keys: random keys ``[rows]``; token ``j`` of a text, from 0, is drawn with ``fold_in(key, j)``, as in
        ``flaxchar.generation.decode``.
      sampling: the settings of each row, arrays ``[rows]``.
      banned: ids that are never drawn; static.

    Returns:
      The drawn tokens, and the carry after the last step.
    """
    allowed = ~np.isin(np.arange(model.vocab), banned)
    alternatives = min(ALTERNATIVES, int(allowed.sum()))
    length = carry[-1].states.shape[1] if model.source_end is not None else 1
    initial = model.initial_step_carry(len(inputs.fresh), length)
    carry = jax.tree.map(lambda new, old: jnp.where(_beside(inputs.fresh, old), new, old), initial, carry)
    given = jnp.asarray(inputs.given)
    draw = jax.vmap(functools.partial(draw_token, filtered=True))

    def advance(state: tuple[Array, tuple], step: Array) -> tuple[tuple[Array, tuple], Outputs]:
        before, carry = state
        fed = jnp.where(step < inputs.counts, given[:, step], before)
        logits, carry = model.apply({"params": params}, fed, carry, method="step")  # [rows, vocab]
        number = jnp.maximum(0, inputs.drawn + step - (inputs.counts - 1))
        ids = draw(jnp.where(allowed, logits, -jnp.inf), jax.vmap(jax.random.fold_in)(keys, number), sampling)
        probabilities = jax.nn.softmax(logits)
        best, likeliest = jax.lax.top_k(jnp.where(allowed, probabilities, -1.0), alternatives)
        own = jnp.take_along_axis(probabilities, ids[:, None], 1)[:, 0]
        return (ids, carry), Outputs(ids, own, likeliest, best)

    (_, carry), outputs = jax.lax.scan(advance, (given[:, 0], carry), jnp.arange(STEPS))
    return outputs, carry


def _beside(rows: Array | np.ndarray, values: Array) -> Array:
    """Reshape an array ``[rows]`` so that it broadcasts against ``values`` ``[rows, ...]``."""
    return jnp.reshape(rows, (-1, *[1] * (values.ndim - 1)))
