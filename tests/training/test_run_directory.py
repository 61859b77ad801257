"""The run directory: what is written, what comes back, and who may write."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from helpers import environment

from flaxchar import Config, InputError, Vocabulary
from flaxchar.training.checksums import sealed
from flaxchar.training.run_directory import Run

VOCABULARY = Vocabulary.build(["añ\ud800😀\n"])


@pytest.fixture
def run(tmp_path):
    run = Run.create(tmp_path / "r", Config().replace(hidden=7), VOCABULARY, {"name": "x"}, steps=9)
    yield run
    run.close()


def test_a_run_is_read_back_as_it_was_written(run):
    again = Run.open(run.path)
    assert (again.config, again.vocabulary, again.steps) == (run.config, VOCABULARY, 9)
    assert again.checkpoints.last_step() is None
    assert again.checkpoints.best() is None


def test_lines_after_a_step_are_forgotten_and_half_lines_too(run):
    run.append("metrics.jsonl", [{"step": k, "text": "a\ud800"} for k in (1, 2, 3)])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    run.forget_after(2)
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [line[:10] for line in lines] == ['{"step": 1', '{"step": 2']
    assert {path.name for path in run.path.iterdir()} == {"config.json", "vocabulary.json", "metrics.jsonl", "lock"}
    assert [record["step"] for record in run.read("metrics.jsonl", until=1)] == [1]
    assert run.read("samples.jsonl", until=1) == []


def test_a_run_is_never_begun_where_one_is(run):
    with pytest.raises(InputError, match="already holds a run"):
        Run.create(run.path, Config(), VOCABULARY, {}, 1)


def test_a_run_of_another_version_is_refused(run):
    path = run.path / "config.json"
    text = path.read_text()
    path.write_text(text.replace('"hidden"', '"hidden_units"'))
    with pytest.raises(InputError, match="does not match its checksum"):
        Run.open(run.path)
    record = json.loads(path.read_text())
    del record["sha256"]
    path.write_text(json.dumps(sealed(record)))
    with pytest.raises(InputError, match="hidden_units"):
        Run.open(run.path)
    path.write_text('{"format": 99}')
    with pytest.raises(InputError, match="was not written by this version"):
        Run.open(run.path)


def test_other_settings_are_listed(run):
    run.check_settings(run.config)
    with pytest.raises(InputError, match=r"`hidden` was 7 and is 9.*begin anew"):
        run.check_settings(run.config.replace(hidden=9))


def test_other_texts_are_refused_and_a_model_without_texts_cannot_be_trained_further(tmp_path):
    run = Run.create(tmp_path / "a", Config(), VOCABULARY, {"sha256": "12"}, 1)
    run.check_texts({"sha256": "12"})
    with pytest.raises(InputError, match="the texts have changed"):
        run.check_texts({"sha256": "13"})
    with pytest.raises(InputError, match="there is no training to go on with"):
        Run.create(tmp_path / "b", Config(), VOCABULARY, {}, 0).check_texts({"sha256": "12"})


def test_baselines_are_measured_once(run):
    assert run.baselines(lambda: {"uniform": 6.0}) == {"uniform": 6.0}
    assert run.baselines(lambda: 1 / 0) == {"uniform": 6.0}


CLAIMS = """
import pathlib, sys
from flaxchar.training.checksums import sealed
from flaxchar.training.run_directory import Run
run = Run.open(pathlib.Path(sys.argv[1]))
run.claim()
print("claimed", flush=True)
sys.stdin.read()
"""


def test_one_process_trains_in_a_folder_and_the_lock_ends_with_it_however_it_ends(run):
    other = subprocess.Popen(
        [sys.executable, "-c", CLAIMS, str(run.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    try:
        assert other.stdout.readline() == "claimed\n"
        with pytest.raises(InputError, match=r"another process is training in .*; wait for it, or stop it"):
            run.claim()
        other.kill()
        other.wait()
        run.claim()
    finally:
        other.kill()
        other.communicate()
    with pytest.raises(InputError, match="another process"):
        Run.open(run.path).claim()  # also in the same process
    run.close()
    again = Run.open(run.path)
    again.claim()
    again.close()
