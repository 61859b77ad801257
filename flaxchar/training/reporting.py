"""Reporting: what a run tells the outside while it trains, and the observer that is told."""

from __future__ import annotations

import dataclasses
import itertools

import jax

from flaxchar.config import Config
from flaxchar.data.batches import TextBatches, WindowBatches
from flaxchar.data.cache import EncodedCorpus
from flaxchar.kernels import build
from flaxchar.kernels.cpu import NATIVE_CELLS
from flaxchar.models.evaluation import Evaluation
from flaxchar.models.lstm import runs_natively
from flaxchar.training.devices import Layout
from flaxchar.training.loop import Progress


@dataclasses.dataclass(frozen=True)
class Sample:
    """A text generated at an evaluation.

    Attributes:
      prompt: how it begins, as a person reads it.
      temperature: of the sampling; 0 for the most probable character each time.
      text: the whole text, the prompt included.
    """

    prompt: str
    temperature: float
    text: str


@dataclasses.dataclass(frozen=True)
class Report:
    """Where a run stands after an evaluation, or where it begins.

    Attributes:
      step: steps taken.
      steps: steps in all.
      epoch: passes over the texts.
      evaluation: the result on the held-out texts; None where there are none.
      samples: texts that the model generated.
      further: whether the run was trained further, so that no number of steps alone repeats it.
    """

    step: int
    steps: int
    epoch: float
    evaluation: Evaluation | None = None
    samples: tuple[Sample, ...] = ()
    further: bool = False


class Observer:
    """Is told how training goes, and may ask it to stop. This base class ignores everything."""

    def prepared(self, lines: list[str]) -> None:
        """The vocabulary, the batches and the model are ready; ``lines`` describe them."""

    def planned(self, at: Report, steps_per_epoch: int) -> None:
        """Training begins, or goes on, at this step."""

    def progressed(self, progress: Progress, steps: int, bits_per_character: float, characters: float) -> None:
        """A stretch of steps is done, which read this many characters."""

    def evaluated(self, report: Report) -> None:
        """An evaluation is done."""

    def off_budget(self, seconds: float, budget: float) -> None:
        """The machine has changed its speed: the command will take ``seconds`` instead of ``budget``. Told once."""

    def should_stop(self) -> bool:
        """Whether to save and leave."""
        return False


def describe(
    corpus: EncodedCorpus,
    config: Config,
    batches: TextBatches | WindowBatches,
    parameters: int,
    layout: Layout,
) -> list[str]:
    """Lines that describe the vocabulary, the model and the recurrence of a run, for people."""
    vocabulary, unit = corpus.vocabulary, "characters" if config.data.unit == "char" else "words"
    others = [
        "padding",
        "<eos>",
        *(["an unknown token"] if vocabulary.has_unknown else []),
        *([f"{len(vocabulary.labels)} labels"] if vocabulary.labels else []),
        *(["the end of a source"] if vocabulary.source_end is not None else []),
    ]
    tokens = sum(token is not None for token in vocabulary.tokens)
    lines = [f"vocabulary: {vocabulary.size:,} ids ({tokens:,} {unit}, {', '.join(others)})"]
    if missing := corpus.missing:
        shown = ", ".join(map(repr, itertools.islice(missing, 8)))
        lines.append(
            f"the held-out texts hold {sum(missing.values()):,} {unit} that never occur in training, left out "
            f"there: {shown}"
        )
    widths = ", ".join(map(str, batches.widths))
    shapes = "one shape" if len(batches.widths) == 1 else f"{len(batches.widths)} shapes"
    lines.append(f"model: {parameters:,} parameters; batches of {batches.rows} × {widths} {unit} ({shapes} to compile)")
    recurrence = build.status()
    with jax.set_mesh(layout.mesh):
        in_kernel = config.model.cell in NATIVE_CELLS and runs_natively(config.model.dtype)
    if build.available() and not in_kernel:
        recurrence = f"JAX (the native kernel is for {', '.join(NATIVE_CELLS)} in float32, whole on each device)"
    lines.append(f"recurrence: {recurrence}" + ("" if layout.single else f"; {layout.description}"))
    return lines
