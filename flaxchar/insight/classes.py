"""The class neuron: the one unit that tells the class of a text best (the sentiment neuron of Radford et al. 2017).

https://arxiv.org/abs/1704.01444 found that one unit of a language model trained without labels tells the sentiment of a
review. Here each unit's mean activation over a text is its only feature, and each class a normal distribution of it.
The unit is chosen on training texts, and its accuracy comes from held-out ones. Beside it stand the accuracy of always
naming the most frequent class, and of a linear readout of all units together (ridge regression).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flaxchar.insight.neurons import Unit

# The fewest texts of a class, among those that the unit is chosen on and among those that it is measured on.
FEWEST_TEXTS = 5


class ClassNeuron(NamedTuple):
    """The unit that tells the class best.

    Attributes:
      unit: the unit.
      accuracy: share of the held-out texts whose class it tells.
      low: lower end of the 95 % interval of ``accuracy`` (Wilson 1927).
      high: upper end.
      chance: the accuracy of always naming the most frequent class.
      all_units: the accuracy of a linear readout of all units.
      learned: number of texts that the unit was chosen on.
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
    learned: int
    texts: int
    means: list[float]
    names: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether the unit is better than chance."""
        return self.low > self.chance


class LabelledStates(NamedTuple):
    """The texts in which the class neuron is searched, as mean activations and classes.

    Attributes:
      states: the mean activation of each unit over each text, float32 ``[texts, layers, hidden]``.
      labels: the class of each text.
    """

    states: Float[np.ndarray, "texts layers hidden"]
    labels: Sequence[str]


def find_class_neuron(learned: LabelledStates, held_out: LabelledStates) -> ClassNeuron | None:
    """Search all units for the one that tells the class of a text best.

    Args:
      learned: the texts to choose the unit by.
      held_out: the texts to measure its accuracy on.

    Returns:
      The unit; None if fewer than two classes have ``FEWEST_TEXTS`` texts in both parts.
    """
    counts = [Counter(part.labels) for part in (learned, held_out)]
    names = tuple(sorted(name for name in counts[0] if min(count[name] for count in counts) >= FEWEST_TEXTS))
    if len(names) < 2:
        return None
    (known, numbers), (asked, right) = (_flat(part, names) for part in (learned, held_out))
    hits = _predict(known, numbers, known, len(names)) == numbers[:, None]
    best = int(hits.mean(0).argmax())
    column = slice(best, best + 1)
    accuracy = float((_predict(known[:, column], numbers, asked[:, column], len(names))[:, 0] == right).mean())
    return ClassNeuron(
        Unit(*divmod(best, learned.states.shape[2])),
        accuracy,
        *_wilson(accuracy, len(right)),
        float((right == np.bincount(numbers).argmax()).mean()),
        float((_readout(known, numbers, asked, len(names)) == right).mean()),
        len(numbers),
        len(right),
        [float(asked[right == k, best].mean()) for k in range(len(names))],
        names,
    )


def _flat(part: LabelledStates, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The states of the texts whose class is named, float64 ``[texts, units]``, and the numbers of their classes."""
    chosen = [k for k, label in enumerate(part.labels) if label in names]
    states = part.states[chosen].reshape(len(chosen), -1).astype(np.float64)
    return states, np.array([names.index(part.labels[k]) for k in chosen])


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
