"""The run directory: which checkpoints are kept, what comes back, and that nothing is ever half there."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar import Config, InputError, Vocabulary
from flaxchar.training.run_directory import Run, check_free, move_aside

VOCABULARY = Vocabulary.build(["añ\ud800😀\n"])


@pytest.fixture
def run(tmp_path):
    run = Run.create(tmp_path / "r", Config().replace(hidden=7), VOCABULARY, {"name": "x"}, steps=9)
    yield run
    run.close()


def kept(run):
    return sorted(int(path.name) for path in (run.path / "checkpoints").iterdir() if path.name.isdigit())


def params(k):
    return {"w": jnp.full((2, 3), float(k)), "b": jnp.arange(2) + k}


def test_the_last_and_the_best_are_kept_and_no_others(run):
    results = {1: 3.0, 2: None, 3: 2.0, 4: None, 5: 2.5, 6: None, 7: math.nan}
    for step, bits in results.items():
        run.save(step, params(step), {"m": jnp.ones(2) * step}, bits)
        assert run.last_step() == step
    assert kept(run) == [3, 7]
    assert run.best() == (3, 2.0)
    found, training = run.restore(3, params(0), {"m": jnp.zeros(2)})
    np.testing.assert_array_equal(found["w"], params(3)["w"])
    np.testing.assert_array_equal(training["m"], [3, 3])
    assert found["b"].dtype == params(0)["b"].dtype


def test_a_run_that_is_gone_on_with_keeps_as_few(run):
    """Looking for the last checkpoint first, as going on does, must not leave the run unable to delete."""
    run.save(1, params(1), None, 3.0)
    run.close()
    again = Run.open(run.path)
    (run.path / "checkpoints" / "2.orbax-checkpoint-tmp-1").mkdir()  # what a kill in the middle of a save leaves
    assert again.last_step() == 1
    for step in (2, 3, 4, 5):
        again.save(step, params(step), None, 3.0 - step / 10)
        assert again.last_step() == step
    again.close()
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["5"]


def test_without_results_the_last_is_the_best(run):
    for step in (1, 2, 3):
        run.save(step, params(step))
    assert kept(run) == [3]
    assert run.best() == (3, None)


def test_a_saved_step_is_not_saved_again(run):
    run.save(1, params(1), None, 2.0)
    run.save(1, params(5))
    np.testing.assert_array_equal(run.restore(1, params(0))[0]["w"], params(1)["w"])


def test_a_run_is_read_back_as_it_was_written(run):
    again = Run.open(run.path)
    assert (again.config, again.vocabulary, again.steps) == (run.config, VOCABULARY, 9)
    assert again.last_step() is None
    assert again.best() is None


def test_lines_after_a_step_are_forgotten_and_half_lines_too(run):
    run.append("metrics.jsonl", [{"step": k, "text": "a\ud800"} for k in (1, 2, 3)])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    run.forget_after(2)
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [line[:10] for line in lines] == ['{"step": 1', '{"step": 2']
    assert not list(run.path.glob("*.new"))


def test_a_run_is_never_begun_where_something_is(run, tmp_path):
    with pytest.raises(InputError, match="already holds a run"):
        Run.create(run.path, Config(), VOCABULARY, {}, 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        check_free(tmp_path / "file")


def test_moving_aside_finds_a_free_name(run, tmp_path):
    (tmp_path / "r.1").mkdir()
    assert move_aside(run.path) == tmp_path / "r.2"
    assert Run.exists(tmp_path / "r.2")
    assert not run.path.exists()


def test_a_run_of_another_version_is_refused(run):
    path = run.path / "config.json"
    path.write_text(path.read_text().replace('"hidden"', '"hidden_units"'))
    with pytest.raises(InputError, match="hidden_units"):
        Run.open(run.path)
    path.write_text('{"format": 99}')
    with pytest.raises(InputError, match="was not written by this version"):
        Run.open(run.path)
