"""``flaxchar train`` on runs that are complete, that have moved, or that begin with another run's weights."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from helpers import SMALL

from flaxchar.training.run_directory import Run


@pytest.fixture
def project(run, texts, tmp_path):
    """A project that was moved: the texts and a complete run of them, which still names the old place."""
    project = tmp_path / "project"
    (project / "runs").mkdir(parents=True)
    shutil.copy(texts, project / "headlines.txt")
    shutil.copytree(run, project / "runs" / "r")
    config = project / "runs" / "r" / "config.json"
    config.write_text(config.read_text().replace(str(texts), "/old/project/headlines.txt"))
    record = json.loads(config.read_text())
    record["folder"] = "/somewhere/else/r"
    del record["sha256"]  # as a user is told to do who edits the file
    config.write_text(json.dumps(record))
    return project


def test_texts_that_have_moved_are_named_and_found_by_their_content(project, run_here):
    path = project / "runs" / "r"
    result = run_here("train", "--workdir", str(path))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"flaxchar: /old/project/headlines.txt, which the run in {path} learns from, is not there any more; if it has "
        "moved, say where it is now with --data: a run knows its texts by their content\n"
    )
    result = run_here("train", "--workdir", str(path), "--data", str(project / "headlines.txt"))
    assert result.returncode == 0, result.stderr
    assert run_here("train", "--workdir", str(path)).returncode == 0  # the new path was recorded
    assert Run.open(path).config.data.data == (str(project / "headlines.txt"),)
    result = run_here("train", "--workdir", str(path), "--data", str(project / "nowhere.txt"))
    assert (result.returncode, result.stderr) == (2, f"flaxchar: there is no file {project / 'nowhere.txt'}\n")


def test_other_texts_are_refused_wherever_they_are(project, run_here):
    (project / "other.txt").write_text((project / "headlines.txt").read_text().replace("Today", "Tonight"))
    result = run_here("train", "--workdir", str(project / "runs" / "r"), "--data", str(project / "other.txt"))
    assert result.returncode == 2
    assert "the texts have changed since the run in" in result.stderr


def test_a_complete_run_says_so_and_is_trained_further_when_asked(run, texts, tmp_path, run_here):
    path = tmp_path / "r"
    shutil.copytree(run, path)
    result = run_here("train", "--workdir", str(path))
    assert (
        f"the run is complete (60 steps); to train further: python train.py --workdir {path} --steps 120, or "
        "--time-budget 10m\n"
    ) in result.stdout
    result = run_here("train", "--workdir", str(path), "--steps", "70")
    assert result.returncode == 0, result.stderr
    assert "training further, from step 60 to step 70: the learning rate rises to " in result.stdout
    assert "continuing at step 60 of 70 steps" in result.stdout
    assert "repeats this run exactly" not in result.stdout
    assert "the run is complete" not in result.stdout
    result = run_here("train", "--workdir", str(path), "--time-budget", "1s")
    assert result.returncode == 0, result.stderr
    assert re.search(r"training further, from step 70 to step \d+", result.stdout)
    steps = Run.open(path).steps
    result = run_here("train", "--workdir", str(path), "--data", texts, "--time-budget", "1s", *SMALL)
    assert f"the run is complete ({steps:,} steps)" in result.stdout  # the same command once more
    result = run_here("train", "--workdir", str(path), "--steps", "50")
    assert result.returncode == 2
    assert f"the run has taken {steps:,} steps, and --steps is 50" in result.stderr


def test_a_run_begins_with_the_weights_of_another(run, tmp_path, run_here):
    new = tmp_path / "new.txt"
    new.write_text("Zürich gewinnt\nBasel verliert\n" * 20)
    path = tmp_path / "r"
    command = ("train", "--data", str(new), "--init-from", str(run), "--workdir", str(path), "--steps", "2")
    result = run_here(*command)
    assert result.returncode == 0, result.stderr
    assert re.search(
        rf"taken over from {run}: \d+ of \d+ characters, the layer; fresh: \d+ new characters? \('ü'[^)]*\)\n",
        result.stdout,
    ), result.stdout
    assert Run.open(path).config.model.hidden == 8
    again = run_here(*command)
    assert again.returncode == 0, again.stderr
    assert "the run is complete (2 steps)" in again.stdout
    result = run_here(*command[:-4], "--workdir", str(tmp_path / "s"), "--hidden", "64")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"flaxchar: --hidden is 64, and the run in {run} has 8: a run that begins with its weights has its network, so "
        "leave out --hidden\n"
    )


def test_a_folder_without_a_run_beside_others_is_mentioned(run, run_here, monkeypatch):
    from flaxchar.commands.train import _runs_beside

    assert _runs_beside(run.parent / "ruin") == [run.name]
    assert _runs_beside(run / "checkpoints" / "x") == []
    said = []
    monkeypatch.setattr("flaxchar.commands.terminal.ConsoleObserver.prepared", lambda _, lines: said.extend(lines))
    monkeypatch.setattr("flaxchar.training.session.train_corpus", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    run_here("train", "--workdir", str(run.parent / "ruin"))
    assert said[0] == f"there is no run in {run.parent / 'ruin'}: this begins a new one (runs beside it: {run.name})"
    said.clear()
    run_here("train", "--workdir", str(run.parent / "ruin"), "--dataset", "headlines")
    assert not said[0].startswith("there is no run")


def test_what_a_preset_changes_is_told_apart(run, run_here):
    result = run_here("train", "--workdir", str(run), "--preset", "best", "--layers", "3")
    assert result.returncode == 2
    assert re.search(
        r"other settings: --layers was 1 and is 3; with --preset best .*--hidden was 8 and is 512", result.stderr
    )
    assert "--data" not in result.stderr


def test_a_complete_run_of_a_time_budget_is_not_trained_further_unasked(texts, tmp_path, run_here):
    path = str(tmp_path / "r")
    assert run_here("train", "--data", texts, "--workdir", path, "--time-budget", "1s", *SMALL).returncode == 0
    steps = Run.open(tmp_path / "r").steps
    for again in ((), ("--data", texts, "--time-budget", "1s", *SMALL)):
        result = run_here("train", "--workdir", path, *again)
        assert f"the run is complete ({steps:,} steps)" in result.stdout, result.stderr
    assert Run.open(tmp_path / "r").steps == steps
