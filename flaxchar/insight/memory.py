"""Memory: how long units keep what they hold, and how much the characters before help the prediction.

**Gates.** A unit with a forget gate keeps the share ``f_t`` of its state at each token. After ``n`` more
tokens, the product of the next ``n`` gates is left of the state after token ``t``. The unit remembers that state for
the largest ``n`` with ::

    f_{t+1} f_{t+2} ... f_{t+n} >= 1/e

and its memory is the mean of these ``n`` over the positions of texts. The end of a text ends the count, so in short
texts the memory is at least this long. For a GRU ``f`` is ``z``, for a minGRU ``1 - z``
(``flaxchar.models.gates.retention``).

**Context.** The gates say how long a unit could remember. The loss shows what that is worth: the bits of the same
positions, predicted from at most the last ``n`` tokens, read from a state of zeros. A label is always read
first. The model was never trained to begin in the middle of a text, so short contexts may look a little worse than
they are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Float

from flaxchar.config import InputError
from flaxchar.data.batches import AnyArray
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.examples import Example
from flaxchar.data.vocabulary import PAD
from flaxchar.insight.trace import Trace, encode_traced
from flaxchar.models.charlm import CharLM, Params
from flaxchar.models.gates import retention
from flaxchar.models.trained import TrainedModel

# A gate above this keeps nearly everything.
NEAR_ONE = 0.95
CONTEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# Each context is padded to one of these widths, so that few programs are compiled.
_WIDTHS = (8, 32, 128, 512)
# About how many multiplications all contexts together may take; the fewest and the most positions.
_WORK, _FEWEST, _MOST = 1.5e11, 200, 2000
_ROWS = 64


class LayerMemory(NamedTuple):
    """How long the units of a layer remember.

    Attributes:
      near_one: share of the gates, over units and positions, that are above ``NEAR_ONE``.
      kept: how many tokens each unit remembers on average, float64 ``[hidden]``.
    """

    near_one: float
    kept: np.ndarray


class ContextLoss(NamedTuple):
    """The loss with a context of at most ``length`` tokens.

    Attributes:
      length: the length.
      bits: mean bits of a token.
      error: standard error of ``bits``.
      longer: share of the positions that have more than ``length`` tokens before them.
    """

    length: int
    bits: float
    error: float
    longer: float


# A context is enough if the longest one has at most this many bits less.
ENOUGH_BITS = 0.05


def enough_context(losses: Sequence[ContextLoss]) -> ContextLoss:
    """The shortest context whose loss is within ``ENOUGH_BITS`` of the longest one's; ``losses`` are not empty."""
    return next(each for each in losses if each.bits <= losses[-1].bits + ENOUGH_BITS)


def layer_memories(cell: str, traces: Sequence[Trace]) -> list[LayerMemory]:
    """How long the units of each layer remember; empty for a cell without gates.

    Args:
      cell: the cell's name.
      traces: traces with gates.
    """
    factors = [factor for trace in traces if trace.gates and (factor := retention(cell, trace.gates)) is not None]
    if not factors:
        return []
    count = sum(factor.shape[1] for factor in factors)
    near_one = sum((factor > NEAR_ONE).sum((1, 2)) for factor in factors) / (count * factors[0].shape[2])
    kept = sum(_remembered(factor).sum(1) for factor in factors) / count
    return [LayerMemory(float(share), tokens) for share, tokens in zip(near_one, kept, strict=True)]


def _remembered(factors: Float[np.ndarray, "layers time hidden"]) -> Float[np.ndarray, "layers time hidden"]:
    """For how many of the next tokens each unit keeps at least 1/e of its state, at each position of a text."""
    lost = np.cumsum(-np.log(np.maximum(factors.astype(np.float64), 1e-12)), axis=1)  # rises over time
    result = np.zeros(lost.shape)
    for layer, _, unit in np.ndindex(lost.shape[0], 1, lost.shape[2]):
        column = lost[layer, :, unit]
        result[layer, :, unit] = np.searchsorted(column, column + 1, "right") - 1 - np.arange(len(column))
    return result


