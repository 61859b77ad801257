"""``flaxchar classify``: the label of each text under a model, or how often the model is right."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flaxchar.commands import process
from flaxchar.commands.options import TextOptions, parse
from flaxchar.commands.output import print_json
from flaxchar.config import InputError
from flaxchar.validation import counted, setting

if TYPE_CHECKING:
    from flaxchar.analysis.classify import ClassificationReport


@dataclasses.dataclass(frozen=True)
class ClassifyOptions(TextOptions):
    """Print the most probable label of each text, with its probability.

    With `label_field`, the field of the true labels, print accuracy, confusion matrix and calibration instead. With
    `json` as well, print the predicted and the true label of each text.
    """

    json: bool = setting(False, "Print one JSON object per text, with the probability of every label.", switch=True)


def classify(arguments: Sequence[str]) -> int:
    """Run ``flaxchar classify`` and return the exit status."""
    options = parse(ClassifyOptions, "classify", arguments).options
    examples = options.read(options.files)
    if not examples:
        raise InputError("there is no text to classify")
    lm = process.load_model(options.workdir)

    from flaxchar.analysis.classify import judge
    from flaxchar.commands.output import printable
    from flaxchar.commands.terminal import shorten
    from flaxchar.data.labels import find_label

    classification = lm.classify([example.text for example in examples])
    if options.label_field is not None and not options.json:
        true = [example.label for example in examples if example.label is not None]
        print("\n".join(_report(judge(classification, true), list(map(printable, classification.names)))))
        return 0
    for example, label, row in zip(examples, classification.labels, classification.probabilities, strict=True):
        if options.json:
            probabilities = dict(zip(classification.names, row.round(6).tolist(), strict=True))
            record: dict[str, object] = {"label": label}
            if example.label is not None:
                known = find_label(example.label, classification.names)
                record["true_label"] = example.label if known is None else classification.names[known]
            print_json(record | {"probabilities": probabilities, "text": example.text})
        else:
            print(f"{printable(label)}  {row.max():.3f}  {shorten(example.text)}")
    return 0


def _report(report: ClassificationReport, names: Sequence[str]) -> list[str]:
    """Accuracy, confusion matrix and calibration in lines; ``names`` are those of the labels."""
    lines = [f"accuracy {report.accuracy:.1%} on {counted(report.confusion.sum(), 'text')}"]
    lines += ["", "true label (rows), predicted label (columns):"]
    width = max(6, *map(len, names))
    lines.append(" " * width + "".join(f"  {name:>{width}}" for name in names))
    for name, row in zip(names, report.confusion, strict=True):
        lines.append(f"{name:>{width}}" + "".join(f"  {count:>{width},}" for count in row))
    lines += ["", "confidence  accuracy"]
    lines += [f"    {sure:6.1%}    {right:6.1%}  ({counted(count, 'text')})" for sure, right, count in report.bins]
    error = report.calibration_error
    lines.append(f"expected calibration error: {error:.3f} (Guo et al. 2017, https://arxiv.org/abs/1706.04599)")
    return lines
