"""Surprise: bits of each text and at each position, and whether the predicted probabilities come true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flaxchar.insight.trace import Trace

# Each group of positions ends about this many times as far from the beginning as the group before.
_GROWTH = 1.5
# A group of positions is left out if fewer texts reach it.
_FEWEST = 20
_BINS = 10


class PositionBits(NamedTuple):
    """The mean surprise at some positions of a text, counted from 1 in tokens.

    Attributes:
      first: the first position.
      last: the last position.
      bits: mean bits of a token there.
      tokens: number of tokens.
    """

    first: int
    last: int
    bits: float
    tokens: int


class CalibrationBin(NamedTuple):
    """Predictions of about the same probability.

    Attributes:
      predicted: their mean probability.
      observed: the share of them that came true.
      predictions: how many there are.
    """

    predicted: float
    observed: float
    predictions: int


def bits_per_character(trace: Trace) -> float:
    """Bits per character of a text; the end of the text counts as one character. NaN if nothing is predicted."""
    characters = sum(max(1, len(token)) for token in trace.tokens)
    return float(trace.bits.sum() / characters) if characters else float("nan")


def rank(traces: Sequence[Trace]) -> list[int]:
    """The numbers of the traces, the most surprising text per character first; texts without bits are left out."""
    bits = [bits_per_character(trace) for trace in traces]
    return sorted((k for k in range(len(bits)) if math.isfinite(bits[k])), key=lambda k: -bits[k])


def bits_by_position(traces: Sequence[Trace]) -> list[PositionBits]:
    """The mean bits at each position, later positions in growing groups.

    Example::

        bits_by_position(traces)[0]  # PositionBits(first=1, last=1, bits=4.9, tokens=380)
    """
    longest = max((len(trace.bits) for trace in traces), default=0)
    sums, counts = np.zeros(longest), np.zeros(longest, np.int64)
    for trace in traces:
        sums[: len(trace.bits)] += trace.bits
        counts[: len(trace.bits)] += 1
    groups, first = [], 0
    while first < longest:
        last = max(first + 1, int(first * _GROWTH))
        count = int(counts[first:last].sum())
        if counts[first] >= min(_FEWEST, len(traces)):
            groups.append(PositionBits(first + 1, min(last, longest), float(sums[first:last].sum() / count), count))
        first = last
    return groups


def calibration(traces: Sequence[Trace]) -> tuple[list[CalibrationBin], float]:
    """Compare the probabilities of the likeliest tokens with how often these tokens followed.

    All alternatives of a trace count as predictions. Of those with a probability of about 0.3, three in ten should come
    true.

    Returns:
      A bin for each tenth of the range of probabilities, empty ones left out, and the mean distance of predicted and
      observed, weighted by the number of predictions (expected calibration error, Guo et al. 2017,
      https://arxiv.org/abs/1706.04599).
    """
    pairs = [
        (probability, token == target)
        for trace in traces
        for target, alternatives in zip(trace.tokens, trace.alternatives, strict=True)
        for token, probability in alternatives
    ]
    if not pairs:
        return [], float("nan")
    predicted, came = np.array(pairs, np.float64).T
    number = np.minimum((predicted * _BINS).astype(int), _BINS - 1)
    bins = [
        CalibrationBin(float(predicted[at].mean()), float(came[at].mean()), int(at.sum()))
        for k in range(_BINS)
        if (at := number == k).any()
    ]
    return bins, sum(abs(each.predicted - each.observed) * each.predictions for each in bins) / len(pairs)
