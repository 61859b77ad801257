"""Keeps the picture ``curves.png`` of a run up to date while it trains, in a process of its own.

Importing matplotlib and drawing take Python a second and a third of a second. A thread would hold up the training steps
for as long, because Python runs one thread at a time. The process has the lowest priority, so it uses what the
training leaves over. ``docs/decisions/curves.md`` has the measurements.
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
# Seconds that the last drawing takes, about.
LAST_SECONDS = 0.4
# The most seconds that a command waits for the last drawing. On first use, matplotlib looks through the fonts.
_PATIENCE = 60.0
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from flaxchar.commands.painter import main; main(sys.argv[2])"


def wanted() -> bool:
    """Whether pictures are drawn; ``FLAXCHAR_CURVES=0`` in the environment turns them off."""
    return os.environ.get("FLAXCHAR_CURVES", "1") != "0"


class Painter:
    """A process that draws the curves of a run when it is asked to.

    Example::

        painter = Painter(Path("runs/names"), floor=None, unit="character")
        painter.draw()  # returns at once
        problem = painter.finish()  # draws once more and waits; None if all went well
    """

    def __init__(self, run: Path, floor: float | None, unit: str) -> None:
        """Start the process. A run whose folder is renamed gets its picture in the renamed folder.

        Args:
          run: the run directory.
          floor: entropy of the held-out texts, bits per character, if it is known.
          unit: as for ``draw_curves``.
        """
        options = {"run": str(run.absolute()), "title": run.absolute().name, "floor": floor, "unit": unit}
        package = str(Path(flaxchar.__file__).parent.parent)
        # In a process group of its own Ctrl-C does not end it; the end of its input does, however this process ends.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, package, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=None if os.name == "nt" else 0,
            creationflags=0x4200 if os.name == "nt" else 0,  # a new process group, of a priority below normal
        )

    def draw(self) -> None:
        """Ask for a picture of what ``metrics.jsonl`` and ``baselines.json`` hold now."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # the process has ended; `finish` tells why
            os.write(self._process.stdin.fileno(), b"\n")

    def finish(self) -> str | None:
        """Draw for the last time, and wait until that is done.

        Returns:
          Why the last picture is not there; None if it is.
        """
        try:
            _, errors = self._process.communicate(b"\n", timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return f"drawing took more than {_PATIENCE:.0f} s"
        if self._process.returncode == 0:
            return None
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"the process that draws ended with status {self._process.returncode}"


def main(options: str) -> None:
    """Draw at each byte that arrives on standard input, until it ends: the program of a ``Painter``'s process."""
    if hasattr(os, "nice"):
        os.nice(19)
    run, title, floor, unit = (json.loads(options)[name] for name in ("run", "title", "floor", "unit"))
    os.chdir(run)  # the folder itself, whatever its name will be

    import matplotlib as mpl

    mpl.rcdefaults()  # the user's own style may have any colours
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401  imported while nobody waits for a picture

    problem = None
    while os.read(0, 1 << 16):  # several requests at once are one
        try:
            baselines = read_json(Path("baselines.json")) if os.path.exists("baselines.json") else {}
            named = {name: bits for name, bits in baselines.items() if isinstance(bits, float)}
            curves = read_curves(read_records(Path("metrics.jsonl")))
            replace_file(Path(CURVES), draw_curves(curves, title, named, floor, unit))
            problem = None
        except (OSError, ValueError) as error:  # an InputError is a ValueError
            problem = str(error)
    if problem is not None:
        sys.exit(problem)
