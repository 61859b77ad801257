"""The class neuron: the one unit that tells the class of a text best (the sentiment neuron of Radford et al. 2017).

https://arxiv.org/abs/1704.01444 found that one unit of a language model trained without labels tells the sentiment of a
review. Here each unit's mean activation over a text is its only feature, and each class a normal distribution of it.
The unit is chosen on every other text, and its accuracy comes from the rest. Beside it stand the accuracy of always
naming the most frequent class, and of a linear readout of all units together (ridge regression).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flaxchar.insight.neurons import Unit
from flaxchar.insight.passages import halves

# Texts of each class in each half, at least.
FEWEST_TEXTS = 5


class ClassNeuron(NamedTuple):
    """The unit that tells the class best.

    Attributes:
      unit: the unit.
      accuracy: share of the other texts whose class it tells.
      low: lower end of the 95 % interval of ``accuracy`` (Wilson 1927).
      high: upper end.
      chance: the accuracy of always naming the most frequent class.
      all_units: the accuracy of a linear readout of all units.
      texts: number of texts that ``accuracy`` is measured on.
      means: the unit's mean activation over the texts of each class, in the order of the names.
      names: the classes.
    """

    unit: Unit
    accuracy: float
    low: float
    high: float
    chance: float
    all_units: float
    texts: int
    means: list[float]
    names: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether the unit is better than chance."""
        return self.low > self.chance


def find_class_neuron(states: Float[np.ndarray, "texts layers hidden"], labels: Sequence[str]) -> ClassNeuron | None:
    """Search all units for the one that tells the class of a text best.

    Args:
      states: the mean activation of each unit over each text.
      labels: the class of each text.

    Returns:
      The unit; None if fewer than two classes have ``FEWEST_TEXTS`` texts in either half.
    """
    names = tuple(sorted(set(labels)))
    numbers = np.array([names.index(label) for label in labels])
    parts = [np.array(part, int) for part in halves(len(labels))]
    enough = [k for k in range(len(names)) if min((numbers[part] == k).sum() for part in parts) >= FEWEST_TEXTS]
    if len(enough) < 2:
        return None
    names = tuple(names[k] for k in enough)
    known = np.isin(numbers, enough)
    numbers = np.searchsorted(enough, numbers)
    searched, reported = (part[known[part]] for part in parts)
    flat = states.reshape(len(states), -1).astype(np.float64)
    hits = _predict(flat[searched], numbers[searched], flat[searched], len(names)) == numbers[searched, None]
    best = int(hits.mean(0).argmax())
    column = slice(best, best + 1)
    predicted = _predict(flat[searched, column], numbers[searched], flat[reported, column], len(names))[:, 0]
    accuracy = float((predicted == numbers[reported]).mean())
    together = _readout(flat[searched], numbers[searched], flat[reported], len(names))
    frequent = np.bincount(numbers[searched]).argmax()
    return ClassNeuron(
        Unit(*divmod(best, states.shape[2])),
        accuracy,
        *_wilson(accuracy, len(reported)),
        float((numbers[reported] == frequent).mean()),
        float((together == numbers[reported]).mean()),
        len(reported),
        [float(flat[reported][numbers[reported] == k, best].mean()) for k in range(len(names))],
        names,
    )


def _predict(
    learned: Float[np.ndarray, "learned units"],
    numbers: Int[np.ndarray, " learned"],
    asked: Float[np.ndarray, "asked units"],
    classes: int,
) -> Int[np.ndarray, "asked units"]:
    """The most probable class of each text by each unit alone: a normal distribution for each class."""
    spread = 1e-3 * learned.std(0) + 1e-9
    scores = []
    for k in range(classes):
        own = learned[numbers == k]
        scale = own.std(0) + spread
        scores.append(math.log(len(own)) - np.log(scale) - ((asked - own.mean(0)) / scale) ** 2 / 2)
    return np.argmax(scores, axis=0)


def _readout(learned: np.ndarray, numbers: np.ndarray, asked: np.ndarray, classes: int) -> np.ndarray:
    """The class of each text by ridge regression on all units, ``[asked]``."""
    mean, scale = learned.mean(0), learned.std(0) + 1e-9
    features, targets = (learned - mean) / scale, np.eye(classes)[numbers]
    kernel = features @ features.T + len(features) * np.eye(len(features))
    weights = np.linalg.solve(kernel, targets - targets.mean(0))
    return ((asked - mean) / scale @ (features.T @ weights) + targets.mean(0)).argmax(1)


def _wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``count`` independent trials."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half
