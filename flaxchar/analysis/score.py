"""Scores: how many nats each text costs a trained model, also while the model goes on learning from the texts."""

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

from flaxchar.analysis.classify import class_nats
from flaxchar.config import InputError
from flaxchar.data.batches import LONGEST_SCORED, Batch, WindowBatches, by_length, text_windows
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.examples import Example, Examples
from flaxchar.data.texts import Texts
from flaxchar.data.unknown import UnknownTokens, find_unknown
from flaxchar.models.charlm import CharLM, Params
from flaxchar.models.evaluation import evaluation_rows, token_scores, window_carry
from flaxchar.models.trained import TrainedModel

# Texts, or tokens of running text, that are scored before an adapting model learns from them.
ADAPT_TEXTS, ADAPT_WINDOW = 8, 32
# The learning rate of an adapting model, and the gradient norm above which its step is shortened.
ADAPT_RATE, ADAPT_NORM = 1.0, 4.0
# Widths of batches are multiples of this, so that few widths have to be compiled.
WIDTH_STEP = 32


class Scores(NamedTuple):
    """What each text costs.

    Attributes:
      nats: cross-entropy summed over the predicted tokens, the spelling of unknown ones included where the model
        counts it, float64 ``[texts]``.
      characters: predicted characters, ``<eos>`` counted as one, int64 ``[texts]``.
      missing: tokens outside the vocabulary, which were left out, and how often each occurred.
      unknown: tokens outside the vocabulary, which were read as the unknown token.
      by_token: the nats of each text's tokens, as ``vocabulary.tokenize`` cuts it, float64 ``[tokens]``, with one more
        for its end except in running text; NaN for a token that was left out or given. Empty if not asked for.
    """

    nats: np.ndarray
    characters: np.ndarray
    missing: Counter[str]
    unknown: UnknownTokens = UnknownTokens()
    by_token: tuple[np.ndarray, ...] = ()

    @property
    def bits_per_character(self) -> float:
        """Bits per character of all texts together; NaN if nothing of them is predicted."""
        characters = int(self.characters.sum())
        return float(self.nats.sum()) / math.log(2) / characters if characters else math.nan

    @property
    def bits_per_character_by_text(self) -> np.ndarray:
        """Bits per character of each text, float64 ``[texts]``; NaN for a text of which nothing is predicted."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.nats / math.log(2) / self.characters


def score_examples(
    trained: TrainedModel, examples: Sequence[Example], adapt: bool = False, by_token: bool = False
) -> Scores:
    """Score examples: separate texts each by itself, running text as one text.

    A model of running text reads the texts one after another and carries its state on, so a text that ends a line
    must hold the line feed. A model trained with labels scores a text given its label, or the mixture over all labels
    where no example has one. A model trained with sources scores a text given its source.

    Args:
      trained: the model.
      examples: at least one.
      adapt: let the model take a step of gradient descent on each few texts after scoring them (dynamic evaluation,
        Krause et al. 2018, https://arxiv.org/abs/1709.07432). ``trained`` itself is not changed.
      by_token: whether to return what each token costs, too.

    Raises:
      InputError: there is no example, the model is a classifier, or labels or sources are missing or unexpected.
    """
    vocabulary = trained.vocabulary
    if not examples:
        raise InputError("there is no text to score")
    if vocabulary.classifies:
        raise InputError('the model names the label of a text (`head="classifier"`); it gives texts no probability')
    if vocabulary.labels and all(example.label is None for example in examples):
        return _score_mixture(trained, [example.text for example in examples], adapt, by_token)
    _refuse_unknown_fields(trained, examples)
    running = trained.config.data.running
    encoded, missing = vocabulary.encode_examples(Examples.of(examples))
    token_text = np.repeat(np.arange(len(examples)), encoded.lengths)  # the text of each token, [tokens]
    nats = np.zeros(len(examples))
    counted = np.zeros(len(examples), np.int64)
    batches = _running(trained, encoded, adapt) if running else _separate(trained, encoded, adapt)
    params, carry = trained.params, None
    predicted: list[tuple[np.ndarray, np.ndarray]] = []  # the text and the nats of each predicted token
    for indices, batch in batches:
        if carry is None or bool(batch.fresh):
            carry = (
                trained.model.initial_carry(1)
                if running
                else window_carry(trained.model, encoded, indices, len(batch.inputs), trained.config.data.bos)
            )
        losses, carry, params = _score_batch(trained.model, params, carry, batch, adapt=adapt)
        losses = np.asarray(losses, np.float64)
        owners = token_text[indices] if running else np.broadcast_to(indices[:, None], losses.shape)
        chosen = np.asarray(batch.mask)
        np.add.at(nats, owners[chosen], losses[chosen])
        np.add.at(counted, owners[chosen], 1)
        if by_token:
            predicted.append((owners[chosen], losses[chosen]))
    if not np.isfinite(nats).all():
        raise InputError(
            "the model gives no finite score: its training has diverged, or the text is unlike any it knows"
        )
    unknown, spelling = _find_unknown(trained, [example.text for example in examples])
    characters = counted if vocabulary.unit == "char" else _characters(trained, examples)
    scores = Scores(nats + spelling, characters, missing, unknown)
    if not by_token:
        return scores
    owners = np.concatenate([owner for owner, _ in predicted] or [np.empty(0, np.int64)])
    in_order = np.concatenate([losses for _, losses in predicted] or [np.empty(0)])[np.argsort(owners, kind="stable")]
    each = np.split(in_order, np.cumsum(counted)[:-1])
    return scores._replace(by_token=_align(trained, [example.text for example in examples], each))


def _align(trained: TrainedModel, texts: Sequence[str], predicted: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """``Scores.by_token`` from the nats of the predicted tokens of each text."""
    vocabulary, running = trained.vocabulary, trained.config.data.running
    result = []
    for text, nats in zip(texts, predicted, strict=True):
        tokens = vocabulary.tokenize(text)
        known = np.array([vocabulary.has_unknown or vocabulary.id_of(token) is not None for token in tokens], bool)
        values = np.full(len(tokens) + (not running), np.nan)
        # The last ones: a text, or running text as a whole, may begin with a token that is given.
        values[np.flatnonzero([*known, *[True] * (not running)])[-len(nats) or len(values) :]] = nats
        if vocabulary.speller is not None:
            new = [k for k, token in enumerate(tokens) if vocabulary.id_of(token) is None]
            values[new] += vocabulary.speller.nats([tokens[k] for k in new])
        result.append(values)
    return tuple(result)


def _find_unknown(trained: TrainedModel, texts: Sequence[str]) -> tuple[UnknownTokens, np.ndarray]:
    """The unknown tokens of the texts, and what their spelling costs in each, nats, float64 ``[texts]``."""
    if not trained.vocabulary.has_unknown:
        return UnknownTokens(), np.zeros(len(texts))
    return find_unknown(trained.vocabulary, Texts.of(texts), trained.config.data.bos, trained.config.data.running)


def _characters(trained: TrainedModel, examples: Sequence[Example]) -> np.ndarray:
    """Characters that a model of words predicts of each text, int64 ``[texts]``; a word is several characters."""
    data, vocabulary = trained.config.data, trained.vocabulary
    characters = np.array([len(example.text) + (not data.running) for example in examples])
    if data.bos or vocabulary.labels or vocabulary.source_end is not None:
        return characters
    # Nothing is fed before the first word of a text, or of running text, so that word is given, not predicted.
    for k, example in enumerate(examples):
        if tokens := vocabulary.tokenize(example.text):
            characters[k] -= len(tokens[0])
            if data.running:
                break
    return characters


def _score_mixture(trained: TrainedModel, texts: Sequence[str], adapt: bool, by_token: bool) -> Scores:
    """Scores under the mixture of all labels, each as probable as the others."""
    if adapt:
        raise InputError("`adapt` needs the label of each text: the model learns from texts given their labels")
    labels = trained.vocabulary.labels
    nats = -np.logaddexp.reduce(-class_nats(trained, texts), axis=1) + math.log(len(labels))
    missing = trained.vocabulary.encode_texts(texts)[1]
    unknown, spelling = _find_unknown(trained, texts)
    scores = Scores(nats + spelling, np.array([len(text) + 1 for text in texts]), missing, unknown)
    if not by_token:
        return scores
    given = [score_examples(trained, [Example(text, label) for text in texts], by_token=True) for label in labels]
    each = (np.stack(one) for one in zip(*(scores.by_token for scores in given), strict=True))
    return scores._replace(by_token=tuple(map(_mix, each)))


def _mix(nats: np.ndarray) -> np.ndarray:
    """The nats of each token under the mixture, by the chain rule; ``nats`` are by label, ``[labels, tokens]``."""
    until = -np.logaddexp.reduce(-np.nancumsum(nats, axis=1), axis=0) + math.log(len(nats))
    return np.where(np.isnan(nats[0]), np.nan, np.diff(until, prepend=0.0))


def _refuse_unknown_fields(trained: TrainedModel, examples: Sequence[Example]) -> None:
    """Raise ``InputError`` for labels or sources that the model was trained without: they would change nothing."""
    known = {"label": bool(trained.vocabulary.labels), "source": trained.vocabulary.source_end is not None}
    for field, is_known in known.items():
        if not is_known and any(getattr(example, field) is not None for example in examples):
            raise InputError(f"the model was trained without {field}s; leave out `{field}s`")


def _separate(trained: TrainedModel, texts: EncodedTexts, adapt: bool) -> Iterator[tuple[np.ndarray, Batch]]:
    """Batches of separate texts, and which text is in each row: in order for an adapting model, else by length."""
    bos, eos = trained.config.data.bos, trained.vocabulary.eos
    lengths = texts.lengths + bos
    if adapt:
        order = [np.arange(k, min(k + ADAPT_TEXTS, len(texts))) for k in range(0, len(texts), ADAPT_TEXTS)]
    else:
        most = evaluation_rows(trained.model, min(LONGEST_SCORED, max(1, int(lengths.max()))))
        order = by_length(lengths, most)
    for chosen in order:
        longest = int(lengths[chosen].max())
        width = min(max(1, -(-longest // WIDTH_STEP)) * WIDTH_STEP, LONGEST_SCORED)
        # Few texts are longer than a window. Empty rows beside them would cost a multiple of their time.
        rows = ADAPT_TEXTS if adapt else most if longest <= LONGEST_SCORED else len(chosen)
        for batch in text_windows(texts, chosen, rows, width, eos, bos):
            yield np.concatenate([chosen, np.zeros(rows - len(chosen), np.int64)]), batch


def _running(trained: TrainedModel, texts: EncodedTexts, adapt: bool) -> Iterator[tuple[np.ndarray, Batch]]:
    """Windows of the texts as one stream in one row, and which token of it each target is, int64 ``[1, time]``."""
    window = ADAPT_WINDOW if adapt else trained.config.data.window
    assert window is not None
    bos, count = trained.config.data.bos, len(texts.ids)
    if not count:  # the model knows none of the characters
        return
    stream = EncodedTexts(texts.ids, np.array([0, count]))
    batches = WindowBatches(stream, 1, trained.vocabulary.eos, window, bos)
    width = batches.widths[0]
    for k in range(batches.steps_per_epoch):
        batch = batches.batch(k)
        positions = np.arange(k * width, (k + 1) * width)[None] + (not bos)
        # The stream is closed by an <eos> that does not belong to the text.
        yield np.minimum(positions, count - 1), batch._replace(mask=batch.mask & (positions < count))


@functools.partial(jax.jit, static_argnames=("model", "adapt"))
def _score_batch(
    model: CharLM, params: Params, carry: tuple, batch: Batch, *, adapt: bool
) -> tuple[Array, tuple, Params]:
    """Nats of each target ``[batch, time]``, the carry after them, and the parameters, with ``adapt`` one step on."""

    def losses(params: Params) -> tuple[Array, tuple]:
        nats, _, after = token_scores(model, params, carry, batch)
        return nats.sum() / jnp.maximum(batch.mask.sum(), 1), (nats, after)

    if not adapt:
        _, (nats, after) = losses(params)
        return nats, after, params
    gradients, (nats, after) = jax.grad(losses, has_aux=True)(params)
    # A text quite unlike the training texts has a large gradient; a full step along it would undo the model.
    rate = ADAPT_RATE * jnp.minimum(1.0, ADAPT_NORM / optax.tree.norm(gradients))
    params = jax.tree.map(lambda weight, gradient: weight - rate * gradient, params, gradients)
    return nats, after, params
