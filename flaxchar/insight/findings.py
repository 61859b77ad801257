"""The main findings of a report as lines for the terminal."""

from __future__ import annotations

from flaxchar.insight.memory import ENOUGH_BITS, enough_context
from flaxchar.insight.report import ModelReport


def findings(report: ModelReport) -> list[str]:
    """The result, what is memorised, the units that are better than chance, and how much context helps."""
    return [*_result(report), *_units(report), *_context(report)]


def _result(report: ModelReport) -> list[str]:
    lines = []
    step, bits = report.best
    if bits is not None:
        lines.append(f"held-out {bits:.4f} bits/{'text' if report.classifies else 'char'} at step {step:,}")
    if (copying := report.copying) is not None:
        part = ""
        if copying.indexed < copying.texts:
            part = f" (passages searched in {copying.indexed:,} of the {copying.texts:,} training texts)"
        lines.append(
            f"memorised: {copying.copies} of {copying.samples} samples are copies of a training text; the longest "
            f"passage that a sample shares with one has a median of {copying.quartiles[1]} characters{part}"
        )
    return lines


def _units(report: ModelReport) -> list[str]:
    lines = []
    for neuron in report.neurons or ():
        name, measure = neuron.question.name, "correlation" if neuron.question.numeric else "AUC"
        if neuron.found:
            lines.append(
                f"{name}{':' * (not name.endswith('?'))} unit {neuron.unit.number} of layer {neuron.unit.layer}"
                f"{neuron.direction}: {measure} {neuron.score:.2f} "
                f"({neuron.low:.2f} to {neuron.high:.2f}; chance {neuron.chance:g})"
            )
    if (best := report.class_neuron) is not None:
        luck = "" if best.found else ", not better than chance"
        lines.append(
            f"class: unit {best.unit.number} of layer {best.unit.layer} tells it for {best.accuracy:.0%} of the texts "
            f"({best.low:.0%} to {best.high:.0%}; chance {best.chance:.0%}){luck}; all units: {best.all_units:.0%}"
        )
    return lines


def _context(report: ModelReport) -> list[str]:
    if not report.contexts:
        return []
    enough = enough_context(report.contexts)
    unit = "word" if report.config.data.unit == "word" else "character"
    near = f"within {ENOUGH_BITS} bits of the longest context"
    last = f"the last {unit} is" if enough.length == 1 else f"the last {enough.length} {unit}s are"
    return [f"context: {last} enough to come {near}"]
