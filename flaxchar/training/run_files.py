"""The text files of a run: JSON files that carry their checksum, and files of one JSON object a line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flaxchar import json_files
from flaxchar.config import InputError
from flaxchar.storage import StorageError, append_text, replace_file
from flaxchar.training.checksums import DamagedError, sealed, unsealed


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all.

    Raises:
      StorageError: the file cannot be written.
    """
    with writing(path):
        replace_file(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, most: int = json_files.MOST_BYTES) -> Any:
    """Read a JSON file of a run, which somebody else may have written: ``json_files.read_json``.

    Raises:
      DamagedError: the file is missing, no regular file, larger than ``most`` bytes, or no JSON.
      StorageError: the file cannot be read.
    """
    try:
        return json_files.read_json(path, most)
    except InputError as error:
        raise DamagedError(str(error)) from error


def write_sealed(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON object with its checksum."""
    write_json(path, sealed(record))


def read_sealed(path: Path, required: bool = False) -> dict[str, Any]:
    """Read a JSON object and compare it with its checksum.

    Args:
      path: the file.
      required: whether an object without a checksum is damaged; False for files of older versions.
    """
    record = read_json(path)
    if not isinstance(record, dict):
        raise DamagedError(f"{path} cannot be read: it holds no JSON object")
    return unsealed(record, path, required)


def append_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Append JSON objects, one a line: all of them or, where there is no room, none."""
    with writing(path):
        append_text(path, "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records))


def read_lines(path: Path, until: int) -> list[str]:
    """The whole lines of a file whose ``step`` is ``until`` or less; none where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    return [line for line in lines if _step_of(line, default=until + 1) <= until]


def forget_lines_after(path: Path, step: int) -> None:
    """Drop the lines of later steps, and half-written lines."""
    if path.exists():
        with writing(path):
            replace_file(path, "".join(line + "\n" for line in read_lines(path, step)))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the system into a sentence that names the file.

    Raises:
      StorageError: the system's error.
    """
    try:
        yield
    except (StorageError, InputError):
        raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _step_of(line: str, default: int) -> int:
    """The step of a line; ``default`` for a half-written line."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return default
