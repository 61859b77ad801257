"""The folder of a run before there is a run in it: whether it is free, and how an older run is moved aside."""

from __future__ import annotations

from pathlib import Path

from flaxchar.config import InputError

# What a run may have left in its folder before its ``config.json`` was written.
_OWN_FILES = {
    *("config.json", "vocabulary.json", "metrics.jsonl", "samples.jsonl", "baselines.json", "checkpoints", "lock"),
}


def check_free(path: Path) -> None:
    """Check that a folder can hold a new run.

    Raises:
      InputError: it is a file, or a folder with other things in it.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, not a folder; name another folder as `workdir`")
    if path.is_dir() and (others := sorted(entry.name for entry in path.iterdir() if entry.name not in _OWN_FILES)):
        raise InputError(f"{path} is not empty and holds no run (it holds {others[0]}); name a new folder as `workdir`")


def move_aside(path: Path) -> Path:
    """Rename a run's folder to the first free ``NAME.1``, ``NAME.2`` … and return the new path."""
    path = path.absolute()
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    path.rename(aside)
    return aside
