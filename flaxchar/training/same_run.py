"""Whether settings and texts are those that a run was begun with. Texts are known by content; paths are only hints."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaxchar.config import Config, InputError
from flaxchar.data.readers.reading import STDIN, is_no_path
from flaxchar.settings import LENGTHS

if TYPE_CHECKING:  # the command compares settings before it imports JAX
    from flaxchar.data.vocabulary import Vocabulary

# Settings that say where something is.
PATHS = ("data", "val_data", "data_dir", "init_from")
# The version that reads format 1 in full; this one reads finished runs of it, and goes on with some.
FORMAT_1_VERSION = "flaxchar 0.1.0 at commit bf90fbd"


def check_settings(
    path: Path, saved: Config, config: Config, preset: str | None = None, given: Collection[str] | None = None
) -> None:
    """Compare a configuration with the one a run was begun with, without its length and its paths.

    Args:
      path: the folder of the run.
      saved: the configuration of the run.
      config: the configuration.
      preset: the preset that it begins with, if the user named one.
      given: names of the settings that the user gave; None if that is not known.

    Raises:
      InputError: they differ; the message lists all differences.
    """
    if changes := changed_settings(saved, config):
        raise InputError(
            f"the run in {path} was begun with other settings: {list_changes(changes, preset, given)}; leave "
            "them out to go on with it, or begin anew with `fresh`, which moves the old run aside"
        )


def check_texts(path: Path, record: dict[str, Any], vocabulary: Vocabulary, texts: dict[str, Any]) -> None:
    """Compare what identifies some texts with the texts that a run was begun with.

    Args:
      path: the folder of the run.
      record: the content of its ``config.json``.
      vocabulary: its vocabulary.
      texts: what identifies the texts.

    Raises:
      InputError: the texts differ, or the run has none because its model was saved by itself.
    """
    if not record["texts"]:
        raise InputError(f"{path} holds a model that was saved by itself: there is no training to go on with")
    if record["texts"]["sha256"] == texts["sha256"]:
        return
    if record["format"] == 1 and (vocabulary.labels or vocabulary.source_end is not None):
        # In format 1 the hash of texts with labels or sources was computed in another way.
        raise InputError(
            f"{path} holds an unfinished run of an older version with labels or sources; finish it with "
            f"{FORMAT_1_VERSION}, or begin anew with `fresh`, which moves the old run aside"
        )
    raise InputError(
        f"the texts have changed since the run in {path} was begun; bring them back, name another `workdir` for "
        "these, or begin anew with `fresh`, which moves the old run aside"
    )


def check_vocabulary(path: Path, saved: Vocabulary, vocabulary: Vocabulary) -> None:
    """Compare the vocabulary of some texts, encoded to go on with a run, with the run's own.

    Raises:
      InputError: they differ, because an older version began the run and the texts were not encoded like it.
    """
    if (vocabulary.word_rule, vocabulary.spelling) != (saved.word_rule, saved.spelling):
        raise InputError(
            f"{path} holds a run of an older version, which cut words otherwise or did not count the spelling "
            "of unknown ones; begin anew with `fresh`, which moves the old run aside"
        )


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
    return next(((name, path) for name, path in names if not is_no_path(path) and not os.path.exists(path)), None)


def with_paths(config: Config, other: Config) -> Config:
    """The settings with the paths of ``other``."""
    data = {name: getattr(other.data, name) for name in ("data", "val_data", "data_dir")}
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **data))
