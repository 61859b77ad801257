"""Sampling: draws one token from logits, by temperature, top-k, top-p and min-p."""

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
      min_p: draw only among tokens that have at least this share of the most probable token's probability; 0 for all
        (Nguyen et al. 2024, https://arxiv.org/abs/2407.01082, section 3). The probabilities are those at the
        temperature, as for top-p.

    Example::

        Sampling(temperature=0.7, top_p=0.9)
    """

    temperature: Any = 0.8
    top_k: Any = 0
    top_p: Any = 1.0
    min_p: Any = 0.0

    @property
    def filtered(self) -> bool:
        """Whether top-k, top-p or min-p excludes tokens."""
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0

    def validate(self) -> None:
        """Raise ``InputError`` if a value is outside its range."""
        check("temperature", self.temperature, float, least=0)
        check("top_k", self.top_k, int, least=0, most=2**31 - 1)
        check("top_p", self.top_p, float, above=0, most=1)
        check("min_p", self.min_p, float, least=0, most=1)


def next_token_logits(
    logits: Float[AnyArray, " vocab"], sampling: Sampling, *, filtered: bool
) -> Float[Array, " vocab"]:
    """Divide logits by the temperature and set the tokens that the filters exclude to -inf; float32 ``[vocab]``.

    Args:
      logits: float32 ``[vocab]``, -inf for ids that are never drawn.
      sampling: temperature, top-k, top-p and min-p, as scalars; the temperature must be above 0.
      filtered: ``Sampling.filtered``; static.
    """
    logits = (logits - logits.max()) / sampling.temperature
    if not filtered:
        return logits
    order = jnp.argsort(-logits)  # stable: among equal logits the lower id ranks first
    probabilities = jax.nn.softmax(logits)[order]
    mass_before = jnp.cumsum(probabilities) - probabilities
    ranks = jnp.arange(logits.size)
    kept = (mass_before < sampling.top_p) & ((sampling.top_k == 0) | (ranks < sampling.top_k)) | (ranks == 0)
    kept = jnp.zeros_like(kept).at[order].set(kept)
    kept &= logits >= jnp.log(sampling.min_p)  # the greatest logit is 0 here
    return jnp.where(kept, logits, -jnp.inf)


def draw_token(
    logits: Float[AnyArray, " vocab"], key: Key[Array, ""], sampling: Sampling, *, filtered: bool
) -> Int[Array, ""]:
    """Draw one id, int32 scalar, from logits ``[vocab]``; arguments as ``next_token_logits``, temperature 0 allowed."""
    greedy = sampling.temperature == 0
    sampling = sampling._replace(temperature=jnp.where(greedy, 1.0, sampling.temperature))
    drawn = jax.random.categorical(key, next_token_logits(logits, sampling, filtered=filtered))
    return jnp.where(greedy, logits.argmax(), drawn).astype(jnp.int32)
