"""Settings as data: the default, the help text and the allowed values of a setting, declared together.

``setting`` declares one field of a settings dataclass, ``problems`` checks the values of a whole dataclass, and
``conflicts`` finds settings that exclude or need each other. The command line builds its flags and its help from the
same declarations.
"""

from __future__ import annotations

import dataclasses
import numbers
import os
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

# Upper limit of whole numbers whose setting declares none. Steps are counted in int32.
MOST = 1_000_000_000
# Bytes of a path and of a name in it, at most: what Linux and most file systems take.
_LONGEST_PATH, _LONGEST_NAME = 4095, 255
# Messages show at most this many characters of a value.
_SHOWN = 60


@dataclasses.dataclass(frozen=True)
class Setting:
    """The declaration of a setting, apart from its name, type and default.

    Attributes:
      help: help text: what the setting does and when to change it.
      least: smallest allowed value.
      above: the value must be greater than this.
      most: greatest allowed value.
      below: the value must be less than this.
      heading: the help lists the flag under this heading; None for the heading of its section.
      alias: a second name of the flag.
      metavar: placeholder for the value in the help.
      positional: whether the command line takes the values without a flag.
      repeated: whether the flag is repeated for each value instead of being followed by all values.
      may_be_empty: whether the flag may come without a value.
      filled: whether an empty string is refused.
      required: whether the usage shows the flag beside the positional arguments.
      switch: whether the flag only turns the setting on, without a ``--no-`` form.
    """

    help: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    heading: str | None = None
    alias: str | None = None
    metavar: str | None = None
    positional: bool = False
    repeated: bool = False
    may_be_empty: bool = False
    filled: bool = False
    required: bool = False
    switch: bool = False

    @property
    def range(self) -> str:
        """The allowed range in words, such as ``at least 0 and less than 1``; empty if every number is allowed."""
        limits = {"at least": self.least, "above": self.above, "at most": self.most, "less than": self.below}
        return " and ".join(f"{words} {limit:,}" for words, limit in limits.items() if limit is not None)

    def allows(self, value: float) -> bool:
        """Whether a number is finite and within the range."""
        return (
            abs(value) <= sys.float_info.max  # whole numbers of any size compare exactly; NaN and infinity do not fit
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


def setting(default: Any, help: str, **details: Any) -> Any:
    """Declare a field of a settings dataclass; ``details`` are the fields of ``Setting``.

    Example::

        @dataclasses.dataclass(frozen=True)
        class ModelConfig:
            hidden: int = setting(128, "Units of each recurrent layer.", least=1)
    """
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **details)})


def describe(field: dataclasses.Field) -> Setting:
    """The declaration that ``setting`` attached to a field."""
    return field.metadata["setting"]


def types_of(section: type) -> dict[str, tuple[Any, bool]]:
    """The type of each field of a settings dataclass, without ``None``, and whether ``None`` is allowed."""
    result = {}
    for name, hint in get_type_hints(section).items():
        options = get_args(hint)
        optional = type(None) in options
        kinds = [option for option in options if option is not type(None)]
        result[name] = (kinds[0] if optional else hint, optional)
    return result


def problems(section: Any) -> Iterator[str]:
    """Yield a message for each setting whose value has the wrong type or is out of range."""
    types = types_of(type(section))
    for field in dataclasses.fields(section):
        kind, optional = types[field.name]
        value = getattr(section, field.name)
        if not (optional and value is None) and not _fits(value, kind, describe(field)):
            yield f"`{field.name}` is {shown(value)}; it must be {expected(kind, describe(field))}"


def problem(name: str, value: Any, kind: Any, **limits: float) -> str | None:
    """Say what one argument is and what it must be; None if it fits. ``limits`` are the range's fields of ``Setting``.

    Numbers of other libraries, such as NumPy's, count as Python's.
    """
    declared = Setting("", **limits)  # type: ignore[arg-type]
    given: Any = value
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        given = int(value)
    elif kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            given = float(value)
        except OverflowError:  # a fraction beyond the largest float
            given = None
    if _fits(given, kind, declared):
        return None
    return f"`{name}` is {shown(value)}; it must be {expected(kind, declared)}"


