"""Several devices and several processes give the run that one device gives."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT, environment, python, run_command

from flaxchar import InputError, TrainingConfig
from flaxchar.training.devices import make_layout

# Trains on texts made here, by some devices, and returns the parameters and the losses of all steps.
PROGRAM = """
import sys, json, numpy as np, pathlib, tempfile
from flaxchar.commands import process
process.prepare(8)
import jax
from flaxchar import Config
from flaxchar.training.devices import make_layout
from flaxchar.data.cache import encode_corpus
from flaxchar.training.session import train_corpus
from flaxchar.data.corpus import make_corpus

def texts(count):
    rng = np.random.default_rng(0)
    words = ["moss", "fern", "alder", "rowan", "birch", "sedge", "yarrow", "thistle"]
    return [" ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(count)]

def run(devices=1, shards=1, count=300, **settings):
    settings = dict(
        batch_size=16, steps=6, hidden=24, learning_rate=0.01, clip_norm=1.0, buckets=1, val_fraction=0
    ) | settings
    config = Config().replace(**settings)
    corpus = encode_corpus(make_corpus(texts(count), None, config.data, 0), config.data)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run"
        params = train_corpus(corpus, config, path, layout=make_layout(config.training, devices, shards)).params
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line], np.concatenate(
        [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(params)])

def close(a, b, what, tolerance=1e-5):
    np.testing.assert_allclose(a[0], b[0], rtol=tolerance, err_msg=what)
    np.testing.assert_allclose(a[1], b[1], rtol=100 * tolerance, atol=30 * tolerance, err_msg=what)
"""


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    """The devices are parts of the CPU, also on a machine with a GPU."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


def on_8_devices(program):
    return python(PROGRAM + program)


@pytest.mark.parametrize("devices", [2, *(pytest.param(count, marks=pytest.mark.slow) for count in (4, 8))])
def test_several_devices_train_like_one_and_again_to_the_bit(devices):
    """With dropout: a row's random numbers do not depend on where it is computed."""
    on_8_devices(f"""
one, several, again = run(1), run({devices}), run({devices})
close(several, one, "several devices")
np.testing.assert_array_equal(again[1], several[1])
assert again[0] == several[0]
""")


@pytest.mark.slow
def test_running_text_and_batches_larger_than_the_corpus_train_like_one_device():
    on_8_devices("""
close(run(4, window=10, batch_size=8), run(1, window=10, batch_size=8), "running text")
close(run(8, count=5), run(1, count=5), "five texts on eight devices")
close(run(4, buckets=0, batch_size=8), run(1, buckets=0, batch_size=8), "several texts in a row")
""")


@pytest.mark.slow
def test_units_shared_by_annotation_train_like_one_device():
    """Two copies of the model, each on four devices; the memory of the large matrices is shared too."""
    on_8_devices("""
one = run(1, hidden=64, layers=2)
close(run(8, 4, hidden=64, layers=2), one, "4 to a model")
from flaxchar.training.optimizers import make_optimizer
from flaxchar.training.state import init_state
from flaxchar.models.charlm import CharLM
config = Config().replace(hidden=64, batch_size=16)
layout = make_layout(config.training, 8, 8)
state = init_state(CharLM(20, config.model), make_optimizer(config.training), 16, jax.random.key(0))
recurrent = layout.place(state).params["lstm_0"]["recurrent_kernel"]
assert recurrent.addressable_shards[0].data.shape == (8, 256), recurrent.sharding
""")


@pytest.mark.slow
def test_hidden_4096_is_shared_among_8_devices():
    on_8_devices("""
settings = dict(hidden=4096, batch_size=8, steps=1, optimizer="sgd", dropout=0.0, count=8)
close(run(8, 8, **settings), run(1, **settings), "hidden 4096", 1e-4)
""")


@pytest.mark.slow
def test_bfloat16_loses_less_than_a_hundredth():
    on_8_devices("""
exact = run(1, steps=150, dropout=0.0, hidden=64)
rough = run(1, steps=150, dropout=0.0, hidden=64, dtype="bfloat16")
assert rough[1].dtype == np.float32
assert not np.array_equal(rough[1], exact[1])
assert abs(np.mean(rough[0]) / np.mean(exact[0]) - 1) < 0.01, (np.mean(rough[0]), np.mean(exact[0]))
""")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TrainingConfig(), 1_000), "`devices` is 1000; this machine has"),
        ((TrainingConfig(), 1, 3), "`model_shards` is 3; it must divide the 1 devices"),
    ],
)
def test_a_division_that_does_not_come_out_even_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        make_layout(*arguments)


