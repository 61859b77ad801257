"""The record of a run, ``config.json``, and the vocabulary that it vouches for: written, read and verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary, vocabulary_from_format_1
from flaxchar.training.checksums import DamagedError, file_digest, sealed, unsealed
from flaxchar.training.run_files import read_json, write_json

FORMAT = 2
# How often a reader begins anew because the run was replaced while it read.
_TRIES = 50


def write_run(path: Path, config: Config, vocabulary: Vocabulary, texts: dict[str, Any], steps: int) -> dict[str, Any]:
    """Write the vocabulary and the record of a new run; the arguments are those of ``Run.create``.

    Returns:
      The record, as it will be read.
    """
    write_json(path / "vocabulary.json", vocabulary.to_dict())
    record = {
        "format": FORMAT,
        "config": config.to_dict(),
        "texts": texts,
        "steps": steps,
        "folder": str(path.absolute()),
        "checksums": {"vocabulary.json": file_digest(path / "vocabulary.json")},
    }
    write_record(path, record)  # last: this file makes the folder a run
    return json.loads(json.dumps(record))


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write ``config.json``; a run of an older version stays without checksums, so that its version reads it."""
    write_json(path / "config.json", sealed(record) if "checksums" in record else record)


def read_run(path: Path) -> tuple[dict[str, Any], Vocabulary]:
    """Read the record and the vocabulary of a run, also while a new run takes its place.

    Raises:
      InputError: one of them is damaged.
      StorageError: one of them cannot be read.
    """
    for _ in range(_TRIES):
        record = read_record(path)
        try:
            return record, _read_vocabulary(path, record)
        except DamagedError:
            if read_record(path) == record:
                raise
    raise InputError(f"{path} is being replaced again and again by another process")


def read_record(path: Path) -> dict[str, Any]:
    """Read ``config.json`` and compare it with its checksum."""
    record = read_json(path / "config.json")
    if not isinstance(record, dict) or record.get("format") not in (1, FORMAT):
        raise InputError(f"{path / 'config.json'} was not written by this version of flaxchar")
    return unsealed(record, path / "config.json")


def _read_vocabulary(path: Path, record: dict[str, Any]) -> Vocabulary:
    """Read a run's vocabulary, in the format of its version, and compare it with its checksum."""
    file = path / "vocabulary.json"
    values = read_json(file)
    if "checksums" in record and file_digest(file) != record["checksums"][file.name]:
        raise DamagedError(f"{file} does not match its checksum: the vocabulary is damaged")
    if record["format"] == FORMAT:
        return Vocabulary.from_dict(values)
    config = record["config"]
    sourced = config["data"]["source_field"] is not None or config["model"]["head"] == "classifier"
    return vocabulary_from_format_1(values, labelled="labels" in values, sourced=sourced)
