"""The commands as a user runs them: output, exit status, errors of one line, interruption and resumption."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import ROOT, environment, python, run_command

import flaxchar
from flaxchar.commands.main import SUMMARIES
from flaxchar.data.headlines import generate_headlines
from flaxchar.training.run_directory import Run

SMALL = ("--hidden", "8", "--batch-size", "8")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "headlines.txt"
    # Of few lengths, so that there are few shapes to compile.
    of_three_lengths = [text for text in generate_headlines(8000, seed=9) if len(text) in (40, 45, 50)]
    path.write_text("".join(text + "\n" for text in of_three_lengths[:400]))
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory, texts):
    """The folder of a small trained run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    result = run_command("train.py", "--data", texts, "--workdir", str(path), "--steps", "60", *SMALL)
    assert result.returncode == 0, result.stderr
    return path


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


# -- train ------------------------------------------------------------------------------------------------------------


def test_train_reports_texts_progress_results_and_what_to_do_next(texts, tmp_path):
    path = tmp_path / "my runs"
    prompts = ("--sample-prompts", "Today ", "President ")
    result = run_command("train.py", "--data", texts, "--workdir", str(path), "--epochs", "2", *prompts, *SMALL)
    assert result.returncode == 0
    # The first command on a machine may say that it compiles the native kernel.
    assert [line for line in result.stderr.splitlines() if "compiling the native kernel" not in line] == []
    out = result.stdout
    assert "headlines.txt: 380 texts to learn, 20 held out" in out
    assert "vocabulary: " in out
    assert "training for 96 steps (2.0 epochs" in out
    assert "epoch 1.00, step 48: held out: " in out
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


def test_standard_input_and_held_out_files(texts, tmp_path):
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("Today Zürich\nOn Sunday\n")
    result = run_command(
        "train.py", "--data", "-", "--val-data", str(held_out), "--workdir", str(tmp_path / "r"), "--steps", "2",
        "--layers", "2", "--dropout", "0.1", "--optimizer", "sgd", "--schedule", "constant", "--warmup-steps", "0",
        "--learning-rate", "0.1", *SMALL,
        stdin=Path(texts).read_bytes(),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "standard input: 400 texts to learn, 2 held out" in result.stdout
    assert "the held-out texts hold 1 characters that never occur in training, left out there: 'ü'" in result.stdout


@pytest.mark.slow
def test_running_text_and_words(texts, tmp_path):
    common = ("--data", texts, "--steps", "3", *SMALL)
    result = run_command("train.py", *common, "--window", "32", "--workdir", str(tmp_path / "w"))
    assert result.returncode == 0, result.stderr
    assert "batches of 8 × 32 characters" in result.stdout
    result = run_command("train.py", *common, "--unit", "word", "--max-vocab", "50", "--workdir", str(tmp_path / "v"))
    assert result.returncode == 0, result.stderr
    assert "53 ids (50 words, padding, <eos>, an unknown token)" in result.stdout
    result = run_command("sample.py", "--workdir", str(tmp_path / "v"), "--num-samples", "2")
    assert result.returncode == 0, result.stderr


def test_the_reference_preset_is_the_notebooks_own_set_up(texts, tmp_path):
    result = run_command(
        "train.py", "--preset", "reference", "--data", texts, "--workdir", str(tmp_path / "r"), "--steps", "2"
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


# -- going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param((), id="texts"),
        pytest.param(("--window", "16", "--layers", "2"), id="windows", marks=pytest.mark.slow),
    ],
)
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
    assert "going on from step " in result.stdout
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
    assert last.startswith(f"stopped by {number.name} after step ")
    assert "to go on: python train.py --workdir " in last
    assert f"after step {state_of(path)[0]:,} of 500,000" in last


def test_changed_settings_are_listed_and_fresh_moves_the_old_run_aside(run, texts, tmp_path):
    path = tmp_path / "r"
    shutil.copytree(run, path)
    result = run_command("train.py", "--workdir", str(path), "--hidden", "9", "--seed", "3")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--hidden was 8 and is 9" in result.stderr
    assert "--seed was 0 and is 3" in result.stderr
    assert "--fresh" in result.stderr
    assert result.stderr.count("\n") == 1
    result = run_command(
        "train.py", "--workdir", str(path), "--data", texts, "--hidden", "9", "--steps", "2", "--fresh"
    )
    assert result.returncode == 0, result.stderr
    assert f"is now {path}.1" in result.stdout
    assert_same_state(run, Path(f"{path}.1"))
    assert json.loads((path / "config.json").read_text())["config"]["model"]["hidden"] == 9


