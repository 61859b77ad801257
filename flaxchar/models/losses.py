"""Losses: how many nats, bits and mistakes a model makes on a batch, and on texts.

Anything masked travels as (sum, count) and is divided once, at the end.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from flaxchar.data.batches import AnyArray, Batch, EvaluationBatches, WindowBatches
from flaxchar.data.vocabulary import EncodedTexts
from flaxchar.models.charlm import CharLM, Params

# Rows of an evaluation batch: more than in training, for there is no backward pass to keep memory for.
ROWS = 64
# Running text is scored in as many rows as leave each this many tokens: every row but the first starts in mid-text.
TOKENS_PER_ROW = 4096


class Evaluation(NamedTuple):
    """How well a model predicts some texts.

    Attributes:
      loss: mean cross-entropy, nats per token.
      bits_per_character: cross-entropy in bits, summed over the tokens and divided by the characters (``<eos>`` counts
        as one, so for characters this is ``loss / ln 2``).
      accuracy: share of tokens that were the most probable one.
      tokens: how many were predicted.
    """

    loss: float
    bits_per_character: float
    accuracy: float
    tokens: int


def token_losses(logits: Array, targets: Array, mask: Array) -> Array:
    """Cross-entropy of each target, nats, 0 where the mask is off.

    Args:
      logits: float32 ``[batch, time, vocab]``.
      targets: int32 ``[batch, time]``.
      mask: bool ``[batch, time]``.

    Returns:
      float32 ``[batch, time]``.
    """
    return jnp.where(mask, optax.softmax_cross_entropy_with_integer_labels(logits, targets), 0.0)


def masked_cross_entropy(logits: Array, targets: Array, mask: Array) -> tuple[Array, Array]:
    """``(sum, count)`` of the cross-entropy over the mask, nats; arguments as ``token_losses``."""
    return token_losses(logits, targets, mask).sum(), mask.sum()


def carry_into(batch: Batch, carry: tuple) -> tuple:
    """The recurrent state a batch starts from: the one before it, or zeros where it is ``fresh``."""
    return jax.tree.map(lambda state: jnp.where(batch.fresh, 0.0, state), carry)


class RowSums(NamedTuple):
    """Sums over each row of a batch: nats float32, hits int32, tokens int32, each ``[batch]``."""

    nats: AnyArray
    hits: AnyArray
    tokens: AnyArray


@functools.partial(jax.jit, static_argnames=["model"])
def score_batch(model: CharLM, params: Params, carry: tuple, batch: Batch) -> tuple[RowSums, tuple]:
    """What each row of a batch costs, and the carry after it; a ``fresh`` batch starts from zeros, not ``carry``."""
    logits, carry = model.apply({"params": params}, batch.inputs, carry_into(batch, carry))
    hits = (logits.argmax(-1) == batch.targets) & batch.mask
    nats = token_losses(logits, batch.targets, batch.mask)
    return RowSums(nats.sum(1), hits.sum(1), batch.mask.sum(1)), carry


def score_texts(model: CharLM, params: Params, texts: EncodedTexts, eos: int, bos: bool = True) -> RowSums:
    """What each text costs by itself.

    Args:
      model: the model.
      params: its parameters.
      texts: the texts, none of them empty.
      eos: the id of ``<eos>``.
      bos: whether the first character counts (predicted from ``<eos>``).

    Returns:
      Sums per text, NumPy arrays ``[texts]``.
    """
    batches = EvaluationBatches(texts, ROWS, eos, bos)
    carry = model.initial_carry(batches.rows)
    result = RowSums(*(np.zeros(len(texts), kind) for kind in (np.float32, np.int64, np.int64)))
    for chosen, batch in batches:
        sums, _ = score_batch(model, params, carry, batch)
        for total, part in zip(result, sums, strict=True):
            total[chosen] = np.asarray(part)[: len(chosen)]
    return result


def evaluate(
    model: CharLM,
    params: Params,
    texts: EncodedTexts,
    characters: int,
    eos: int,
    bos: bool = True,
    window: int | None = None,
) -> Evaluation:
    """How well a model predicts texts: each by itself, or with ``window`` as one running text.

    Args:
      model: the model.
      params: its parameters.
      texts: the texts, none of them empty.
      characters: how many characters the predicted tokens stand for, ``<eos>`` counted as one.
      eos: the id of ``<eos>``.
      bos: whether the first character counts.
      window: time steps of a batch of running text; None for separate texts.
    """
    if window is None:
        sums = [score_texts(model, params, texts, eos, bos)]
    else:
        batches = _window_batches(texts, eos, bos, window)
        carry, sums = model.initial_carry(batches.rows), []
        for k in range(batches.steps_per_epoch):
            part, carry = score_batch(model, params, carry, batches.batch(k))
            sums.append(part)
    # Summed in double precision: a float32 sum over millions of characters loses digits.
    nats, hits, tokens = (
        float(sum(np.asarray(part, np.float64).sum() for part in parts)) for parts in zip(*sums, strict=True)
    )
    return Evaluation(nats / tokens, nats / math.log(2) / characters, hits / tokens, int(tokens))


def evaluation_batches(
    texts: EncodedTexts, eos: int, bos: bool = True, window: int | None = None
) -> EvaluationBatches | WindowBatches:
    """The batches that ``evaluate`` scores; arguments as there."""
    return EvaluationBatches(texts, ROWS, eos, bos) if window is None else _window_batches(texts, eos, bos, window)


def _window_batches(texts: EncodedTexts, eos: int, bos: bool, window: int) -> WindowBatches:
    """Running text to score, in rows of ``TOKENS_PER_ROW`` tokens at least."""
    rows = min(ROWS, max(1, len(texts.ids) // TOKENS_PER_ROW))
    return WindowBatches(texts, rows, eos, window, bos)
