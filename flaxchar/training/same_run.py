"""Whether settings and texts are those that a run was begun with. Texts are known by content; paths are only hints."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any

from flaxchar.config import Config
from flaxchar.data.readers.reading import STDIN
from flaxchar.settings import LENGTHS

# Settings that say where something is.
PATHS = ("data", "val_data", "data_dir", "init_from")


def changed_settings(saved: Config, config: Config) -> list[tuple[str, Any, Any]]:
    """``(name, saved, given)`` for each setting that makes another run.

    How long to train is not one of them, because a run can be trained further. Neither is where the texts are.
    """
    return [
        (name, ours, theirs)
        for name, ours, theirs in saved.differences(config)
        if name not in LENGTHS
        and not (name in ("data", "val_data", "data_dir") and ours and theirs)
        and not (name == "begin_at" and ours is None)  # a run of an older version
    ]


def list_changes(
    changes: list[tuple[str, Any, Any]], preset: str | None = None, given: Collection[str] | None = None
) -> str:
    """Name the settings that changed, those that the preset changed apart.

    Args:
      changes: from ``changed_settings``.
      preset: the preset that the settings begin with, if the user named one.
      given: names of the settings that the user gave; None if that is not known.
    """
    apart = preset is not None and given is not None

    def listed(by_preset: bool) -> str:
        chosen = [change for change in changes if (apart and change[0] not in (given or ())) == by_preset]
        return ", ".join(f"`{name}` was {as_typed(ours)} and is {as_typed(new)}" for name, ours, new in chosen)

    preset_changed = f'with `preset="{preset}"` {listed(True)}' if listed(True) else ""
    return "; ".join(part for part in (listed(False), preset_changed) if part)


def as_typed(value: Any) -> str:
    """A setting's value as a user types it: ``none``, ``on``, ``0.02``, ``a.txt 'b c.txt'``."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return " ".join(map(shlex.quote, value))
    return shlex.quote(value) if isinstance(value, str) else str(value)


def relocated(config: Config, recorded_in: str | None, folder: Path) -> Config:
    """Find the files of a run that was moved together with them.

    Args:
      config: the run's settings; a file that is not where they say is looked for at the same place relative to the run.
      recorded_in: the folder of the run when the settings were written; None in runs of older versions.
      folder: the folder of the run now.
    """
    if recorded_in is None or Path(recorded_in) == folder.absolute():
        return config

    def moved(name: str) -> str:
        if name == STDIN or os.path.exists(name):
            return name
        beside = os.path.normpath(folder.absolute() / os.path.relpath(name, recorded_in))
        return beside if os.path.exists(beside) else name

    values = {name: getattr(config.data, name, None) or getattr(config.training, name, None) for name in PATHS}
    return config.replace(
        **{
            name: tuple(map(moved, value)) if isinstance(value, tuple) else moved(value)
            for name, value in values.items()
            if value
        }
    )


def missing_file(config: Config) -> tuple[str, str] | None:
    """The first file of the settings that does not exist, and the setting that names it; None where all exist."""
    names = ((name, path) for name in ("data", "val_data") for path in getattr(config.data, name))
    return next(((name, path) for name, path in names if path != STDIN and not os.path.exists(path)), None)


def with_paths(config: Config, other: Config) -> Config:
    """The settings with the paths of ``other``."""
    data = {name: getattr(other.data, name) for name in ("data", "val_data", "data_dir")}
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **data))
