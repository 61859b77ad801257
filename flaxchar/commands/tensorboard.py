"""TensorBoard's event files of a run: losses and rates, samples, and histograms of the gates' activations."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flaxchar.commands.output import printable
from flaxchar.data.cache import EncodedCorpus
from flaxchar.data.examples import Example
from flaxchar.training.loop import Progress
from flaxchar.training.reporting import Report

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

# The folder of the event files in the run directory.
FOLDER = "tensorboard"
# Texts whose gates are shown, and tokens of each, at most.
_TEXTS, _TOKENS = 32, 512
_BUCKETS = 40
# Seconds between two flushes of the file, after which TensorBoard can read it.
_FLUSH_EVERY = 10.0


class EventFile:
    """A new event file of a run, written while it trains.

    tensorboardX' own ``SummaryWriter`` writes in a thread; where the disk is full, the thread dies and training would
    wait for it for ever. Here an error is raised where something is written.

    Example::

        events = EventFile(Path("runs/names"), step=0)
        events.progressed(progress, bits_per_character=2.3, characters=4000)
        events.close()
    """

    def __init__(self, run: Path, step: int) -> None:
        """Begin a file.

        Args:
          run: the run directory.
          step: the step that the run is at. TensorBoard drops what an interrupted process wrote about later steps.

        Raises:
          OSError: the file cannot be written.
        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder = run / FOLDER
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():  # nothing in a run's folder is written through
            raise OSError(errno.ELOOP, f"{folder} is a symbolic link")
        self._file: EventsWriter = EventsWriter(str(folder / "events"), f".{os.getpid()}.{time.monotonic_ns()}")
        log = SessionLog(status=SessionLog.START)
        self._file.write_event(Event(wall_time=time.time(), step=step + 1, session_log=log))
        self._flush()

    def progressed(self, progress: Progress, bits_per_character: float, characters: float) -> None:
        """Write what training has learned in a stretch of steps; the arguments are the observer's."""
        values: dict[str, float | None] = {
            "learning_rate": progress.learning_rate,
            "characters_per_second": characters / max(1e-9, progress.seconds),
            "gradient_norm": progress.gradient_norm,
        }
        if progress.tokens:
            values |= {"loss": progress.nats / progress.tokens, "bits_per_character": bits_per_character}
        self._scalars("training", values, progress.step)
        if time.monotonic() - self._flushed > _FLUSH_EVERY:
            self._flush()

    def evaluated(self, report: Report, examples: list[Example]) -> None:
        """Write the results of an evaluation, its samples, and the gates while the model reads ``examples``."""
        from tensorboardX import summary

        if report.evaluation is not None:
            values = report.evaluation._asdict()
            self._scalars(
                "held_out", {name: values[name] for name in ("bits_per_character", "loss", "accuracy")}, report.step
            )
        for temperature in dict.fromkeys(sample.temperature for sample in report.samples):
            texts = (sample.text for sample in report.samples if sample.temperature == temperature)
            name = "greedy" if temperature == 0 else f"temperature_{temperature:g}"
            self._write(summary.text(f"samples/{name}", "\n\n".join(map(_as_code, texts))), report.step)
        for name, activations in _activations(report, examples):
            self._write(summary.histogram(name, activations, bins=_BUCKETS), report.step)
        self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def _scalars(self, group: str, values: Mapping[str, float | None], step: int) -> None:
        from tensorboardX import summary

        for name, value in values.items():
            if value is not None:
                self._write(summary.scalar(f"{group}/{name}", value), step)

    def _write(self, summary: Any, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write_event(Event(wall_time=time.time(), step=step, summary=summary))

    def _flush(self) -> None:
        self._file.flush()
        self._flushed = time.monotonic()


def held_out_examples(corpus: EncodedCorpus) -> list[Example]:
    """Some held-out texts to look at a model with, or training texts where none is held out; none for a classifier."""
    vocabulary = corpus.vocabulary
    if vocabulary.classifies:
        return []
    texts = corpus.held_out if len(corpus.held_out) else corpus.train
    examples = []
    for k in range(min(_TEXTS, len(texts))):
        ids, label, source = texts[k][:_TOKENS].tolist(), None, None
        if vocabulary.labels:
            label = vocabulary.labels[vocabulary.label_ids.index(ids.pop(0))]
        elif vocabulary.source_end is not None:
            if vocabulary.source_end not in ids:
                continue
            end = ids.index(vocabulary.source_end)
            source, ids = vocabulary.decode(_written(ids[:end], vocabulary)), ids[end + 1 :]
        examples.append(Example(vocabulary.decode(_written(ids, vocabulary)), label, source))
    return [example for example in examples if example.text]


def _written(ids: list[int], vocabulary: Any) -> list[int]:
    """The ids without unknown tokens, which stand for no text."""
    return [k for k in ids if k != vocabulary.unknown]


def _activations(report: Report, examples: list[Example]) -> Iterator[tuple[str, np.ndarray]]:
    """The activations of each gate and the hidden states of each layer while the model reads texts, by name, flat."""
    if report.trained is None or not examples:
        return
    from flaxchar.insight.trace import trace_many

    traces = trace_many(report.trained, examples, alternatives=0, gates=True, unknown="drop")
    for layer in range(report.trained.config.model.layers):
        for name in traces[0].gates:
            values = np.concatenate([trace.gates[name][layer].ravel() for trace in traces])
            yield f"layer_{layer + 1}/{name}_{'state' if name == 'cell' else 'gate'}", values
        yield f"layer_{layer + 1}/hidden_state", np.concatenate([trace.activations[layer].ravel() for trace in traces])


def _as_code(text: str) -> str:
    """A text as a block of code in Markdown, which TensorBoard shows to the letter."""
    return "\n".join(f"    {printable(line)}" for line in text.split("\n"))
