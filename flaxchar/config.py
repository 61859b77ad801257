"""The settings of a run as one object, which the command line, the saved ``config.json`` and Python calls share."""

from __future__ import annotations

import dataclasses
import difflib
import re
from typing import Any, get_type_hints

from flaxchar.settings import LENGTHS, DataConfig, ModelConfig, TrainingConfig
from flaxchar.sizes import too_large
from flaxchar.validation import conflicts, path_problem, problems, shown

# The longest time budget: a year, in seconds.
_LONGEST = 365 * 24 * 3600


class InputError(ValueError):
    """The user gave something that cannot be used; the message says what is wrong, where, and what to do.

    Messages name parameters in backticks, as Python spells them: "`hidden` is -4; it must be …". The command line shows
    them as flags.
    """


def missing_extra(what: str, library: str, extra: str) -> InputError:
    """The error that a library of one of flaxchar's extras is not installed.

    Example::

        raise missing_extra("serve", "uvicorn", "serve")
    """
    return InputError(
        f"{what} needs {library}; install it with pip install -e '.[{extra}]' in the folder of flaxchar's clone"
    )


class TrainingDiverged(RuntimeError):
    """Training has failed: loss or gradient exploded again and again; the message says which settings to try."""


class FormWarning(UserWarning):
    """A text was taken in another normal form, or with other quotation marks and the like, as the model knows them."""


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run."""

    data: DataConfig = DataConfig()
    # Twice the units of the notebook's LSTM(128), and an embedding: the best after two minutes on two cores
    # (docs/decisions/default-network.md).
    model: ModelConfig = ModelConfig(hidden=256, embedding=64)
    training: TrainingConfig = TrainingConfig()

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON types, one object per section."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The inverse of ``to_dict``.

        The values may come from a file that somebody else wrote, so they are checked like those of flags.

        Raises:
          InputError: a setting is unknown, as in a run written by a later version; or a value cannot be used.
        """
        if not isinstance(values, dict):
            raise InputError(f"the settings are {shown(values)}; they must be an object of sections")
        sections: dict[str, Any] = {}
        for section in dataclasses.fields(cls):
            kind = get_type_hints(cls)[section.name]
            known = {field.name for field in dataclasses.fields(kind)}
            given = values.get(section.name, {})
            if not isinstance(given, dict):
                raise InputError(f"the settings' section {section.name} is {shown(given)}; it must be an object")
            _refuse_unknown(set(given) - known)
            sections[section.name] = kind(**{name: _as_tuple(value) for name, value in given.items()})
        _refuse_unknown(set(values) - set(sections))
        config = cls(**sections)
        config.validate(from_python=True, training=False)
        return config

    def replace(self, **settings: Any) -> Config:
        """A copy with some settings changed, each by its own name; lists become tuples.

        Example::

            config.replace(hidden=256, steps=500)

        Raises:
          TypeError: there is no setting of that name.
        """
        sections = {}
        for section in dataclasses.fields(self):
            values = getattr(self, section.name)
            own = vars(values).keys() & settings.keys()
            sections[section.name] = dataclasses.replace(values, **{k: _as_tuple(settings.pop(k)) for k in own})
        if settings:
            near = [name for given in sorted(settings) for name in difflib.get_close_matches(given, self.by_name(), 1)]
            advice = f"; did you mean {', '.join(near)}?" if near else ""
            raise TypeError(f"no such setting: {', '.join(sorted(settings))}{advice}")
        return Config(**sections)

    def by_name(self) -> dict[str, Any]:
        """All settings of all sections, by name."""
        return {**vars(self.data), **vars(self.model), **vars(self.training)}

    def without_length(self) -> Config:
        """A copy in which no setting says how long to train."""
        return self.replace(**dict.fromkeys(LENGTHS))

    def differences(self, other: Config) -> list[tuple[str, Any, Any]]:
        """``(name, ours, theirs)`` for each setting that differs."""
        theirs = other.by_name()
        return [(name, ours, theirs[name]) for name, ours in self.by_name().items() if ours != theirs[name]]

    def validate(self, from_python: bool = False, training: bool = True) -> None:
        """Check the type and range of every setting, then which settings exclude or need each other.

        Args:
          from_python: whether the texts come from Python with their labels and sources, so that no field is needed.
          training: whether a network is to be trained, whose size is then compared with this machine's memory.

        Raises:
          InputError: a setting cannot work; the message is about the first one found.
        """
        for section in (self.data, self.model, self.training):
            for problem in problems(section):
                raise InputError(problem)
        lengths = [f"`{name}`" for name in LENGTHS if getattr(self.training, name) is not None]
        if len(lengths) > 1:
            raise InputError(f"{' and '.join(lengths)} each say how long to train; give one of them")
        for conflict in conflicts(self.data, self.model, from_python):
            raise InputError(conflict)
        if self.training.init_from is not None and (wrong := path_problem("`init_from`", self.training.init_from)):
            raise InputError(wrong)
        if self.training.time_budget is not None:
            parse_duration(self.training.time_budget)
        for problem in too_large(self.model, self.training) if training else ():
            raise InputError(problem)


def parse_duration(text: str) -> float:
    """Seconds in ``90``, ``90s``, ``2m``, ``1.5h`` or ``1h30m``.

    Raises:
      InputError: the text is not a time in this form, or the time is 0 or longer than a year.
    """
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    except ValueError:
        hours = minutes = seconds = 0.0
    total = 3600 * hours + 60 * minutes + seconds
    if not 0 < total <= _LONGEST:
        raise InputError(f"`time_budget` is {shown(text)}; it must be a time such as 90s, 2m or 1h30m, at most 8760h")
    return total


def _refuse_unknown(names: set[str]) -> None:
    if names:
        listed = ", ".join(name if name.isidentifier() else shown(name) for name in sorted(names)[:5])
        raise InputError(
            f"the settings hold {listed:.200}, which this version of flaxchar does not know; use the version that "
            "wrote them"
        )


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
