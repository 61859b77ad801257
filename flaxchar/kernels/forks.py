"""Forks: a process forked after its parent used JAX cannot use JAX, and is told so instead of waiting forever.

A fork copies the memory of a process but only one of its threads. JAX and the native kernel compute with threads, so in
the forked process they would wait for threads that do not exist.
"""

from __future__ import annotations

import os

_MESSAGE = (
    "this process was forked after JAX was used, so JAX's threads are missing in it and a computation would never end; "
    'start workers with multiprocessing.get_context("spawn"), or load the model in the workers only'
)
_used = _forked = False


def check_process() -> None:
    """Call it before anything is computed: it notes that this process uses JAX.

    Raises:
      RuntimeError: the process was forked from one that had used JAX.
    """
    global _used  # noqa: PLW0603
    if _forked:
        raise RuntimeError(_MESSAGE)
    _used = True


def _after_fork() -> None:
    global _forked  # noqa: PLW0603
    _forked = _used or _forked


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
