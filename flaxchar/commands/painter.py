"""Keeps the picture ``curves.png`` of a run up to date while it trains, in a process of its own.

Importing matplotlib takes Python half a second, and drawing a third of a second. A thread would hold up the training
steps for as long, because Python runs one thread at a time. The process runs when a processor is idle. The last picture
is drawn by the command itself: on a busy machine, an idle process might wait for minutes.
``docs/decisions/views-of-a-training.md`` has the measurements.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import flaxchar
from flaxchar.commands.curves import draw_curves, read_curves
from flaxchar.json_files import read_json, read_records
from flaxchar.storage import replace_file

CURVES = "curves.png"
# About how many seconds the last drawing takes.
LAST_SECONDS = 0.8
# The priority is lowered before anything is imported, which takes longer than drawing.
_PROGRAM = """
import os, sys
if hasattr(os, "SCHED_IDLE"):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
elif hasattr(os, "nice"):
    os.nice(19)
sys.path.insert(0, sys.argv[1])
from flaxchar.commands.painter import main
main(sys.argv[2])
"""


def wanted() -> bool:
    """Whether pictures are drawn; ``FLAXCHAR_CURVES=0`` in the environment turns them off."""
    return os.environ.get("FLAXCHAR_CURVES", "1") != "0"


def draw_run(run: Path, floor: float | None, unit: str) -> None:
    """Draw the curves of a run as they are now.

    Args:
      run: the run directory.
      floor: entropy of the held-out texts, bits per character, if it is known.
      unit: as for ``draw_curves``.

    Raises:
      InputError: ``metrics.jsonl`` or ``baselines.json`` is missing or damaged.
      OSError: a file cannot be read or written.
    """
    baselines = run / "baselines.json"
    named = read_json(baselines) if baselines.exists() else {}
    bits = {name: value for name, value in named.items() if isinstance(value, float)}
    curves = read_curves(read_records(run / "metrics.jsonl"))
    replace_file(run / CURVES, draw_curves(curves, run.absolute().name, bits, floor, unit))


class Painter:
    """A process that draws the curves of a run when it is asked to, while nothing else needs the processor.

    Example::

        painter = Painter(Path("runs/names"), floor=None, unit="character")
        painter.draw()  # returns at once
        painter.finish()
    """

    def __init__(self, run: Path, floor: float | None, unit: str) -> None:
        """The arguments are those of ``draw_run``."""
        self._run, self._floor, self._unit = run, floor, unit
        self._process: subprocess.Popen[bytes] | None = None

    def draw(self) -> None:
        """Ask for a picture of what ``metrics.jsonl`` and ``baselines.json`` hold now.

        The first time, start the process: not earlier, for its imports would delay the first training step.

        Raises:
          OSError: the process cannot be started.
        """
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # the process has ended
            os.write(self._process.stdin.fileno(), b"\n")

    def _start(self) -> subprocess.Popen[bytes]:
        package = str(Path(flaxchar.__file__).parent.parent)
        run = json.dumps([str(self._run.absolute()), self._floor, self._unit])
        # In a process group of its own Ctrl-C does not end it; the end of its input does, however this process ends.
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, package, run],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=None if os.name == "nt" else 0,
            creationflags=0x240 if os.name == "nt" else 0,  # a new process group, of idle priority
        )

    def finish(self) -> None:
        """End the process, and draw for the last time, in this process; raises the errors of ``draw_run``."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        for half_written in self._run.glob(f".{CURVES}.*"):
            half_written.unlink(missing_ok=True)
        draw_run(self._run, self._floor, self._unit)


def main(arguments: str) -> None:
    """Draw at each byte that arrives on standard input, until it ends: the program of a ``Painter``'s process.

    Args:
      arguments: those of ``draw_run``, as a JSON array.
    """
    run, floor, unit = json.loads(arguments)

    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401  imported while nobody waits for a picture

    while os.read(0, 1 << 16):  # several requests at once are one
        with contextlib.suppress(OSError, ValueError):  # the last drawing meets the same error, and tells it
            draw_run(Path(run), floor, unit)
