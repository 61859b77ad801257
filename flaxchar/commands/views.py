"""Views of a training besides the printed lines: the picture ``curves.png``, and TensorBoard's event files.

A view that fails says so once, on stderr, and never harms the run.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flaxchar.commands.output import print_line, printable
from flaxchar.commands.painter import CURVES, Painter
from flaxchar.data.cache import EncodedCorpus
from flaxchar.training.loop import Progress
from flaxchar.training.reporting import Observer, Report
from flaxchar.training.run_directory import METRICS

if TYPE_CHECKING:
    from flaxchar.commands.tensorboard import EventFile


class CurvesView(Observer):
    """Has ``curves.png`` in the run directory drawn at each evaluation, without waiting for it."""

    def __init__(self, run: Path, floor: float | None, unit: str) -> None:
        """The arguments are those of ``draw_run``."""
        self._run, self._floor, self._unit = run, floor, unit
        self._painter: Painter | None = None

    def planned(self, at: Report, steps_per_epoch: int) -> None:
        """Prepare to draw."""
        self._painter = Painter(self._run, self._floor, self._unit)

    def evaluated(self, report: Report) -> None:
        """Ask for a picture."""
        if self._painter is None:
            return
        try:
            self._painter.draw()
        except OSError as error:
            self._painter = None
            _tell(f"{self._run / CURVES} is not drawn: {error.strerror}")

    def close(self) -> None:
        """Draw the last picture, and say where it is."""
        painter, self._painter = self._painter, None
        if painter is None or not (self._run / METRICS).exists():  # interrupted before anything was recorded
            return
        try:
            painter.finish()
        except Exception as error:  # whatever it is: the run is complete
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            _tell(f"{self._run / CURVES} is not drawn: {reason}")
        else:
            print_line(f"curves: {self._run / CURVES}")


class TensorBoardView(Observer):
    """Writes an event file for TensorBoard in the run directory."""

    def __init__(self, run: Path, corpus: EncodedCorpus) -> None:
        """``run``: the run directory; ``corpus``: its texts."""
        from flaxchar.commands.tensorboard import held_out_examples

        self._run, self._examples = run, held_out_examples(corpus)
        self._events: EventFile | None = None

    def planned(self, at: Report, steps_per_epoch: int) -> None:
        """Begin the file."""
        from flaxchar.commands.tensorboard import EventFile

        try:
            self._events = EventFile(self._run, at.step)
        except OSError as error:
            self._give_up(error)

    def progressed(self, progress: Progress, steps: int, bits_per_character: float, characters: float) -> None:
        """Write losses and rates."""
        try:
            if self._events is not None:
                self._events.progressed(progress, bits_per_character, characters)
        except OSError as error:
            self._give_up(error)

    def evaluated(self, report: Report) -> None:
        """Write results, samples and histograms."""
        try:
            if self._events is not None:
                self._events.evaluated(report, self._examples)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Finish the file."""
        events, self._events = self._events, None
        try:
            if events is not None:
                events.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        events, self._events = self._events, None
        if events is not None:
            with contextlib.suppress(OSError):
                events.close()
        _tell(f"TensorBoard's files in {self._run} are not written any more: {error.strerror or error}")


def _tell(sentence: str) -> None:
    print(f"flaxchar: {printable(sentence)}", file=sys.stderr)
