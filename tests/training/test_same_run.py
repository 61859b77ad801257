"""Settings that make another run are listed as a user types them; where the texts are makes none."""

from __future__ import annotations

import shutil

import pytest

from flaxchar import Config, InputError, Vocabulary
from flaxchar.commands.flags import as_flags
from flaxchar.training.run_directory import Run
from flaxchar.training.same_run import as_typed, changed_settings, missing_file


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (None, "none"), (True, "on"), (False, "off"), (0.02, "0.02"), ("lstm", "lstm"), ((), "none"),
        (("Today ", "On"), "'Today ' On"), (9, "9"),
    ],
)  # fmt: skip
def test_values_are_shown_as_a_user_types_them(value, typed):
    assert as_typed(value) == typed


def test_lengths_and_paths_make_no_other_run_but_another_kind_of_source_does():
    saved = Config().replace(data=("/old/a.txt",), steps=5)
    assert changed_settings(saved, saved.replace(data=("/new/b.txt",), steps=None, time_budget="1m")) == []
    assert changed_settings(saved, saved.replace(data=(), dataset="headlines"))[0][0] == "dataset"
    assert changed_settings(saved, saved.replace(val_data=("/new/v.txt",)))[0][0] == "val_data"


def test_a_setting_that_an_older_version_did_not_know_makes_no_other_run():
    assert changed_settings(Config(), Config().replace(begin_at="paragraph")) == []
    assert changed_settings(Config().replace(begin_at="line"), Config().replace(begin_at="paragraph"))


def test_what_the_preset_changes_is_told_apart(tmp_path):
    run = Run.create(tmp_path / "r", Config(), Vocabulary.build(["ab"]), {}, 1)
    with pytest.raises(InputError) as raised:
        run.check_settings(Config().replace(cell="gru", hidden=512, clip_norm=None), "best", {"cell"})
    assert as_flags(str(raised.value)).startswith(
        f"the run in {tmp_path / 'r'} was begun with other settings: --cell was lstm and is gru; with --preset best "
        "--hidden was 256 and is 512, --clip-norm was 0.25 and is none; leave them out"
    )


@pytest.fixture
def project(tmp_path):
    """A project of texts and a run, moved after the run was begun."""
    old = tmp_path / "old"
    (old / "texts").mkdir(parents=True)
    for name in ("a.txt", "v.txt"):
        (old / "texts" / name).write_text("text\n")
    names = {name: (str(old / "texts" / file),) for name, file in (("data", "a.txt"), ("val_data", "v.txt"))}
    config = Config().replace(**names, init_from=str(old / "runs" / "first"))
    Run.create(old / "runs" / "r", config, Vocabulary.build(["ab"]), {"sha256": "1"}, 1)
    (old / "runs" / "first").mkdir()
    shutil.move(old, tmp_path / "new")
    return tmp_path / "new"


def test_texts_that_moved_together_with_the_run_are_found(project):
    run = Run.open(project / "runs" / "r")
    assert run.config.data.data == (str(project / "texts" / "a.txt"),)
    assert run.config.data.val_data == (str(project / "texts" / "v.txt"),)
    assert run.config.training.init_from == str(project / "runs" / "first")
    assert missing_file(run.config) is None
    run.record_paths(run.config)
    shutil.move(project / "runs" / "r", project.parent / "elsewhere")  # the run alone: the texts are still there
    assert Run.open(project.parent / "elsewhere").config.data == run.config.data


def test_texts_that_are_nowhere_are_named(project):
    (project / "texts" / "v.txt").unlink()
    name, path = missing_file(Run.open(project / "runs" / "r").config)
    assert (name, path.rpartition("/")[2]) == ("val_data", "v.txt")
    assert "old" in path
