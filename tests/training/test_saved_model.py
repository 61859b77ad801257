"""The model of a run is that of its best checkpoint, also where the run is replaced while it is read."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from helpers import PALINDROMES, untrained_model

from flaxchar import InputError
from flaxchar.training import saved_model
from flaxchar.training.run_directory import Run
from flaxchar.training.saved_model import load_model

MODEL = untrained_model(PALINDROMES)


def scaled(factor):
    return jax.tree.map(lambda leaf: leaf * factor, MODEL.params)


@pytest.fixture
def run(tmp_path):
    """A run whose first checkpoint is the best."""
    run = Run.create(tmp_path / "r", MODEL.config, MODEL.vocabulary, {}, steps=2)
    run.checkpoints.save(1, scaled(1), bits_per_character=2.0)
    run.checkpoints.save(2, scaled(2), bits_per_character=3.0)
    yield run
    run.close()


def test_the_best_checkpoint_is_loaded(run):
    trained = load_model(run)
    jax.tree.map(np.testing.assert_array_equal, trained.params, MODEL.params)
    assert (trained.vocabulary, trained.config) == (MODEL.vocabulary, MODEL.config)


def test_a_run_without_a_checkpoint_has_no_model(tmp_path):
    run = Run.create(tmp_path / "r", MODEL.config, MODEL.vocabulary, {}, steps=2)
    with pytest.raises(InputError, match="holds no checkpoint yet"):
        load_model(run)


def test_a_reader_whose_checkpoint_is_replaced_takes_the_new_one(run, monkeypatch):
    reader = Run.open(run.path)
    restore, replaced = reader.checkpoints.restore, []

    def replace_first(step, *arguments):
        if not replaced:
            replaced.append(step)
            run.checkpoints.save(3, scaled(3), bits_per_character=1.0)
        return restore(step, *arguments)

    monkeypatch.setattr(reader.checkpoints, "restore", replace_first)
    trained = load_model(reader)
    assert replaced == [1]
    jax.tree.map(np.testing.assert_array_equal, trained.params, scaled(3))


def test_a_reader_whose_run_is_replaced_takes_the_new_one_whole(run, monkeypatch):
    """Never the weights of one run with the vocabulary of another."""
    other = untrained_model(["xyz"])
    load, replaced = saved_model._load, []

    def replace_first(reader, newest):
        if not replaced:
            replaced.append(run.path.rename(f"{run.path}.1"))
            other.save(run.path)
        return load(reader, newest)

    monkeypatch.setattr(saved_model, "_load", replace_first)
    trained = load_model(Run.open(run.path))
    assert trained.vocabulary == other.vocabulary
    assert trained.config == other.config


def test_a_checkpoint_that_cannot_be_used_is_not_called_whole(run):
    """Its checksums fit, for it was written as it is; its arrays are those of another model."""
    wrong = untrained_model(PALINDROMES, hidden=5)
    run.checkpoints.save(3, wrong.params, bits_per_character=4.0)
    with pytest.raises(InputError, match=r"step 3 .* parameters.*: one of them is damaged; that of step 1 is whole"):
        load_model(run, newest=True)
