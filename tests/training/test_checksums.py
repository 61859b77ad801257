"""A file that has changed in any way does not pass for what was written."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from flaxchar.training.checksums import (
    CHECKSUMS,
    DamagedError,
    check_files,
    read_checksums,
    sealed,
    unsealed,
    write_checksums,
)

RECORD = {"steps": 9, "rate": 0.1, "names": ("a", "é\ud800"), "none": None, "nested": {"1": [1, 2.5]}}
PATH = Path("config.json")


def test_a_sealed_record_comes_back_without_its_checksum():
    record = json.loads(json.dumps(sealed(RECORD)))
    assert unsealed(record, PATH, required=True) == json.loads(json.dumps(RECORD))
    assert unsealed(json.loads(json.dumps(RECORD)), PATH) == json.loads(json.dumps(RECORD))  # of an older version


def test_no_flipped_bit_changes_a_record_unseen():
    text = json.dumps(sealed(RECORD), indent=1).encode()
    same = unsealed(json.loads(text), PATH)
    for bit in range(8 * len(text)):
        damaged = bytearray(text)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            record = unsealed(json.loads(bytes(damaged)), PATH)
        except (ValueError, DamagedError):
            continue
        assert {name: record[name] for name in same} == same  # the name "sha256" itself is an entry more then


def test_a_record_without_a_checksum_is_damaged_where_one_is_required():
    with pytest.raises(DamagedError, match=r"config.json does not match its checksum.*remove its entry \"sha256\""):
        unsealed(RECORD, PATH, required=True)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "params" / "d").mkdir(parents=True)
    (tmp_path / "params" / "d" / "1").write_bytes(random.Random(0).randbytes(1000))
    (tmp_path / "params" / "empty").write_bytes(b"")
    (tmp_path / "metrics").write_text("2.5")
    write_checksums(tmp_path)
    return tmp_path


def test_every_file_of_a_folder_has_a_checksum(folder):
    digests = read_checksums(folder)
    assert sorted(digests) == ["metrics", "params/d/1", "params/empty"]
    check_files(folder, digests)
    (folder / CHECKSUMS).unlink()
    assert read_checksums(folder) is None


@pytest.mark.parametrize("damage", ["flip", "truncate", "extend", "remove"])
def test_a_changed_file_is_named_and_others_need_not_be_read(folder, damage):
    path, digests = folder / "params" / "d" / "1", read_checksums(folder)
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        changed = {"flip": bytes([content[0] ^ 1]) + content[1:], "truncate": content[:-1], "extend": content + b"\0"}
        path.write_bytes(changed[damage])
    with pytest.raises(DamagedError, match=r"params/d/1 (does not match its checksum|is missing)"):
        check_files(folder, digests)
    check_files(folder, digests, ("metrics",))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": {}}', b"\xff", b"[" * 100_000])
def test_damaged_checksums_are_no_checksums(folder, content):
    (folder / CHECKSUMS).write_bytes(content)
    with pytest.raises(DamagedError, match=r"checksums.json is damaged"):
        read_checksums(folder)
