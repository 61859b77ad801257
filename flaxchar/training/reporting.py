"""Reporting: what a run reports while it trains, and the observer that receives it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import jax

from flaxchar.config import Config
from flaxchar.data.batches import TextBatches, WindowBatches
from flaxchar.data.cache import EncodedCorpus
from flaxchar.data.packed import PackedBatches
from flaxchar.hardware import this_hardware
from flaxchar.kernels import build
from flaxchar.kernels.cpu import NATIVE_CELLS
from flaxchar.models.evaluation import Evaluation
from flaxchar.models.lstm import runs_natively
from flaxchar.models.trained import TrainedModel
from flaxchar.training.devices import Layout
from flaxchar.training.loop import Progress
from flaxchar.validation import counted

# Stands between a source and the text written from it when a sample is shown.
SOURCE_END = " → "


@dataclasses.dataclass(frozen=True)
class Sample:
    """A text generated at an evaluation.

    Attributes:
      prompt: the prompt as it is shown, with its label or source.
      temperature: sampling temperature; 0 for greedy sampling.
      text: the whole text, including the prompt.
    """

    prompt: str
    temperature: float
    text: str


@dataclasses.dataclass(frozen=True)
class Report:
    """The progress of a run and its results, at an evaluation or when training begins.

    Attributes:
      step: number of steps taken.
      steps: number of steps of the whole run.
      epoch: number of passes over the texts so far.
      evaluation: the result on the held-out texts; None if there are none, or when training begins.
      samples: texts that the model generated.
      further: whether the run was trained further, so that no number of steps alone repeats it.
      trained: the model that was evaluated, for use before the call returns; None when training begins.
    """

    step: int
    steps: int
    epoch: float
    evaluation: Evaluation | None = None
    samples: tuple[Sample, ...] = ()
    further: bool = False
    trained: TrainedModel | None = None


class Observer:
    """Receives the events of a run and may ask it to stop. This base class ignores all events."""

    def prepared(self, lines: list[str]) -> None:
        """A part of the preparation is done; ``lines`` describe it."""

    def compiling(self, done: int, programs: int) -> None:
        """``done`` of the training step's ``programs`` are compiled; first called with ``done`` 0."""

    def planned(self, at: Report, steps_per_epoch: int) -> None:
        """Training begins or continues from the step ``at.step``."""

    def progressed(self, progress: Progress, steps: int, bits_per_character: float, characters: float) -> None:
        """A stretch of steps is done: its bits per character and the number of characters it has read."""

    def evaluated(self, report: Report) -> None:
        """An evaluation is done."""

    def set_back(self, step: int, to: int, share: float) -> None:
        """Updates were skipped in a row up to ``step``; training goes on from the state of step ``to``.

        ``share`` is the part of the planned learning rate that is used from now on.
        """

    def off_budget(self, seconds: float, budget: float) -> None:
        """The machine's speed has changed: the command will take ``seconds``, not ``budget``. Called at most once."""

    def should_stop(self) -> bool:
        """Whether training should save and stop."""
        return False


class Observers(Observer):
    """Hands each event to several observers, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        """``observers``: each may ask the run to stop."""
        self._observers = observers

    def prepared(self, lines: list[str]) -> None:
        """As ``Observer.prepared``."""
        for observer in self._observers:
            observer.prepared(lines)

    def compiling(self, done: int, programs: int) -> None:
        """As ``Observer.compiling``."""
        for observer in self._observers:
            observer.compiling(done, programs)

    def planned(self, at: Report, steps_per_epoch: int) -> None:
        """As ``Observer.planned``."""
        for observer in self._observers:
            observer.planned(at, steps_per_epoch)

    def progressed(self, progress: Progress, steps: int, bits_per_character: float, characters: float) -> None:
        """As ``Observer.progressed``."""
        for observer in self._observers:
            observer.progressed(progress, steps, bits_per_character, characters)

    def evaluated(self, report: Report) -> None:
        """As ``Observer.evaluated``."""
        for observer in self._observers:
            observer.evaluated(report)

    def set_back(self, step: int, to: int, share: float) -> None:
        """As ``Observer.set_back``."""
        for observer in self._observers:
            observer.set_back(step, to, share)

    def off_budget(self, seconds: float, budget: float) -> None:
        """As ``Observer.off_budget``."""
        for observer in self._observers:
            observer.off_budget(seconds, budget)

    def should_stop(self) -> bool:
        """Whether any of the observers asks to stop."""
        return any([observer.should_stop() for observer in self._observers])


def precision_name(setting: str) -> str:
    """The precision of float32 matrix products on this hardware, in words."""
    if setting == "default" and this_hardware().platform == "gpu" and this_hardware().name.startswith("NVIDIA"):
        return "TF32"
    return "the device's own precision" if setting == "default" and this_hardware().wide else "float32"


def describe(
    corpus: EncodedCorpus,
    config: Config,
    batches: TextBatches | PackedBatches | WindowBatches,
    parameters: int,
    layout: Layout,
) -> list[str]:
    """Lines for the user that describe the vocabulary, the model and the recurrence of a run."""
    vocabulary, noun = corpus.vocabulary, "character" if config.data.unit == "char" else "word"
    others = [
        "padding",
        "<eos>",
        *(["an unknown token"] if vocabulary.has_unknown else []),
        *([f"{len(vocabulary.labels)} labels"] if vocabulary.labels else []),
        *(["the end of a source"] if vocabulary.source_end is not None else []),
    ]
    tokens = sum(token is not None for token in vocabulary.tokens)
    lines = [f"vocabulary: {vocabulary.size:,} ids ({counted(tokens, noun)}, {', '.join(others)})"]
    if missing := corpus.missing:
        shown = ", ".join(map(repr, itertools.islice(missing, 8)))
        number = sum(missing.values())
        lines.append(
            f"the held-out texts hold {counted(number, noun)} that never {'occurs' if number == 1 else 'occur'} in "
            f"training, left out there: {shown}"
        )
    widths = ", ".join(map(str, batches.widths))
    shapes = "one shape" if len(batches.widths) == 1 else f"{len(batches.widths)} shapes"
    lines.append(
        f"model: {parameters:,} parameters; batches of {batches.rows} × {widths} {noun}s ({shapes} to compile)"
    )
    recurrence = build.status()
    with jax.set_mesh(layout.mesh):
        in_kernel = config.model.cell in NATIVE_CELLS and runs_natively(config.model.dtype)
    packed = isinstance(batches, PackedBatches)
    if build.available() and (packed or not in_kernel):
        cells = ", ".join(NATIVE_CELLS)
        recurrence = f"JAX (the native kernel is for {cells} in float32, with unsharded units and one text in a row)"
    elif not build.available() and this_hardware().wide:
        products = {"bfloat16": "bfloat16"}.get(config.model.dtype, precision_name(config.model.matmul_precision))
        recurrence = f"JAX on {this_hardware().name}, {this_hardware().unroll} steps at a time, products in {products}"
    lines.append(f"recurrence: {recurrence}" + ("" if layout.single else f"; {layout.description}"))
    return lines
