"""A run that is about to begin: its folder is locked from the first moment, and an older run in it is moved aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.training.folders import check_free, make_folder, move_aside, remove_unused
from flaxchar.training.lock import FolderLock
from flaxchar.training.run_directory import Run


class NewRun:
    """The locked folder of a run that is being planned.

    Whoever plans a run for minutes is not overtaken by another process then, and an older run stays where it is until
    the new one is ready to begin.

    Attributes:
      path: the folder.
    """

    def __init__(self, path: Path, fresh: bool) -> None:
        """Lock a folder, which is made where there is none.

        Args:
          path: the folder.
          fresh: whether a run that is in the folder may be moved aside.

        Raises:
          InputError: another process trains in the folder, or has begun a run there; or it holds something else.
          StorageError: the disk is full or cannot be written.
        """
        self.path = path
        if not Run.exists(path):
            check_free(path)
        self._made = make_folder(path)
        self._lock: FolderLock | None = FolderLock.acquire(path)
        if Run.exists(path) and not fresh:
            self.close()
            raise InputError(
                f"another process has just begun a run in {path}; give the command again to go on with that run, or "
                "name another folder as `workdir`"
            )

    def move_aside(self) -> Path | None:
        """Rename the folder if it holds a run, and lock a new one; return the new path of the old folder."""
        if not Run.exists(self.path):
            return None
        aside = move_aside(self.path)  # its lock goes with it
        self.close()
        self._made = make_folder(self.path)
        self._lock = FolderLock.acquire(self.path)
        return aside

    def begin(self, config: Config, vocabulary: Vocabulary, texts: dict[str, Any], steps: int) -> Run:
        """Create the run, which holds the lock from now on; arguments as ``Run.create``."""
        run = Run.create(self.path, config, vocabulary, texts, steps, self._lock)
        self._lock = None
        return run

    def close(self) -> None:
        """Release the lock; remove the folder if it was made for a run that did not begin."""
        if self._lock is not None:
            if self._made:
                remove_unused(self.path)
            self._lock.release()
            self._lock = None