def test_a_complete_run_is_left_as_it_is(run, texts):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for arguments in ((), ("--data", texts, "--steps", "60", *SMALL)):
        result = run_command("train.py", "--workdir", str(run), *arguments)
        assert result.returncode == 0, result.stderr
        assert "best: " in result.stdout
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_changed_texts_are_an_error(texts, tmp_path):
    mine = tmp_path / "mine.txt"
    shutil.copy(texts, mine)
    arguments = ("--data", str(mine), "--workdir", str(tmp_path / "r"), "--steps", "2", *SMALL)
    assert run_command("train.py", *arguments).returncode == 0
    mine.write_text(mine.read_text().replace("Today", "Tonight"))
    result = run_command("train.py", "--workdir", str(tmp_path / "r"))
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
    result = run_command("train.py", "--workdir", str(path))
    assert result.returncode == 2
    assert f"another process is training in {path}" in result.stderr
    process.kill()
    process.communicate()


def test_a_model_saved_from_python_is_not_trained_on(tmp_path):
    flaxchar.train(["Anna", "Otto"] * 5, steps=2, hidden=8).save(tmp_path / "r")
    assert run_command("sample.py", "--workdir", str(tmp_path / "r")).returncode == 0
    result = run_command("train.py", "--workdir", str(tmp_path / "r"), "--dataset", "headlines")
    assert result.returncode == 2


