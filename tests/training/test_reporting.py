"""What a run says of itself before it begins."""

from __future__ import annotations

import pytest

from flaxchar import Config
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.hardware import Hardware, described_as
from flaxchar.kernels import build
from flaxchar.training.devices import single_device
from flaxchar.training.plan import make_batches
from flaxchar.training.reporting import describe


def described(held_out=(), **settings):
    config = Config().replace(hidden=4, steps=1, **settings)
    corpus = encode_corpus(make_corpus(["ab", "ba", "aab"], held_out, config.data, 0), config.data)
    layout = single_device()
    return describe(corpus, config, make_batches(corpus, config, layout), 1234, layout)


@pytest.mark.usefixtures("as_on_a_cpu")
@pytest.mark.parametrize(
    ("settings", "named"), [({"cell": "gru"}, ""), ({"cell": "mingru"}, "JAX"), ({"dtype": "bfloat16"}, "JAX")]
)
def test_the_report_says_which_recurrence_runs(settings, named):
    (line,) = [line for line in described(**settings) if line.startswith("recurrence: ")]
    assert line.startswith(f"recurrence: {named or build.status()}")


@pytest.mark.parametrize(
    ("settings", "precision"),
    [({}, "TF32"), ({"matmul_precision": "float32"}, "float32"), ({"dtype": "bfloat16"}, "bfloat16")],
)
def test_the_report_says_what_a_gpu_multiplies_in(settings, precision, monkeypatch):
    monkeypatch.setattr(build, "available", lambda: False)
    with described_as(Hardware("gpu", "NVIDIA H200")):
        assert f"recurrence: JAX on NVIDIA H200, 8 steps at a time, products in {precision}" in described(**settings)


def test_several_texts_in_a_row_are_said_to_run_in_jax():
    (line,) = [line for line in described(buckets=0) if line.startswith("recurrence: ")]
    assert "JAX" in line


def test_the_report_names_vocabulary_and_shapes():
    lines = described(buckets=2, batch_size=2)
    assert lines[0] == "vocabulary: 4 ids (2 characters, padding, <eos>)"
    assert lines[1] == "model: 1,234 parameters; batches of 2 × 3, 4 characters (2 shapes to compile)"


def test_held_out_characters_that_are_unknown_are_counted():
    lines = described(held_out=["abc", "accd"])
    assert any("hold 4 characters that never occur in training, left out there: 'c', 'd'" in line for line in lines)
