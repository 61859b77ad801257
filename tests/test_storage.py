"""Files appear whole or not at all, and keys tell contents apart."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flaxchar import storage


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    storage.replace_file(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (storage.replace_file, storage.create_file):
        with pytest.raises(OSError, match="No space left"):
            write(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


def test_a_link_beside_a_file_is_not_written_through(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path = tmp_path / "run" / "baselines.json"
    path.parent.mkdir()
    (path.parent / "baselines.json.new").symlink_to(precious)
    path.symlink_to(precious)
    storage.replace_file(path, "{}")
    assert precious.read_text() == "mine"
    assert path.read_text() == "{}"


def test_a_new_file_is_never_written_over_an_old_one(tmp_path):
    path = tmp_path / "text.flaxchar"
    storage.create_file(path, b"first")
    with pytest.raises(FileExistsError):
        storage.create_file(path, b"second")
    assert path.read_bytes() == b"first"


def test_written_files_have_the_permissions_of_any_other_new_file(tmp_path):
    (tmp_path / "usual").write_text("")
    storage.replace_file(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_new_folder_appears_whole_and_never_over_another(tmp_path):
    path = tmp_path / "export"
    (tmp_path / "usual").mkdir()
    with storage.created_folder(path) as folder:
        (folder / "a").write_text("a")
        assert not path.exists()
    assert [entry.name for entry in path.iterdir()] == ["a"]
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    with pytest.raises(FileExistsError), storage.created_folder(path) as folder:
        (folder / "b").write_text("b")
    with pytest.raises(KeyError), storage.created_folder(tmp_path / "other"):
        raise KeyError
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["export", "usual"]
    assert [entry.name for entry in path.iterdir()] == ["a"]


def test_a_folder_takes_its_place_whole_or_not_at_all(tmp_path):
    path = tmp_path / "corpora" / "key"
    for content in ("first", "second"):
        with storage.replaced_folder(path) as folder:
            (folder / "ids").write_text(content)
        assert (path / "ids").read_text() == content
    with pytest.raises(RuntimeError), storage.replaced_folder(path) as folder:  # noqa: PT012
        (folder / "ids").write_text("third")
        raise RuntimeError
    assert (path / "ids").read_text() == "second"
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_keys_differ_where_parts_are_cut_otherwise():
    keys = [
        storage.content_key(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""), (b"ab", b"c"))
    ]
    assert len(set(keys[:4])) == 4
    assert keys[0] == keys[4]
    assert len(keys[0]) == 32


def test_the_cache_lies_where_xdg_cache_home_says(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert storage.cache_folder("corpora") == tmp_path / "flaxchar" / "corpora"


def test_a_scratch_file_has_no_name_and_needs_no_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with storage.scratch_file() as file:
        file.write(b"text")
        assert not list(Path(tmp_path, "flaxchar").iterdir())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with storage.scratch_file() as file:
        assert file.write(b"text") == 4


def test_a_name_is_durable_after_the_content(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: (events.append(stat.S_ISDIR(os.fstat(number).st_mode)), fsync(number))[1]
    )
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("named"), replace(*paths))[1])
    storage.replace_file(tmp_path / "a", "content")
    assert events == [False, "named", True]
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "d").write_text("")
    events.clear()
    storage.sync_tree(tmp_path / "b")
    assert events == [False, True, True]  # the file, its folder, the folder of that


def test_a_text_is_appended_whole_or_not_at_all(tmp_path):
    storage.append_text(tmp_path / "lines", "a\n")
    storage.append_text(tmp_path / "lines", "\ud800\n")
    assert (tmp_path / "lines").read_text() == "a\n\\ud800\n"
    (tmp_path / "link").symlink_to(tmp_path / "lines")
    with pytest.raises(OSError, match="symbolic"):
        storage.append_text(tmp_path / "link", "b\n")
    storage.sync_file(tmp_path / "nothing")


def test_the_cache_is_for_its_user_alone_and_one_that_is_not_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "flaxchar").mkdir(mode=0o755)  # of an older version
    folder = storage.own_cache_folder("native")
    assert folder == tmp_path / "flaxchar" / "native"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert storage.own_cache_folder("native") is storage.own_cache_folder("native") is None
    assert capsys.readouterr().err.count("is not used: it belongs to another user") == 1
    with storage.scratch_file() as file:
        assert file.write(b"text") == 4


def test_a_cache_that_cannot_be_made_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
        assert storage.own_cache_folder("native") is None


def test_a_relative_cache_folder_is_ignored_as_its_specification_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert storage.cache_folder("corpora") == tmp_path / "home" / ".cache" / "flaxchar" / "corpora"
