"""Sampling: draws one token from logits, by temperature, top-k and top-p."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

from flaxchar.data.batches import AnyArray
from flaxchar.generation.arguments import check


class Sampling(NamedTuple):
    """The settings by which the next token is drawn from the logits.

    Attributes:
      temperature: divides the logits; 0 for the most probable token (greedy sampling).
      top_k: draw only among this many most probable tokens; 0 for all.
      top_p: draw only among the fewest most probable tokens whose probabilities sum to at least this (nucleus
        sampling, Holtzman et al. 2020, https://arxiv.org/abs/1904.09751).

    Example::

        Sampling(temperature=0.7, top_p=0.9)
    """

    temperature: Any = 0.8
    top_k: Any = 0
    top_p: Any = 1.0

    def validate(self) -> None:
        """Raise ``InputError`` if a value is outside its range."""
        check("temperature", self.temperature, float, least=0)
        check("top_k", self.top_k, int, least=0, most=2**31 - 1)
        check("top_p", self.top_p, float, above=0, most=1)


def next_token_logits(
    logits: Float[AnyArray, " vocab"], sampling: Sampling, *, filtered: bool
) -> Float[Array, " vocab"]:
    """Divide logits by the temperature and set the tokens that top-k and top-p exclude to -inf; float32 ``[vocab]``.

    Args:
      logits: float32 ``[vocab]``, -inf for ids that are never drawn.
      sampling: temperature, top-k and top-p, as scalars; the temperature must be above 0.
      filtered: whether top-k or top-p is in use; static.
    """
    logits = (logits - logits.max()) / sampling.temperature
    if not filtered:
        return logits
    order = jnp.argsort(-logits)  # stable: among equal logits the lower id ranks first
    probabilities = jax.nn.softmax(logits)[order]
    mass_before = jnp.cumsum(probabilities) - probabilities
    ranks = jnp.arange(logits.size)
    kept = (mass_before < sampling.top_p) & ((sampling.top_k == 0) | (ranks < sampling.top_k)) | (ranks == 0)
    return jnp.where(jnp.zeros_like(kept).at[order].set(kept), logits, -jnp.inf)


def draw_token(
    logits: Float[AnyArray, " vocab"], key: Key[Array, ""], sampling: Sampling, *, filtered: bool
) -> Int[Array, ""]:
    """Draw one id, int32 scalar, from logits ``[vocab]``; arguments as ``next_token_logits``, temperature 0 allowed."""
    greedy = sampling.temperature == 0
    sampling = sampling._replace(temperature=jnp.where(greedy, 1.0, sampling.temperature))
    drawn = jax.random.categorical(key, next_token_logits(logits, sampling, filtered=filtered))
    return jnp.where(greedy, logits.argmax(), drawn).astype(jnp.int32)
