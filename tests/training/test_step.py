"""Training: the step's arithmetic, the optimisers, the schedule, and runs that are the same to the bit."""

from __future__ import annotations

import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import PALINDROMES as TEXTS
from helpers import small_training

import flaxchar
import flaxchar.training.session
from flaxchar import (
    InputError,
    ModelConfig,
    TrainingConfig,
    init_state,
    train_step,
)
from flaxchar.config import Config
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.kernels import build
from flaxchar.presets import make_preset
from flaxchar.training.session import Observer, train_corpus
from flaxchar.training.step import StepSums, evaluation_steps, fit


def test_averaged_weights_are_the_running_mean_that_forgets_its_beginning():
    model, optimizer, batches, state = small_training(TrainingConfig())
    state = init_state(model, optimizer, batches.rows, jax.random.key(1), averaged=True)
    expected = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(state.params)]
    for k in range(6):
        state, _ = train_step(model, optimizer, state, batches.batch(k), np.float32(0.1), jax.random.key(0), ema=0.5)
        stays = min(0.5, (1 + k) / (10 + k))
        expected = [
            stays * e + (1 - stays) * np.asarray(p)
            for e, p in zip(expected, jax.tree.leaves(state.params), strict=True)
        ]
    for leaf, e in zip(jax.tree.leaves(state.best_params), expected, strict=True):
        np.testing.assert_allclose(leaf, e, atol=1e-5)


class Stops(flaxchar.training.session.Observer):
    """Asks to stop after some steps, and remembers which steps were evaluated."""

    def __init__(self, after=None):
        self.after, self.evaluated_at, self.taken = after, [], 0

    def progressed(self, progress, *_):
        self.taken = progress.step

    def evaluated(self, report):
        self.evaluated_at.append(report.step)

    def should_stop(self):
        return self.after is not None and self.taken >= self.after


def test_a_run_with_averaged_weights_goes_on_to_the_bit(tmp_path):
    def run(path, observer):
        corpus = encode_corpus(make_corpus(TEXTS * 3, TEXTS[:3], config.data, 0), config.data)
        return train_corpus(corpus, config, path, observer)[0]

    config = flaxchar.Config().replace(steps=16, hidden=8, ema=0.9, batch_size=4)
    run(tmp_path / "whole", Stops())
    run(tmp_path / "parts", Stops(after=8))
    resumed = run(tmp_path / "parts", Stops())
    kept = [flaxchar.load(tmp_path / name).params for name in ("whole", "parts")]
    jax.tree.map(np.testing.assert_array_equal, *kept)
    jax.tree.map(np.testing.assert_array_equal, resumed, kept[0])


