"""Losses: the masked cross-entropy of the targets.

A masked loss travels as (sum, count) and is divided once, at the end.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool, Float, Int

from flaxchar.data.batches import AnyArray


def token_losses(
    logits: Float[AnyArray, "batch time vocab"],
    targets: Int[AnyArray, "batch time"],
    mask: Bool[AnyArray, "batch time"],
) -> Float[Array, "batch time"]:
    """Cross-entropy of each target, 0 where the mask is False.

    Args:
      logits: float32 ``[batch, time, vocab]``.
      targets: ids, int32 ``[batch, time]``.
      mask: bool ``[batch, time]``.

    Returns:
      Nats, float32 ``[batch, time]``.

    Example::

        token_losses(jnp.zeros((1, 2, 4)), jnp.array([[1, 2]]), jnp.array([[True, False]]))  # [[1.386, 0.0]]: ln 4
    """
    return jnp.where(mask, optax.softmax_cross_entropy_with_integer_labels(logits, targets), 0.0)


def masked_cross_entropy(
    logits: Float[AnyArray, "batch time vocab"],
    targets: Int[AnyArray, "batch time"],
    mask: Bool[AnyArray, "batch time"],
) -> tuple[Float[Array, ""], Int[AnyArray, ""]]:
    """Cross-entropy summed over the mask.

    Args:
      logits: float32 ``[batch, time, vocab]``.
      targets: ids, int32 ``[batch, time]``.
      mask: bool ``[batch, time]``.

    Returns:
      The sum in nats and the number of targets in the mask, scalars.

    Example::

        nats, count = masked_cross_entropy(logits, batch.targets, batch.mask)
        loss = nats / count
    """
    return token_losses(logits, targets, mask).sum(), mask.sum()
