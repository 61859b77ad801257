"""Progress of training, evaluations and samples: in place on a terminal, as plain lines in a log."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from types import FrameType
from typing import Literal

from rich.console import Console

from flaxchar.commands import signals
from flaxchar.commands.flags import as_flags
from flaxchar.commands.live import LiveDisplay
from flaxchar.commands.output import printable
from flaxchar.hardware import this_hardware
from flaxchar.training import loop
from flaxchar.training.divergence import MOST_NATS
from flaxchar.training.reporting import SOURCE_END, Observer, Report, Sample
from flaxchar.validation import counted

# Seconds between plain lines where there is no terminal.
PLAIN_INTERVAL = 5.0
# Characters that are shown of a sample; samples.jsonl holds all of it.
SHOWN = 100


class ConsoleObserver(Observer):
    """Shows the progress of training, and turns Ctrl-C, SIGTERM and SIGHUP into a request to save and stop.

    Attributes:
      interrupted: the signal that asked to stop, or None.
      trained: whether training began or went on in this process.
      skipped: updates that were skipped in this process, because loss or gradient had exploded.
    """

    def __init__(self, floor: float | None, quiet: bool = False, per: Literal["char", "text"] = "char") -> None:
        """Make an observer.

        Args:
          floor: entropy of the held-out texts, bits per character, if it is known.
          quiet: print nothing.
          per: the unit that bits are counted by; a classifier counts by text.
        """
        self.console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, quiet=quiet)
        self.interrupted: signal.Signals | None = None
        self.trained = False
        self._floor, self._per = floor, per
        self._display: LiveDisplay | None = None
        self._start = (time.monotonic(), 0)  # when this process took its first step, and which
        self._compiling_since = 0.0
        self._printed = 0.0
        self._handlers: signals.Handlers = {}  # those before training began
        self.skipped = 0

    def say(self, line: str) -> None:
        """Print a line, above the live display if there is one; it may hold names of files, which may be anything."""
        self.console.print(printable(line))

    def prepared(self, lines: list[str]) -> None:
        """Print a description of the texts, the network or the machine."""
        for line in lines:
            self.say(as_flags(line))

    def compiling(self, done: int, programs: int) -> None:
        """Say on a GPU, where it takes seconds, how many programs are compiled."""
        if not this_hardware().wide:
            return
        now = time.monotonic()
        if done == 0:
            self._compiling_since = now
            self.say(f"compiling {counted(programs, 'program')} for {this_hardware().name}")
        elif now - self._compiling_since > 1:  # else they were compiled by an earlier command
            self.say(f"  {done:,} of {programs:,} after {now - self._compiling_since:.0f} s")

    def planned(self, at: Report, steps_per_epoch: int) -> None:
        """Print how long the run is, start the live display on a terminal, and listen to signals."""
        epochs = at.steps / steps_per_epoch
        verb = f"continuing at step {at.step:,} of" if at.step else "training for"
        repeats = "" if at.further else f"; --steps {at.steps} repeats this run exactly"
        self.say(f"{verb} {counted(at.steps, 'step')} ({epochs:,.1f} epochs{repeats})")
        self.trained = True
        self._start = (time.monotonic(), at.step)
        self._handlers = signals.handle(self._interrupt)
        # Not `console.is_terminal`, which FORCE_COLOR makes true for a file too.
        if not self.console.quiet and self.console.file.isatty() and not self.console.is_dumb_terminal:
            self._display = LiveDisplay(self.console, at.steps, self._per)
            self._display.start()

    def progressed(self, progress: loop.Progress, steps: int, bits_per_character: float, characters: float) -> None:
        """Redraw the live display, or print a plain line every few seconds."""
        now = time.monotonic()
        self.skipped += progress.skipped
        start, first_step = self._start
        seconds_left = (now - start) / max(1, progress.step - first_step) * (steps - progress.step)
        per_second = characters / max(1e-9, progress.seconds)
        speed = f"{per_second:,.0f} texts/s" if self._per == "text" else f"{per_second / 1000:,.0f}k chars/s"
        loss = f"loss {progress.nats / max(1, progress.tokens):.3f}  {bits_per_character:.3f} bits/{self._per}"
        figures = f"{loss if progress.tokens else 'loss exploded'}  {speed}"
        left = f"{_clock(seconds_left)} left"
        if self._display is not None:
            bits = bits_per_character if progress.tokens else None
            self._display.update(progress.step, bits, figures, left)
        elif now - self._printed > PLAIN_INTERVAL:
            self.say(f"step {progress.step:,}/{steps:,}  {figures}  {left}")
            self._printed = now

    def evaluated(self, report: Report) -> None:
        """Print the held-out result and the samples, which a live display shows until there are newer ones."""
        result = report.evaluation
        floor = "" if self._floor is None else f" (entropy floor {self._floor:.4f})"
        held_out = (
            "nothing held out"
            if result is None
            else f"training has diverged: the held-out loss is {result.loss:.3g}"
            if not result.loss <= MOST_NATS
            else f"held-out {result.bits_per_character:.4f} bits/{self._per}{floor}, loss {result.loss:.4f}, "
            f"accuracy {result.accuracy:.1%}"
        )
        self.say(f"epoch {report.epoch:.2f}, step {report.step:,}: {held_out}")
        samples = [f"  {_how(sample)} | {_shown(sample)}" for sample in report.samples]
        if self._display is not None:
            self._display.samples = samples
        else:
            self._say_all(samples)

    def set_back(self, step: int, to: int, share: float) -> None:
        """Say that training diverged and where it goes on."""
        self.say(
            f"step {step:,}: training has diverged (loss or gradient is huge, infinite or NaN); going on with the "
            f"model of step {to:,} at {share:g} of the learning rate"
        )

    def off_budget(self, seconds: float, budget: float) -> None:
        """Say how long the command will take instead of its time budget."""
        self.say(f"the machine's speed has changed: this will take {_clock(seconds)} instead of {_clock(budget)}")

    def should_stop(self) -> bool:
        """Whether a signal asked to stop."""
        return self.interrupted is not None

    def close(self) -> None:
        """Replace the live display by the newest samples, and restore the handling of signals before training."""
        if self._display is not None:
            self._display.stop()
            self._say_all(self._display.samples)
            self._display = None
        if self.interrupted is None:  # else a second signal still ends the process at once
            signals.restore(self._handlers)
        self._handlers = {}

    def _say_all(self, lines: list[str]) -> None:
        for line in lines:
            self.say(line)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = signal.Signals(number)
        signals.next_one_ends_the_process()
        signals.leave_terminal(number)
        if self._display is not None:  # the process may end without `close`, which shows the cursor again
            with contextlib.suppress(OSError):
                os.write(1, b"\x1b[?25h")


def _how(sample: Sample) -> str:
    return "greedy " if sample.temperature == 0 else f"T = {sample.temperature}"


def _shown(sample: Sample) -> str:
    """A sample on one line; a source is cut off first, so that the text that was written from it is seen."""
    if len(sample.prompt) <= SHOWN // 2:
        return shorten(sample.text)
    end = SOURCE_END if sample.prompt.endswith(SOURCE_END) else ""
    prompt = shorten(sample.prompt.removesuffix(end), SHOWN // 2)
    return prompt + end + shorten(sample.text.removeprefix(sample.prompt), SHOWN // 2)


def shorten(text: str, limit: int = SHOWN) -> str:
    """A text on one line, cut off after ``limit`` characters, but not within what a reader sees as one character."""
    shown = printable(text)
    if len(shown) <= limit:
        return shown
    import regex

    # One character more than can be shown: the last cluster that fits is then known to be whole.
    clusters = map(printable, regex.findall(r"\X", text[: limit + 1]))
    lengths = itertools.accumulate(map(len, clusters))
    end = max((length for length in lengths if length <= limit), default=0)
    return shown[: end or limit] + "…"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
