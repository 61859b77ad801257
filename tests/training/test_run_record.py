"""The record of a run vouches for its vocabulary; a record of an older version vouches for nothing."""

from __future__ import annotations

import json

import pytest

from flaxchar import Config, InputError, Vocabulary
from flaxchar.training import run_record
from flaxchar.training.run_record import read_record, read_run, write_record, write_run

VOCABULARY = Vocabulary.build(["añ\ud800😀\n"])


@pytest.fixture
def record(tmp_path):
    return write_run(tmp_path, Config(), VOCABULARY, {"sha256": "1"}, 9)


def test_what_is_written_is_read(record, tmp_path):
    assert read_run(tmp_path) == (record, VOCABULARY)


def test_the_vocabulary_of_another_run_is_damage(record, tmp_path):
    (tmp_path / "vocabulary.json").write_text(json.dumps(Vocabulary.build(["abcde"]).to_dict()))
    with pytest.raises(InputError, match=r"vocabulary\.json does not match its checksum"):
        read_run(tmp_path)


def test_a_record_of_an_older_version_has_no_checksums_and_keeps_none(record, tmp_path):
    del record["checksums"]
    write_record(tmp_path, record)
    assert "sha256" not in json.loads((tmp_path / "config.json").read_text())
    assert read_run(tmp_path) == (record, VOCABULARY)


def test_a_run_that_is_replaced_between_two_files_is_read_anew(record, tmp_path, monkeypatch):
    """The reader has the old record when the new run's files come."""
    other = Vocabulary.build(["abcde"])
    read, replaced = read_record, []

    def read_then_replace(path):
        old = read(path)
        if not replaced:
            replaced.append(write_run(path, Config(), other, {"sha256": "2"}, 7))
        return old

    monkeypatch.setattr(run_record, "read_record", read_then_replace)
    assert read_run(tmp_path) == (replaced[0], other)
