"""A disk that loses power: what is left of a folder at any moment, if only what was synchronised survives."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# A folder as it may be after a crash: the content of each file by its path, None for a folder.
State = dict[str, bytes | None]


class Disk:
    """Follows a folder through renames and synchronisations, and keeps what a crash after each of them may leave.

    A crash leaves one of two extremes, and a test looks at both:

    - names as they were when their folder was last synchronised, and contents as they were when their file was;
    - all names as they are now, but empty files where the content was not synchronised.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.states = folder, []
        self.promised = None  # what the program has said is durable, kept with each state
        self.promises = []
        self._contents: dict[int, bytes] = {}  # inode → synchronised content
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}  # inode of a folder → its synchronised names
        self._open: list[int] = []  # keeps every inode that was seen from being used again
        self._seen: set[int] = set()

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record every call of the system that makes a name or makes something durable."""
        names = ("fsync", "rename", "replace", "link", "unlink", "mkdir", "rmdir")
        originals = {name: getattr(os, name) for name in names}
        busy = []

        def recorded(name: str) -> Callable:
            def call(*arguments, **keywords):
                result = originals[name](*arguments, **keywords)
                if not busy:
                    busy.append(True)
                    if name == "fsync":
                        self._synchronised(arguments[0])
                    self._keep()
                    busy.clear()
                return result

            return call

        self._keep()
        for name in names:
            setattr(os, name, recorded(name))
        try:
            yield
        finally:
            for name in names:
                setattr(os, name, originals[name])
            for descriptor in self._open:
                os.close(descriptor)

    def _synchronised(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            entries = {}
            for entry in os.scandir(f"/proc/self/fd/{descriptor}"):
                entries[entry.name] = (entry.inode(), entry.is_dir(follow_symlinks=False))
            self._names[status.st_ino] = entries
        else:
            self._contents[status.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def _keep(self) -> None:
        eager: State = {}
        for path in [self.folder, *self.folder.rglob("*")]:
            with contextlib.suppress(FileNotFoundError):  # Orbax' threads write and rename at the same time
                inode = self._hold(path)
                eager[str(path.relative_to(self.folder))] = None if path.is_dir() else self._contents.get(inode, b"")
        strict: State = {".": None}
        self._list(os.stat(self.folder).st_ino, "", strict)
        for state in (eager, strict):
            self.states.append(state)
            self.promises.append(self.promised)

    def _list(self, inode: int, prefix: str, state: State) -> None:
        for name, (child, is_folder) in self._names.get(inode, {}).items():
            state[prefix + name] = None if is_folder else self._contents.get(child, b"")
            if is_folder:
                self._list(child, f"{prefix}{name}/", state)

    def _hold(self, path: Path) -> int:
        inode = os.stat(path).st_ino
        if inode not in self._seen:
            self._seen.add(inode)
            self._open.append(os.open(path, os.O_RDONLY))
        return inode

    def unique(self) -> list[tuple[State, Any]]:
        """The states that differ, each with the most that was promised before the crash."""
        pairs = zip(self.states, self.promises, strict=True)
        return list({repr(sorted(state.items(), key=str)): (state, promised) for state, promised in pairs}.values())


def restore(state: State, folder: Path) -> None:
    """Make a folder as a crash has left it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in sorted(state.items(), key=lambda item: item[0].count("/")):
        if content is None:
            (folder / name).mkdir(exist_ok=True, parents=True)
    for name, content in state.items():
        if content is not None:
            (folder / name).write_bytes(content)
