"""Neurons: the units that answer questions about the text best, and how well they answer on texts not searched.

A unit answers a yes-or-no question by being higher where the answer is yes. Its score is the area under the ROC curve
(Fawcett 2006, https://doi.org/10.1016/j.patrec.2005.10.010): the probability that the unit is higher at a random
position with yes than at one with no. 0.5 is chance, however rare yes is. A unit that is lower where the answer is yes
counts as its negative. For a question with numbers the score is Pearson's correlation, where 0 is chance.

All units are searched, so the best score on the searched texts is too high by luck. The score that is reported comes
from other texts. Its 95 % interval is from resampling those texts, because positions of one text are not independent
(Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flaxchar.insight.passages import halves
from flaxchar.insight.questions import QUESTIONS, Question
from flaxchar.insight.trace import Trace

# Levels to which activations are rounded between a unit's lowest and highest value.
_LEVELS = 64
_RESAMPLINGS = 400
# A question is asked only if each half has this many texts, and this many positions, with either answer.
FEWEST_TEXTS, FEWEST_POSITIONS = 3, 20


class Unit(NamedTuple):
    """A unit of the network; both numbers count from 0."""

    layer: int
    number: int


class Neuron(NamedTuple):
    """The unit that answers a question best.

    Attributes:
      question: the question.
      unit: the unit.
      sign: 1 if the unit is high where the answer is yes or large, -1 if it is low.
      searched: its score on the texts of the search, 0.5 to 1 or 0 to 1.
      score: its score on the other texts.
      low: lower end of the 95 % interval of ``score``.
      high: upper end.
      chance: the score of a unit that knows nothing: 0.5, or 0 for a question with numbers.
      positions: number of positions of the other texts.
      share: share of them where the answer is yes; the mean answer for a question with numbers.
    """

    question: Question
    unit: Unit
    sign: int
    searched: float
    score: float
    low: float
    high: float
    chance: float
    positions: int
    share: float

    @property
    def found(self) -> bool:
        """Whether the unit is better than chance: the interval lies above it."""
        return self.low > self.chance

    @property
    def direction(self) -> str:
        """What to add to the unit's name where the unit is low instead of high; empty where it is high."""
        if self.sign > 0:
            return ""
        return ", lower where the number is larger" if self.question.numeric else ", lower where the answer is yes"


def find_neurons(traces: Sequence[Trace], questions: Sequence[Question] = QUESTIONS) -> list[Neuron]:
    """Search all units for the one that answers each question best.

    The search uses every other text, the score the rest.

    Args:
      traces: traces of held-out texts.
      questions: the questions.

    Returns:
      A neuron for each question whose answers vary in both halves of the texts.

    Example::

        neurons = find_neurons(trace_many(lm, choose_passages(lm.config, corpus.held_out)))
        neurons[0].unit, neurons[0].score  # Unit(layer=0, number=93), 0.98
    """
    traces = [trace for trace in traces if len(trace.tokens)]
    searched, reported = halves(len(traces))
    if not reported:
        return []
    parts = [[traces[k] for k in part] for part in (searched, reported)]
    levels, shape = _levels(parts[0]), parts[0][0].activations.shape
    neurons = []
    for question in questions:
        answers = [[question.answers(trace) for trace in part] for part in parts]
        if all(_varies(part) for part in answers):
            neurons.append(_best(question, parts, answers, levels, shape[2]))
    return neurons


def _varies(answers: Sequence[np.ndarray]) -> bool:
    """Whether both answers occur in enough texts and at enough positions of a part."""
    together = np.concatenate(answers)
    rarer = min((together > 0).sum(), (together <= 0).sum())
    texts = min(sum((a > 0).any() for a in answers), sum((a <= 0).any() for a in answers))
    return bool(rarer >= FEWEST_POSITIONS and texts >= FEWEST_TEXTS)


def _levels(traces: Sequence[Trace]) -> np.ndarray:
    """Activations rounded to levels, uint8 ``[layers * hidden, positions]``."""
    states = np.concatenate([trace.activations for trace in traces], axis=1)  # [layers, positions, hidden]
    states = np.swapaxes(states, 1, 2).reshape(-1, states.shape[1])
    return _rounded(states)


