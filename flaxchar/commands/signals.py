"""Signals: SIGINT (Ctrl-C), SIGTERM and SIGHUP end a command with one line; training saves first (``terminal.py``)."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

Handlers = dict[signal.Signals, Any]


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


def handle(handler: Callable[[int, FrameType | None], Any]) -> Handlers:
    """Call ``handler`` at the signals, except those that the process was started to ignore (``nohup``, ``&``).

    Returns:
      The handlers before, for ``restore``; none where this is not the main thread, which alone may set them.
    """
    before: Handlers = {}
    with contextlib.suppress(ValueError):
        for number in NUMBERS:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    return before


def restore(before: Handlers) -> None:
    """Set the handlers that ``handle`` has replaced."""
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def listen() -> Iterator[None]:
    """While a command runs, a signal raises ``Interrupted``; a second one ends the process at once."""
    before = handle(_interrupt)
    try:
        yield
    finally:
        if all(signal.getsignal(number) == _interrupt for number in before):  # else the process is about to end
            restore(before)


def next_one_ends_the_process() -> None:
    """Let the system itself act on the next signal: it ends the process even within native code."""
    handle(signal.SIG_DFL)  # type: ignore[arg-type]


def describe(number: signal.Signals) -> str:
    """What the command says when a signal has ended it."""
    return "flaxchar: interrupted" if number == signal.SIGINT else f"flaxchar: ended by {number.name}"


def leave_terminal(number: int) -> None:
    """After SIGHUP the terminal is gone, and writing to it is an error: write to nowhere instead."""
    if number != getattr(signal, "SIGHUP", None):
        return
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _interrupt(number: int, frame: FrameType | None) -> None:
    next_one_ends_the_process()
    leave_terminal(number)
    if _importing(frame):
        # Modules that are half imported may turn the exception into another one, or print it. Nothing is written yet.
        with contextlib.suppress(OSError):
            os.write(2, f"{describe(signal.Signals(number))}\n".encode())
        os._exit(128 + number)
    raise Interrupted(number)


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported in the main thread."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def say_interrupted(error: KeyboardInterrupt) -> int:
    """Say that a signal has ended the command, and return the exit status."""
    number = getattr(error, "number", signal.SIGINT)
    with contextlib.suppress(OSError):
        print(describe(number), file=sys.stderr)
    return 128 + int(number)
