"""The metrics of a run: what is recorded, and what the observer is told."""

from __future__ import annotations

import math

import pytest

from flaxchar import Config, Vocabulary
from flaxchar.models.evaluation import Evaluation
from flaxchar.training.loop import Progress
from flaxchar.training.metrics import Metrics, held_out_results
from flaxchar.training.reporting import Observer, Report, Sample
from flaxchar.training.run_directory import METRICS, SAMPLES, Run

pytestmark = pytest.mark.usefixtures("as_on_a_cpu")


class Told(Observer):
    def __init__(self):
        self.progress = []

    def progressed(self, progress, steps, bits_per_character, characters):
        self.progress.append((progress.step, steps, bits_per_character, characters))


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "r", Config(), Vocabulary.build(["ab"]), {}, steps=400)


def test_losses_are_recorded_at_fixed_steps_and_told_at_once(run):
    """Two characters a token: bits per token are twice the bits per character."""
    told = Told()
    metrics = Metrics(run, told, steps=400, steps_per_epoch=100, characters_per_token=2.0)
    stretch = {"tokens": 10, "seconds": 0.5, "gradient_norm": 0.25, "learning_rate": 0.1}
    metrics.progressed(Progress(step=1, nats=math.log(2) * 20, **stretch))
    metrics.progressed(Progress(step=2, nats=math.log(2) * 40, **stretch))
    assert told.progress == [(1, 400, pytest.approx(1.0), 20.0), (2, 400, pytest.approx(2.0), 20.0)]
    (record,) = run.read(METRICS, until=400)
    assert record == {
        "step": 2,
        "epoch": 0.02,
        "loss": pytest.approx(3 * math.log(2)),
        "bits_per_character": pytest.approx(1.5),
        "gradient_norm": 0.25,
        "learning_rate": 0.1,
        "characters_per_second": 40,
        "seconds": 1.0,
    }


def test_evaluations_and_samples_are_recorded_and_read_back(run):
    metrics = Metrics(run, Observer(), steps=400, steps_per_epoch=100, characters_per_token=1.0)
    for step, bits in ((100, 2.5), (200, 2.25)):
        metrics.evaluated(Report(step, 400, step / 100, Evaluation(1.5, bits, 0.5, 30), (Sample("A", 0.8, "Anna"),)))
    metrics.evaluated(Report(300, 400, 3.0))
    assert held_out_results(run, until=400) == [2.5, 2.25]
    assert held_out_results(run, until=150) == [2.5]
    assert [(line["step"], line["text"]) for line in run.read(SAMPLES, until=400)] == [(100, "Anna"), (200, "Anna")]


def test_the_spelling_of_unknown_tokens_is_part_of_the_bits(run):
    metrics = Metrics(run, Observer(), steps=1, steps_per_epoch=1, characters_per_token=1.0, spelling=0.5)
    metrics.progressed(Progress(step=1, nats=math.log(2) * 20, tokens=10, seconds=1.0))
    metrics.evaluated(Report(1, 1, 1.0, Evaluation(1.5, 2.5, 0.5, 30, spelling=0.25)))
    metrics.evaluated(Report(1, 1, 1.0, Evaluation(1.5, 2.5, 0.5, 30)))
    training, spelled, free = run.read(METRICS, until=1)
    assert training["bits_per_character"] == pytest.approx(2.5)
    assert training["loss"] == pytest.approx(2 * math.log(2))
    assert spelled["held_out_spelling"] == 0.25
    assert "held_out_spelling" not in free


def test_without_a_run_directory_nothing_is_recorded():
    told = Told()
    metrics = Metrics(None, told, steps=1, steps_per_epoch=1, characters_per_token=1.0)
    metrics.progressed(Progress(step=1, nats=1.0, tokens=1, seconds=1.0))
    metrics.evaluated(Report(1, 1, 1.0))
    assert len(told.progress) == 1


def test_what_is_not_finite_is_left_out_or_null_because_json_has_no_word_for_it(run):
    metrics = Metrics(run, Observer(), steps=400, steps_per_epoch=100, characters_per_token=1.0)
    metrics.progressed(Progress(step=2, steps=2, skipped=2, seconds=0.5, learning_rate=0.1))
    metrics.evaluated(Report(100, 400, 1.0, Evaluation(math.nan, math.inf, 0.0, 30)))
    training, held_out = run.read(METRICS, until=400)
    assert training.keys() == {"step", "epoch", "skipped", "learning_rate", "characters_per_second", "seconds"}
    assert training["skipped"] == 2
    assert held_out["held_out_loss"] is None
    assert held_out["held_out_bits_per_character"] is None
    assert held_out_results(run, until=400) == [math.inf]
