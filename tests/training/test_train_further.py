"""Complete runs that are trained further: the same to the bit whether interrupted or not, and recorded without gaps."""

from __future__ import annotations

import hashlib
import json
import shutil

import jax
import numpy as np
import pytest
from helpers import PALINDROMES

import flaxchar
from flaxchar import Config, InputError
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.training.reporting import Observer
from flaxchar.training.run_directory import METRICS, Run
from flaxchar.training.saved_model import load_model
from flaxchar.training.session import train_corpus
from flaxchar.training.stretches import Stretch

KINDS = {"plain": {"dropout": 0.3}, "windows": {"window": 5, "ema": 0.9, "optimizer": "adam"}}


class Stops(Observer):
    """Stops after a step; remembers where training began and what was said."""

    def __init__(self, after=None):
        self.after, self.taken, self.begun, self.lines = after, 0, [], []

    def prepared(self, lines):
        self.lines += lines

    def planned(self, at, steps_per_epoch):
        self.begun.append(at.step)

    def progressed(self, progress, *_):
        self.taken = progress.step

    def should_stop(self):
        return self.after is not None and self.taken >= self.after


def train(path, steps, observer=None, more_time=False, **settings):
    settings = {"hidden": 8, "batch_size": 4, "buckets": 1, "sample_prompts": (), "steps": steps, **settings}
    config = Config().replace(**settings)
    corpus = encode_corpus(make_corpus(PALINDROMES * 3, PALINDROMES[:3], config.data, 0), config.data)
    return train_corpus(corpus, config, path, observer or Observer(), more_time=more_time)


def digest(trained):
    leaves = jax.tree.leaves(trained.params)
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest()


def last_state(path):
    """Every array of the last checkpoint, and the metrics without what depends on the clock."""
    run = Run.open(path)
    last = run.checkpoints.last_step()
    records = run.read(METRICS, last)
    best = run.checkpoints.best()
    run.close()
    import orbax.checkpoint as ocp

    items = [
        ocp.StandardCheckpointer().restore((path / "checkpoints" / str(last) / item).absolute())
        for item in ("params", "training")
    ]
    for record in records:
        for name in ("seconds", "characters_per_second"):
            record.pop(name, None)
    return last, [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(items)], records, best


@pytest.mark.parametrize("kind", ["plain", pytest.param("windows", marks=pytest.mark.slow)])
def test_an_interrupted_extension_goes_on_to_the_bit(tmp_path, kind):
    """Weights, state and metrics; ``test_session.py`` compares the weights with the compiler's settings of a user."""
    settings = KINDS[kind]
    train(tmp_path / "base", 12, **settings)
    for name in ("whole", "stopped"):
        shutil.copytree(tmp_path / "base", tmp_path / name)
    whole = train(tmp_path / "whole", 30, **settings)
    train(tmp_path / "stopped", 30, Stops(after=19), **settings)
    assert last_state(tmp_path / "stopped")[0] < 30
    goes_on = Stops()
    resumed = train(tmp_path / "stopped", 12, goes_on, **settings)  # the command that began the run
    assert goes_on.begun == [19]
    assert digest(resumed) == digest(whole)
    assert last_state(tmp_path / "stopped") == last_state(tmp_path / "whole")
    assert last_state(tmp_path / "whole")[0] == 30
    records = last_state(tmp_path / "whole")[2]
    for kind_of_line in ("loss", "held_out_loss"):
        steps = [record["step"] for record in records if kind_of_line in record]
        assert steps == sorted(set(steps))
    assert sum("loss" in record for record in records) == 30


def test_an_extension_says_how_the_learning_rate_goes_on_and_is_recorded(tmp_path):
    train(tmp_path / "r", 12)
    observer = Stops()
    train(tmp_path / "r", 30, observer)
    assert observer.begun == [12]
    assert observer.lines[-1] == (
        "training further, from step 12 to step 30: the learning rate rises to 0.015, as in one run of 30 steps, and "
        "falls to 0 again"
    )
    run = Run.open(tmp_path / "r")
    assert run.stretches == (Stretch(12), Stretch(30))
    assert run.steps == 30
    again = Stops()
    train(tmp_path / "r", 30, again)
    assert again.begun == []
    with pytest.raises(InputError, match="the run has taken 30 steps, and `steps` is 29"):
        train(tmp_path / "r", 29)


def test_the_best_model_is_that_of_the_whole_run(tmp_path):
    train(tmp_path / "r", 40, learning_rate=0.05)
    before = Run.open(tmp_path / "r").checkpoints.best()
    # A further stretch that brings nothing but noise: its results are worse, so the first best stays.
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    config["config"]["training"]["learning_rate"] = 3.0
    del config["sha256"]
    (tmp_path / "r" / "config.json").write_text(json.dumps(config))
    trained = train(tmp_path / "r", 60, learning_rate=3.0, clip_norm=0.25)
    run = Run.open(tmp_path / "r")
    assert run.checkpoints.best() == before
    assert run.checkpoints.last_step() == 60
    assert digest(trained) == digest(load_model(run))
    run.close()


def test_more_time_adds_steps_by_the_clock(tmp_path):
    train(tmp_path / "r", None, time_budget="1s")
    first = Run.open(tmp_path / "r").steps
    train(tmp_path / "r", None, time_budget="1s")  # the same command once more
    assert Run.open(tmp_path / "r").steps == first
    train(tmp_path / "r", None, time_budget="1s", more_time=True)
    run = Run.open(tmp_path / "r")
    assert run.stretches == (Stretch(first, "1s"), Stretch(run.steps, "1s"))
    assert run.steps > first
    assert run.checkpoints.last_step() == run.steps
    run.close()


@pytest.mark.slow
def test_a_run_that_patience_ended_is_trained_further_from_there(tmp_path):
    """What is held out is nothing like what is learned: each evaluation is worse than the one before."""
    config = Config().replace(steps=400, hidden=8, patience=2, batch_size=4, val_fraction=0)
    corpus = encode_corpus(make_corpus(["ab" * 8] * 40, ["ba" * 8] * 4, config.data, 0), config.data)
    train_corpus(corpus, config, tmp_path / "r")
    run = Run.open(tmp_path / "r")
    stopped = run.checkpoints.last_step()
    run.close()
    assert stopped < 400
    observer = Stops()
    train_corpus(corpus, config.replace(steps=500), tmp_path / "r", observer)
    assert observer.begun == [stopped]
    run = Run.open(tmp_path / "r")
    assert run.stretches == (Stretch(stopped), Stretch(500))
    assert run.checkpoints.last_step() > stopped
    run.close()


def test_the_library_trains_further_with_the_runs_own_settings(tmp_path):
    flaxchar.train(PALINDROMES * 3, workdir=tmp_path / "r", steps=5, hidden=8, dropout=0.4)
    lm = flaxchar.train(PALINDROMES * 3, workdir=tmp_path / "r", steps=9)
    assert (lm.config.model.hidden, lm.config.model.dropout) == (8, 0.4)
    assert Run.open(tmp_path / "r").checkpoints.last_step() == 9