def context_losses(trained: TrainedModel, examples: Sequence[Example]) -> list[ContextLoss]:
    """The loss at some positions of texts, with contexts of growing length.

    Args:
      trained: a language model without sources.
      examples: texts, with labels if the model has labels.

    Returns:
      The loss for each of ``CONTEXTS``, up to the first that covers the longest history.

    Raises:
      InputError: the model has sources, which would have to be read as well, or the texts are empty.
    """
    vocabulary = trained.vocabulary
    if vocabulary.source_end is not None:
        raise InputError("the model reads a source before each text, so its context is never short")
    encoded, _ = encode_traced(trained, examples, "drop")
    rows = _histories(trained, encoded)
    if not rows:
        raise InputError("nothing of the texts is predicted, so there is no loss to measure")
    longest = max(len(history) for _, history, _ in rows)
    lengths = [n for n in CONTEXTS if n < 2 * longest or n == 1]
    results, bits = [], np.full(len(rows), np.nan)
    for before, n in zip([0, *lengths], lengths, strict=False):
        # Where all tokens before the position were read already, nothing changes.
        again = [k for k, (_, history, _) in enumerate(rows) if len(history) > before or before == 0]
        bits[again] = _bits(trained, [rows[k] for k in again], n)
        longer = float(np.mean([len(history) > n for _, history, _ in rows]))
        results.append(ContextLoss(n, float(bits.mean()), float(bits.std() / math.sqrt(len(bits))), longer))
    return results


# What is read first, the tokens before a position, and the token at it.
_Row = tuple[np.ndarray, np.ndarray, int]


def _histories(trained: TrainedModel, texts: EncodedTexts) -> list[_Row]:
    """Evenly spaced positions of all texts."""
    data, vocabulary, config = trained.config.data, trained.vocabulary, trained.config.model
    fixed = int(bool(vocabulary.labels))
    starts = np.array([eos for eos in [vocabulary.eos] if data.bos], np.int32)
    ends = np.array([vocabulary.eos] if texts.ends else [], np.int32)
    places: list[tuple[int, int]] = []
    streams = []
    for number in range(len(texts)):
        stream = np.concatenate([starts, texts[number], ends])
        streams.append(stream)
        places += [(number, position) for position in range(max(1, fixed), len(stream))]
    longest = max(map(len, streams), default=0)
    read = sum(n for n in CONTEXTS if n < 2 * longest)
    most = int(_WORK / (config.layers * config.hidden**2 * 8 * max(1, read)))
    count = min(len(places), max(_FEWEST, min(_MOST, most)))
    chosen = [places[k * len(places) // count] for k in range(count)]
    return [
        (streams[text][:fixed], streams[text][fixed:position], int(streams[text][position]))
        for text, position in chosen
    ]


def _bits(trained: TrainedModel, rows: Sequence[_Row], length: int) -> np.ndarray:
    """Bits of each row's token after the last ``length`` tokens before it, float64 ``[rows]``."""
    fixed = len(rows[0][0])
    width = next(width for width in _WIDTHS if width >= length) + fixed
    result = []
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        inputs, targets = np.full((2, _ROWS, width), PAD, np.int32)
        last = np.zeros(_ROWS, np.int32)
        for row, (given, history, target) in enumerate(part):
            read = np.concatenate([given, history[-length:]])
            inputs[row, : len(read)], last[row] = read, len(read) - 1
            targets[row, last[row]] = target
        nats = np.asarray(_last_nats(trained.model, trained.params, inputs, targets, last), np.float64)
        result.append(nats[: len(part)] / math.log(2))
    return np.concatenate(result)


@functools.partial(jax.jit, static_argnames="model")
def _last_nats(model: CharLM, params: Params, inputs: AnyArray, targets: AnyArray, last: AnyArray) -> Array:
    """Cross-entropy of the target at position ``last`` of each row, ``[rows]``."""
    nats, _ = model.apply({"params": params}, inputs, targets, method="cross_entropy")
    return nats[np.arange(len(inputs)), last]
