"""The record of a run, ``config.json``, and the vocabulary that it vouches for: written, read and verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary, vocabulary_from_format_1
from flaxchar.json_files import MOST_VOCABULARY_BYTES
from flaxchar.training.checksums import DamagedError, file_digest, sealed, unsealed
from flaxchar.training.record import check_record
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
    """Read ``config.json``, check its values, and compare it with its checksum.

    Raises:
      InputError: a value cannot be, or the file is damaged; the message names the file and the key.
    """
    file = path / "config.json"
    record = read_json(file)
    if isinstance(record, dict) and record.get("format") == FORMAT:  # damage is told before its consequences
        record = unsealed(record, file)
    try:
        check_record(record, (1, FORMAT))
    except InputError as error:
        raise InputError(f"{file} {error}") from error
    return record


def _read_vocabulary(path: Path, record: dict[str, Any]) -> Vocabulary:
    """Read a run's vocabulary, in the format of its version, and compare it with its checksum."""
    file = path / "vocabulary.json"
    values = read_json(file, MOST_VOCABULARY_BYTES)
    if "checksums" in record and file_digest(file) != record["checksums"].get(file.name):
        raise DamagedError(f"{file} does not match its checksum: the vocabulary is damaged")
    config = Config.from_dict(record["config"])
    classifies = config.model.head == "classifier"
    try:
        if record["format"] == FORMAT:
            vocabulary = Vocabulary.from_dict(values)
        else:
            sourced = config.data.source_field is not None or classifies
            vocabulary = vocabulary_from_format_1(values, labelled="labels" in values, sourced=sourced)
    except InputError as error:
        raise InputError(f"{file} cannot be used: {error}") from error
    if vocabulary.unit != config.data.unit or vocabulary.classifies != classifies:
        raise DamagedError(f"{file} is damaged: it does not belong to the settings in config.json")
    return vocabulary
