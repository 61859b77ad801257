"""The findings: only units that are better than chance are named, and a class neuron that is not says so."""

from __future__ import annotations

import types

from flaxchar import Config
from flaxchar.insight.classes import ClassNeuron
from flaxchar.insight.findings import findings
from flaxchar.insight.memory import ContextLoss
from flaxchar.insight.neurons import Neuron, Unit
from flaxchar.insight.questions import QUESTIONS


def test_chance_is_told_from_findings():
    neurons = [
        Neuron(QUESTIONS[1], Unit(0, 7), -1, 0.9, 0.85, 0.8, 0.9, 0.5, 100, 0.1),
        Neuron(QUESTIONS[3], Unit(1, 2), -1, 0.4, 0.1, -0.1, 0.3, 0.0, 100, 2.0),
    ]
    report = types.SimpleNamespace(
        best=(120, 1.5),
        classifies=False,
        copying=None,
        neurons=neurons,
        class_neuron=ClassNeuron(Unit(0, 3), 0.3, 0.2, 0.4, 0.25, 0.6, 1000, 380, [0.1, 0.2], ("a", "b")),
        contexts=[ContextLoss(1, 3.0, 0.1, 1.0), ContextLoss(2, 2.04, 0.1, 0.9), ContextLoss(4, 2.0, 0.1, 0.0)],
        config=Config(),
    )
    assert findings(report) == [
        "held-out 1.5000 bits/char at step 120",
        "Inside brackets? unit 7 of layer 0, lower where the answer is yes: AUC 0.85 (0.80 to 0.90; chance 0.5)",
        "class: unit 3 of layer 0 tells it for 30% of the texts (20% to 40%; chance 25%), not better than chance; "
        "all units: 60%",
        "context: the last 2 characters are enough to come within 0.05 bits of the longest context",
    ]
    report.contexts = [ContextLoss(1, 2.0, 0.1, 1.0), ContextLoss(2, 2.0, 0.1, 0.0)]
    assert findings(report)[-1].startswith("context: the last character is enough to come within")
