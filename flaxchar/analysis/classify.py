"""Classification: the probability of each label for a text, and the quality of these probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flaxchar.config import InputError
from flaxchar.data.examples import Example, Examples
from flaxchar.data.labels import find_label
from flaxchar.generation.given import given_examples
from flaxchar.models.evaluation import score_texts
from flaxchar.models.trained import TrainedModel

CALIBRATION_BINS = 10


class Classification(NamedTuple):
    """The label probabilities of texts.

    Attributes:
      names: names of all labels, one for each column of ``probabilities``.
      probabilities: float64 ``[texts, labels]``; each row sums to 1.
    """

    names: tuple[str, ...]
    probabilities: np.ndarray

    @property
    def labels(self) -> list[str]:
        """The most probable label of each text."""
        return [self.names[k] for k in self.probabilities.argmax(1)]


def class_nats(trained: TrainedModel, texts: Sequence[str]) -> np.ndarray:
    """Cross-entropy of each text given each label, in nats, float64 ``[texts, labels]``.

    A classifier gives the cross-entropy of each label given the text. Characters outside the vocabulary are left out.

    Raises:
      InputError: the model was trained without labels.
    """
    vocabulary = trained.vocabulary
    if not vocabulary.labels:
        raise InputError("the model knows no labels; it was trained without them")
    columns = []
    for label in vocabulary.labels:
        encoded, _ = vocabulary.encode_examples(Examples.of([Example(text, label=label) for text in texts]))
        columns.append(score_texts(trained.model, trained.params, encoded, vocabulary.eos, bos=False).nats)
    return np.stack(columns, axis=1).astype(np.float64)


def class_probabilities(nats: np.ndarray) -> np.ndarray:
    """Bayes' rule with equal prior probabilities: nats ``[texts, labels]`` → probabilities ``[texts, labels]``."""
    likelihoods = np.exp(nats.min(axis=1, keepdims=True) - nats)
    return likelihoods / likelihoods.sum(axis=1, keepdims=True)


def classify(trained: TrainedModel, texts: Sequence[str]) -> Classification:
    """Probabilities of the labels for each text.

    For a language model trained with labels, Bayes' rule with equal priors turns P(text | label) into P(label | text).
    A classifier has learned P(label | text) itself.

    Raises:
      InputError: there is no text, or the model was trained without labels.
    """
    if not texts:
        raise InputError("there is no text to classify")
    given = [example.text for example in given_examples(trained, [Example(text) for text in texts], replace=True)]
    return Classification(trained.vocabulary.labels, class_probabilities(class_nats(trained, given)))


class ClassificationReport(NamedTuple):
    """Quality of a classification.

    Attributes:
      accuracy: share of the texts whose most probable label is the right one.
      confusion: number of texts with right label ``i`` and most probable label ``j``, int64 ``[labels, labels]``.
      bins: ``(mean confidence, accuracy, number of texts)`` for each tenth of the range of confidences, empty ones left
        out. The confidence is the probability of the most probable label.
      calibration_error: expected calibration error (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
    """

    accuracy: float
    confusion: np.ndarray
    bins: list[tuple[float, float, int]]
    calibration_error: float


def judge(classification: Classification, right: Sequence[str]) -> ClassificationReport:
    """Compare a classification with the right labels.

    Raises:
      InputError: a right label is not one of the model's.
    """
    names, probabilities = classification.names, classification.probabilities
    rows = np.array([_row(name, names) for name in right])
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    hits = predicted == rows
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (rows, predicted), 1)
    number = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins = [
        (float(confidence[number == k].mean()), float(hits[number == k].mean()), int((number == k).sum()))
        for k in np.unique(number)
    ]
    error = sum(count / len(rows) * abs(mean - accuracy) for mean, accuracy, count in bins)
    return ClassificationReport(float(hits.mean()), confusion, bins, error)


def _row(name: str, names: Sequence[str]) -> int:
    row = find_label(name, names)
    if row is None:
        raise InputError(f"{name!r} is no label of the model; its labels are {', '.join(map(repr, names[:20]))}")
    return row
