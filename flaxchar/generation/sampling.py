"""Sampling: from logits to one token, by temperature, top-k and top-p."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

from flaxchar.config import InputError
from flaxchar.data.batches import AnyArray


class Sampling(NamedTuple):
    """How the next character is drawn from the logits.

    Attributes:
      temperature: logits are divided by it; 0 takes the most probable character.
      top_k: draw only among this many of the most probable; 0 for all.
      top_p: draw only among the most probable that together have at least this probability (nucleus sampling, Holtzman
        et al. 2020, https://arxiv.org/abs/1904.09751).
    """

    temperature: Any = 0.8
    top_k: Any = 0
    top_p: Any = 1.0

    def validate(self) -> None:
        """Raise ``InputError`` for a value that defines no distribution."""
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InputError(f"--temperature is {self.temperature}; it must be 0 (the most probable text) or above")
        if self.top_k < 0:
            raise InputError(f"--top-k is {self.top_k}; it must be 1 or more, or 0 for no limit")
        if not 0 < self.top_p <= 1:
            raise InputError(f"--top-p is {self.top_p}; it must be above 0 and at most 1")


def next_token_logits(
    logits: Float[AnyArray, " vocab"], sampling: Sampling, *, filtered: bool
) -> Float[Array, " vocab"]:
    """The logits ``[vocab]`` that are drawn from: divided by the temperature, -inf for what may not be drawn.

    Args:
      logits: float32 ``[vocab]``, -inf for padding.
      sampling: scalars; the temperature must be above 0.
      filtered: whether top-k or top-p is in use; static.
    """
    logits = (logits - logits.max()) / sampling.temperature
    if not filtered:
        return logits
    order = jnp.argsort(-logits)  # stable: of equal logits the lower id ranks first
    probabilities = jax.nn.softmax(logits)[order]
    mass_before = jnp.cumsum(probabilities) - probabilities
    ranks = jnp.arange(logits.size)
    kept = (mass_before < sampling.top_p) & ((sampling.top_k == 0) | (ranks < sampling.top_k)) | (ranks == 0)
    return jnp.where(jnp.zeros_like(kept).at[order].set(kept), logits, -jnp.inf)


def draw_token(
    logits: Float[AnyArray, " vocab"], key: Key[Array, ""], sampling: Sampling, *, filtered: bool
) -> Int[Array, ""]:
    """One token id, int32 scalar, from logits ``[vocab]``; arguments as ``next_token_logits``."""
    greedy = sampling.temperature == 0
    sampling = sampling._replace(temperature=jnp.where(greedy, 1.0, sampling.temperature))
    drawn = jax.random.categorical(key, next_token_logits(logits, sampling, filtered=filtered))
    return jnp.where(greedy, logits.argmax(), drawn).astype(jnp.int32)
