"""The report of a run: everything that the page shows, measured from the run directory and the held-out texts.

Each part is measured by itself. A part that a model does not have, such as gates of a simple RNN, is None, and
``absent`` says why in a sentence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from flaxchar.analysis.baselines import baselines
from flaxchar.analysis.classify import ClassificationReport, classify, judge
from flaxchar.config import Config, InputError
from flaxchar.data.cache import EncodedCorpus, encode_corpus
from flaxchar.data.corpus import Corpus, read_again
from flaxchar.data.examples import Example
from flaxchar.insight.classes import ClassNeuron, find_class_neuron
from flaxchar.insight.embedding import EmbeddingMap, embedding_map
from flaxchar.insight.memory import ContextLoss, LayerMemory, context_losses, layer_memories
from flaxchar.insight.neurons import Neuron, find_neurons
from flaxchar.insight.passages import choose_passages
from flaxchar.insight.surprise import CalibrationBin, PositionBits, bits_by_position, calibration, rank
from flaxchar.insight.trace import Trace, mean_states, trace_many
from flaxchar.insight.written import Copying, Written, measure_copying, write_samples
from flaxchar.models.charlm import count_params
from flaxchar.models.trained import TrainedModel
from flaxchar.training.run_directory import METRICS, Run

Part = TypeVar("Part")
# Texts whose gates are looked at; gates need several times the memory of hidden states.
_GATED = 60
_CLASSIFIED = 400


@dataclasses.dataclass
class Report:
    """What a report shows.

    Attributes:
      name: name of the run's folder.
      trained: the model.
      record: what ``config.json`` says of the texts; empty for a model that was saved by itself.
      steps: steps of the run so far.
      seconds: seconds of training.
      best: step and held-out bits of the best checkpoint; the bits are None where nothing was held out.
      parameters: number of parameters.
      training_curve: step and bits per character of the training texts.
      held_out_curve: step and bits per character of the held-out texts.
      baselines: bits per character of other models, by name.
      floor: the entropy of the texts, where it is known.
      changed: whether the texts have changed since the model was trained on them.
      texts: the held-out texts that were looked at.
      traces: their traces.
      absent: for each part that is not there, a sentence that says why.
    """

    name: str
    trained: TrainedModel
    record: dict[str, Any]
    steps: int
    seconds: float
    best: tuple[int, float | None]
    parameters: int
    training_curve: list[tuple[float, float]]
    held_out_curve: list[tuple[float, float]]
    baselines: dict[str, float]
    floor: float | None
    changed: bool = False
    texts: list[Example] = dataclasses.field(default_factory=list)
    traces: list[Trace] = dataclasses.field(default_factory=list)
    ranking: list[int] = dataclasses.field(default_factory=list)
    samples: dict[float, list[Written]] | None = None
    copying: Copying | None = None
    positions: list[PositionBits] | None = None
    calibration: tuple[list[CalibrationBin], float] | None = None
    neurons: list[Neuron] | None = None
    class_neuron: ClassNeuron | None = None
    classification: ClassificationReport | None = None
    memories: list[LayerMemory] | None = None
    contexts: list[ContextLoss] | None = None
    embedding: EmbeddingMap | None = None
    absent: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The run's settings."""
        return self.trained.config

    @property
    def classifies(self) -> bool:
        """Whether the model is a classifier."""
        return self.trained.vocabulary.classifies


def make_report(path: Path, label_field: str | None = None) -> Report:
    """Measure everything that a report shows.

    Args:
      path: the run directory.
      label_field: the field with the class of each text, for a run that was trained without labels: the search for the
        class neuron reads the texts once more with it.

    Raises:
      InputError: there is no run with a model in the folder, or ``label_field`` cannot be used.
    """
    run = Run.open(path)
    try:
        trained = run.load_model()
        report = _described(run, trained)
        corpus = _read_corpus(report)
        _add_baselines(report, run, corpus)
    finally:
        run.close()
    if not report.classifies:
        _add_written(report, corpus)
    if corpus is not None and len(corpus.held_out):
        _add_held_out(report, corpus)
        _add_classes(report, corpus, label_field)
    elif label_field is not None:
        raise InputError(f"`label_field` has no use here: {report.absent['held_out'].rstrip('.')}")
    report.embedding = embedding_map(trained)
    return report


def _described(run: Run, trained: TrainedModel) -> Report:
    """What the run directory itself says."""
    last = run.checkpoints.last_step() or 0
    records = run.read(METRICS, last)
    curves: dict[str, list[tuple[float, float]]] = {"bits_per_character": [], "held_out_bits_per_character": []}
    for record in records:
        for name, curve in curves.items():
            value = record.get(name)
            if isinstance(value, int | float) and np.isfinite(value):
                curve.append((record["step"], float(value)))
    best = run.checkpoints.best()
    assert best is not None, "a model was loaded from it"
    texts = run.record.get("texts") or {}
    return Report(
        path_name(run.path),
        trained,
        texts,
        last,
        sum(float(record.get("seconds", 0.0)) for record in records),
        best,
        count_params(trained.params),
        curves["bits_per_character"],
        curves["held_out_bits_per_character"],
        {},
        texts.get("floor"),
    )


def path_name(path: Path) -> str:
    """The name of a folder, also of ``.``."""
    return path.absolute().name or str(path)


def _read_corpus(report: Report) -> Corpus | None:
    """The corpus of the run; None, with a sentence in ``absent``, where it cannot be read or nothing is held out."""
    try:
        corpus = read_again(report.config)
    except InputError as error:
        report.absent["held_out"] = f"The texts of this run cannot be read again: {error}."
        report.absent["copying"] = report.absent["held_out"]
        return None
    report.changed = "floor" in report.record and report.record["sha256"] != corpus.fingerprint()
    if not len(corpus.held_out):
        report.absent["held_out"] = (
            "No texts were held out of training (val_fraction, val_data), so there are none to measure the model on."
        )
    return corpus


