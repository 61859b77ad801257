"""A run that is about to begin: nobody else trains in its folder, and an older run stays until the new one is ready."""

from __future__ import annotations

import pytest

from flaxchar import Config, InputError, Vocabulary
from flaxchar.training.new_run import NewRun
from flaxchar.training.run_directory import Run

ARGUMENTS = (Config(), Vocabulary.build(["ab"]), {"sha256": "1"}, 9)


def test_while_a_run_is_planned_its_folder_is_nobody_elses(tmp_path):
    new = NewRun(tmp_path / "r", fresh=False)
    for fresh in (False, True):
        with pytest.raises(InputError, match="another process is training in"):
            NewRun(tmp_path / "r", fresh)
    with pytest.raises(InputError, match="another process is training in"):
        Run.create(tmp_path / "r", *ARGUMENTS)
    run = new.begin(*ARGUMENTS)
    new.close()  # the lock is the run's now
    with pytest.raises(InputError, match="another process is training in"):
        Run.open(tmp_path / "r").claim()
    run.close()
    Run.open(tmp_path / "r").claim()


def test_a_run_that_does_not_begin_leaves_nothing(tmp_path):
    NewRun(tmp_path / "a" / "r", fresh=False).close()
    assert not (tmp_path / "a" / "r").exists()
    (tmp_path / "mine").mkdir()
    NewRun(tmp_path / "mine", fresh=False).close()
    assert (tmp_path / "mine").is_dir()


def test_an_older_run_is_moved_aside_when_the_new_one_begins_and_not_before(tmp_path):
    Run.create(tmp_path / "r", *ARGUMENTS).close()
    with pytest.raises(InputError, match="another process has just begun a run in"):
        NewRun(tmp_path / "r", fresh=False)
    NewRun(tmp_path / "r", fresh=True).close()
    assert Run.exists(tmp_path / "r")
    new = NewRun(tmp_path / "r", fresh=True)
    assert new.move_aside() == tmp_path / "r.1"
    assert not Run.exists(tmp_path / "r")
    assert Run.exists(tmp_path / "r.1")
    assert new.move_aside() is None
    new.begin(*ARGUMENTS).close()
    assert Run.exists(tmp_path / "r")


def test_a_run_that_another_process_trains_in_is_not_moved_aside(tmp_path):
    training = Run.create(tmp_path / "r", *ARGUMENTS)
    training.claim()
    with pytest.raises(InputError, match="another process is training in"):
        NewRun(tmp_path / "r", fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    training.close()


def test_what_is_not_of_a_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"it holds thesis\.tex"):
        NewRun(tmp_path, fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
