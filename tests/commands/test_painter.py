"""The process that draws: pictures on request, at the lowest priority, and a last one by the command itself."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from flaxchar import InputError
from flaxchar.commands import painter as module
from flaxchar.commands.painter import CURVES, Painter, draw_run, wanted

RECORD = {"step": 1, "bits_per_character": 2.5, "learning_rate": 0.1, "gradient_norm": 1.0, "seconds": 0.5}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(json.dumps(RECORD) + "\n")
    return folder


def wait_for(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("nothing has come in two minutes")


@pytest.fixture
def usual_priority(monkeypatch):
    """Let the process take its turn where other tests leave no processor idle."""
    monkeypatch.setattr(module, "_PROGRAM", module._PROGRAM.replace("SCHED_IDLE", "SCHED_OTHER"))


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system has no idle priority")
def test_the_process_runs_when_a_processor_is_idle(folder):
    painter = Painter(folder, None, "character")
    painter.draw()
    wait_for(lambda: os.sched_getscheduler(painter._process.pid) == os.SCHED_IDLE)
    painter.finish()


def test_a_picture_is_drawn_on_request_and_again_at_the_end(folder, usual_priority):
    painter = Painter(folder, floor=2.0, unit="character")
    painter.draw()
    wait_for((folder / CURVES).exists)
    first = (folder / CURVES).read_bytes()
    process = painter._process.pid
    os.kill(process, 0)  # it waits for the next request
    assert os.getpgid(process) != os.getpgid(0)  # Ctrl-C does not reach it
    (folder / "baselines.json").write_text(json.dumps({"uniform": 5.0, "sha256": "0"}))
    (folder / f".{CURVES}.abcdefgh").write_text("half a picture")
    painter.finish()
    assert painter._process.returncode == -signal.SIGKILL
    assert (folder / CURVES).read_bytes() not in (first, b"")
    assert sorted(path.name for path in folder.iterdir()) == ["baselines.json", CURVES, "metrics.jsonl"]


def test_a_process_that_has_ended_is_no_error(folder, usual_priority):
    ended = Painter(folder, None, "character")
    ended.draw()
    ended._process.stdin.close()  # as when the command is killed
    assert ended._process.wait(120) == 0
    killed = Painter(folder, None, "character")
    killed.draw()
    killed._process.kill()
    killed._process.wait()
    killed.draw()
    killed.finish()
    assert (folder / CURVES).exists()


def test_a_picture_that_cannot_be_drawn_is_explained(folder):
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match=r"metrics\.jsonl is missing"):
        draw_run(folder, None, "character")


def test_pictures_can_be_turned_off(monkeypatch):
    monkeypatch.setenv("FLAXCHAR_CURVES", "0")
    assert not wanted()
    monkeypatch.delenv("FLAXCHAR_CURVES")
    assert wanted()
