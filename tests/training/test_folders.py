"""The folder of a run: a file or other things in it are left alone, and an older run is moved aside."""

from __future__ import annotations

import pytest

from flaxchar import InputError
from flaxchar.training.folders import check_free, move_aside


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
