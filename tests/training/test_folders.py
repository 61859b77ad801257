"""The folder of a run: a file or other things in it are left alone, and an older run is moved aside."""

from __future__ import annotations

import pytest

from flaxchar import InputError
from flaxchar.storage import StorageError
from flaxchar.training.folders import check_free, make_folder, move_aside, remove_leftovers, remove_unused


def test_a_folder_with_other_things_is_not_free(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        check_free(tmp_path / "file")
    with pytest.raises(InputError, match=r"holds no run \(it holds file\)"):
        check_free(tmp_path)


def test_what_a_run_left_before_it_began_is_no_other_thing(tmp_path):
    (tmp_path / "lock").write_text("")
    check_free(tmp_path)
    check_free(tmp_path / "new")


def test_moving_aside_finds_a_free_name(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "config.json").write_text("{}")
    (tmp_path / "r.1").mkdir()
    assert move_aside(tmp_path / "r") == tmp_path / "r.2"
    assert (tmp_path / "r.2" / "config.json").is_file()
    assert not (tmp_path / "r").exists()


def test_what_a_killed_process_left_is_begun_anew_over_and_a_part_of_a_run_is_not(tmp_path):
    for name in ("lock", "vocabulary.json", ".vocabulary.json.a1b2c3_4", ".config.json.abcdefgh", "config.json.new"):
        (tmp_path / name).write_text("")
    check_free(tmp_path)
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "vocabulary.json", "config.json.new"}
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(InputError, match=r"holds a part of a run \(checkpoints\) without its config\.json"):
        check_free(tmp_path)


def test_a_folder_is_made_once_and_removed_only_if_it_is_empty(tmp_path):
    assert make_folder(tmp_path / "a" / "r")
    assert not make_folder(tmp_path / "a" / "r")
    (tmp_path / "a" / "r" / "lock").write_text("")
    (tmp_path / "a" / "r" / "mine").write_text("")
    remove_unused(tmp_path / "a" / "r")
    assert (tmp_path / "a" / "r" / "lock").exists()
    (tmp_path / "a" / "r" / "mine").unlink()
    remove_unused(tmp_path / "a" / "r")
    assert not (tmp_path / "a" / "r").exists()


def test_a_path_that_is_no_folder_is_bad_input_and_a_full_disk_is_not(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Not a directory; name another folder"):
        make_folder(tmp_path / "file" / "r")

    def full(path, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    with pytest.raises(StorageError, match=r"cannot write in .*: No space left on device"):
        make_folder(tmp_path / "r")
