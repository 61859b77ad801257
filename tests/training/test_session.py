"""Training sessions: runs that are the same to the bit, that are resumed, and that stop."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from helpers import PALINDROMES as TEXTS
from helpers import python, run_command

import flaxchar
from flaxchar import Config, InputError
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.training.reporting import Observer
from flaxchar.training.run_directory import Run
from flaxchar.training.saved_model import load_model
from flaxchar.training.session import train_corpus

KINDS = {
    "plain": {},
    "windows": {"window": 5, "ema": 0.9, "optimizer": "adam"},
    "words": {"unit": "word", "dropout": 0.3},
}
# Trains in a process of its own with the settings that a user's command gets, and prints a hash of each run's weights.
BITS = """
import hashlib, json, pathlib, shutil, sys, tempfile
from flaxchar.commands import process
process.prepare()
import jax, numpy as np
import flaxchar
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.training import Observer, Run, train_corpus
from flaxchar.settings import LENGTHS

TEXTS = ["Anna", "Otto", "Hannah", "Bob", "Eve", "Ada", "Lil", "Viv", "Aviva", "Elle"] * 3

class Stops(Observer):
    def __init__(self, after):
        self.after, self.taken = after, 0

    def progressed(self, progress, *_):
        self.taken = progress.step

    def should_stop(self):
        return self.after is not None and self.taken >= self.after

def run(path=None, after=None, **settings):
    config = flaxchar.Config().replace(
        **{"hidden": 8, "batch_size": 4, "buckets": 1, "steps": 12, "sample_prompts": (), **settings}
    )
    corpus = encode_corpus(make_corpus(TEXTS, TEXTS[:3], config.data, 0), config.data)
    trained = train_corpus(corpus, config, path, Stops(after))
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(trained.params))).hexdigest()

folder, hashes, steps = pathlib.Path(tempfile.mkdtemp()), {}, None
for kind, settings in KINDS.items():
    path = folder / kind
    hashes[kind] = run(**settings)
    hashes[kind, "again"] = run(**settings)
    hashes[kind, "seed"] = run(seed=5, **settings)
    hashes[kind, "stopped"] = run(path, 5, **settings)
    hashes[kind, "resumed"] = run(path, **settings)
    hashes[kind, "loaded"] = hashlib.sha256(b"".join(
        np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(flaxchar.load(path).params))).hexdigest()
if "plain" in KINDS:
    run(folder / "extended")
    shutil.copytree(folder / "extended", folder / "stopped")
    hashes["extended"] = run(folder / "extended", steps=30)
    hashes["extended", "stopped"] = run(folder / "stopped", 19, steps=30)
    hashes["extended", "resumed"] = run(folder / "stopped")  # as the run was begun
    hashes["budget"] = run(folder / "budget", steps=None, time_budget="2s")
    steps = Run.open(folder / "budget").steps
    hashes["budget", "steps"] = run(steps=steps)
