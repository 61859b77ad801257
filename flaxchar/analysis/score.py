"""How surprising texts are to a model, one by one; also while it goes on learning from them."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from flaxchar.config import InputError
from flaxchar.data.batches import Batch, WindowBatches, fit_width, pad_texts
from flaxchar.data.vocabulary import EncodedTexts
from flaxchar.language_model import LanguageModel
from flaxchar.models.charlm import CharLM, Params, starting_carry
from flaxchar.models.losses import token_losses

# Texts, or characters of running text, that are scored before a model that adapts learns from them.
ADAPT_TEXTS, ADAPT_WINDOW = 8, 32
# How far one step goes, and the gradient's norm from which on it goes no further.
ADAPT_RATE, ADAPT_NORM = 1.0, 4.0
_ROWS = 64
# Widths of batches are rounded up to a multiple of this, so that few are compiled.
_GRAIN = 32


class Scores(NamedTuple):
    """What each of some texts costs.

    Attributes:
      nats: float64 ``[texts]``.
      characters: how many of each were predicted, the end of the text counted as one, int64 ``[texts]``.
      missing: what the vocabulary does not hold, left out, and how often.
    """

    nats: np.ndarray
    characters: np.ndarray
    missing: Counter[str]

    @property
    def bits_per_character(self) -> float:
        """Of all the texts together."""
        return float(self.nats.sum() / math.log(2) / self.characters.sum())


def score(lm: LanguageModel, texts: Sequence[str], adapt: bool = False) -> Scores:
    """What each text costs: by itself, or for a model of running text as a line of one text.

    Args:
      lm: the model.
      texts: the texts, without line feeds.
      adapt: let the model learn from each few texts once they are scored (dynamic evaluation, Krause et al. 2018,
        https://arxiv.org/abs/1709.07432).

    Raises:
      InputError: there is no text.
    """
    if not texts:
        raise InputError("there is no text to score")
    running, vocabulary = lm.config.data.running, lm.vocabulary
    lm.refuse_sources()
    if vocabulary.labels:
        if adapt:
            raise InputError("--adapt: a model that writes for classes does not know those of the texts it would learn")
        return Scores(
            lm.mixed_nats(texts), np.array([len(text) + 1 for text in texts]), vocabulary.encode_texts(texts)[1]
        )
    if running:
        texts = [text + "\n" for text in texts]
    encoded, missing = vocabulary.encode_texts(texts)
    lengths = np.array([len(text) + (not running) for text in texts])
    owner_of_token = np.repeat(np.arange(len(texts)), encoded.lengths)
    nats = np.zeros(len(texts))
    counted = np.zeros(len(texts), np.int64)
    batches = _running(lm, encoded, adapt) if running else _separate(lm, encoded, adapt)
    params, carry = lm.params, None
    for owners, batch in batches:
        carry = lm.model.initial_carry(len(batch.inputs)) if carry is None or bool(batch.fresh) else carry
        losses, carry, params = _score(lm.model, params, carry, batch, adapt=adapt)
        losses = np.asarray(losses, np.float64)
        of_token = owner_of_token[owners] if running else np.broadcast_to(owners[:, None], losses.shape)
        chosen = np.asarray(batch.mask)
        np.add.at(nats, of_token[chosen], losses[chosen])
        np.add.at(counted, of_token[chosen], 1)
    # Of words, a token is many characters; what is not predicted is the first, where no <eos> is fed before it.
    characters = counted if vocabulary.unit == "char" else lengths
    return Scores(nats, characters, missing)


def _separate(lm: LanguageModel, texts: EncodedTexts, adapt: bool) -> Iterator[tuple[np.ndarray, Batch]]:
    """Which texts are in a batch, and the batch: in order where the model adapts, else by length."""
    bos, eos = lm.config.data.bos, lm.vocabulary.eos
    lengths = texts.lengths + bos
    order = np.arange(len(texts)) if adapt else np.argsort(lengths, kind="stable")
    rows = ADAPT_TEXTS if adapt else _ROWS
    widths = [_GRAIN * k for k in range(1, int(lengths.max()) // _GRAIN + 2)]
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        width = fit_width(widths, int(lengths[chosen].max()))
        batch = pad_texts([texts[i] for i in chosen], rows, width, eos, bos)
        yield np.concatenate([chosen, np.zeros(rows - len(chosen), np.int64)]), batch


def _running(lm: LanguageModel, texts: EncodedTexts, adapt: bool) -> Iterator[tuple[np.ndarray, Batch]]:
    """Which token each target of a batch is ``[1, time]``, and the batch: the lines as one text in one row."""
    window = ADAPT_WINDOW if adapt else lm.config.data.window
    assert window is not None
    bos, count = lm.config.data.bos, len(texts.ids)
    stream = EncodedTexts(texts.ids, np.array([0, count]))
    batches = WindowBatches(stream, 1, lm.vocabulary.eos, window, bos)
    width = batches.widths[0]
    for k in range(batches.steps_per_epoch):
        batch = batches.batch(k)
        positions = np.arange(k * width, (k + 1) * width)[None] + (not bos)
        # The <eos> that closes the stream is none of the text.
        yield np.minimum(positions, count - 1), batch._replace(mask=batch.mask & (positions < count))


@functools.partial(jax.jit, static_argnames=("model", "adapt"))
def _score(model: CharLM, params: Params, carry: tuple, batch: Batch, *, adapt: bool) -> tuple[Array, tuple, Params]:
    """Nats of each target ``[batch, time]``, the carry after, and the parameters, with ``adapt`` a step further."""

    def losses(params: Params) -> tuple[Array, tuple]:
        logits, after = model.apply({"params": params}, batch.inputs, starting_carry(batch, carry))
        nats = token_losses(logits, batch.targets, batch.mask)
        return nats.sum() / jnp.maximum(batch.mask.sum(), 1), (nats, after)

    if not adapt:
        _, (nats, after) = losses(params)
        return nats, after, params
    gradients, (nats, after) = jax.grad(losses, has_aux=True)(params)
    # Of a text that is quite unlike what was learned the gradient is large, and such a step would undo the model.
    rate = ADAPT_RATE * jnp.minimum(1.0, ADAPT_NORM / optax.tree.norm(gradients))
    params = jax.tree.map(lambda weight, gradient: weight - rate * gradient, params, gradients)
    return nats, after, params
