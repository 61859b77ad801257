"""The process that draws: pictures on request, in the right folder, and reasons where there is none."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from flaxchar.commands.painter import CURVES, Painter, wanted

RECORD = {"step": 1, "bits_per_character": 2.5, "learning_rate": 0.1, "gradient_norm": 1.0, "seconds": 0.5}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(json.dumps(RECORD) + "\n")
    return folder


def wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"no {path}")


def test_a_picture_is_drawn_on_request_and_again_at_the_end_in_a_renamed_folder(folder):
    painter = Painter(folder, floor=2.0, unit="character")
    painter.draw()
    wait_for(folder / CURVES)
    first = (folder / CURVES).read_bytes()
    (folder / "baselines.json").write_text(json.dumps({"uniform": 5.0, "sha256": "0"}))
    os.kill(painter._process.pid, 0)  # it waits for the next request
    assert os.getpriority(os.PRIO_PROCESS, painter._process.pid) == 19
    assert os.getpgid(painter._process.pid) != os.getpgid(0)  # Ctrl-C does not reach it
    renamed = folder.rename(folder.with_name("run.1"))
    assert painter.finish() is None
    assert (renamed / CURVES).read_bytes() not in (first, b"")
    assert not folder.exists()
    assert sorted(path.name for path in renamed.iterdir()) == ["baselines.json", CURVES, "metrics.jsonl"]


def test_a_picture_that_cannot_be_drawn_is_explained(folder):
    (folder / "metrics.jsonl").unlink()
    assert Painter(folder, None, "character").finish() == "metrics.jsonl is missing: the run is damaged"


def test_a_process_that_has_died_is_no_error(folder):
    painter = Painter(folder, None, "character")
    os.kill(painter._process.pid, signal.SIGKILL)
    painter._process.wait()
    painter.draw()
    assert painter.finish() == "the process that draws ended with status -9"


def test_pictures_can_be_turned_off(monkeypatch):
    monkeypatch.setenv("FLAXCHAR_CURVES", "0")
    assert not wanted()
    monkeypatch.delenv("FLAXCHAR_CURVES")
    assert wanted()
