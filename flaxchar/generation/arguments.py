"""Arguments of the public functions, checked by name."""

from __future__ import annotations

from typing import Any

from flaxchar.config import InputError
from flaxchar.validation import path_problem, problem


def check(name: str, value: Any, kind: Any, **limits: float) -> None:
    """Check the type and the range of an argument; NumPy's numbers count as Python's.

    Args:
      name: its name.
      value: what was given.
      kind: ``int``, ``float``, ``str``, ``bool``, or a ``Literal`` of strings.
      **limits: ``least``, ``above``, ``most`` or ``below``, for numbers.

    Raises:
      InputError: it is something else; the message names it.

    Example::

        check("size", size, int, least=1)
    """
    if (wrong := problem(name, value, kind, **limits)) is not None:
        raise InputError(wrong)


def check_path(name: str, value: Any) -> None:
    """Check that an argument names a file or folder.

    Raises:
      InputError: it is neither a ``str`` nor a ``Path``, or no file can have that name.
    """
    if (wrong := path_problem(f"`{name}`", value)) is not None:
        raise InputError(wrong)