def shown(value: Any) -> str:
    """A value for a message: the beginning of its ``repr``, on one line, whatever it is.

    Example::

        shown(-1)  # "-1"
        shown(["a"] * 1000)  # the first 60 characters and "…"
    """
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return f"{'-' if value < 0 else ''}10^{int((abs(value).bit_length() - 1) * 0.30103)} or more"
    cut = isinstance(value, str | bytes | list | tuple) and len(value) > _SHOWN
    try:
        text = " ".join(repr(value[:_SHOWN] if cut else value).split("\n"))
    except Exception:  # the object's own code, or a number within it that is too large to print
        return f"an object of type {type(value).__name__}"
    return text[:_SHOWN] + "…" if cut or len(text) > _SHOWN else text


def counted(number: int, noun: str) -> str:
    """A number and a noun: ``1 text``, ``2,000 texts``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def expected(kind: Any, declared: Setting) -> str:
    """The allowed values of a setting in words, such as ``a finite number, at least 0 and less than 1``."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind is int and declared.most is None:
        declared = dataclasses.replace(declared, most=MOST)
    names = {int: "a whole number", float: "a finite number", str: "a string", bool: "True or False"}
    name = "a string, not empty" if kind is str and declared.filled else names.get(kind, "a tuple of strings")
    return f"{name}, {declared.range}" if declared.range else name


def _fits(value: Any, kind: Any, declared: Setting) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind in (int, float):
        numeric = isinstance(value, int | kind) and not isinstance(value, bool)
        limit = MOST if kind is int and declared.most is None else sys.float_info.max
        return numeric and value <= limit and declared.allows(value)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    return isinstance(value, kind) and not (declared.filled and not value)


def path_problem(what: str, value: Any) -> str | None:
    """Say why something cannot be the path of a file or folder on any disk; None if it can.

    Args:
      what: what the message calls it.
      value: what was given.
    """
    if not isinstance(value, str | os.PathLike):
        return f"{what} is {shown(value)}; it must be a path, as a string or a Path"
    try:
        path = os.fsencode(value)
    except (TypeError, ValueError):
        return f"{what} is {shown(value)}; it must be a path that this system can encode"
    must = None
    if not path:
        must = "must not be empty"
    elif b"\0" in path:
        must = "must not hold the character NUL"
    elif len(path) > _LONGEST_PATH:
        must = f"must have at most {_LONGEST_PATH:,} bytes, and it has {len(path):,}"
    elif (longest := max(map(len, path.split(os.sep.encode())))) > _LONGEST_NAME:
        must = f"must have names of at most {_LONGEST_NAME} bytes, and one has {longest:,}"
    return None if must is None else f"{what} is {shown(os.fspath(value))}; it {must}"


def conflicts(data: Any, model: Any, from_python: bool = False) -> Iterator[str]:
    """Yield a message for each conflict among the settings of a ``DataConfig`` and a ``ModelConfig``.

    ``from_python`` has the same meaning as for ``Config.validate``.
    """
    for name, value in (("data_dir", data.data_dir), *(("data", item) for item in data.data)):
        if value is not None and (problem := path_problem(f"`{name}`", value)):
            yield problem
    for item in data.val_data:
        if problem := path_problem("`val_data`", item):
            yield problem
    if data.dataset and data.data:
        yield "`dataset` and `data` each say what to train on; give one of them"
    if data.val_data and not data.data:
        yield "`val_data` goes with `data`: give the training files as well"
    if data.format is not None and not data.data:
        yield "`format` says how files are read, so it goes with `data`"
    if data.label_field is not None and data.source_field is not None:
        yield "`label_field` and `source_field` exclude each other; give one of them"
    for name in ("label_field", "source_field"):
        if getattr(data, name) is not None and data.window:
            yield f"`{name}` and `window` exclude each other: running text has no fields"
        if getattr(data, name) is not None and data.dataset == "headlines":
            yield f"`{name}` needs a table, JSON or a data set with such a field"
    if model.head == "classifier" and data.label_field is None and not from_python:
        yield '`head="classifier"` needs `label_field`, the field that holds the labels'
    if model.input_dropout and not model.embedding:
        yield "`input_dropout` is the dropout rate of the embedding, but `embedding` is 0; set it, for example to 64"
    if model.recurrent_dropout and model.cell in ("mingru", "minlstm"):
        yield f'`recurrent_dropout` cannot work with `cell="{model.cell}"`, which has no recurrent weights'
