"""``flaxchar classify``: the label of each text under a model, or how often the model is right."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flaxchar.commands import process
from flaxchar.commands.options import TextOptions, parse
from flaxchar.config import InputError
from flaxchar.validation import setting

if TYPE_CHECKING:
    import numpy as np

_BINS = 10


@dataclasses.dataclass(frozen=True)
class ClassifyOptions(TextOptions):
    """Print the most probable label of each text, with its probability.

    With `label_field`, the field of the true labels, print accuracy, confusion matrix and calibration instead.
    """

    json: bool = setting(False, "Print one JSON object per text, with the probability of every label.", switch=True)


def classify(arguments: Sequence[str]) -> int:
    """Run ``flaxchar classify`` and return the exit status."""
    options = parse(ClassifyOptions, "classify", arguments).options
    labels, texts = options.read_labelled_texts()
    if not texts:
        raise InputError("there is no text to classify")
    lm = process.load_model(options.workdir)

    from flaxchar.commands.terminal import SHOWN, printable
    from flaxchar.language_model import class_probabilities

    probabilities, names = class_probabilities(lm.class_nats(texts)), lm.vocabulary.labels
    if options.label_field is not None and not options.json:
        print("\n".join(_evaluate(probabilities, _indices(labels, names), names)))
        return 0
    for text, row in zip(texts, probabilities, strict=True):
        label = names[int(row.argmax())]
        if options.json:
            record = {"label": label, "probabilities": dict(zip(names, row.round(6).tolist(), strict=True))}
            print(json.dumps({**record, "text": text}, ensure_ascii=False))
        else:
            print(f"{label}  {row.max():.3f}  {printable(text)[:SHOWN]}")
    return 0


def _indices(labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The index of each label among the names of a model's labels."""
    import numpy as np

    if unknown := sorted(set(labels) - set(names)):
        raise InputError(
            f"`label_field` holds the label {unknown[0]!r}, which the model does not know; it knows {', '.join(names)}"
        )
    return np.array([names.index(label) for label in labels])


def _evaluate(probabilities: np.ndarray, true: np.ndarray, names: Sequence[str]) -> list[str]:
    """Accuracy, confusion matrix and calibration in lines.

    Args:
      probabilities: of each label, ``[texts, labels]``.
      true: index of the true label, ``[texts]``.
      names: of the labels.
    """
    import numpy as np

    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    correct = predicted == true
    lines = [
        f"accuracy {correct.mean():.1%} on {len(true):,} texts",
        "",
        "true label (rows), predicted label (columns):",
    ]
    width = max(6, *map(len, names))
    lines.append(" " * width + "".join(f"  {name:>{width}}" for name in names))
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (true, predicted), 1)
    for name, row in zip(names, confusion, strict=True):
        lines.append(f"{name:>{width}}" + "".join(f"  {count:>{width},}" for count in row))
    lines += ["", "confidence  accuracy"]
    error = 0.0
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    for k in range(_BINS):
        if count := int((bins == k).sum()):
            confident, right = confidence[bins == k].mean(), correct[bins == k].mean()
            error += count / len(true) * abs(confident - right)
            lines.append(f"    {confident:6.1%}    {right:6.1%}  ({count:,} texts)")
    lines.append(f"expected calibration error: {error:.3f} (Guo et al. 2017, https://arxiv.org/abs/1706.04599)")
    return lines