def test_a_copied_folder_is_a_copied_model(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    one, other = (run_command("sample.py", "--workdir", str(path)) for path in (run, tmp_path / "copy"))
    assert one.returncode == 0
    assert one.stdout == other.stdout != ""


def test_a_read_only_folder_can_be_sampled_from(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (tmp_path / "copy").chmod(0o555)
    result = run_command("sample.py", "--workdir", str(tmp_path / "copy"))
    assert result.returncode == 0, result.stderr


def test_a_folder_with_other_things_in_it_is_left_alone(texts, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    result = run_command("train.py", "--data", texts, "--workdir", str(tmp_path))
    assert result.returncode == 2
    assert "is not empty and holds no run (it holds thesis.tex)" in result.stderr
    assert os.listdir(tmp_path) == ["thesis.tex"]


# -- sample -----------------------------------------------------------------------------------------------------------


def test_sample_prints_texts(run):
    arguments = ("--workdir", str(run), "--temperature", "0.3", "--top-k", "5", "--top-p", "0.9", "--size", "40")
    prompts = ("--prompt", "Today ", "--prompt", "On Sunday ", "--num-samples", "3", "--seed", "7")
    result = run_command("sample.py", *arguments, *prompts)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.startswith(("Today ", "On Sunday ")[k // 3]) for k, line in enumerate(lines)] == [True] * 6
    assert max(map(len, lines)) <= 40
    lm = flaxchar.load(run)
    assert lines[:3] == lm.generate("Today ", temperature=0.3, top_k=5, top_p=0.9, size=40, num_samples=3, seed=7)


def test_sample_streams_the_same_texts(run):
    arguments = ("sample.py", "--workdir", str(run), "--num-samples", "2", "--prompt", "Today ")
    assert run_command(*arguments, "--stream").stdout == run_command(*arguments).stdout


def test_sample_prints_json(run):
    result = run_command("sample.py", "--workdir", str(run), "--json", "--num-samples", "2")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["sample"] for record in records] == [0, 1]
    assert set(records[0]) == {"prompt", "temperature", "seed", "sample", "text"}


def test_the_grid_is_the_references_table(run):
    result = run_command("sample.py", "--workdir", str(run), "--grid", "--unknown", "drop")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[::6] == [f"--- Temperature = {t}" for t in (0.3, 0.8, 1.0, 1.3, 1.8)]
    assert len(lines) == 30
    for block in range(5):
        for line, prompt in zip(
            lines[6 * block + 1 : 6 * block + 6], ("Today ", "On Sunday ", "Moscow, "), strict=False
        ):
            assert line.startswith(prompt)
            assert len(line) <= 300


def test_the_flaxchar_command(run):
    command = [str(Path(sys.executable).with_name("flaxchar"))]
    if not os.path.exists(command[0]):
        command = [sys.executable, "-c", "import sys; from flaxchar.commands.main import main; sys.exit(main())"]
    result = subprocess.run([*command, "sample", "--workdir", str(run)], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout == run_command("sample.py", "--workdir", str(run)).stdout
    assert subprocess.run([*command, "--help"], capture_output=True, cwd=ROOT).returncode == 0
    assert subprocess.run([*command, "bake"], capture_output=True, cwd=ROOT).returncode == 2
    for name in ("train", "sample"):
        result = subprocess.run([*command, name, "--help"], capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == 0
        assert "--workdir" in result.stdout


def test_help_and_complaints_about_flags_need_no_jax():
    """They are there in a fifth of a second; JAX alone takes twice that to import."""
    program = """if True:
        import contextlib, sys
        from flaxchar.commands.main import SUMMARIES, main
        for name in SUMMARIES:
            with contextlib.suppress(SystemExit):
                main([name, "--help"])
            print("status", main([name, "--nonsense"]))
        print("jax" in sys.modules)
    """
    lines = python(program).splitlines()
    assert [line for line in lines if line.startswith("status ")] == ["status 2"] * len(SUMMARIES)
    assert lines[-1] == "False"


def test_a_closed_pipe_is_no_error(run):
    result = subprocess.run(
        f"{sys.executable} {ROOT / 'sample.py'} --workdir {run} --num-samples 500 | head -1",
        shell=True, capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sample.py", "--temperature", "-1"), "--temperature is -1.0"),
        (("sample.py", "--temperature", "nan"), "--temperature is nan"),
        (("sample.py", "--temperature", "inf"), "--temperature is inf"),
        (("sample.py", "--top-p", "0"), "--top-p is 0.0"),
        (("sample.py", "--top-p", "1.5"), "--top-p is 1.5"),
        (("sample.py", "--prompt", "Ñandú"), "'Ñ', 'ú'"),
        (("sample.py", "--stream", "--json"), "--stream and --json exclude each other"),
        (("sample.py", "--bogus"), "unrecognized options: --bogus"),
        (("sample.py", "--seed", "x"), "--seed"),
        (("train.py", "--data", "no.txt", "--fresh"), "there is no file"),
        (("train.py", "--optimizer", "adagrad"), "'adagrad'"),
        (("train.py", "--hidden", "-4", "--fresh"), "--hidden is -4"),
        (("train.py", "--steps", "3", "--epochs", "2", "--fresh"), "--epochs and --steps"),
        (("train.py", "--time-budget", "soon", "--fresh"), "--time-budget is 'soon'"),
        (("train.py", "--dataset", "headlines", "--fields", "title", "--fresh"), "has no fields"),
        (("train.py", "--dataset", "headlines", "--data", "x.txt", "--fresh"), "--dataset and --data"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_status_2(run, arguments, told):
    before = sorted(path.name for path in run.parent.iterdir())
    result = run_command(*arguments, "--workdir", str(run))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("flaxchar: ")
    assert result.stderr.count("\n") == 1
    assert told in result.stderr
    assert sorted(path.name for path in run.parent.iterdir()) == before  # --fresh moved nothing


def test_fresh_moves_nothing_when_the_new_run_cannot_begin(run, texts):
    before = sorted(path.name for path in run.parent.iterdir())
    result = run_command("train.py", "--data", texts, "--workdir", str(run), "--fresh", "--sample-prompts", "Zürich")
    assert result.returncode == 2
    assert "'ü'" in result.stderr
    assert sorted(path.name for path in run.parent.iterdir()) == before


@pytest.mark.parametrize("kind", ["missing", "empty", "unfinished", "damaged", "file"])
def test_folders_without_a_model(run, tmp_path, kind):
    path = tmp_path / "r"
    told = {
        "missing": "there is no folder",
        "empty": "holds no run",
        "unfinished": "holds no checkpoint yet",
        "damaged": "cannot be read",
        "file": "there is no folder",
    }[kind]
    if kind in ("unfinished", "damaged"):
        shutil.copytree(run, path)
        shutil.rmtree(path / "checkpoints")
        if kind == "damaged":
            (path / "config.json").write_text('{"format"')
    elif kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.write_text("")
    result = run_command("sample.py", "--workdir", str(path))
    assert (result.returncode, result.stdout) == (2, "")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_damaged_checkpoint_is_named(run, tmp_path):
    path = tmp_path / "r"
    shutil.copytree(run, path)
    for file in path.rglob("d/*"):
        file.write_bytes(b"")
    result = run_command("sample.py", "--workdir", str(path))
    assert (result.returncode, result.stdout) == (2, "")
    assert f"the checkpoint of step 60 in {path} is damaged" in result.stderr


def test_a_failure_of_the_work_is_status_1_and_debug_shows_where(texts, tmp_path):
    """Samples that cannot be written, because a folder stands in the file's place."""
    path = tmp_path / "r"
    (path / "samples.jsonl").mkdir(parents=True)
    command = ("train.py", "--data", texts, "--workdir", str(path), "--steps", "2", *SMALL)
    result = run_command(*command)
    assert result.returncode == 1
    assert result.stderr.startswith("flaxchar: IsADirectoryError: ")
    assert result.stderr.count("\n") == 1
    result = run_command(*command, "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
