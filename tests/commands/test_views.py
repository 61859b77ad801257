"""The views of a training: they say where they are, and their failure never harms the run."""

from __future__ import annotations

import errno
import json
import os
import subprocess

import pytest
from helpers import untrained_model

from flaxchar.commands.views import CurvesView, TensorBoardView
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.data.examples import Example
from flaxchar.settings import DataConfig
from flaxchar.training.loop import Progress
from flaxchar.training.reporting import Report


@pytest.fixture(scope="module")
def corpus():
    texts = [f"{word} {number}" for word in ("rain", "wind", "snow") for number in range(20)]
    return encode_corpus(make_corpus([Example(text) for text in texts], None, DataConfig(), 0), DataConfig())


def train_a_little(view):
    view.planned(Report(0, 2, 0.0), steps_per_epoch=2)
    for step in (1, 2):
        view.progressed(Progress(step=step, nats=2.0, tokens=1, seconds=0.1), 2, 3.0, 1.0)
        view.evaluated(Report(step, 2, step / 2, trained=untrained_model(["rain wind snow 0123456789"])))
    view.close()
    view.close()


def test_the_curves_are_there_when_the_view_is_closed(tmp_path, capsys):
    record = {"step": 1, "bits_per_character": 2.5, "learning_rate": 0.1, "gradient_norm": 1.0, "seconds": 0.5}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    train_a_little(CurvesView(tmp_path, None, "character"))
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == f"curves: {tmp_path / 'curves.png'}\n"


def test_a_run_that_ends_before_its_first_step_has_no_curves_and_is_not_called_damaged(tmp_path, capsys):
    view = CurvesView(tmp_path, None, "character")
    view.planned(Report(0, 2, 0.0), steps_per_epoch=2)
    view.close()
    assert capsys.readouterr() == ("", "")


def test_curves_that_cannot_be_drawn_are_told(tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", fail)
    train_a_little(CurvesView(tmp_path, None, "character"))
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        f"flaxchar: {tmp_path / 'curves.png'} is not drawn: Resource temporarily unavailable\n",
    )


@pytest.mark.parametrize("moment", ["planned", "progressed", "evaluated", "close"])
def test_tensorboard_files_that_cannot_be_written_are_told_once(tmp_path, capsys, monkeypatch, corpus, moment):
    from flaxchar.commands.tensorboard import EventFile

    close = EventFile.close

    def fail(events, *_):
        if moment == "close":
            close(events)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if moment == "planned":
        (tmp_path / "tensorboard").write_text("in the way")
    else:
        monkeypatch.setattr(EventFile, moment, fail)
    train_a_little(TensorBoardView(tmp_path, corpus))
    told = capsys.readouterr()
    reason = "File exists" if moment == "planned" else "No space left on device"
    expected = f"flaxchar: TensorBoard's files in {tmp_path} are not written any more: {reason}\n"
    assert (told.out, told.err) == ("", expected)
