"""JSON files: read whole, or refused by name."""

from __future__ import annotations

import os
import threading

import pytest

from flaxchar.config import InputError
from flaxchar.json_files import read_json, read_records, read_regular


def test_a_file_is_read_up_to_the_most_bytes(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": ["Zoë", 1.5]}', encoding="utf-8")
    assert read_json(path) == {"a": ["Zoë", 1.5]}
    size = path.stat().st_size
    assert len(read_regular(path, size)) == size
    with pytest.raises(InputError, match=r"a\.json is larger than 0 MiB"):
        read_regular(path, size - 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"NaN", "NaN is no JSON"),
        (b"[-Infinity]", "-Infinity is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "a number has 5,000 digits$"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.json cannot be read: .*{message}|{message}"):
        read_json(path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match=r"a\.json is missing"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"no regular file|Is a directory"):
        read_json(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    refused = []

    def read():
        with pytest.raises(InputError, match="pipe is no regular file"):
            read_json(tmp_path / "pipe")
        refused.append(True)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert refused


def test_half_written_and_foreign_lines_are_left_out_of_records(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"step": 1}\n\n[2]\n{"step": NaN}\n{"step": 3, "\xff": 1}\n{"step": 4}\n{"step": 5')
    assert read_records(path) == [{"step": 1}, {"step": 4}]
    with pytest.raises(InputError, match=r"b\.jsonl is missing"):
        read_records(tmp_path / "b.jsonl")
