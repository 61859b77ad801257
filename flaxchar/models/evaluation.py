"""Evaluation: the loss, bits per character and accuracy of a model on texts."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from flaxchar.data.batches import LONGEST_SCORED, AnyArray, Batch, EvaluationBatches, WindowBatches
from flaxchar.data.encoded import EncodedTexts
from flaxchar.hardware import this_hardware
from flaxchar.models.cells import CELLS
from flaxchar.models.charlm import CharLM, Params, starting_carry
from flaxchar.models.losses import token_losses

# Running text is cut into rows of at least this many tokens. More rows would score worse, because every row but the
# first starts in the middle of a text, from a carry of zeros.
TOKENS_PER_ROW = 4096


class Evaluation(NamedTuple):
    """How well a model predicts some texts.

    Attributes:
      loss: mean cross-entropy, nats per token.
      bits_per_character: cross-entropy in bits, summed over the tokens and divided by the number of characters.
        ``<eos>`` counts as one character, so for a model of characters this is ``loss / ln 2``. The spelling of
        unknown tokens is added, where it is counted.
      accuracy: share of the targets that were the most probable token.
      tokens: number of predicted tokens.
      spelling: the bits per character that the spelling of unknown tokens takes; ``loss`` does not contain it.
    """

    loss: float
    bits_per_character: float
    accuracy: float
    tokens: int
    spelling: float = 0.0


class RowSums(NamedTuple):
    """Sums over each row of a batch, or over each text.

    Attributes:
      nats: cross-entropy, float32 ``[rows]``.
      hits: number of targets that were the most probable token, integers ``[rows]``.
      tokens: number of predicted tokens, integers ``[rows]``.
    """

    nats: AnyArray
    hits: AnyArray
    tokens: AnyArray


@functools.partial(jax.jit, static_argnames=["model"])
def score_batch(model: CharLM, params: Params, carry: tuple, batch: Batch) -> tuple[RowSums, tuple]:
    """Score a batch.

    Args:
      model: the model; static.
      params: its parameters.
      carry: the carry of the batch before; a ``fresh`` batch starts from zeros instead.
      batch: arrays ``[batch, time]``.

    Returns:
      The sums over each row, and the carry after the batch.
    """
    nats, hits, carry = token_scores(model, params, carry, batch)
    return RowSums(nats.sum(1), hits.sum(1), batch.mask.sum(1)), carry


def token_scores(model: CharLM, params: Params, carry: tuple, batch: Batch) -> tuple[Array, Array, tuple]:
    """Score each target of a batch; arguments as for ``score_batch``, the carry also from ``window_carry``.

    Returns:
      Nats, float32 ``[batch, time]``; whether the target was the most probable token, bool ``[batch, time]``; the carry
      after the batch.
    """

    def judge(logits: Array, targets: AnyArray, mask: AnyArray) -> tuple[Array, Array]:
        return token_losses(logits, targets, mask), (logits.argmax(-1) == targets) & mask

    def step(carry: tuple, column: tuple) -> tuple[tuple, tuple[Array, Array]]:
        ids, targets, mask = column
        logits, carry = model.apply({"params": params}, ids, carry, method="step")
        return carry, judge(logits[None], targets[None], mask[None])

    if model.source_end is not None and len(carry) > model.config.layers:
        columns = [jnp.swapaxes(part, 0, 1) for part in (batch.inputs, batch.targets, batch.mask)]
        carry, (nats, hits) = jax.lax.scan(step, carry, tuple(columns))
        return nats[:, 0].T, hits[:, 0].T, carry
    logits, carry = model.apply({"params": params}, batch.inputs, starting_carry(batch, carry))
    return *judge(logits, batch.targets, batch.mask), carry


def window_carry(model: CharLM, texts: EncodedTexts, chosen: AnyArray, rows: int, bos: bool) -> tuple:
    """The carry before the first window of the chosen texts; every window but the last hands its own to the next.

    For texts that one window holds this is ``initial_carry``. For longer ones it also holds what a model needs of
    earlier windows: with sources the states of the source, and for a classifier the sum of the hidden states.
    """
    carry = model.initial_carry(rows)
    if int(texts.lengths[chosen].max()) + bos <= LONGEST_SCORED:
        return carry
    if model.source_end is not None:
        longest = max(int(np.flatnonzero(texts[k] == model.source_end)[0]) for k in chosen) + 1
        return model.initial_step_carry(rows, longest + bos)
    if model.config.head == "classifier":
        return (*carry, (jnp.zeros_like(carry[0][0]),) * 2)
    return carry


def score_texts(model: CharLM, params: Params, texts: EncodedTexts, eos: int, bos: bool = True) -> RowSums:
    """Score texts, each by itself. Texts of any length are scored in little memory.

    Args:
      model: the model.
      params: its parameters.
      texts: the texts, none of them empty.
      eos: the id of ``<eos>``.
      bos: whether ``<eos>`` is fed before each text, so that its first character is predicted too.

    Returns:
      Sums over each text, NumPy arrays ``[texts]``.

    Example::

        texts, _ = vocabulary.encode_texts(["Anna", "Otto"])
        score_texts(model, params, texts, vocabulary.eos).nats  # cross-entropy of each text, float32 [2]
    """
    batches = _text_batches(model, texts, eos, bos)
    carry: tuple = ()
    result = RowSums(*(np.zeros(len(texts), kind) for kind in (np.float64, np.int64, np.int64)))
    for chosen, batch in batches:
        carry = window_carry(model, texts, chosen, len(batch.inputs), bos) if batch.fresh else carry
        sums, carry = score_batch(model, params, carry, batch)
        for total, part in zip(result, sums, strict=True):
            total[chosen] += np.asarray(part)[: len(chosen)]
    return result._replace(nats=result.nats.astype(np.float32))


def evaluate(
    model: CharLM,
    params: Params,
    texts: EncodedTexts,
    characters: int,
    eos: int,
    bos: bool = True,
    window: int | None = None,
    spelling: float = 0.0,
) -> Evaluation:
    """Evaluate a model on separate texts, or on all texts as one running text.

    Args:
      model: the model.
      params: its parameters.
      texts: the texts, none of them empty.
      characters: number of characters that the predicted tokens stand for; ``<eos>`` counts as one.
      eos: the id of ``<eos>``.
      bos: whether ``<eos>`` is fed before each text, or once before the running text.
      window: time steps of a batch of running text; None for separate texts.
      spelling: what the spelling of the unknown tokens costs, nats: ``find_unknown(…)[0].nats``.

    Returns:
      Loss, bits per character, accuracy and number of tokens.

    Example::

        texts, _ = vocabulary.encode_texts(["Anna", "Otto"])
        evaluate(model, params, texts, characters=10, eos=vocabulary.eos).bits_per_character
    """
    if window is None:
        sums = [score_texts(model, params, texts, eos, bos)]
    else:
        batches = _window_batches(model, texts, eos, bos, window)
        carry, sums = model.initial_carry(batches.rows), []
        for k in range(batches.steps_per_epoch):
            part, carry = score_batch(model, params, carry, batches.batch(k))
            sums.append(part)
    # The sums are float64: a float32 sum over millions of characters loses digits.
    nats, hits, tokens = (
        float(sum(np.asarray(part, np.float64).sum() for part in parts)) for parts in zip(*sums, strict=True)
    )
    bits = (nats + spelling) / math.log(2) / characters
    return Evaluation(nats / tokens, bits, hits / tokens, int(tokens), spelling / math.log(2) / characters)


def evaluation_batches(
    model: CharLM, texts: EncodedTexts, eos: int, bos: bool = True, window: int | None = None
) -> EvaluationBatches | WindowBatches:
    """The batches that ``evaluate`` scores; arguments as for ``evaluate``."""
    if window is None:
        return _text_batches(model, texts, eos, bos)
    return _window_batches(model, texts, eos, bos, window)


def evaluation_rows(model: CharLM, width: int) -> int:
    """Rows of a batch of this width that is only scored: more than in training, as there is no backward pass."""
    cell, config = CELLS[model.config.cell], model.config
    return this_hardware().evaluation_rows(width, 3 * model.vocab + (2 * cell.gates + 2) * config.hidden)


def _text_batches(model: CharLM, texts: EncodedTexts, eos: int, bos: bool) -> EvaluationBatches:
    width = min(LONGEST_SCORED, int(texts.lengths.max()) + bos) if len(texts) else 1
    return EvaluationBatches(texts, evaluation_rows(model, width), eos, bos)


def _window_batches(model: CharLM, texts: EncodedTexts, eos: int, bos: bool, window: int) -> WindowBatches:
    """Windows of running text, in rows of at least ``TOKENS_PER_ROW`` tokens."""
    rows = min(evaluation_rows(model, window), max(1, len(texts.ids) // TOKENS_PER_ROW))
    return WindowBatches(texts, rows, eos, window, bos)
