"""The folder of a run before there is a run in it: whether it is free, and how an older run is moved aside."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

from flaxchar.config import InputError
from flaxchar.storage import StorageError, sync_folder

# What a killed process may leave in the folder of a run that it was beginning: the lock, the vocabulary, and either of
# the first two files under the name that it has until it is whole.
_LEFTOVERS = re.compile(r"lock|vocabulary\.json|\.(vocabulary|config)\.json\.\w{8}|(vocabulary|config)\.json\.new")
# What a folder holds that was a run and lost its ``config.json``.
_PARTS = ("checkpoints", "metrics.jsonl", "samples.jsonl", "baselines.json", "curves.png", "tensorboard")
# Errors of a disk that is full or cannot be written; the other errors come from the path itself.
_STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def check_free(path: Path) -> None:
    """Check that a folder can hold a new run.

    Raises:
      InputError: it is a file, or a folder with other things in it.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, not a folder; name another folder as `workdir`")
    if not path.is_dir():
        return
    others = sorted(entry.name for entry in path.iterdir() if not _LEFTOVERS.fullmatch(entry.name))
    if parts := [name for name in _PARTS if name in others]:
        raise InputError(
            f"{path} holds a part of a run ({parts[0]}) without its config.json; bring that back, or name a new folder "
            "as `workdir`"
        )
    if others:
        raise InputError(f"{path} is not empty and holds no run (it holds {others[0]}); name a new folder as `workdir`")


def make_folder(path: Path) -> bool:
    """Make a folder for a run, and the folders it lies in; return whether there was none.

    Raises:
      InputError: the path cannot be a folder.
      StorageError: the disk is full or cannot be written.
    """
    try:
        if path.is_dir():
            return False
        path.mkdir(parents=True)
        sync_folder(path.parent)
    except FileExistsError:  # another process was faster
        return False
    except OSError as error:
        if error.errno in _STORAGE_ERRORS:
            raise StorageError(f"cannot write in {path}: {error.strerror}") from error
        raise InputError(f"cannot write in {path}: {error.strerror}; name another folder as `workdir`") from error
    return True


def remove_leftovers(path: Path) -> None:
    """Remove the half-written files that a killed process left in a folder; call it with the lock held."""
    for entry in path.iterdir():
        if entry.name.startswith((".vocabulary.", ".config.")) and _LEFTOVERS.fullmatch(entry.name):
            entry.unlink()


def remove_unused(path: Path) -> None:
    """Remove a folder in which no run was begun after all; other things in it stay, and then the folder too."""
    if not (path / "config.json").exists():
        with contextlib.suppress(OSError):
            if os.listdir(path) == ["lock"]:
                (path / "lock").unlink()
            path.rmdir()


def move_aside(path: Path) -> Path:
    """Rename a run's folder to the first free ``NAME.1``, ``NAME.2`` … and return the new path."""
    path = path.absolute()
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    path.rename(aside)
    sync_folder(path.parent)
    return aside
