"""Storage: the user's cache folder, content keys, and files and folders that are written whole or not at all.

A name in a folder is durable once the folder is synchronised, and a file's content once the file is. The functions
here synchronise both, in this order: content, name.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import platformdirs


class StorageError(OSError):
    """The storage failed: no room, no permission, a folder that has vanished. The message is one whole sentence."""


def cache_folder(*parts: str) -> Path:
    """Path of a folder in the user's cache, ``~/.cache/flaxchar/…`` on Linux; the folder is not created.

    Everything in the cache can be deleted at any time. On Linux ``XDG_CACHE_HOME`` moves it.

    Example::

        cache_folder("corpora")  # ~/.cache/flaxchar/corpora
    """
    folder = platformdirs.user_cache_path("flaxchar")
    if not folder.is_absolute():  # a relative XDG_CACHE_HOME is to be ignored, by its specification
        folder = Path.home() / ".cache" / "flaxchar"
    return folder.joinpath(*parts)


def own_cache_folder(*parts: str) -> Path | None:
    """Make a folder in the user's cache, for this user alone (mode 0700).

    Returns:
      The folder; None if it cannot be made, or if it or one above it in the cache belongs to somebody else or can be
      written by others. A warning on stderr says so once.
    """
    try:
        folder = cache_folder()
        folder.parent.mkdir(parents=True, exist_ok=True)
        for part in ("", *parts):
            folder /= part
            folder.mkdir(mode=0o700, exist_ok=True)
            if not _is_private(folder):
                _warn_once(f"{folder} is not used: it belongs to another user, or others can write in it")
                return None
    except (OSError, RuntimeError):  # RuntimeError: the user has no home
        return None
    return folder


def _is_private(folder: Path) -> bool:
    """Whether a folder belongs to this user and nobody else can write in it; an old one is closed to others."""
    if not hasattr(os, "getuid"):  # Windows, where each user's cache is private
        return True
    status = folder.stat()
    if status.st_uid != os.getuid():
        return False
    if status.st_mode & 0o077:
        try:
            folder.chmod(0o700)
        except OSError:  # a read-only disk: others cannot write in it either, unless the mode lets them
            return not status.st_mode & 0o022
    return True


@functools.cache
def _warn_once(sentence: str) -> None:
    print(f"flaxchar: {sentence}", file=sys.stderr)


def content_key(*parts: bytes | str) -> str:
    """Hash of the parts in their order, 32 hexadecimal digits.

    Each part is hashed with its length, so that ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    key = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        key.update(len(data).to_bytes(8, "big") + data)
    return key.hexdigest()[:32]


def scratch_file() -> BinaryIO:
    """Open a new file without a name, which disappears when it is closed.

    It is in the user's cache folder if that is writable. The system's folder for temporary files is often in memory,
    which the file is meant to save.
    """
    try:
        return tempfile.TemporaryFile(dir=own_cache_folder())
    except OSError:
        return tempfile.TemporaryFile()


def replace_file(path: Path, content: bytes | str) -> None:
    """Write a file whole: readers see the old content or the new, even after a power cut.

    Text is written as UTF-8; a lone surrogate, which has no UTF-8 form, is written as a backslash escape.

    Raises:
      OSError: the file cannot be written; the old file is unchanged.
    """
    with _beside(path, content) as beside:
        beside.replace(path)
    sync_folder(path.parent)


def create_file(path: Path, content: bytes | str) -> None:
    """Write a new file whole, as ``replace_file`` does, but never over an existing one.

    Raises:
      FileExistsError: the file exists.
      OSError: the file cannot be written.
    """
    with _beside(path, content) as beside:
        os.link(beside, path)  # unlike a rename, a link fails if the file exists
    sync_folder(path.parent)


def append_text(path: Path, text: str) -> None:
    """Append to a file all of a text or nothing; a lone surrogate is written as a backslash escape.

    Raises:
      OSError: the file cannot be written, or is a symbolic link, through which nothing is written.
    """
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the content of a file durable; nothing where there is no file."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: those that were added, and those that were removed."""
    if os.name == "nt":  # Windows cannot open a folder, and keeps names in order by itself
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Make everything in a folder durable, but not the folder's own name."""
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            sync_file(Path(folder, name))
        sync_folder(Path(folder))


@contextlib.contextmanager
def _beside(path: Path, content: bytes | str) -> Iterator[Path]:
    """Write a synchronised file with a random name beside ``path``; on leaving remove it if it is still there."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def created_folder(path: Path) -> Iterator[Path]:
    """Make a new folder, which gets its name when the ``with`` block ends without an error; never over another one.

    Yields:
      The folder to fill, beside ``path``.

    Raises:
      FileExistsError: there is something at ``path`` by then.
      OSError: the folder cannot be written.
    """
    new = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield new
        sync_tree(new)
        new.chmod(0o777 & ~_umask())
        if path.exists():
            raise FileExistsError(f"{path} exists")
        new.rename(path)  # fails where another process has made a file or a folder with content meanwhile
        sync_folder(path.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Make a new folder, which replaces ``path`` when the ``with`` block ends without an error.

    Yields:
      The folder to fill, beside ``path``.

    Raises:
      OSError: there is no room, or no permission, for a folder beside ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=path.parent))
    old = new.with_suffix(".old")
    try:
        yield new
        if path.exists():  # damaged, or another process was faster; memory maps of its files stay valid
            path.rename(old)
        new.rename(path)
    finally:
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)
