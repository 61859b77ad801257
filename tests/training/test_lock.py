"""One process holds the lock of a folder, wherever the folder is renamed to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
from helpers import environment

from flaxchar import InputError
from flaxchar.storage import StorageError
from flaxchar.training import lock as module
from flaxchar.training.lock import FolderLock

HOLDS = """
import pathlib, sys
from flaxchar.training.lock import FolderLock
lock = FolderLock.acquire(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert other.stdout.readline() == "locked\n"
    yield other
    other.kill()
    other.communicate()


def test_the_second_is_told_who_holds_the_lock_and_a_dead_holder_holds_none(holder, tmp_path):
    with pytest.raises(InputError) as raised:
        FolderLock.acquire(tmp_path)
    message = str(raised.value)
    assert (
        f"another process is training in {tmp_path} (process {holder.pid} on {socket.gethostname()}, since 2" in message
    )
    assert message.endswith("; wait for it, or stop it")
    holder.kill()
    holder.wait()
    FolderLock.acquire(tmp_path).release()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_the_lock_goes_with_the_folder_and_the_path_is_free_for_another(tmp_path):
    (tmp_path / "r").mkdir()
    old = FolderLock.acquire(tmp_path / "r")
    (tmp_path / "r").rename(tmp_path / "r.1")
    with pytest.raises(InputError, match="another process"):
        FolderLock.acquire(tmp_path / "r.1")
    (tmp_path / "r").mkdir()
    new = FolderLock.acquire(tmp_path / "r")
    old.release()
    FolderLock.acquire(tmp_path / "r.1").release()
    with pytest.raises(InputError, match="another process"):
        FolderLock.acquire(tmp_path / "r")
    new.release()
    new.release()


def test_a_folder_renamed_between_opening_and_locking_is_locked_anew(tmp_path, monkeypatch):
    (tmp_path / "r").mkdir()
    locks, renamed = module._lock, []

    def rename_first(descriptor):
        if not renamed:
            (tmp_path / "r").rename(tmp_path / "r.1")
            (tmp_path / "r").mkdir()
            renamed.append(True)
        return locks(descriptor)

    monkeypatch.setattr(module, "_lock", rename_first)
    lock = FolderLock.acquire(tmp_path / "r")
    with pytest.raises(InputError, match="another process"):
        FolderLock.acquire(tmp_path / "r")
    FolderLock.acquire(tmp_path / "r.1").release()
    lock.release()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StorageError, match="cannot lock"):
        FolderLock.acquire(tmp_path / "r")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuses(descriptor):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(module, "_lock", refuses)
    FolderLock.acquire(tmp_path).release()
    assert "cannot be locked: No locks available" in caplog.text


def test_a_lock_that_names_nobody_is_held_all_the_same(tmp_path):
    lock = FolderLock.acquire(tmp_path)
    for content in ("", "{}", '{"pid": null, "host": 1, "started": 2}', "[" * 5000):
        (tmp_path / "lock").write_text(content)
        with pytest.raises(InputError, match=rf"another process is training in {tmp_path}; wait"):
            FolderLock.acquire(tmp_path)
    lock.release()