def test_a_run_out_of_patience_stops_and_stays_stopped(tmp_path):
    # What is held out is nothing like what is learned: each evaluation is worse than the one before.
    config = flaxchar.Config().replace(steps=400, hidden=8, patience=2, batch_size=4, val_fraction=0)
    corpus = encode_corpus(make_corpus(["ab" * 8] * 40, ["ba" * 8] * 4, config.data, 0), config.data)
    observer = Stops()
    train_corpus(corpus, config, tmp_path / "run", observer)
    bits = [
        json.loads(line).get("held_out_bits_per_character")
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    bits = [b for b in bits if b is not None]
    assert len(bits) == bits.index(min(bits)) + 3 < 10
    again = Stops()
    train_corpus(corpus, config, tmp_path / "run", again)
    assert again.evaluated_at == []


def test_presets_fit_the_corpus():
    sizes = [10_000, 300_000, 5_000_000, 500_000_000]
    for name, budget in (("default", None), ("fast", "1m"), ("best", "30m")):
        presets = [make_preset(name, size) for size in sizes]
        for preset in presets:
            preset.validate()
        assert [preset.training.time_budget for preset in presets[1:]] == [budget] * 3
        assert presets[0].training.epochs  # so little text that its passes count, not the time
        dropouts = [preset.model.dropout for preset in presets]
        assert dropouts == sorted(dropouts, reverse=True)
        assert dropouts[0] > dropouts[-1]
    assert make_preset("default", 300_000) == Config()
    assert make_preset("best", 300_000, running=True).training.epochs  # a short book is known by heart in half an hour
    assert make_preset("fast", 300_000, running=True).training.batch_size < Config().training.batch_size
    # Long texts are as much as windows, and of them, too, a batch has fewer.
    assert make_preset("fast", 5_000_000, mean_length=280) == make_preset("fast", 5_000_000, running=True)
    assert make_preset("fast", 5_000_000, mean_length=60) == make_preset("fast", 5_000_000)
    assert make_preset("reference", 10) == flaxchar.PRESETS["reference"]
    assert make_preset("classifier", 10).model.head == "classifier"
    make_preset("classifier", 10).replace(label_field="kind").validate()


def test_without_settings_a_model_is_trained_as_its_few_texts_want_it():
    lm = flaxchar.train(TEXTS)
    assert lm.config == make_preset("default", 100)
    assert flaxchar.train(TEXTS, steps=2, hidden=8).config.training.epochs is None


def test_each_step_drops_other_units():
    model, optimizer, batches, state = small_training(TrainingConfig(), ModelConfig(hidden=8, dropout=0.5))
    seen = []
    for _ in range(3):
        state, sums = train_step(model, optimizer, state, batches.batch(0), np.float32(0), jax.random.key(0))
        seen.append(float(sums.nats))
    assert len(set(seen)) == 3


def test_progress_is_told_of_when_a_step_is_done_and_not_before():
    """Steps are handed over before they are done, and of the first two nothing is known for a while."""
    told = []

    class SlowStep:
        own = slice(None)

        def __call__(self, state, batch, rate):
            time.sleep(0.3)
            return state._replace(step=state.step + 1), StepSums(jnp.float32(8), jnp.int32(4), jnp.float32(1))

    class Told:
        def progressed(self, progress):
            told.append((progress.step, progress.tokens))

        def should_stop(self, state, step):
            return step == 4

    _, _, batches, state = small_training(TrainingConfig())
    fit(SlowStep(), state, batches, np.ones(1000, np.float32), frozenset(), Told())
    assert told == [(3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("total", "per_epoch", "expected"),
    [
        (50, 10, {10, 20, 30, 40, 50}),
        (55, 10, {10, 20, 30, 40, 50, 55}),
        (8, 100, {2, 4, 6, 8}),
        (1, 1, {1}),
        (25, 10, {6, 10, 12, 18, 20, 25}),
    ],
)
def test_runs_are_evaluated_at_the_ends_of_epochs(total, per_epoch, expected):
    assert evaluation_steps(total, per_epoch) == expected


def test_long_runs_are_evaluated_ten_times():
    steps = evaluation_steps(5000, 10)
    assert len(steps) == 10
    assert all(step % 10 == 0 for step in steps)
    assert max(steps) == 5000


def test_held_out_texts_that_outweigh_a_short_run_are_read_less_often():
    texts = ["abba" * 20] * 10
    corpus = make_corpus(texts, texts * 4, Config().data, 0)
    at = {}
    for steps in (4, 150, 1000):
        stops = Stops()
        config = Config().replace(hidden=4, steps=steps, batch_size=2, sample_prompts=())
        train_corpus(encode_corpus(corpus, config.data), config, None, stops)
        at[steps] = stops.evaluated_at
    assert at[4] == [4]
    assert len(at[150]) == 2
    assert len(at[1000]) == 10


@pytest.mark.parametrize("settings", [{}, {"window": 5}, {"unit": "word", "dropout": 0.3}])
def test_the_same_seed_gives_the_same_weights_to_the_bit(settings):
    one, other = (flaxchar.train(TEXTS * 3, steps=12, hidden=8, seed=4, **settings) for _ in range(2))
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        assert (a == b).all()
    different = flaxchar.train(TEXTS * 3, steps=12, hidden=8, seed=5, **settings)
    assert not (different.params["logits"]["kernel"] == one.params["logits"]["kernel"]).all()


def test_carried_state_reaches_the_next_window():
    """In "aabbaabb…" cut into windows of three, only the state tells what follows a window's first letter."""
    text = "aabb" * 300
    lm = flaxchar.train([text], window=3, hidden=16, steps=300, val_fraction=0, batch_size=4)
    encoded, _ = lm.vocabulary.encode_texts([text])
    result = flaxchar.evaluate(lm.model, lm.params, encoded, len(text) + 1, lm.vocabulary.eos, window=3)
    assert result.loss < 0.1  # 0.23 nats at least where each window starts anew


def test_a_time_budget_becomes_a_number_of_steps_that_repeats_the_run(tmp_path):
    lm = flaxchar.train(TEXTS, time_budget="6s", hidden=8, workdir=tmp_path / "a")
    steps = flaxchar.training.run_directory.Run.open(tmp_path / "a").steps
    assert steps >= 1
    again = flaxchar.train(TEXTS, steps=steps, hidden=8)
    for a, b in zip(jax.tree.leaves(lm.params), jax.tree.leaves(again.params), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize("settings", [{}, {"window": 5}, {"dropout": 0.0, "ema": 0.9, "cell": "mingru"}])
def test_once_training_has_begun_nothing_is_compiled(settings):
    begun, before, compiled = [], [], []

    def hears(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            (compiled if begun else before).append(seconds)

    class Watches(Observer):
        def planned(self, at, steps_per_epoch):
            begun.append(at)

        def evaluated(self, report):
            if report.step == report.steps:
                begun.clear()

    jax.monitoring.register_event_duration_secs_listener(hears)
    config = Config().replace(hidden=7, time_budget="2s", **settings)
    corpus = make_corpus(["abba", "ba", "aab" * 9, "b"], ["baba", "ab"], config.data, 0)
    train_corpus(encode_corpus(corpus, config.data), config, None, Watches())
    assert before  # else the event has another name by now, and nothing is heard
    assert compiled == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "--hidden is 0"),
        ({"dropout": 1.0}, "--dropout is 1.0"),
        ({"learning_rate": float("nan")}, "--learning-rate is nan"),
        ({"optimizer": "adagrad"}, "--optimizer is 'adagrad'; it must be one of adam"),
        ({"time_budget": "soon"}, "--time-budget is 'soon'"),
        ({"steps": 5, "epochs": 1}, "--epochs and --steps"),
        ({"val_fraction": 1.0}, "--val-fraction"),
        ({"sample_prompts": ("Zürich",)}, "never seen"),
    ],
)
def test_settings_that_cannot_work_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        flaxchar.train(TEXTS, **{"steps": 1, **settings} if "epochs" not in settings else settings)


def test_other_settings_on_an_existing_run_are_listed(tmp_path):
    flaxchar.train(TEXTS, steps=2, hidden=8, workdir=tmp_path / "r")
    with pytest.raises(InputError, match=r"--learning-rate was 0\.02 and is 0\.5"):
        flaxchar.train(TEXTS, steps=2, hidden=8, learning_rate=0.5, workdir=tmp_path / "r")


def test_a_setting_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="hiden"):
        flaxchar.train(TEXTS, hiden=3)


@pytest.mark.parametrize(
    ("settings", "named"), [({"cell": "gru"}, ""), ({"cell": "mingru"}, "JAX"), ({"dtype": "bfloat16"}, "JAX")]
)
def test_the_report_says_which_recurrence_runs(settings, named):
    said = []

    class Hears(Observer):
        def prepared(self, lines):
            said.extend(lines)

    config = Config().replace(hidden=4, steps=1, **settings)
    corpus = make_corpus(["ab", "ba", "aab"], [], config.data, 0)
    train_corpus(encode_corpus(corpus, config.data), config, None, Hears())
    (line,) = [line for line in said if line.startswith("recurrence: ")]
    assert line.startswith(f"recurrence: {named or build.status()}")
