"""The painted texts of the page: surprise with its alternatives, and units at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flaxchar.insight.neurons import Neuron
from flaxchar.insight.paint import Cell, Span, legible, paint_bits, paint_unit, visible
from flaxchar.insight.passages import halves
from flaxchar.insight.report import ModelReport
from flaxchar.insight.surprise import bits_per_character
from flaxchar.insight.trace import Trace
from flaxchar.insight.written import Written

# Texts of each group, and texts of each unit.
_SHOWN, _EXTREME, _PER_UNIT = 6, 4, 2
# A beginning that is shown of a source.
_TAG = 60


class PassagePainter:
    """Paints texts by their bits, and collects the alternatives that the page's script shows.

    Attributes:
      alternatives: for each painted text and cell, the token, bits and alternatives of each position in it.
    """

    def __init__(self, report: ModelReport) -> None:
        self._report = report
        self.alternatives: dict[str, list[list[tuple[str, float, list[tuple[str, float]]]]]] = {}

    def groups(self) -> list[dict[str, Any]]:
        """The texts to show: evenly spaced ones, and the most and the least surprising."""
        ranking = self._report.ranking
        if len(ranking) <= _SHOWN:
            return [{"title": "The held-out texts, the most surprising first", "texts": [*map(self._text, ranking)]}]
        extreme = min(_EXTREME, len(ranking) // 3)
        in_order = sorted(ranking)
        even = [in_order[k * len(in_order) // _SHOWN] for k in range(_SHOWN)]
        what = "Passages" if self._report.config.data.running else "Texts"
        return [
            {"title": f"{what} from all over", "texts": [*map(self._text, even)]},
            {"title": "The most surprising", "texts": [*map(self._text, ranking[:extreme])]},
            {"title": "The least surprising", "texts": [*map(self._text, ranking[-extreme:][::-1])]},
        ]

    def _text(self, number: int) -> dict[str, Any]:
        trace, example = self._report.traces[number], self._report.texts[number]
        cells = paint_bits(trace)
        name = f"s{len(self.alternatives)}"
        self.alternatives[name] = [self._steps(trace, cell) for cell in cells]
        return {
            "id": name,
            "cells": cells,
            "bits": f"{bits_per_character(trace):.2f}",
            "tag": _shortened(example.label or example.source or ""),
        }

    def _steps(self, trace: Trace, cell: Cell) -> list[tuple[str, float, list[tuple[str, float]]]]:
        return [
            (
                visible(trace.tokens[k]),
                round(float(trace.bits[k]), 3),
                [(visible(token), round(probability, 4)) for token, probability in trace.alternatives[k]],
            )
            for k in range(*cell.positions)
        ]


def neuron_rows(report: ModelReport) -> list[dict[str, Any]]:
    """The units of a report, and texts painted by each."""
    traces = [trace for trace in report.traces if len(trace.tokens)]
    others = [traces[k] for k in halves(len(traces))[1]]
    rows = []
    for neuron in report.neurons or ():
        measure = "r" if neuron.question.numeric else "AUC"
        rows.append(
            {
                "question": neuron.question.name,
                "unit": f"layer {neuron.unit.layer}, unit {neuron.unit.number}{neuron.direction}",
                "score": f"{measure} {neuron.score:.2f}",
                "interval": f"{neuron.low:.2f} to {neuron.high:.2f}",
                "chance": f"{neuron.chance:g}",
                "found": neuron.found,
                "texts": _at_work(neuron, others),
            }
        )
    return rows


def _at_work(neuron: Neuron, traces: Sequence[Trace]) -> list[list[Cell]]:
    """Texts whose answers vary much, painted by a unit; short texts show little, so they are passed over."""
    layer, number = neuron.unit
    usual = float(np.median([len(trace.tokens) for trace in traces]))
    variation = [
        float(neuron.question.answers(trace).std()) if len(trace.tokens) >= usual else -1.0 for trace in traces
    ]
    chosen = np.argsort([-value for value in variation], kind="stable")[:_PER_UNIT]
    values = np.concatenate([trace.activations[layer, :, number] for trace in traces])
    ends = np.quantile(values, (0.02, 0.5, 0.98))[:: neuron.sign].tolist()
    return [paint_unit(traces[k], layer, number, Span(*ends)) for k in chosen]


def sample_groups(samples: dict[float, list[Written]]) -> list[dict[str, Any]]:
    """Samples by temperature."""
    return [
        {
            "temperature": temperature,
            "texts": [{"beginning": _shortened(text.beginning), "text": legible(text.text)} for text in texts],
        }
        for temperature, texts in samples.items()
    ]


def copied_texts(texts: Sequence[Written]) -> list[dict[str, str]]:
    """Texts in three parts: before the longest copied passage, the passage, and after it."""
    parts = []
    for text in texts:
        start, length = text.copied
        before, copied = text.text[:start], text.text[start : start + length]
        after = text.text[start + length :]
        parts.append({"before": legible(before), "copied": legible(copied), "after": legible(after)})
    return parts


def _shortened(text: str) -> str:
    text = legible(" ".join(text.split()))
    return text if len(text) <= _TAG else text[: _TAG - 1] + "…"
