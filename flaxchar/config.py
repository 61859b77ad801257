"""The settings of a run as one object, which the command line, the saved ``config.json`` and Python calls share."""

from __future__ import annotations

import dataclasses
import difflib
import re
from typing import Any, get_type_hints

from flaxchar.settings import LENGTHS, DataConfig, ModelConfig, TrainingConfig
from flaxchar.validation import conflicts, problems


class InputError(ValueError):
    """The user gave something that cannot be used; the message says what is wrong, where, and what to do.

    Messages name parameters in backticks, as Python spells them: "`hidden` is -4; it must be …". The command line shows
    them as flags.
    """


class TrainingDiverged(RuntimeError):
    """Training has failed: loss or gradient exploded again and again; the message says which settings to try."""


class FormWarning(UserWarning):
    """A text was taken in another normal form, or with other quotation marks and the like, as the model knows them."""


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run."""

    data: DataConfig = DataConfig()
    # Twice the units of the notebook's LSTM(128), and an embedding: the best after two minutes on two cores
    # (benchmarks/recipes.md).
    model: ModelConfig = ModelConfig(hidden=256, embedding=64)
    training: TrainingConfig = TrainingConfig()

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON types, one object per section."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The inverse of ``to_dict``.

        Raises:
          InputError: a setting is unknown, as in a run written by a later version.
        """
        sections = {}
        for section in dataclasses.fields(cls):
            kind = get_type_hints(cls)[section.name]
            known = {field.name for field in dataclasses.fields(kind)}
            given = values.get(section.name, {})
            if unknown := sorted(set(given) - known):
                raise InputError(
                    f"the settings hold {', '.join(unknown)}, which this version of flaxchar does not know; "
                    "use the version that wrote them"
                )
            sections[section.name] = kind(**{name: _as_tuple(value) for name, value in given.items()})
        return cls(**sections)

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

    def validate(self, from_python: bool = False) -> None:
        """Check the type and range of every setting, then which settings exclude or need each other.

        Args:
          from_python: whether the texts come from Python with their labels and sources, so that no field is needed.

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
        if self.training.time_budget is not None:
            parse_duration(self.training.time_budget)


def parse_duration(text: str) -> float:
    """Seconds in ``90``, ``90s``, ``2m``, ``1.5h`` or ``1h30m``.

    Raises:
      InputError: the text is not a time in this form, or the time is 0.
    """
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    except ValueError:
        hours = minutes = seconds = 0.0
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise InputError(f"`time_budget` is {text!r}; it must be a time such as 90s, 2m or 1h30m")
    return total


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
