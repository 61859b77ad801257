"""JSON files are written whole, lines all or none, and nothing is written through a link."""

from __future__ import annotations

import os

import pytest

from flaxchar import InputError
from flaxchar.storage import StorageError
from flaxchar.training.run_files import (
    append_lines,
    forget_lines_after,
    read_json,
    read_lines,
    read_sealed,
    write_json,
    write_sealed,
)


def test_a_sealed_file_is_read_back_and_an_edited_one_is_not(tmp_path):
    path = tmp_path / "a.json"
    write_sealed(path, {"a": 1.5})
    assert read_sealed(path, required=True) == {"a": 1.5}
    path.write_text(path.read_text().replace("1.5", "1.6"))
    with pytest.raises(InputError, match="does not match its checksum"):
        read_sealed(path)


def test_missing_unreadable_and_damaged_files_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").mkdir()
    with pytest.raises(InputError, match=r"a\.json is no regular file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(StorageError, match="cannot be read: File name too long"):
        read_json(tmp_path / ("a" * 300))
    (tmp_path / "b.json").write_text("[1]")
    with pytest.raises(InputError, match="holds no JSON object"):
        read_sealed(tmp_path / "b.json")


def test_lines_without_a_step_are_read_as_half_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = ['{"step": 1}', '{"step": 2, "bits": 1.5}']
    path.write_text("\n".join([*whole, '{"step": Infinity}', '{"step": 1e999}', '{"step": NaN}', "[1]", '{"st']))
    assert read_lines(path, 9) == whole


def test_lines_without_room_leave_no_torn_line(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    append_lines(path, [{"step": 1}])
    writes, write = [], os.write

    def full(descriptor, data):
        if writes:
            raise OSError(28, "No space left on device")
        writes.append(1)
        return write(descriptor, bytes(data)[:4])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match=r"cannot write .*metrics\.jsonl: No space left on device"):
        append_lines(path, [{"step": 2}, {"step": 3}])
    assert path.read_text() == '{"step": 1}\n'


def test_nothing_is_appended_through_a_link(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "precious")
    with pytest.raises(StorageError, match=r"cannot write .*metrics\.jsonl"):
        append_lines(tmp_path / "metrics.jsonl", [{"step": 1}])
    assert (tmp_path / "precious").read_text() == "mine"


def test_later_and_torn_lines_are_forgotten(tmp_path):
    path = tmp_path / "metrics.jsonl"
    forget_lines_after(path, 1)
    assert not path.exists()
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n\0\0\0\n{"ste\n[]\n{"step": "x"}\n{"step": 1, "b')
    forget_lines_after(path, 1)
    assert path.read_text() == '{"step": 1}\n'
    assert read_lines(path, 0) == []
    write_json(tmp_path / "x.json", {})
