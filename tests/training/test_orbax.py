"""Orbax' errors in a few words, and without its threads' tracebacks."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import resident_bytes

from flaxchar.training.orbax import Orbax, reason


def test_items_come_back(tmp_path):
    orbax = Orbax()
    orbax.save(tmp_path / "c", {"params": {"w": np.arange(3.0)}})
    np.testing.assert_array_equal(
        orbax.restore(tmp_path / "c", {"params": {"w": np.zeros(3)}})["params"]["w"], [0, 1, 2]
    )
    orbax.close()
    orbax.close()


@pytest.mark.parametrize("name", ["run [v2]", "a*b?", "back\\slash", "gs:", "%20 #1", "in/../out", "日本"])
def test_a_folder_may_have_any_name(tmp_path, name, monkeypatch):
    """Orbax takes some characters for patterns, for the ends of names and for places on the web."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    folder = tmp_path / name
    folder.mkdir()
    orbax, items = Orbax(), {"params": {"w": np.arange(6.0).reshape(2, 3)}}
    for path in (folder / "c", Path(name) / "d"):
        orbax.save(path, items)
        np.testing.assert_array_equal(orbax.restore(path, items)["params"]["w"], items["params"]["w"])
        assert orbax.shapes(path / "params") == [(2, 3)]
        assert path.is_dir()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        {"in", *folder.resolve().relative_to(tmp_path).parts}
    )


def test_the_temporary_folder_may_have_any_name_or_be_missing(tmp_path, monkeypatch):
    """Batch systems name it after the job; a link in ``job[7]`` would be as ambiguous as the folder itself."""
    (tmp_path / "job[7]").mkdir()
    (tmp_path / "run [v2]").mkdir()
    orbax, items = Orbax(), {"params": {"w": np.arange(6.0)}}
    for number, temporary in enumerate((tmp_path / "job[7]", tmp_path / "gone")):
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        path = tmp_path / "run [v2]" / str(number)
        orbax.save(path, items)
        np.testing.assert_array_equal(orbax.restore(path, items)["params"]["w"], items["params"]["w"])
        assert orbax.shapes(path / "params") == [(6,)]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["job[7]", "run [v2]"]


def test_shapes_are_read_without_losing_memory(tmp_path):
    """A process that loads models for days reads shapes at each load."""
    orbax = Orbax()
    orbax.save(tmp_path / "c d%20", {"params": {"w": np.zeros((2, 3)), "cell": {"b": np.zeros(4), "s": np.zeros(())}}})
    folder = tmp_path / "c d%20" / "params"
    assert sorted(orbax.shapes(folder)) == [(), (2, 3), (4,)]

    def grown(calls: int = 200) -> int:
        before = resident_bytes()
        for _ in range(calls):
            orbax.shapes(folder)
        return resident_bytes() - before

    assert min(grown() for _ in range(4)) < 500 << 10  # Orbax' own metadata made it 2,800 KiB


def test_what_cannot_be_written_is_raised_and_not_printed(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    orbax = Orbax()
    with pytest.raises((OSError, ValueError)) as raised:
        orbax.save(tmp_path / "file" / "c", {"params": {"w": np.arange(3.0)}})
    assert reason(raised.value) == "Not a directory"
    assert capfd.readouterr().err == ""


def test_only_orbax_threads_are_silent_after_a_failure(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: told.append(error.exc_value))
    monkeypatch.setattr(threading, "excepthook", lambda error: told.append(error.exc_value))
    (tmp_path / "file").write_text("")
    with pytest.raises((OSError, ValueError)):
        Orbax().save(tmp_path / "file" / "c", {"params": {"w": np.arange(3.0)}})
    for error in (RuntimeError("Event loop is closed"), RuntimeError("mine")):
        sys.unraisablehook(SimpleNamespace(exc_value=error))
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert list(map(str, told)) == ["mine", "division by zero"]


def test_the_reason_is_the_systems():
    assert reason(ValueError("RESOURCE_EXHAUSTED: … [os_error_code='28']")) == "No space left on device"
    wrapped = ValueError("x")
    wrapped.__cause__ = OSError(30, "Read-only file system")
    assert reason(wrapped) == "Read-only file system"
    assert reason(ValueError("one\ntwo")) == "one"
    assert reason(ValueError()) == "ValueError"
