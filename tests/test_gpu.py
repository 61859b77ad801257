"""What only a GPU can show: precision, reproducibility, and runs that move between a GPU and a CPU.

TF32 keeps 10 bits of each factor's mantissa, so a product differs by about 2^-11 of itself. Over a text these errors
average out: scores agree within 0.2 %.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT

import flaxchar
from flaxchar.models.charlm import CharLM, init_params
from flaxchar.settings import ModelConfig
from flaxchar.training.run_directory import Run

pytestmark = pytest.mark.gpu

TF32_SCORES = 2e-3  # relative difference of a text's bits


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def command(*arguments, cache, platform=None):
    """Run a command as a user does; returns what it printed."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if platform is not None:
        environment["JAX_PLATFORMS"] = platform
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(path, *arguments, cache, platform=None):
    shape = "--hidden", 32, "--dataset", "headlines", "--sample-prompts"
    command("train.py", "--workdir", path, *shape, *arguments, cache=cache, platform=platform)
    run = Run.open(path)
    step, _ = run.checkpoints.best()
    run.close()
    return run, step


def weights(path):
    return jax.tree.map(np.asarray, flaxchar.load(path).params)


def test_the_same_seed_gives_the_same_weights_to_the_bit(tmp_path, cache):
    for name in ("a", "b"):
        train(tmp_path / name, "--steps", 60, cache=cache)
    jax.tree.map(np.testing.assert_array_equal, *(weights(tmp_path / name) for name in ("a", "b")))


def scores(path, texts, cache, platform):
    printed = command("-m", "flaxchar", "score", texts, "--workdir", path, "--json", cache=cache, platform=platform)
    return np.array([json.loads(line)["bits"] for line in printed.splitlines() if "bits" in line])


@pytest.mark.parametrize("trained_on", ["cuda", "cpu"])
def test_a_model_scores_alike_on_a_gpu_and_on_a_cpu(tmp_path, cache, trained_on):
    train(tmp_path / "run", "--steps", 100, "--buckets", 0, cache=cache, platform=trained_on)
    texts = tmp_path / "texts.txt"
    texts.write_text("Oil prices rise\nTalks in Lima end without a deal\nPirates beat Tigers 3-1\n")
    on_gpu, on_cpu = (scores(tmp_path / "run", texts, cache, platform) for platform in ("cuda", "cpu"))
    assert len(on_gpu)
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=TF32_SCORES)


def test_a_run_goes_on_on_the_other_device(tmp_path, cache):
    for first, second in (("cuda", "cpu"), ("cpu", "cuda")):
        path = tmp_path / first
        train(path, "--steps", 30, "--buckets", 0, cache=cache, platform=first)
        run, _ = train(path, "--steps", 60, cache=cache, platform=second)
        assert run.checkpoints.last_step() == 60


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-5), ("default", 5e-3)])
def test_logits_are_as_precise_as_the_setting_says(precision, tolerance):
    with jax.default_matmul_precision(None):
        model = CharLM(20, ModelConfig(hidden=64, embedding=16, matmul_precision=precision))
        params = init_params(model, jax.random.key(0))
        ids = jax.random.randint(jax.random.key(1), (4, 32), 0, 20)
        logits = [
            np.asarray(model.apply(*jax.device_put(({"params": params}, ids), device))[0])
            for device in (jax.devices()[0], jax.devices("cpu")[0])
        ]
    assert np.abs(logits[0] - logits[1]).max() < tolerance * np.abs(logits[1]).max()


def test_a_gpu_writes_sample_i_alike_whatever_number_is_asked_for():
    lm = flaxchar.train(["Anna", "Otto", "Hannah"] * 20, steps=30, hidden=32)
    assert lm.generate(num_samples=3, size=40) == lm.generate(num_samples=300, size=40)[:3]


def test_bfloat16_is_near_float32():
    ids = jax.random.randint(jax.random.key(1), (4, 64), 0, 20)
    outputs = []
    for dtype in ("float32", "bfloat16"):
        model = CharLM(20, ModelConfig(hidden=64, embedding=16, dtype=dtype))
        params = init_params(model, jax.random.key(0))
        outputs.append(model.apply({"params": params}, ids)[0])
    assert float(jnp.abs(outputs[0] - outputs[1]).max()) < 0.05 * float(jnp.abs(outputs[0]).max())
