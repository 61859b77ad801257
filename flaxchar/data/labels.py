"""Names of labels: how numbers and truth values are written as labels, and which spellings name the same label."""

from __future__ import annotations

import datetime
import decimal
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from flaxchar.config import InputError

# More labels than this are a sign that the wrong field was named.
MOST_LABELS = 1000
_PLURALS = ((str, "texts"), (dict, "objects"))
_SCALARS = (bool, int, float, np.generic, decimal.Decimal, datetime.date, datetime.time)


def label_name(value: Any) -> str | None:
    """A label as text: a string itself, a number or truth value as Python prints it.

    Args:
      value: a label as a file or a Python object holds it.

    Returns:
      The name; None for ``None`` and NaN, which stand for a label that is missing.

    Raises:
      InputError: it is a list, an object or the like; the message begins with the value.

    Example::

        label_name(4.5), label_name(True), label_name(None)  # ("4.5", "True", None)
    """
    if isinstance(value, str):
        return str(value)
    if is_missing(value):
        return None
    if isinstance(value, _SCALARS):
        return str(value)
    raise InputError(
        f"{value!r:.60} is {kind_of(value)}; a label must be one text, number or truth value, so name a field that "
        "holds one, or take the first of several"
    )


def is_missing(value: Any) -> bool:
    """Whether a value stands for one that is missing: ``None``, NaN, and the marks that pandas has."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, _SCALARS) and bool(value != value)  # noqa: PLR0124 - NaN alone differs from itself


def kind_of(value: Any) -> str:
    """What a value is, for messages: ``a list of 3 texts``."""
    if isinstance(value, list | tuple):
        items = next((name for kind, name in _PLURALS if value and all(isinstance(v, kind) for v in value)), "items")
        return f"a list of {len(value)} {items[:-1] if len(value) == 1 else items}"
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(map(repr, list(value)[:5]))}" if value else "an object without keys"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float | np.number):
        return "a number"
    if value is None:
        return "null"
    return f"of the type {type(value).__name__}"


def label_key(name: str) -> str:
    """What spellings of one label have in common.

    Spaces around a name and Unicode's normal form do not count, and ``true`` is ``True``: JSON and Python print truth
    values differently.
    """
    key = unicodedata.normalize("NFC", name).strip()
    return key.capitalize() if key.lower() in ("true", "false") else key


def find_label(name: str, names: Sequence[str]) -> int | None:
    """The position of a label, spelled exactly or else as ``label_key`` allows; None if there is none."""
    if name in names:
        return names.index(name)
    keys = [label_key(known) for known in names]
    return keys.index(label_key(name)) if label_key(name) in keys else None


def one_spelling(names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Give labels that ``label_key`` takes for the same one number.

    Args:
      names: different labels.

    Returns:
      Of several spellings of one label the first, and the position of each name's label among these, int32 ``[names]``.
    """
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(label_key(name), name)
    positions = {key: position for position, key in enumerate(first)}
    return tuple(first.values()), np.array([positions[label_key(name)] for name in names], np.int32)


class LabelNumbers:
    """Numbers labels in the order in which they first occur.

    Args:
      names: the only labels there may be, in any spelling; None for any.

    Attributes:
      names: the labels.
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names = list(names or ())
        self._growing = names is None
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def number(self, labels: list[str]) -> np.ndarray:
        """The number of each label, int32 ``[labels]``.

        Raises:
          InputError: one is not among those there may be, or there are more than ``MOST_LABELS``.
        """
        for label in dict.fromkeys(labels):
            if label not in self._numbers:
                self._numbers[label] = self._new(label)
        return np.fromiter(map(self._numbers.__getitem__, labels), np.int32, len(labels))

    def _new(self, label: str) -> int:
        if not self._growing:
            known = find_label(label, self.names)
            if known is None:
                raise InputError(f"the held-out texts have a label {label!r:.40}, which no text to learn has")
            return known
        self.names.append(label)
        if len(self.names) > MOST_LABELS:
            raise InputError(f"there are more than {MOST_LABELS:,} labels; does `label_field` name the right field?")
        return len(self.names) - 1
