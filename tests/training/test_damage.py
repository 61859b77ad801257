"""Damage to a run's files never changes a score unseen, and training goes on from the newest whole checkpoint."""

from __future__ import annotations

import random
import shutil

import jax
import numpy as np
import pytest
from helpers import PALINDROMES, untrained_model

import flaxchar
from flaxchar import Config, InputError
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.training.reporting import Observer
from flaxchar.training.run_directory import METRICS, Run
from flaxchar.training.session import train_corpus


def damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def largest(folder):
    return max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)


def test_no_flipped_bit_and_no_truncation_gives_another_score(tmp_path):
    untrained_model(PALINDROMES).save(tmp_path / "r")
    truth, rng = flaxchar.load(tmp_path / "r").score(["Anna", "Otto"]), random.Random(0)
    files = [file for file in sorted((tmp_path / "r").rglob("*")) if file.is_file() and file.name != "lock"]
    refused = 0
    for number in range(40):
        file = files[number % len(files)]
        content = file.read_bytes()
        damaged = bytearray(content)
        if number % 3:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        else:
            del damaged[rng.randrange(len(damaged)) :]
        file.write_bytes(damaged)
        try:
            assert flaxchar.load(tmp_path / "r").score(["Anna", "Otto"]) == truth
        except InputError:
            refused += 1
        file.write_bytes(content)
    assert refused > 20


@pytest.fixture(scope="module")
def corpus():
    """The held-out texts are unlike the others, so that the first evaluation is the best."""
    config = Config().replace(steps=60, hidden=8, batch_size=4, learning_rate=0.1, sample_prompts=())
    return encode_corpus(make_corpus(["ab" * 8] * 40, ["ba" * 8] * 4, config.data, 0), config.data), config


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "r"
    train_corpus(*corpus, path)
    return path


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "r")
    return tmp_path / "r"


def test_a_damaged_last_checkpoint_is_set_aside_and_training_goes_on_from_the_best(corpus, run, trained, caplog):
    best, last = Run.open(run).checkpoints.steps()
    damage(largest(run / "checkpoints" / str(last) / "training"))
    begun = []

    class Watches(Observer):
        def planned(self, at, steps_per_epoch):
            begun.append(at.step)

    train_corpus(*corpus, run, Watches())
    assert begun == [best]
    (warning,) = caplog.messages
    assert warning.startswith(f"the checkpoint of step {last} in {run / 'checkpoints'} is damaged: training/")
    assert warning.endswith(
        f" does not match its checksum; it is now {last}.damaged, and the run goes on from step {best}"
    )
    steps = [[record["step"] for record in Run.open(path).read(METRICS, until=last)] for path in (run, trained)]
    assert steps[0] == steps[1]
    models = [flaxchar.load(path).params for path in (run, trained)]
    jax.tree.map(np.testing.assert_array_equal, *models)


@pytest.mark.parametrize("file", ["params", "metrics", "checksums.json"])
def test_a_damaged_best_checkpoint_is_never_replaced_by_another_unseen(run, file):
    best, last = Run.open(run).checkpoints.steps()
    path = run / "checkpoints" / str(best) / file
    damage(largest(path) if path.is_dir() else path)
    with pytest.raises(InputError) as raised:
        flaxchar.load(run)
    assert f"the checkpoint of step {best} in {run / 'checkpoints'} is damaged: " in str(raised.value)
    assert f"that of step {last} is whole: to use it instead, move the damaged folder away" in str(raised.value)
    (run / "checkpoints" / str(best)).rename(run / "away")
    flaxchar.load(run)


def test_where_no_checkpoint_is_whole_nothing_is_trained_or_moved(corpus, run):
    for step in Run.open(run).checkpoints.steps():
        damage(largest(run / "checkpoints" / str(step) / "params"))
    before = sorted(run.rglob("*"))
    with pytest.raises(InputError, match="no checkpoint is whole: begin anew with `fresh`"):
        train_corpus(*corpus, run)
    assert sorted(run.rglob("*")) == before


def test_damaged_baselines_are_measured_anew(run, caplog):
    opened = Run.open(run)
    opened.baselines(lambda: {"uniform": 6.0})
    damage(run / "baselines.json")
    assert opened.baselines(lambda: {"uniform": 5.0}) == {"uniform": 5.0}
    assert "the baselines are measured anew" in caplog.text
    assert opened.baselines(lambda: 1 / 0) == {"uniform": 5.0}


def test_a_run_of_before_the_checksums_loads_and_goes_on(corpus, run, trained):
    """It is verified where it can be: what is saved from now on has checksums."""
    opened = Run.open(run)
    del opened.record["checksums"]
    opened.extend(opened.stretches)
    for step in opened.checkpoints.steps():
        (run / "checkpoints" / str(step) / "checksums.json").unlink()
    models = [flaxchar.load(path).params for path in (run, trained)]
    jax.tree.map(np.testing.assert_array_equal, *models)
    train_corpus(corpus[0], corpus[1].replace(steps=70), run)
    assert (run / "checkpoints" / "70" / "checksums.json").exists()


def test_lines_of_a_process_that_was_killed_before_its_first_checkpoint_are_not_doubled(corpus, run, trained):
    shutil.rmtree(run / "checkpoints")
    train_corpus(*corpus, run)
    steps = [[record["step"] for record in Run.open(path).read(METRICS, until=60)] for path in (run, trained)]
    assert steps[0] == steps[1]


def test_a_full_disk_is_one_sentence_and_the_checkpoints_before_stay(run, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    opened = Run.open(run)
    before = sorted((run / "checkpoints").rglob("*"))
    monkeypatch.setattr("flaxchar.training.checkpoints.write_checksums", full)
    with pytest.raises(
        OSError, match=r"cannot save the checkpoint of step 61 in .*: No space left on device; training"
    ):
        opened.checkpoints.save(61, {"w": np.ones(3)})
    assert sorted((run / "checkpoints").rglob("*")) == before
