"""The pool has the newest model of every run, also while it is trained, and the losses for its curves."""

from __future__ import annotations

import shutil

import pytest

from flaxchar import InputError
from flaxchar.serve import pool as module
from flaxchar.serve.pool import MOST_POINTS, ModelPool, ServedRun
from flaxchar.training.run_directory import METRICS, Run


@pytest.fixture
def now(monkeypatch):
    """Folders are looked at at each call."""
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)


@pytest.fixture
def training(tmp_path, lm):
    """A run of 100 steps whose process can save checkpoints, and save them."""
    run = Run.create(tmp_path / "run", lm.config, lm.vocabulary, {"floor": 0.5}, steps=100)
    run.claim()

    def save(step, params, bits):
        run.append(METRICS, [{"step": step, "bits_per_character": bits, "learning_rate": 0.1, "seconds": 1.0}])
        run.append(METRICS, [{"step": step, "held_out_bits_per_character": bits}])
        run.checkpoints.save(step, params, bits_per_character=bits)

    yield save
    run.close()


def scaled(params, factor):
    return params | {"logits": {name: value * factor for name, value in params["logits"].items()}}


def same(model, params):
    return bool((model.params["logits"]["kernel"] == params["logits"]["kernel"]).all())


def test_runs_have_the_names_of_their_folders(runs, tmp_path):
    shutil.copytree(runs["plain"], tmp_path / "plain")
    pool = ModelPool([runs["plain"], runs["running"], tmp_path / "plain"])
    assert [run.name for run in pool] == ["plain", "running", "plain-2"]
    assert pool.get(None) is pool.get("plain")
    assert pool.get("../plain") is None
    with pytest.raises(InputError, match="holds no run"):
        ModelPool([tmp_path])


def test_a_run_without_a_checkpoint_says_so_until_it_has_one(now, training, tmp_path, lm):
    run = ServedRun("run", tmp_path / "run")
    with pytest.raises(InputError, match="no checkpoint yet"):
        run.model()
    assert "no checkpoint yet" in run.describe()["problem"]
    assert run.describe()["step"] is None
    training(10, lm.params, 3.0)
    assert same(run.model(), lm.params)
    assert run.describe()["problem"] == ""


def test_the_newest_checkpoint_while_it_is_trained_and_then_the_best(now, training, tmp_path, lm):
    run = ServedRun("run", tmp_path / "run")
    training(10, lm.params, 2.0)
    first = run.model()
    assert run.model() is first  # nothing is loaded anew
    worse = scaled(lm.params, 0.5)
    training(20, worse, 3.0)
    assert same(run.model(), worse)
    assert (run.describe()["step"], run.describe()["training"]) == (20, True)
    training(100, worse, 3.0)
    assert same(run.model(), lm.params)
    assert (run.describe()["step"], run.describe()["training"]) == (10, False)


def test_a_damaged_or_vanished_run_keeps_its_last_model(now, training, tmp_path, lm):
    run = ServedRun("run", tmp_path / "run")
    training(10, lm.params, 2.0)
    first = run.model()
    training(20, scaled(lm.params, 0.5), 1.0)
    for file in (tmp_path / "run" / "checkpoints" / "20").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:5])
    assert run.model() is first
    assert "damaged" in run.describe()["problem"]
    shutil.rmtree(tmp_path / "run")
    assert run.model() is first
    assert run.describe()["problem"]


def test_the_folder_is_not_looked_at_all_the_time(training, tmp_path, lm):
    training(10, lm.params, 2.0)
    run = ServedRun("run", tmp_path / "run")
    first = run.model()
    training(20, scaled(lm.params, 0.5), 1.0)
    assert run.model() is first


def test_the_curves_are_the_metrics_in_few_points(training, tmp_path, lm):
    run = Run.open(tmp_path / "run")
    run.append(
        METRICS, [{"step": 1 + k // 20, "bits_per_character": 8.0 - k / 1000, "seconds": 0.5} for k in range(1900)]
    )
    run.close()
    training(96, lm.params, 2.5)
    curves = ServedRun("run", tmp_path / "run").curves()
    assert 2 < len(curves["training"]) <= MOST_POINTS
    assert curves["training"][-1][0] == 96
    assert all(before[1] >= after[1] for before, after in zip(curves["training"], curves["training"][1:], strict=False))
    assert curves["held_out"] == [[96, 2.5]]
    assert (curves["floor"], curves["steps"], curves["seconds"]) == (0.5, 100, 951.0)


def test_a_run_whose_metrics_hold_no_readable_line_is_not_being_trained(training, tmp_path, lm):
    training(10, lm.params, 2.0)
    run = ServedRun("run", tmp_path / "run")
    assert run.curves()["training_now"]
    (tmp_path / "run" / METRICS).write_text("no JSON\n")
    assert not run.curves()["training_now"]


@pytest.mark.parametrize("kind", ["plain", "labelled", "classifier", "running"])
def test_a_run_tells_what_can_be_done_with_it(runs, kind):
    told = ServedRun(kind, runs[kind]).describe()
    labels = kind in ("labelled", "classifier")
    assert (told["writes"], told["classifies"]) == (kind != "classifier", labels)
    assert (told["needs_label"], told["needs_source"]) == (kind == "labelled", False)
    assert told["labels"] == (["<b>a</b>", "b"] if labels else [])
    assert told["running"] == (kind == "running")


@pytest.mark.parametrize("name", ["plain", "labelled"])
def test_only_characters_are_counted_as_known(runs, name):
    run = ModelPool([runs[name]]).get(name)
    tokens = run.model().vocabulary.tokens
    assert run.describe()["vocabulary"] == len({token for token in tokens if token is not None and len(token) == 1})