def _add_baselines(report: Report, run: Run, corpus: Corpus | None) -> None:
    """Baselines: as the run has measured them, or measured now."""
    if report.classifies or corpus is None or not len(corpus.held_out):
        report.absent["baselines"] = (
            "Baselines predict characters, and this model predicts labels."
            if report.classifies
            else report.absent["held_out"]
        )
        return

    def measure() -> dict[str, float]:
        encoded: EncodedCorpus = encode_corpus(corpus, report.config.data, like=run.vocabulary)
        return baselines(encoded, report.config.data.bos)

    if run.has_baselines or not report.changed:
        report.baselines = run.baselines(measure)


def _add_written(report: Report, corpus: Corpus | None) -> None:
    trained, sources = report.trained, []
    if trained.vocabulary.source_end is not None:
        if corpus is None:
            report.absent["samples"] = f"{report.absent['held_out']} This model writes from sources, so it needs them."
            return
        examples = corpus.held_out if len(corpus.held_out) else corpus.train
        sources = [example.source or "" for _, example in zip(range(4), examples, strict=False)]
    report.samples = write_samples(trained, sources)
    if corpus is not None:
        report.copying = measure_copying(trained, corpus.train, sources)


def _add_held_out(report: Report, corpus: Corpus) -> None:
    """Everything that is measured on held-out texts."""
    trained, settings = report.trained, report.config.model
    report.texts = choose_passages(report.config, corpus.held_out)
    if report.classifies:
        report.absent["held_out"] = "This model predicts the label of a whole text and no characters."
        return
    report.traces = trace_many(trained, report.texts, unknown="drop")
    report.ranking = rank(report.traces)
    report.positions = bits_by_position(report.traces)
    report.calibration = calibration(report.traces)
    report.neurons = find_neurons(report.traces)
    gated = trace_many(trained, report.texts[:_GATED], alternatives=0, gates=True, unknown="drop")
    report.memories = layer_memories(settings.cell, gated) or None
    if report.memories is None:
        report.absent["memories"] = f"The cell {settings.cell} has no gates."
    report.contexts = _try(report, "contexts", lambda: context_losses(trained, report.texts))


def _add_classes(report: Report, corpus: Corpus, label_field: str | None) -> None:
    """The class neuron and the quality of the classification, on held-out texts with labels."""
    trained = report.trained
    labelled = [example for example in report.texts if example.label is not None]
    if label_field is not None and not labelled:
        labelled = _with_labels(report, label_field)
    if not labelled:
        report.absent["class_neuron"] = (
            "The texts of this run have no labels. If their file has a field with the class of each text, "
            "--label-field names it."
        )
        return
    labels = [example.label or "" for example in labelled]
    plain = [example if trained.vocabulary.labels else example._replace(label=None) for example in labelled]
    states = mean_states(trained, plain)
    report.class_neuron = find_class_neuron(states, labels)
    if report.class_neuron is None:
        report.absent["class_neuron"] = "Fewer than two classes have enough held-out texts to search with."
    if trained.vocabulary.labels:
        chosen = labelled[:_CLASSIFIED]
        report.classification = judge(classify(trained, [e.text for e in chosen]), [e.label or "" for e in chosen])


def _with_labels(report: Report, label_field: str) -> list[Example]:
    """The texts of a report with the labels that ``label_field`` gives them; those without one are left out."""
    if not report.config.data.data and report.config.data.dataset == "headlines":
        raise InputError('the texts of `dataset="headlines"` have no labels')
    again = read_again(report.config.replace(label_field=label_field))
    labels = {example.text: example.label for part in (again.train, again.held_out) for example in part}
    return [text._replace(label=labels[text.text]) for text in report.texts if text.text in labels]


def _try(report: Report, part: str, measure: Callable[[], Part]) -> Part | None:
    """Measure a part; where it cannot be, keep the reason."""
    try:
        return measure()
    except InputError as error:
        sentence = str(error)
        report.absent[part] = sentence[:1].upper() + sentence[1:] + "."
        return None


def findings(report: Report) -> Sequence[str]:
    """The main findings, a line each, for the terminal."""
    lines = []
    step, bits = report.best
    if bits is not None:
        unit = "text" if report.classifies else "char"
        lines.append(f"held-out {bits:.4f} bits/{unit} at step {step:,}")
    if report.copying is not None:
        copying = report.copying
        lines.append(
            f"memorised: {copying.copies} of {copying.samples} samples are copies of a training text; the longest "
            f"copied passage has a median of {copying.quartiles[1]} characters"
        )
    for neuron in report.neurons or ():
        if neuron.found:
            measure = "correlation" if neuron.question.numeric else "AUC"
            lines.append(
                f"{neuron.question.name} unit {neuron.unit.number} of layer {neuron.unit.layer}: {measure} "
                f"{neuron.score:.2f} ({neuron.low:.2f} to {neuron.high:.2f}; chance {neuron.chance:g})"
            )
    if (best := report.class_neuron) is not None:
        lines.append(
            f"class: unit {best.unit.number} of layer {best.unit.layer} tells it for {best.accuracy:.0%} of the texts "
            f"({best.low:.0%} to {best.high:.0%}; chance {best.chance:.0%}), all units {best.all_units:.0%}"
        )
    if report.contexts:
        last = report.contexts[-1]
        enough = next(c for c in report.contexts if c.bits <= last.bits + 0.05)
        lines.append(f"context: {enough.length} characters give all but 0.05 bits of what the longest context gives")
    return lines
