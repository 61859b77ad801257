"""What training shows on a terminal, or in a log: a progress bar or plain lines, evaluations and samples."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from flaxchar.training import loop as training
from flaxchar.training.reporting import Observer, Report

# Seconds between plain lines where there is no terminal.
PLAIN_EVERY = 5.0
# Characters of a sample; samples.jsonl holds the whole.
SHOWN = 100


class ConsoleObserver(Observer):
    """Shows how training goes and turns Ctrl-C and SIGTERM into a request to stop.

    Attributes:
      interrupted: the signal that asked to stop, or None.
      last: the report of the last evaluation, or of where the run began.
    """

    def __init__(
        self, floor: float | None, quiet: bool = False, per: Literal["character", "text"] = "character"
    ) -> None:
        """``floor``: bits per character that no model can beat, where that is known; ``quiet``: print nothing.

        ``per``: what bits are counted by, of a classifier texts.
        """
        self.console = Console(highlight=False, markup=False, soft_wrap=True, quiet=quiet)
        self.interrupted: signal.Signals | None = None
        self.last: Report | None = None
        self._floor, self._per = floor, per
        self._bar: Progress | None = None
        self._begun = (0.0, 0)
        self._printed = 0.0

    def say(self, line: str) -> None:
        """Print a line, above the progress bar where there is one."""
        self.console.print(line)

    def prepared(self, lines: list[str]) -> None:
        """Print what was prepared."""
        for line in lines:
            self.say(line)

    def planned(self, at: Report, steps_per_epoch: int) -> None:
        """Say how long the run is, and listen to signals from here on."""
        self.last = at
        epochs = at.steps / steps_per_epoch
        begin = f"going on from step {at.step:,} of" if at.step else "training for"
        self.say(f"{begin} {at.steps:,} steps ({epochs:,.1f} epochs; --steps {at.steps} repeats this run exactly)")
        self._begun = (time.monotonic(), at.step)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[figures]}"),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task("training", total=at.steps, completed=at.step, figures="")
            self._bar.start()

    def progressed(self, progress: training.Progress, steps: int, bits_per_character: float, characters: float) -> None:
        """Move the bar, or print a line now and then."""
        now = time.monotonic()
        begun, first = self._begun
        left = (now - begun) / max(1, progress.step - first) * (steps - progress.step)
        per_second = characters / max(1e-9, progress.seconds)
        speed = f"{per_second:,.0f} texts/s" if self._per == "text" else f"{per_second / 1000:,.0f}k chars/s"
        figures = (
            f"loss {progress.nats / max(1, progress.tokens):.3f}  {bits_per_character:.3f} bits/{self._per[:4]}  "
            f"{speed}  {_clock(left)} left"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.step, figures=figures)
        elif now - self._printed > PLAIN_EVERY:
            self.say(f"step {progress.step:,}/{steps:,}  {figures}")
            self._printed = now

    def evaluated(self, report: Report) -> None:
        """Print the held-out figures and the samples."""
        self.last = report
        result = report.evaluation
        floor = "" if self._floor is None else f" ({self._floor:.4f} at best)"
        held_out = (
            "nothing held out"
            if result is None
            else f"held out: {result.bits_per_character:.4f} bits per {self._per}{floor}, loss {result.loss:.4f}, "
            f"accuracy {result.accuracy:.1%}"
        )
        self.say(f"epoch {report.epoch:.2f}, step {report.step:,}: {held_out}")
        for sample in report.samples:
            how = "greedy " if sample.temperature == 0 else f"T = {sample.temperature}"
            self.say(f"  {how} | {shortened(sample.text)}")

    def off_budget(self, seconds: float, budget: float) -> None:
        """Say that the run will miss its time budget."""
        self.say(f"the machine has changed its speed: this will take {seconds:,.0f} s instead of {budget:,.0f} s")

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return self.interrupted is not None

    def close(self) -> None:
        """Take the bar away and give the signals back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = signal.Signals(number)
        # A second one stops at once, as it would without us.
        signal.signal(number, signal.SIG_DFL)


def shortened(text: str) -> str:
    """A text on one line, its end left out where it is long."""
    text = printable(text)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def printable(text: str) -> str:
    """A text on one line: control characters as Python writes them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
