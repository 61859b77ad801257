"""Divergence: skipped updates, setbacks to a good state, and runs that stop with a sentence."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import PALINDROMES, small_training

import flaxchar
from flaxchar import TrainingConfig, TrainingDiverged, TrainStep, init_state
from flaxchar.training.divergence import MOST_SETBACKS, MOST_SKIPPED, rate_share, set_back
from flaxchar.training.reporting import Observer
from flaxchar.training.run_directory import Run
from flaxchar.training.session import train_corpus
from flaxchar.training.state import copy_tree


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize(
    "optimizer",
    ["adam", "muon", *(pytest.param(o, marks=pytest.mark.slow) for o in ("adamw", "lion", "rmsprop", "sgd"))],
)
def test_a_step_without_finite_loss_changes_nothing_but_its_counters(optimizer):
    model, optimizer, batches, _ = small_training(TrainingConfig(optimizer=optimizer))
    state = init_state(model, optimizer, batches.rows, jax.random.key(1), averaged=True)
    step = TrainStep(model, optimizer, jax.random.key(0), ema=0.9)
    state, sums = step(state, batches.batch(0), 0.1)
    assert sums.taken
    poisoned = state._replace(params=jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), state.params))
    kept = copy_tree(poisoned)
    for number in (1, 2):
        poisoned, sums = step(poisoned, batches.batch(number), 0.1)
        assert not sums.taken
        assert (int(poisoned.step), int(poisoned.skipped)) == (1 + number, number)
    for name in ("params", "opt_state", "carry", "average"):
        assert_equal(getattr(poisoned, name), getattr(kept, name))
    mended, _ = step(poisoned._replace(params=copy_tree(kept.average)), batches.batch(0), 0.1)
    assert int(mended.skipped) == 0


def test_a_setback_restores_the_state_and_halves_the_rate_until_there_were_too_many():
    *_, state = small_training(TrainingConfig())
    good = state._replace(step=jnp.int32(3))
    for number in range(MOST_SETBACKS):
        bad = jax.tree.map(jnp.copy, state)._replace(
            step=jnp.int32(90), skipped=jnp.int32(MOST_SKIPPED), setbacks=jnp.int32(number)
        )
        after = set_back(bad, good, TrainingConfig())
        assert (int(after.step), int(after.skipped), int(after.setbacks)) == (90, 0, number + 1)
        assert_equal(after.params, good.params)
        assert rate_share(int(after.setbacks)) == 2.0 ** -(number + 1)
    with pytest.raises(TrainingDiverged, match=r"at step 90.*lower `learning_rate` \(it is 0.02\).*`clip_norm`"):
        set_back(after, good, TrainingConfig())


class Stops(Observer):
    """Stops after a step; records setbacks."""

    def __init__(self, after=None):
        self.after, self.taken, self.setbacks = after, 0, []

    def progressed(self, progress, *_):
        self.taken = progress.step

    def should_stop(self):
        return self.after is not None and self.taken >= self.after

    def set_back(self, step, to, share):
        self.setbacks.append((step, to, share))


@pytest.fixture
def one_bad_step(monkeypatch):
    """Step 18 of a run that was not set back has a learning rate that destroys the parameters."""
    take = TrainStep.__call__

    def bad(self, state, batch, rate):
        destroys = int(state.step) == 17 and not int(state.setbacks)
        return take(self, state, batch, 1e30 if destroys else rate)

    monkeypatch.setattr(TrainStep, "__call__", bad)


@pytest.mark.usefixtures("one_bad_step")
def test_a_run_goes_on_from_its_best_state_and_to_the_bit_however_it_is_interrupted(
    small_corpus, small_config, tmp_path
):
    config = small_config.replace(steps=32, ema=None)
    whole = Stops()
    expected = train_corpus(small_corpus, config, tmp_path / "whole", whole)
    ((at, to, share),) = whole.setbacks
    assert (at, share) == (18 + MOST_SKIPPED, 0.5)
    assert to in (8, 16)
    records = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert sum(record.get("skipped", 0) for record in records) == MOST_SKIPPED
    rates = {record["step"]: record["learning_rate"] for record in records if "learning_rate" in record}
    assert rates[at + 1] < 0.6 * rates[at]
    run = Run.open(tmp_path / "whole")
    last = run.checkpoints.restore(32, expected.params)[0]
    run.close()
    for after in (17, 20, 22, 23, 25):
        path = tmp_path / str(after)
        train_corpus(small_corpus, config, path, Stops(after))
        resumed = train_corpus(small_corpus, config, path)
        assert_equal(resumed.params, expected.params)
        run = Run.open(path)
        assert_equal(run.checkpoints.restore(32, expected.params)[0], last)
        run.close()


@pytest.mark.parametrize(
    ("optimizer", "rate", "held_out"),
    [
        ("adam", 1e30, ["Anna", "Bob"]),
        *(pytest.param(*case, ["Anna", "Bob"], marks=pytest.mark.slow) for case in [("muon", 1e3), ("rmsprop", 1e30)]),
        pytest.param("sgd", 1e38, None, marks=pytest.mark.slow),
        pytest.param("lion", 1e38, None, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_never_becomes_finite_ends_with_an_exception_that_says_what_to_try(
    optimizer, rate, held_out, tmp_path
):
    given = dict(hidden=8, batch_size=4, learning_rate=rate, warmup_steps=0, optimizer=optimizer, clip_norm=None)
    for steps in (4, 60):
        path = tmp_path / str(steps)
        with pytest.raises(TrainingDiverged, match=r"has diverged.*try a lower `learning_rate`.*or set `clip_norm`"):
            flaxchar.train(PALINDROMES * 3, held_out=held_out, workdir=path, steps=steps, **given)
        with pytest.raises(TrainingDiverged):  # and does so again
            flaxchar.train(workdir=path, texts=PALINDROMES * 3, held_out=held_out)
        for line in (path / "metrics.jsonl").read_text().splitlines():
            json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
