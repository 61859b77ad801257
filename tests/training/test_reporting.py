"""What a run says of itself before it begins, and who is told how it goes."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flaxchar import Config
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.hardware import Hardware, described_as
from flaxchar.kernels import build
from flaxchar.training.devices import single_device
from flaxchar.training.loop import Progress
from flaxchar.training.plan import make_batches
from flaxchar.training.reporting import Observer, Observers, Report, describe
from flaxchar.training.session import train_corpus


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
    lines = described(held_out=["ab", "abc"])
    assert "the held-out texts hold 1 character that never occurs in training, left out there: 'c'" in lines


EVENTS = {
    "prepared": (["a line"],),
    "compiling": (1, 2),
    "planned": (Report(0, 10, 0.0), 5),
    "progressed": (Progress(step=1), 10, 2.0, 30.0),
    "evaluated": (Report(10, 10, 2.0),),
    "set_back": (10, 5, 0.5),
    "off_budget": (70.0, 60.0),
}


def test_several_observers_are_told_everything_in_their_order():
    told = []

    class Recorder(Observer):
        def __init__(self, name, stop=False):
            for event in EVENTS:
                setattr(self, event, lambda *given, event=event: told.append((name, event, given)))
            self.should_stop = lambda: told.append((name, "should_stop", ())) or stop

    assert {name for name in vars(Observer) if not name.startswith("_")} == {*EVENTS, "should_stop"}
    observers = Observers([Recorder("a", stop=True), Recorder("b")])
    for event, given in EVENTS.items():
        getattr(observers, event)(*given)
    assert told == [(name, event, given) for event, given in EVENTS.items() for name in "ab"]
    told.clear()
    assert observers.should_stop()
    assert [name for name, *_ in told] == ["a", "b"]
    assert not Observers([Recorder("b")]).should_stop()


def test_an_evaluation_hands_on_the_model_that_was_evaluated():
    config = Config().replace(hidden=4, steps=3, ema=0.9)
    corpus = encode_corpus(make_corpus(["ab", "ba", "aab"] * 4, ["ab"], config.data, 0), config.data)
    seen = []

    class Watcher(Observer):
        def evaluated(self, report):
            seen.append(jax.tree.map(np.array, report.trained.params))

    trained = train_corpus(corpus, config, observer=Watcher())
    jax.tree.map(np.testing.assert_array_equal, seen[-1], trained.params)
