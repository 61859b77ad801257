"""The live display of a training on a terminal: progress, loss over time and the newest samples, redrawn in place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BLOCKS = "▁▂▃▄▅▆▇█"
# Losses that are kept for the sparkline. Beyond, each two neighbours become one.
_MOST_LOSSES = 4096
# Free columns at the right. Without them, the ^C that a terminal shows would wrap, and rich would miscount the lines.
_RIGHT = 3


class LiveDisplay:
    """The lower lines of a terminal, redrawn in place, below whatever else is printed.

    Attributes:
      samples: the newest samples, a line each; what is too long for the terminal's width is cut off.

    Example::

        display = LiveDisplay(Console(), steps=1000, per="char")
        display.start()
        display.update(10, bits=3.2, figures="loss 2.2", left="0:07 left")
        display.stop()
    """

    def __init__(self, console: Console, steps: int, per: str) -> None:
        """Prepare the display; ``start`` shows it.

        Args:
          console: the terminal.
          steps: steps of the whole run.
          per: the unit that bits are counted by: ``"char"`` or ``"text"``.
        """
        self.samples: list[str] = []
        self._steps, self._per, self._step = steps, per, 0
        self._figures = self._left = ""
        self._losses: list[tuple[float, int]] = []  # mean bits of so many stretches, in the order of time
        self._stretches_per_loss = 1
        self._ascii = console.options.ascii_only
        # Redrawn by `update` alone: a thread of rich's would take time from the training steps.
        self._live = Live(self, console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def start(self) -> None:
        """Show the display."""
        self._live.start()

    def stop(self) -> None:
        """Remove the display, and show the cursor again."""
        self._live.stop()

    def update(self, step: int, bits: float | None, figures: str, left: str) -> None:
        """Show the progress after a stretch of steps.

        Args:
          step: steps taken.
          bits: bits per character of the stretch; None if they exploded.
          figures: loss and speed.
          left: the time that is left.
        """
        self._step, self._figures, self._left = step, figures, left
        if bits is not None and math.isfinite(bits) and bits > 0:
            self._add(bits)
        self._live.refresh()

    def _add(self, bits: float) -> None:
        mean, count = self._losses[-1] if self._losses else (0.0, self._stretches_per_loss)
        if count < self._stretches_per_loss:
            self._losses[-1] = ((mean * count + bits) / (count + 1), count + 1)
            return
        self._losses.append((bits, 1))
        if len(self._losses) >= _MOST_LOSSES:
            pairs = zip(self._losses[::2], self._losses[1::2], strict=True)
            self._losses = [((a * m + b * n) / (m + n), m + n) for (a, m), (b, n) in pairs]
            self._stretches_per_loss *= 2

    def __rich__(self) -> RenderableType:
        """What the terminal shows now."""
        progress = Table.grid(expand=True, padding=(0, 1))
        progress.add_column(no_wrap=True)
        progress.add_column(ratio=1)
        progress.add_column(no_wrap=True)
        progress.add_row(
            f"step {self._step:,}/{self._steps:,}", ProgressBar(self._steps, self._step), Text(self._left or "…")
        )
        lines = [self._figures, *([] if self._ascii or len(self._losses) < 2 else [self._sparkline()]), *self.samples]
        texts = (Text(line, no_wrap=True, overflow="ellipsis") for line in lines if line)
        return Constrain(Group(progress, *texts), max(1, self._live.console.width - _RIGHT))

    def _sparkline(self) -> str:
        """The bits since the process began to train, between the first and the last of them."""
        losses = [bits for bits, _ in self._losses]
        before, after = f"{losses[0]:.3f} ", f" {losses[-1]:.3f} bits/{self._per}"
        width = self._live.console.width - _RIGHT - len(before) - len(after)
        return before + sparkline(losses, max(1, width)) + after


def sparkline(values: Sequence[float], width: int) -> str:
    """Positive values as at most ``width`` blocks, whose heights are logarithmic: a line of text.

    Example::

        sparkline([8, 4, 2, 1], width=4)  # "█▆▃▁"
    """
    logs = [math.log(mean) for mean in _means(values, min(width, len(values)))]
    low, span = min(logs), max(logs) - min(logs)
    return "".join(_BLOCKS[round((value - low) / span * (len(_BLOCKS) - 1)) if span else 0] for value in logs)


def _means(values: Sequence[float], parts: int) -> Iterator[float]:
    """The means of equal parts of the values."""
    for k in range(parts):
        part = values[k * len(values) // parts : (k + 1) * len(values) // parts]
        yield sum(part) / len(part)
