"""``flaxchar train``: reports, presets, progress, errors about folders."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import ROOT, SMALL, environment, run_command

import flaxchar
from flaxchar.commands.train import train
from flaxchar.config import InputError


def test_train_reports_texts_progress_results_and_what_to_do_next(texts, tmp_path):
    path = tmp_path / "my runs"
    prompts = ("--sample-prompts", "Today ", "President ")
    settings = ("--epochs", "2", "--buckets", "8", *prompts, *SMALL)
    result = run_command("train.py", "--data", texts, "--workdir", str(path), *settings)
    assert result.returncode == 0
    # The first command on a machine may say that it compiles the native kernel.
    assert [line for line in result.stderr.splitlines() if "compiling the native kernel" not in line] == []
    out = result.stdout
    assert "headlines.txt: 380 texts to learn, 20 held out" in out
    assert "vocabulary: " in out
    assert "training for 96 steps (2.0 epochs" in out
    assert "epoch 1.00, step 48: held-out " in out
    assert "accuracy" in out
    assert "  greedy  | Today " in out
    assert "  T = 0.8 | President " in out
    assert "bits/char" in out
    assert f"python sample.py --workdir '{path}'" in out
    config = json.loads((path / "config.json").read_text())
    assert config["steps"] == 96
    metrics = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    held_out = [line for line in metrics if "held_out_loss" in line]
    assert held_out[-1]["step"] == 96
    assert held_out[-1]["held_out_bits_per_character"] == pytest.approx(held_out[-1]["held_out_loss"] / np.log(2))
    samples = [json.loads(line) for line in (path / "samples.jsonl").read_text().splitlines()]
    assert {(s["prompt"], s["temperature"]) for s in samples} == {(p, t) for p in prompts[1:] for t in (0.0, 0.8)}
    assert not list(path.rglob("*.pkl"))


def test_standard_input_and_held_out_files(texts, tmp_path, run_here):
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("Today Zürich\nOn Sunday\n")
    result = run_here(
        "train", "--data", "-", "--val-data", str(held_out), "--workdir", str(tmp_path / "r"), "--steps", "2",
        "--layers", "2", "--dropout", "0.1", "--optimizer", "sgd", "--schedule", "constant", "--warmup-steps", "0",
        "--learning-rate", "0.1", *SMALL,
        stdin=Path(texts).read_bytes(),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "standard input: 400 texts to learn, 2 held out" in result.stdout
    assert "the held-out texts hold 1 character that never occurs in training, left out there: 'ü'" in result.stdout


@pytest.mark.slow
def test_running_text_and_words(texts, tmp_path, run_here):
    common = ("--data", texts, "--steps", "3", *SMALL)
    result = run_here("train", *common, "--window", "32", "--workdir", str(tmp_path / "w"))
    assert result.returncode == 0, result.stderr
    assert "batches of 8 × 32 characters" in result.stdout
    result = run_here("train", *common, "--unit", "word", "--max-vocab", "50", "--workdir", str(tmp_path / "v"))
    assert result.returncode == 0, result.stderr
    assert "53 ids (50 words, padding, <eos>, an unknown token)" in result.stdout
    result = run_here("sample", "--workdir", str(tmp_path / "v"), "--num-samples", "2")
    assert result.returncode == 0, result.stderr


def test_the_reference_preset_is_the_notebooks_own_set_up(texts, tmp_path, run_here):
    result = run_here(
        "train", "--preset", "reference", "--data", texts, "--workdir", str(tmp_path / "r"), "--steps", "2"
    )
    assert result.returncode == 0, result.stderr
    config = json.loads((tmp_path / "r" / "config.json").read_text())["config"]
    assert config["data"]["bos"] is False
    training = config["training"]
    assert (config["model"]["cell"], config["model"]["hidden"], config["model"]["layers"]) == ("lstm", 128, 1)
    assert config["model"]["embedding"] == 0
    assert (training["optimizer"], training["learning_rate"], training["batch_size"]) == ("rmsprop", 1e-3, 8)
    assert (training["schedule"], training["clip_norm"], training["epochs"]) == ("constant", None, None)
    assert flaxchar.PRESETS["reference"].training.epochs == 4


def test_progress_on_a_terminal_is_a_bar_that_leaves_no_trace(texts, tmp_path):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--data", texts, "--workdir", str(tmp_path / "r"), "--steps", "400",
         *SMALL],
        stdout=slave, stderr=slave, env=environment(TERM="xterm", COLUMNS="100", LINES="30"),
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while True:
        ready, _, _ = select.select([master], [], [], 120)
        try:
            data = os.read(master, 65536) if ready else b""
        except OSError:  # the other end is closed
            break
        if not data:
            break
        seen += data
    assert process.wait(60) == 0
    os.close(master)
    assert "━".encode() in seen
    assert b"bits/char" in seen
    assert b"left" in seen
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")  # the cursor is shown again


def test_views_are_made_and_change_nothing_of_the_run(texts, tmp_path, run_here, monkeypatch):
    flags = ("--data", texts, "--steps", "12", *SMALL)
    plain, viewed = tmp_path / "plain", tmp_path / "viewed"
    assert run_here("train", "--workdir", str(plain), *flags).returncode == 0
    monkeypatch.setenv("FLAXCHAR_CURVES", "1")
    result = run_here("train", "--workdir", str(viewed), "--tensorboard", *flags)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == f"curves: {viewed / 'curves.png'}"
    assert (viewed / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((viewed / "tensorboard").iterdir())) == 1
    assert {path.name for path in viewed.iterdir()} - {path.name for path in plain.iterdir()} == {
        "curves.png",
        "tensorboard",
    }
    both = [
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (plain, viewed)
    ]
    timed = ("seconds", "characters_per_second")
    without_times = [[{k: v for k, v in record.items() if k not in timed} for record in records] for records in both]
    assert without_times[0] == without_times[1]
    assert all({"gradient_norm", "learning_rate"} <= record.keys() for record in both[0] if "loss" in record)
    params = [jax.tree.leaves(flaxchar.load(path).params) for path in (plain, viewed)]
    assert all(np.array_equal(one, other) for one, other in zip(*params, strict=True))


def test_a_missing_extra_is_named_before_anything_is_done(texts, tmp_path, run_here, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run_here("train", "--data", texts, "--tensorboard", "--workdir", str(tmp_path / "r"))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "flaxchar: --tensorboard needs tensorboardX; install it with pip install -e '.[tensorboard]' in the folder "
        "of flaxchar's clone\n"
    )
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["data", "val-data"])
def test_a_mistyped_file_is_named_before_the_kernel_is_compiled(texts, tmp_path, monkeypatch, name):
    monkeypatch.setattr("flaxchar.commands.process.set_up", lambda devices=None: None)
    monkeypatch.setattr("flaxchar.commands.process.start_kernel", lambda devices=None: pytest.fail("compiled"))
    files = ("--data", texts, f"--{name}", str(tmp_path / "nofile.txt"))
    with pytest.raises(InputError, match=r"^there is no file .*nofile.txt$"):
        train([*files[-2 if name == "data" else 0 :], "--workdir", str(tmp_path / "r")])
    assert not (tmp_path / "r").exists()
