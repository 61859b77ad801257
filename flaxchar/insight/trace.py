"""Traces: what a model predicted at each position of a text, and the state of its units there."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from flaxchar.config import InputError
from flaxchar.data.batches import LONGEST_SCORED, Batch, by_length, text_windows
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.examples import Example
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.given import given_examples
from flaxchar.models.charlm import CharLM, Params, starting_carry
from flaxchar.models.evaluation import window_carry
from flaxchar.models.gates import layer_gates
from flaxchar.models.trained import TrainedModel

Unknown = Literal["error", "drop"]
# The token that stands for the end of a text, among the targets and the alternatives.
END = ""
# How many of the likeliest tokens a trace holds for each position.
ALTERNATIVES = 5
# Rows of a batch: one for a single text, else this many. The shortest width; wider ones are powers of two. So few
# programs are compiled, however many texts are traced.
ROWS, SHORTEST = 32, 32
# The most numbers in the largest arrays of a batch. For long texts or a large vocabulary a batch has fewer rows.
_MOST_NUMBERS = 1 << 26


class Trace(NamedTuple):
    """What a model predicted at each position of one text, and the state of its units there.

    ``given + "".join(tokens)`` is the text, without the characters that were left out.

    Attributes:
      tokens: the token that was to be predicted at each position, ``time`` of them; ``END`` (the empty string) for the
        end of the text, which models of separate texts also predict.
      bits: ``-log2`` of the probability of each token, float64 ``[time]``; the spelling of an unknown token is added
        where the model counts it. Their sum is the text's score.
      alternatives: the likeliest tokens at each position with their probabilities, best first. Tokens that cannot be
        written, such as the unknown token, are left out, so the probabilities may sum to less than 1.
      activations: the hidden state of each layer after it has read what stands before the token, float32
        ``[layers, time, hidden]``.
      gates: by name the gates at the same moment, float32 ``[layers, time, hidden]``: ``"input"``, ``"forget"``,
        ``"output"`` and the cell state ``"cell"`` of an LSTM, ``"update"`` and ``"reset"`` of a GRU, ``"update"`` of a
        minGRU, ``"forget"`` of a minLSTM, none of an RNN (``flaxchar.models.gates``). Empty if they were not asked for.
      given: the first token, where the model is fed it without predicting it (no label, source or ``bos``).
    """

    tokens: list[str]
    bits: Float[np.ndarray, " time"]
    alternatives: list[list[tuple[str, float]]]
    activations: Float[np.ndarray, "layers time hidden"]
    gates: dict[str, Float[np.ndarray, "layers time hidden"]]
    given: str = ""


def trace(
    trained: TrainedModel,
    text: str,
    *,
    label: str | None = None,
    source: str | None = None,
    alternatives: int = ALTERNATIVES,
    gates: bool = True,
    unknown: Unknown = "error",
) -> Trace:
    """Trace a model over one text, of any length.

    Args:
      trained: the model, with any cell.
      text: the text.
      label: its label; a model trained with labels needs one.
      source: its source; a model trained with sources needs one.
      alternatives: how many of the likeliest tokens to keep for each position.
      gates: whether to compute the gates.
      unknown: what to do with tokens that the model has never seen: raise an error, or leave them out.

    Raises:
      InputError: the model is a classifier, or needs a label or a source or knows none, or the text holds unknown
        tokens.

    Example::

        result = trace(lm, "Oil prices rise")
        result.tokens[4], result.bits[4], result.alternatives[4][0]  # ("p", 2.1, ("p", 0.24))
    """
    example = Example(text, label, source)
    return trace_many(trained, [example], alternatives=alternatives, gates=gates, unknown=unknown)[0]


def trace_many(
    trained: TrainedModel,
    examples: Iterable[Example],
    *,
    alternatives: int = ALTERNATIVES,
    gates: bool = False,
    unknown: Unknown = "error",
) -> list[Trace]:
    """Trace a model over texts, each by itself, in batches of a few widths; arguments and errors as ``trace``.

    The activations of all texts stay in memory: ``4 * layers * hidden`` bytes a token. With the gates of an LSTM it is
    five times as much.
    """
    vocabulary = trained.vocabulary
    if vocabulary.classifies:
        raise InputError(
            'the model names the label of a text (it was trained with `head="classifier"`); it predicts no characters'
        )
    given = given_examples(trained, list(examples))
    encoded, tokens = encode_traced(trained, given, unknown)
    names = _token_names(vocabulary)
    alternatives = max(0, min(alternatives, len(names) - names.count(None)))
    settings = trained.config.model
    nothing = Trace([], np.zeros(0), [], np.zeros((settings.layers, 0, settings.hidden), np.float32), {})
    results = [nothing] * len(given)
    for chosen, seen in _batches(trained, encoded, names, alternatives, gates):
        for row, k in enumerate(chosen):
            results[k] = _read(seen, row, [*tokens[k], *[END] * encoded.ends], names, vocabulary)
    return results


def mean_states(trained: TrainedModel, examples: Sequence[Example]) -> Float[np.ndarray, "texts layers hidden"]:
    """The mean hidden state of each unit over each text; unlike ``trace`` it works for classifiers too.

    Args:
      trained: the model.
      examples: texts, with labels and sources if a language model needs them; a classifier reads the text alone.
    """
    vocabulary, settings = trained.vocabulary, trained.config.model
    if vocabulary.classifies:
        given = given_examples(trained, list(examples), replace=True)
        end = np.array([vocabulary.source_end])
        rows = [np.concatenate([vocabulary.encode(example.text, "drop"), end]) for example in given]
        encoded = EncodedTexts(np.concatenate(rows).astype(np.int32), np.cumsum([0, *map(len, rows)]))
    else:
        encoded, _ = encode_traced(trained, given_examples(trained, list(examples)), "drop")
    result = np.zeros((len(examples), settings.layers, settings.hidden), np.float32)
    for chosen, seen in _batches(trained, encoded, _token_names(vocabulary), 0, gates=False):
        for row, k in enumerate(chosen):
            result[k] = np.asarray(seen.activations)[:, seen.mask[row], row].mean(1)
    return result


class _Seen(NamedTuple):
    """What a model predicted in one window of a batch; after `_joined`, in all windows of its texts.

    Attributes:
      mask: which targets are predicted, ``[batch, time]``.
      nats: cross-entropy of each target, ``[batch, time]``.
      ids: ids of the likeliest tokens, ``[batch, time, alternatives]``.
      probabilities: theirs, ``[batch, time, alternatives]``.
      activations: ``[layers, time, batch, hidden]``.
      gates: each ``[layers, time, batch, hidden]``.
    """

    mask: np.ndarray
    nats: Array | np.ndarray
    ids: Array | np.ndarray
    probabilities: Array | np.ndarray
    activations: Array | np.ndarray
    gates: dict[str, Array | np.ndarray]


def _token_names(vocabulary: Vocabulary) -> list[str | None]:
    """The token of each id; ``END`` for ``<eos>``, None for ids that are never written."""
    names: list[str | None] = [None, *vocabulary.tokens, *[None] * vocabulary.has_unknown, END]
    for k in vocabulary.never_written:
        names[k] = None
    return names


def encode_traced(
    trained: TrainedModel, examples: Sequence[Example], unknown: Unknown
) -> tuple[EncodedTexts, list[list[str]]]:
    """Encode examples for a trace.

    Returns:
      The ids of the label or source and the text of each example, and the tokens of its text that have an id.

    Raises:
      InputError: as ``trace``.
    """
    vocabulary = trained.vocabulary
    rows, tokens = [], []
    for example in examples:
        prefix = vocabulary.prefix(example.label, example.source, unknown)
        rows.append(np.concatenate([prefix, vocabulary.encode(example.text, unknown)]))
        pieces = vocabulary.tokenize(example.text)
        kept = pieces if vocabulary.has_unknown else [token for token in pieces if vocabulary.id_of(token) is not None]
        tokens.append(kept)
    ids = np.concatenate([np.empty(0, np.int32), *rows])
    offsets = np.cumsum([0, *map(len, rows)])
    return EncodedTexts(ids, offsets, vocabulary.source_end, not trained.config.data.running), tokens


def _batches(
    trained: TrainedModel, texts: EncodedTexts, names: Sequence[str | None], alternatives: int, gates: bool
) -> Iterator[tuple[np.ndarray, _Seen]]:
    """Trace texts in batches; yields the indices of the texts of a batch, and what the model predicted there."""
    model, eos, bos = trained.model, trained.vocabulary.eos, trained.config.data.bos
    writable = np.array([name is not None for name in names])
    numbers = model.vocab + model.config.layers * model.config.hidden * (6 if gates else 1)
    lengths = texts.lengths + bos
    order = np.flatnonzero(lengths > 0)  # the others have nothing to predict
    widest = _width(int(lengths.max(initial=1)))
    rows = 1 if len(order) == 1 else max(1, min(ROWS, _MOST_NUMBERS // (widest * numbers)))
    for part in by_length(lengths[order], rows):
        chosen = order[part]
        width, longest = _width(int(lengths[chosen].max())), int(lengths[chosen].max())
        filled = rows if longest <= LONGEST_SCORED else len(chosen)  # an empty row beside a long text is expensive
        carry = window_carry(model, texts, chosen, filled, bos)
        windows = []
        for batch in text_windows(texts, chosen, filled, width, eos, bos):
            seen, carry = _trace_batch(
                model, trained.params, carry, batch, writable, alternatives=alternatives, gates=gates
            )
            windows.append(jax.tree.map(np.asarray, seen))
        yield chosen, _joined(windows)


def _width(length: int) -> int:
    """The width of a batch: the next power of two, at most ``LONGEST_SCORED``."""
    return min(max(SHORTEST, 1 << (length - 1).bit_length()), LONGEST_SCORED)


def _joined(windows: Sequence[_Seen]) -> _Seen:
    """The windows one after another; time is the second axis of every array."""
    if len(windows) == 1:
        return windows[0]
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *windows)


@functools.partial(jax.jit, static_argnames=("model", "alternatives", "gates"))
def _trace_batch(
    model: CharLM, params: Params, carry: tuple, batch: Batch, writable: np.ndarray, *, alternatives: int, gates: bool
) -> tuple[_Seen, tuple]:
    """What the model predicts in a batch, and the carry after it."""
    config, variables = model.config, {"params": params}

    def run(inputs: Array, carry: tuple, method: str) -> tuple[Array, tuple, Array, dict[str, Array]]:
        (logits, after), found = model.apply(variables, inputs, carry, method=method, mutable=["intermediates"])
        views = [found["intermediates"][f"{config.cell}_{k}"]["seen"][0] for k in range(config.layers)]
        if method == "step":
            views = [view._replace(inputs=view.inputs[None], states=view.states[None]) for view in views]
        each = [
            layer_gates(config.cell, view.inputs, view.weights, view.carry, view.states, config.dtype)
            for view in views
            if gates
        ]
        stacked = {name: jnp.stack([layer[name] for layer in each]) for name in (each[0] if gates else ())}
        return logits, after, jnp.stack([view.states for view in views]), stacked

    if model.source_end is not None and len(carry) > config.layers:  # windows of a text with a source

        def step(carry: tuple, ids: Array) -> tuple[tuple, tuple]:
            logits, carry, states, found = run(ids, carry, "step")
            return carry, (logits, states[:, 0], {name: values[:, 0] for name, values in found.items()})

        carry, (logits, states, found) = jax.lax.scan(step, carry, batch.inputs.T)
        logits = jnp.swapaxes(logits, 0, 1)
        states, found = jax.tree.map(lambda values: jnp.swapaxes(values, 0, 1), (states, found))
    else:
        logits, carry, states, found = run(batch.inputs, starting_carry(batch, carry), "__call__")
    nats = -jax.nn.log_softmax(logits)
    own = jnp.take_along_axis(nats, batch.targets[..., None], -1)[..., 0]
    best, ids = jax.lax.top_k(jnp.where(writable, -nats, -jnp.inf), alternatives)
    return _Seen(batch.mask, own, ids, jnp.exp(best), states, found), carry


def _read(seen: _Seen, row: int, targets: Sequence[str], names: Sequence[str | None], vocabulary: Vocabulary) -> Trace:
    """The trace of the text in one row; ``targets`` are all its tokens, the given one included."""
    at = np.flatnonzero(seen.mask[row])
    given, tokens = targets[: len(targets) - len(at)], list(targets[len(targets) - len(at) :])
    bits = np.asarray(seen.nats[row, at], np.float64) / math.log(2)
    if vocabulary.speller is not None:
        unknown = [k for k, token in enumerate(tokens) if token != END and vocabulary.id_of(token) is None]
        bits[unknown] += vocabulary.speller.nats([tokens[k] for k in unknown]) / math.log(2)
    alternatives = [
        [(names[k] or END, probability) for k, probability in zip(*pair, strict=True)]
        for pair in zip(seen.ids[row, at].tolist(), seen.probabilities[row, at].tolist(), strict=True)
    ]
    gates = {name: np.asarray(values[:, at, row]) for name, values in seen.gates.items()}
    return Trace(tokens, bits, alternatives, np.asarray(seen.activations[:, at, row]), gates, "".join(given))
