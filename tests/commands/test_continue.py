"""``flaxchar train`` on a folder that holds a run: continuation, interruption, changed settings and texts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import ROOT, SMALL, environment, run_command

import flaxchar
from flaxchar.training.run_directory import Run


def state_of(path: Path):
    """Every array of a run's last checkpoint, read without flaxchar's own code."""
    import orbax.checkpoint as ocp

    step = max(int(entry.name) for entry in (path / "checkpoints").iterdir() if entry.name.isdigit())
    restored = {
        item: ocp.StandardCheckpointer().restore((path / "checkpoints" / str(step) / item).absolute())
        for item in ("params", "training")
    }
    return step, [np.asarray(leaf) for leaf in jax.tree.leaves(restored)]


def assert_same_state(one: Path, other: Path):
    (step, leaves), (other_step, other_leaves) = state_of(one), state_of(other)
    assert step == other_step
    assert len(leaves) == len(other_leaves) > 10
    for a, b in zip(leaves, other_leaves, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param((), id="texts"),
        pytest.param(("--window", "16", "--layers", "2"), id="windows"),
    ],
)
@pytest.mark.slow
def test_killed_and_resumed_equals_never_interrupted_to_the_bit(texts, tmp_path, settings):
    arguments = ("--data", texts, "--steps", "600", *SMALL, *settings)
    assert run_command("train.py", *arguments, "--workdir", str(tmp_path / "whole")).returncode == 0
    path = tmp_path / "killed"
    command = [sys.executable, str(ROOT / "train.py"), *arguments, "--workdir", str(path)]
    kills = 0
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
        before = {entry.name for entry in (path / "checkpoints").glob("*")}
        while process.poll() is None:
            finished = {entry.name for entry in (path / "checkpoints").glob("*") if entry.name.isdigit()}
            if finished - before:
                process.kill()
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert kills == 2, "the run was over before it could be killed"
    assert max(int(name) for name in os.listdir(path / "checkpoints") if name.isdigit()) < 600
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1')  # what a kill in the middle of a line leaves
    # The settings are the run's own: none need be given again.
    result = run_command("train.py", "--workdir", str(path))
    assert result.returncode == 0, result.stderr
    assert "continuing at step " in result.stdout
    assert_same_state(tmp_path / "whole", path)
    for name in ("metrics.jsonl", "samples.jsonl"):
        whole, resumed = (
            [json.loads(line) for line in (folder / name).read_text().splitlines()]
            for folder in (tmp_path / "whole", path)
        )
        for record in whole + resumed:
            record.pop("characters_per_second", None)
        assert [r["step"] for r in resumed] == [r["step"] for r in whole]
        held_out = [r for r in whole if "loss" not in r]
        assert [r for r in resumed if "loss" not in r] == held_out
    best = [folder_best(folder) for folder in (tmp_path / "whole", path)]
    assert best[0] == best[1]


def folder_best(path):
    run = Run.open(path)
    try:
        return run.checkpoints.best()
    finally:
        run.close()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP))]
)
def test_signals_save_and_leave_with_a_line(texts, tmp_path, number):
    path = tmp_path / "r"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--data", texts, "--workdir", str(path), "--steps", "500000", *SMALL],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("step "):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == ""
    last = out.strip().splitlines()[-1]
    assert last.startswith(f"stopped by {number.name} at step ")
    assert "to continue: python train.py --workdir " in last
    assert f"at step {state_of(path)[0]:,} of 500,000" in last


def test_changed_settings_are_listed_and_fresh_moves_the_old_run_aside(run, texts, tmp_path, run_here):
    path = tmp_path / "r"
    shutil.copytree(run, path)
    result = run_here("train", "--workdir", str(path), "--hidden", "9", "--seed", "3")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--hidden was 8 and is 9" in result.stderr
    assert "--seed was 0 and is 3" in result.stderr
    assert "--fresh" in result.stderr
    assert result.stderr.count("\n") == 1
    result = run_here("train", "--workdir", str(path), "--data", texts, "--hidden", "9", "--steps", "2", "--fresh")
    assert result.returncode == 0, result.stderr
    assert f"is now {path}.1" in result.stdout
    assert_same_state(run, Path(f"{path}.1"))
    assert json.loads((path / "config.json").read_text())["config"]["model"]["hidden"] == 9


def test_a_complete_run_is_left_as_it_is(run, texts, run_here):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for arguments in ((), ("--data", texts, "--steps", "60", *SMALL)):
        result = run_here("train", "--workdir", str(run), *arguments)
        assert result.returncode == 0, result.stderr
        assert "best checkpoint: " in result.stdout
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_changed_texts_are_an_error(texts, tmp_path, run_here):
    mine = tmp_path / "mine.txt"
    shutil.copy(texts, mine)
    arguments = ("train", "--data", str(mine), "--workdir", str(tmp_path / "r"), "--steps", "2", *SMALL)
    assert run_here(*arguments).returncode == 0
    mine.write_text(mine.read_text().replace("Today", "Tonight"))
    result = run_here("train", "--workdir", str(tmp_path / "r"))
    assert result.returncode == 2
    assert "the texts have changed since the run in" in result.stderr


def test_two_processes_do_not_train_in_one_folder(texts, tmp_path):
    path = tmp_path / "r"
    command = ("--data", texts, "--workdir", str(path), "--steps", "500000", *SMALL)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *command], stdout=subprocess.PIPE, text=True, env=environment()
    )
    for line in process.stdout:
        if line.startswith("training for "):
            break
    process.send_signal(signal.SIGSTOP)  # it holds the folder, and leaves the processor to the others
    for arguments in ((), ("--time-budget", "1s"), (*command, "--fresh")):
        result = run_command("train.py", "--workdir", str(path), *arguments)
        assert result.returncode == 2
        assert f"another process is training in {path} (process {process.pid} on " in result.stderr
        assert result.stderr.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["r"]  # nothing was moved aside
    process.kill()
    process.communicate()


def test_a_model_saved_from_python_is_not_trained_on(tmp_path, run_here):
    flaxchar.train(["Anna", "Otto"] * 5, steps=2, hidden=8).save(tmp_path / "r")
    assert run_here("sample", "--workdir", str(tmp_path / "r")).returncode == 0
    result = run_here("train", "--workdir", str(tmp_path / "r"), "--dataset", "headlines")
    assert result.returncode == 2


def test_a_copied_folder_is_a_copied_model(run, tmp_path, run_here):
    shutil.copytree(run, tmp_path / "copy")
    one, other = (run_here("sample", "--workdir", str(path)) for path in (run, tmp_path / "copy"))
    assert one.returncode == 0
    assert one.stdout == other.stdout != ""


def test_a_read_only_folder_can_be_sampled_from(run, tmp_path, run_here):
    shutil.copytree(run, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (tmp_path / "copy").chmod(0o555)
    result = run_here("sample", "--workdir", str(tmp_path / "copy"))
    assert result.returncode == 0, result.stderr


def test_a_folder_with_other_things_in_it_is_left_alone(texts, tmp_path, run_here):
    (tmp_path / "thesis.tex").write_text("precious")
    result = run_here("train", "--data", texts, "--workdir", str(tmp_path))
    assert result.returncode == 2
    assert "is not empty and holds no run (it holds thesis.tex)" in result.stderr
    assert os.listdir(tmp_path) == ["thesis.tex"]
