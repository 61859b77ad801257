"""The lock of a run: only the process that holds it writes in the run's folder or renames it.

The lock is the operating system's, on the file ``lock`` in the folder, so it ends with the process however that ends.
It belongs to the file and not to its path: when the folder is renamed, the lock goes with it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import socket
import sys
from pathlib import Path

from flaxchar.config import InputError
from flaxchar.storage import StorageError

LOCK = "lock"
# A folder that is renamed while it is being locked is locked anew; nobody renames so often.
_TRIES = 20


class FolderLock:
    """The lock of one folder, held by this process from ``acquire`` to ``release``.

    Example::

        lock = FolderLock.acquire(Path("runs/names"))
        lock.release()
    """

    def __init__(self, descriptor: int | None) -> None:
        """Use ``acquire``. ``descriptor``: the locked file; None on a file system without locks."""
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, folder: Path) -> FolderLock:
        """Lock a folder, which must exist.

        Raises:
          InputError: another process holds the lock; the message says which, and since when.
          StorageError: the lock's file cannot be opened.
        """
        path = folder / LOCK
        for _ in range(_TRIES):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            except OSError as error:
                raise StorageError(f"cannot lock {folder}: {path} cannot be opened: {error.strerror}") from error
            try:
                locked = _lock(descriptor)
            except OSError as error:  # a file system without locks
                logging.getLogger(__name__).warning("%s cannot be locked: %s", folder, error.strerror)
                os.close(descriptor)
                return cls(None)
            if not locked:
                holder = _describe(descriptor)
                os.close(descriptor)
                raise InputError(f"another process is training in {folder}{holder}; wait for it, or stop it")
            if _is_at(descriptor, path):
                with contextlib.suppress(OSError):  # a full disk: only the name of the holder is missing
                    _write_holder(descriptor)
                return cls(descriptor)
            os.close(descriptor)  # the folder was renamed or removed meanwhile
        raise StorageError(f"cannot lock {folder}: it is being renamed again and again")

    def release(self) -> None:
        """Release the lock; nothing where it is released already."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write_holder(descriptor: int) -> None:
    """Write into the lock's file which process holds it."""
    started = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(holder).encode() + b"\n")


def _describe(descriptor: int) -> str:
    """Who holds a lock, in parentheses; empty if the holder has not said."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        holder = json.loads(os.read(descriptor, 4096))
        host, started = ("".join(filter(str.isprintable, str(holder[name])))[:64] for name in ("host", "started"))
        return f" (process {int(holder['pid'])} on {host}, since {started})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        """Lock an open file without waiting; False if another holds the lock."""
        # Windows forbids others to read what is locked: a byte far behind the end leaves the holder's name readable.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        """Lock an open file without waiting; False if another holds the lock."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
