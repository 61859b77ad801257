"""TensorBoard's event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import untrained_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flaxchar import Config, Example
from flaxchar.commands.tensorboard import FOLDER, EventFile, held_out_examples
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.insight.trace import trace
from flaxchar.models.evaluation import Evaluation
from flaxchar.training.loop import Progress
from flaxchar.training.reporting import Report, Sample

TEXTS = [Example("rain"), Example("wind and rain")]


def progress(step):
    return Progress(step=step, nats=8.0, tokens=4, gradient_norm=0.5, learning_rate=0.01, seconds=0.5)


def read(run):
    reader = EventAccumulator(str(run / FOLDER), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0})
    reader.Reload()
    return reader


@pytest.fixture(scope="module")
def model():
    return untrained_model(["rain and wind"], layers=2)


def test_tensorboard_reads_scalars_samples_and_histograms(tmp_path, model):
    events = EventFile(tmp_path, step=0)
    events.progressed(progress(5), 2.9, 40)
    samples = (Sample("", 0.0, "a\nb\x1b[2J*c*"), Sample("x: ", 0.8, "x: d"), Sample("y: ", 0.8, "y: \ud83d"))
    evaluation = Evaluation(loss=1.5, bits_per_character=2.2, accuracy=0.6, tokens=9)
    events.evaluated(Report(6, 10, 0.6, evaluation, samples, trained=model), TEXTS)
    events.close()
    reader = read(tmp_path)
    scalars = {tag: [(e.step, round(e.value, 4)) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
    assert scalars == {
        "training/learning_rate": [(5, 0.01)],
        "training/characters_per_second": [(5, 80.0)],
        "training/gradient_norm": [(5, 0.5)],
        "training/loss": [(5, 2.0)],
        "training/bits_per_character": [(5, 2.9)],
        "held_out/bits_per_character": [(6, 2.2)],
        "held_out/loss": [(6, 1.5)],
        "held_out/accuracy": [(6, 0.6)],
    }
    texts = {tag: reader.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in reader.Tags()["tensors"]}
    assert texts == {
        "samples/greedy/text_summary": "    a\n    b\\x1b[2J*c*",
        "samples/temperature_0.8/text_summary": "    x: d\n\n    y: \\ud83d",
    }
    names = ("input_gate", "forget_gate", "output_gate", "cell_state", "hidden_state")
    assert set(reader.Tags()["histograms"]) == {f"layer_{layer}/{name}" for layer in (1, 2) for name in names}
    (event,) = reader.Histograms("layer_2/forget_gate")
    gates = np.concatenate([trace(model, example.text).gates["forget"][1].ravel() for example in TEXTS])
    assert event.step == 6
    assert event.histogram_value.num == len(gates) == sum(event.histogram_value.bucket)
    assert (event.histogram_value.min, event.histogram_value.max) == pytest.approx((gates.min(), gates.max()), rel=1e-4)
    assert event.histogram_value.sum == pytest.approx(gates.sum(), rel=1e-4)


def test_steps_that_are_taken_again_are_shown_once(tmp_path):
    first = EventFile(tmp_path, step=0)
    for step in range(1, 8):
        first.progressed(progress(step), float(step), 40)
    first.close()
    second = EventFile(tmp_path, step=4)  # the last checkpoint
    second.progressed(progress(5), 0.5, 40)
    second.close()
    shown = [(e.step, e.value) for e in read(tmp_path).Scalars("training/bits_per_character")]
    assert shown == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 0.5)]


def test_an_exploded_stretch_has_no_loss(tmp_path):
    events = EventFile(tmp_path, step=0)
    events.progressed(Progress(step=1, skipped=3, seconds=0.1), 0.0, 0)
    events.close()
    assert set(read(tmp_path).Tags()["scalars"]) == {"training/learning_rate", "training/characters_per_second"}


@pytest.mark.parametrize("kind", ["texts", "labels", "sources", "words", "running", "nothing held out"])
def test_the_examples_are_held_out_texts(kind):
    given = [Example(f"{word} wind {k}", *{"labels": [word], "sources": [None, f"source {k}"]}.get(kind, []))
             for k in range(60) for word in ("rain", "snow")]  # fmt: skip
    settings = {"words": {"unit": "word", "max_vocab": 20}, "running": {"window": 16}}.get(kind, {})
    config = Config().replace(**settings)
    corpus = make_corpus(given, [] if kind == "nothing held out" else given[:3], config.data, 0)
    encoded = encode_corpus(corpus, config.data)
    examples = held_out_examples(encoded)
    if kind == "words":
        assert [example.text for example in examples] == ["rain wind ", "snow wind ", "rain wind "] or all(
            example.text.startswith(("rain wind ", "snow wind ")) for example in examples
        )
    elif kind in ("running", "nothing held out"):
        assert "rain wind 0" in "".join(example.text for example in examples)
    else:
        assert examples == given[:3]


def test_a_classifier_has_no_examples():
    config = Config().replace(head="classifier")
    given = [Example(f"{word} {k}", word) for k in range(9) for word in ("rain", "snow")]
    corpus = make_corpus(given, given[:3], config.data, 0, classify=True)
    assert held_out_examples(encode_corpus(corpus, config.data)) == []