def test_a_batch_that_devices_cannot_share_is_named(tmp_path):
    (tmp_path / "texts.txt").write_text("one\ntwo\nthree\n")
    data = ("--data", str(tmp_path / "texts.txt"), "--workdir", str(tmp_path / "run"))
    result = run_command("train.py", *data, "--devices", "2", "--batch-size", "5")
    assert result.returncode == 2
    assert re.match(
        r"flaxchar: .*batch.size.? is 5, which 2 devices cannot share evenly", result.stderr.splitlines()[-1]
    )


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def two_processes(*arguments, meanwhile, timeout=240):
    """``train.py`` twice, joined over loopback; their results in order. ``meanwhile`` is called with the first."""
    together = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2", "--process-id"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, *together]
    started = [
        subprocess.Popen(
            [*command, str(k)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        for k in range(2)
    ]
    try:
        meanwhile(started[0])
        outputs = [process.communicate(timeout=timeout) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(started, outputs, strict=True)]


def losses(path):
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.slow
def test_two_processes_train_like_one_and_a_run_goes_on_under_another_layout(tmp_path):
    rng = np.random.default_rng(1)
    words = ["moss", "fern", "alder", "rowan", "birch", "sedge"]
    texts = [" ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(200)]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    common = "--data", str(tmp_path / "texts.txt"), "--steps", "1000", "--hidden", "24", "--batch-size", "8"
    common = *common, "--buckets", "1", "--learning-rate", "0.001"
    alone = run_command("train.py", *common, "--workdir", str(tmp_path / "alone"))
    assert alone.returncode == 0, alone.stderr

    # The first process alone is asked to stop; both do, after the same step.
    metrics = tmp_path / "two" / "metrics.jsonl"

    def stop_midway(first):
        while first.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 20):
            time.sleep(0.01)
        first.send_signal(signal.SIGTERM)

    first, second = two_processes(*common, "--workdir", str(tmp_path / "two"), meanwhile=stop_midway)
    assert (first[0], second[0]) == (128 + signal.SIGTERM, 0), first[2] + second[2]
    assert "2 devices of 2 processes" in first[1]
    assert all(line.startswith("[Gloo]") for line in second[1].splitlines()), second[1]
    stopped = int(re.search(r"stopped by SIGTERM at step (\d+)", first[1])[1])
    assert 0 < stopped < 1000
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "alone")[: stopped // 5], rtol=1e-3)

    # One process and one device go on with it.
    rest = run_command("train.py", *common, "--workdir", str(tmp_path / "two"))
    assert rest.returncode == 0, rest.stderr
    assert f"continuing at step {stopped} of" in rest.stdout
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "alone"), rtol=1e-3)


@pytest.mark.slow
def test_20000_steps_on_two_devices_never_stall(tmp_path):
    """A watchdog: no line of the metrics may take longer than a step may, 60 s."""
    texts = "\n".join(f"{k} green bottles" for k in range(500))
    (tmp_path / "texts.txt").write_text(texts)
    command = [sys.executable, str(ROOT / "train.py"), "--data", str(tmp_path / "texts.txt"), "--steps", "20000"]
    command += ["--batch-size", "8", "--devices", "2", "--hidden", "16", "--buckets", "1", "--val-fraction", "0"]
    process = subprocess.Popen(
        [*command, "--workdir", str(tmp_path / "run")], stdout=subprocess.DEVNULL, env=environment()
    )
    metrics, size, changed = tmp_path / "run" / "metrics.jsonl", -1, time.monotonic()
    try:
        while process.poll() is None:
            if metrics.exists() and metrics.stat().st_size != size:
                size, changed = metrics.stat().st_size, time.monotonic()
            assert time.monotonic() - changed < 60, f"no step for 60 s after {size} bytes of metrics"
            time.sleep(0.1)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(metrics.read_text().splitlines()[-1])["step"] == 20_000
