"""The report of a run: everything that the page shows, measured from the run directory and the held-out texts.

Each part is measured by itself. A part that a model does not have, such as gates of a simple RNN, is None, and
``absent`` says why in a sentence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from flaxchar.analysis.baselines import baselines
from flaxchar.analysis.classify import ClassificationReport, classify, judge
from flaxchar.config import Config, InputError
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import Corpus, read_again
from flaxchar.data.examples import Example
from flaxchar.insight.classes import ClassNeuron, LabelledStates, find_class_neuron
from flaxchar.insight.embedding import EmbeddingMap, embedding_map
from flaxchar.insight.memory import ContextLoss, LayerMemory, context_losses, layer_memories
from flaxchar.insight.neurons import Neuron, find_neurons
from flaxchar.insight.passages import choose_passages, evenly_spaced
from flaxchar.insight.surprise import CalibrationBin, PositionBits, bits_by_position, calibration, rank
from flaxchar.insight.trace import Trace, mean_states, trace_many
from flaxchar.insight.written import Copying, Written, measure_copying, write_samples
from flaxchar.models.charlm import count_params
from flaxchar.models.trained import TrainedModel
from flaxchar.storage import StorageError
from flaxchar.training.run_directory import METRICS, Run
from flaxchar.training.saved_model import load_model

Part = TypeVar("Part")
# The most texts whose gates are kept; gates need several times the memory of hidden states.
_GATED = 60
# Training texts that the class neuron is searched in, and texts that are classified.
_SEARCHED, _CLASSIFIED = 1000, 400


@dataclasses.dataclass
class ModelReport:
    """What a report shows.

    Attributes:
      name: name of the run's folder.
      trained: the model.
      record: what ``config.json`` says about the texts; empty for a model that was saved without a run.
      steps: steps of the run so far.
      seconds: seconds of training.
      best: step and held-out bits of the best checkpoint; the bits are None where nothing was held out.
      parameters: number of parameters.
      training_curve: step and bits per character of the training texts.
      held_out_curve: step and bits per character of the held-out texts.
      baselines: bits per character of other models, by name.
      floor: the entropy of the texts, where it is known.
      changed: whether the texts have changed since the model was trained on them.
      texts: the held-out texts that were traced.
      traces: their traces.
      ranking: indices of the traces, the most surprising text first.
      samples: texts that the model wrote, by temperature.
      copying: how much of its texts is copied from the training texts.
      positions: mean bits by position.
      calibration: predicted probabilities beside how often they came true, and the calibration error.
      neurons: for each question the unit that answers it best.
      class_neuron: the unit that tells the class of a text best.
      classification: accuracy and calibration of the labels that the model predicts.
      memories: for each layer, how long its units remember.
      contexts: the loss by length of context.
      embedding: the tokens on a map.
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


def make_report(path: Path, label_field: str | None = None) -> ModelReport:
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
        trained = load_model(run)
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


def _described(run: Run, trained: TrainedModel) -> ModelReport:
    """The parts of a report that the run directory itself holds."""
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
    return ModelReport(
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


def _read_corpus(report: ModelReport) -> Corpus | None:
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


def _add_baselines(report: ModelReport, run: Run, corpus: Corpus | None) -> None:
    """Baselines: as the run has measured them, or measured now."""
    if report.classifies or corpus is None or not len(corpus.held_out):
        report.absent["baselines"] = (
            "Baselines predict characters, and this model predicts labels."
            if report.classifies
            else report.absent["held_out"]
        )
        return

    def measure() -> dict[str, float]:
        encoded = encode_corpus(corpus, report.config.data, like=run.vocabulary)
        return baselines(encoded, report.config.data.bos)

    if run.has_baselines or not report.changed:
        try:
            report.baselines = run.baselines(measure)
        except StorageError:  # a run that can only be read; the page may be written elsewhere
            report.baselines = measure()


def _add_written(report: ModelReport, corpus: Corpus | None) -> None:
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


def _add_held_out(report: ModelReport, corpus: Corpus) -> None:
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


def _add_classes(report: ModelReport, corpus: Corpus, label_field: str | None) -> None:
    """The class neuron and the quality of the classification."""
    trained, vocabulary = report.trained, report.trained.vocabulary
    if vocabulary.labels or corpus.train.labels is not None:
        labels: dict[str, str | None] | None = None
    elif label_field is not None:
        labels = _labels_of_texts(report, label_field)
    else:
        report.absent["class_neuron"] = (
            "The texts of this run have no labels. If their file has a field with the class of each text, "
            "`label_field` names it."
        )
        return
    parts = []
    for examples in (evenly_spaced(corpus.train, _SEARCHED), report.texts):
        names = [example.label if labels is None else labels.get(example.text) for example in examples]
        known = [(e, name) for e, name in zip(examples, names, strict=True) if name is not None]
        if not known:
            report.absent["class_neuron"] = f"No text of this run has a label in the field {label_field}."
            return
        parts.append(LabelledStates(mean_states(trained, [e for e, _ in known]), [name for _, name in known]))
    report.class_neuron = find_class_neuron(*parts)
    if report.class_neuron is None:
        report.absent["class_neuron"] = "Fewer than two classes have enough held-out texts to search with."
    if vocabulary.labels:
        chosen = [example for example in report.texts if example.label is not None][:_CLASSIFIED]
        report.classification = judge(classify(trained, [e.text for e in chosen]), [e.label or "" for e in chosen])


def _labels_of_texts(report: ModelReport, label_field: str) -> dict[str, str | None]:
    """The label that ``label_field`` gives to each text of the run's files."""
    again = read_again(report.config.replace(label_field=label_field))
    return {example.text: example.label for part in (again.train, again.held_out) for example in part}


def _try(report: ModelReport, part: str, measure: Callable[[], Part]) -> Part | None:
    """Measure a part; where it cannot be, keep the reason."""
    try:
        return measure()
    except InputError as error:
        sentence = str(error)
        report.absent[part] = sentence[:1].upper() + sentence[1:] + "."
        return None