print(json.dumps([steps, list(hashes.items())]))
"""


def bits(*kinds: str):
    """The number of steps that a time budget of two seconds became, and the hashes of the weights of all runs."""
    given = {kind: KINDS[kind] for kind in kinds}
    steps, hashes = json.loads(python(f"KINDS = {given!r}\n{BITS}").splitlines()[-1])
    return steps, {tuple(name) if isinstance(name, list) else name: value for name, value in hashes}


@pytest.fixture(scope="module")
def weights():
    return bits("plain")


@pytest.fixture(scope="module")
def weights_of_others():
    return bits("windows", "words")


@pytest.fixture(params=["plain", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("windows", "words"))])
def hashes_of_kind(request):
    """The hashes of one kind of run, by what was done."""
    _, hashes = request.getfixturevalue("weights" if request.param == "plain" else "weights_of_others")
    kind = request.param
    return {"": hashes[kind]} | {name[1]: value for name, value in hashes.items() if name[0] == kind}


def test_the_same_seed_gives_the_same_weights_to_the_bit_and_another_one_others(hashes_of_kind):
    assert hashes_of_kind[""] == hashes_of_kind["again"] != hashes_of_kind["seed"]


def test_an_interrupted_run_goes_on_to_the_bit(hashes_of_kind):
    assert hashes_of_kind["stopped"] != hashes_of_kind[""]
    assert hashes_of_kind["resumed"] == hashes_of_kind["loaded"] == hashes_of_kind[""]


def test_an_interrupted_extension_goes_on_to_the_bit(weights):
    _, hashes = weights
    assert hashes["extended", "stopped"] != hashes["extended"] != hashes["plain"]
    assert hashes["extended", "resumed"] == hashes["extended"]


def test_a_time_budget_becomes_a_number_of_steps_that_repeats_the_run(weights):
    """Two seconds are hundreds of steps of so small a model, wherever its programs are compiled already."""
    steps, hashes = weights
    assert steps > 20
    assert hashes["budget"] == hashes["budget", "steps"]


def test_a_time_budget_that_leaves_hardly_a_step_is_told():
    told = []

    class Listens(Observer):
        def prepared(self, lines):
            told.extend(lines)

    config = Config().replace(hidden=7, time_budget="0.01s")
    train_corpus(
        encode_corpus(make_corpus(["abba", "ba"], ["ab"], config.data, 0), config.data), config, None, Listens()
    )
    assert [line for line in told if "time budget of 0.01s leaves time for 1 training step only" in line]


@pytest.mark.slow
def test_a_time_budget_is_that_of_the_whole_command_or_the_run_says_otherwise(tmp_path):
    import time

    for number in range(2):  # the first time everything is compiled
        begin = time.monotonic()
        command = (
            "train.py",
            "--dataset",
            "headlines",
            "--time-budget",
            "20s",
            "--workdir",
            str(tmp_path / f"{number}"),
        )
        result = run_command(*command)
        seconds = time.monotonic() - begin
        assert result.returncode == 0, result.stderr
    # Baselines alone took 6 s after the budget once. The bound is wide, for other work may slow the machine down in
    # the last seconds; docs/decisions/time-budget.md has the measurements.
    told = "instead of 0:20" in result.stdout
    assert told or abs(seconds - 20) <= 5, result.stdout


class Records(Observer):
    """Remembers which steps were evaluated, and what was planned and said."""

    def __init__(self):
        self.evaluated_at, self.begun, self.lines = [], [], []

    def prepared(self, lines):
        self.lines += lines

    def planned(self, at, steps_per_epoch):
        self.begun.append(at.step)

    def evaluated(self, report):
        self.evaluated_at.append(report.step)


def test_a_run_out_of_patience_stops_and_stays_stopped(tmp_path):
    # What is held out is nothing like what is learned: each evaluation is worse than the one before.
    config = Config().replace(steps=400, hidden=8, patience=2, batch_size=4, val_fraction=0)
    corpus = encode_corpus(make_corpus(["ab" * 8] * 40, ["ba" * 8] * 4, config.data, 0), config.data)
    train_corpus(corpus, config, tmp_path / "run", Records())
    bits = [
        json.loads(line).get("held_out_bits_per_character")
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    bits = [b for b in bits if b is not None]
    assert len(bits) == bits.index(min(bits)) + 3 < 10
    again = Records()
    train_corpus(corpus, config, tmp_path / "run", again)
    assert (again.begun, again.evaluated_at) == ([], [])


def test_the_best_evaluated_parameters_are_returned_and_kept(tmp_path):
    """The held-out texts are unlike the others, so that the first evaluation is the best."""
    config = Config().replace(steps=60, hidden=8, batch_size=4, learning_rate=0.1)
    corpus = encode_corpus(make_corpus(["ab" * 8] * 40, ["ba" * 8] * 4, config.data, 0), config.data)
    trained = train_corpus(corpus, config, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    best, bits = run.checkpoints.best()
    assert best < run.checkpoints.last_step() == 60
    jax.tree.map(np.testing.assert_array_equal, load_model(run).params, trained.params)
    characters, eos = corpus.held_out_characters, corpus.vocabulary.eos
    result = flaxchar.evaluate(trained.model, trained.params, corpus.held_out, characters, eos)
    assert result.bits_per_character == pytest.approx(bits, rel=1e-6)
    run.close()


def test_a_finished_run_is_not_trained_again_and_a_fresh_one_moves_it_aside(small_corpus, small_config, tmp_path):
    trained = train_corpus(small_corpus, small_config, tmp_path / "r", Records())
    again = Records()
    same = train_corpus(small_corpus, small_config, tmp_path / "r", again)
    assert again.begun == []
    jax.tree.map(np.testing.assert_array_equal, same.params, trained.params)
    train_corpus(small_corpus, small_config, tmp_path / "r", again, fresh=True)
    assert again.begun == [0]
    assert Run.exists(tmp_path / "r.1")
    assert any(line.startswith(f"the run in {tmp_path / 'r'} is now ") for line in again.lines)


def test_held_out_texts_that_outweigh_a_short_run_are_read_less_often():
    texts = ["abba"] * 10
    corpus = make_corpus(texts, texts * 4, Config().data, 0)
    at = {}
    for steps in (4, 150, 1000):
        records = Records()
        config = Config().replace(hidden=4, steps=steps, batch_size=2, sample_prompts=())
        train_corpus(encode_corpus(corpus, config.data), config, None, records)
        at[steps] = records.evaluated_at
    assert at[4] == [4]
    assert len(at[150]) == 2
    assert len(at[1000]) == 10


def test_carried_state_reaches_the_next_window():
    """In "aabbaabb…" cut into windows of three, only the state tells what follows a window's first letter."""
    text = "aabb" * 300
    lm = flaxchar.train([text], window=3, hidden=16, steps=300, val_fraction=0, batch_size=4)
    encoded, _ = lm.vocabulary.encode_texts([text])
    result = flaxchar.evaluate(lm.model, lm.params, encoded, len(text) + 1, lm.vocabulary.eos, window=3)
    assert result.loss < 0.1  # 0.23 nats at least where each window starts anew


@pytest.mark.parametrize(
    "settings",
    [
        {},
        *(
            pytest.param(s, marks=pytest.mark.slow)
            for s in ({"window": 5}, {"dropout": 0.0, "ema": 0.9, "cell": "mingru"})
        ),
    ],
)
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


def test_other_settings_on_an_existing_run_are_listed(tmp_path):
    flaxchar.train(TEXTS, steps=2, hidden=8, workdir=tmp_path / "r")
    with pytest.raises(InputError, match=r"learning.rate.? was 0\.02 and is 0\.5"):
        flaxchar.train(TEXTS, steps=2, hidden=8, learning_rate=0.5, workdir=tmp_path / "r")


def test_a_run_that_will_miss_its_budget_tells_the_observer(small_corpus, small_config):
    told = []

    class Hears(Observer):
        def off_budget(self, seconds, budget):
            told.append((seconds, budget))

    config = small_config.without_length().replace(time_budget="1s")
    train_corpus(small_corpus, config, None, Hears(), reserved=30.0)
    ((seconds, budget),) = told
    assert budget == 1
    assert seconds > 30