def _rounded(values: Float[np.ndarray, "units positions"]) -> Int[np.ndarray, "units positions"]:
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    return ((values - low) * ((_LEVELS - 1) / np.maximum(high - low, 1e-12))).astype(np.uint8)


def _best(
    question: Question,
    parts: Sequence[Sequence[Trace]],
    answers: Sequence[Sequence[np.ndarray]],
    levels: np.ndarray,
    hidden: int,
) -> Neuron:
    """The unit with the best score in the first part, scored in the second."""
    wanted = np.concatenate(answers[0])
    if question.numeric:
        scores = _correlations(levels, wanted)
        best = int(np.abs(scores).argmax())
        sign, searched, chance = 1 if scores[best] > 0 else -1, float(abs(scores[best])), 0.0
    else:
        scores = np.array([_area(unit, wanted > 0) for unit in levels])
        best = int(np.abs(scores - 0.5).argmax())
        sign, chance = 1 if scores[best] > 0.5 else -1, 0.5
        searched = float(max(scores[best], 1 - scores[best]))
    unit = Unit(*divmod(best, hidden))
    values = [sign * trace.activations[unit.layer, :, unit.number].astype(np.float64) for trace in parts[1]]
    resampled = (resampled_correlations if question.numeric else resampled_areas)(values, answers[1])
    low, high = np.quantile(resampled[1:], (0.025, 0.975))
    together = np.concatenate(answers[1])
    return Neuron(
        question, unit, sign, searched, float(resampled[0]), float(low), float(high), chance, len(together),
        float(together.mean()),
    )  # fmt: skip


def _correlations(levels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each unit with the answers, ``[units]``; 0 for a unit that never changes."""
    wanted = wanted - wanted.mean()
    result = np.zeros(len(levels))
    for k, unit in enumerate(levels):
        centred = unit - unit.mean()
        scale = np.sqrt((centred @ centred) * (wanted @ wanted))
        result[k] = centred @ wanted / scale if scale > 0 else 0.0
    return result


def _area(levels: np.ndarray, yes: np.ndarray) -> float:
    """Area under the ROC curve of one unit, from its levels ``[positions]`` and the answers, bool ``[positions]``."""
    counts = np.bincount(levels, minlength=_LEVELS)
    positive = np.bincount(levels[yes], minlength=_LEVELS)
    return float(_areas(positive[None], (counts - positive)[None])[0])


def _areas(yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """Areas under ROC curves from how often each level occurs with either answer, both ``[curves, levels]``."""
    below = np.cumsum(no, 1) - no
    pairs = yes.sum(1) * no.sum(1)
    return (yes * (below + no / 2)).sum(1) / np.maximum(pairs, 1e-300)


def _resamplings(count: int) -> np.ndarray:
    """How often each text occurs in each resampling, ``[1 + resamplings, texts]``; the first row has each text once."""
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLINGS)
    return np.concatenate([np.ones((1, count)), drawn])


def resampled_areas(values: Sequence[np.ndarray], answers: Sequence[np.ndarray]) -> np.ndarray:
    """Areas under the ROC curve of one unit over resampled texts.

    Args:
      values: the unit's activations in each text, ``[time]``.
      answers: the right answers in each text, ``[time]``, above 0 for yes.

    Returns:
      ``[1 + resamplings]``: first the area over the texts as they are.
    """
    levels = np.split(_rounded(np.concatenate(values)[None])[0], np.cumsum([len(v) for v in values])[:-1])
    counts = np.stack(
        [
            [
                np.bincount(level[(answer > 0) == yes], minlength=_LEVELS)
                for level, answer in zip(levels, answers, strict=True)
            ]
            for yes in (True, False)
        ]
    )  # [yes and no, texts, levels]
    yes, no = _resamplings(len(values)) @ counts
    return _areas(yes, no)


def resampled_correlations(values: Sequence[np.ndarray], answers: Sequence[np.ndarray]) -> np.ndarray:
    """Pearson's correlation of one unit with numbers over resampled texts; see ``resampled_areas``."""
    sums = np.array(
        [(len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y) for x, y in zip(values, answers, strict=True)]
    )  # [texts, 6]
    n, x, y, xx, yy, xy = (_resamplings(len(values)) @ sums).T
    scale = np.sqrt(np.maximum((n * xx - x * x) * (n * yy - y * y), 1e-300))
    return (n * xy - x * y) / scale
