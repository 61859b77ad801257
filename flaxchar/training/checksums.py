"""Checksums: whether the files of a run still have the content that they were written with.

A JSON file holds the SHA-256 of its own content. A checkpoint's folder holds ``checksums.json``, with the SHA-256 of
every file in the folder; it is written last, before the folder gets the name that makes it a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flaxchar.config import InputError
from flaxchar.storage import StorageError

CHECKSUMS = "checksums.json"
_OWN = "sha256"


class DamagedError(InputError):
    """A file of a run does not have the content that it was written with."""


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the checksum of its own content as its last entry.

    Example::

        unsealed(json.loads(json.dumps(sealed({"steps": 9}))), Path("config.json"))  # {"steps": 9}
    """
    return {**record, _OWN: _digest_of(record)}


def unsealed(record: Mapping[str, Any], path: Path, required: bool = False) -> dict[str, Any]:
    """The content of a sealed object.

    Args:
      record: what was read.
      path: where it was read, for the message.
      required: whether an object without a checksum, as older versions wrote it, is damaged too.

    Raises:
      DamagedError: the checksum is that of another content.
    """
    content = {name: value for name, value in record.items() if name != _OWN}
    if (_OWN in record or required) and record.get(_OWN) != _digest_of(content):
        raise DamagedError(
            f'{path} does not match its checksum: it is damaged, or was edited by hand (then remove its entry "{_OWN}")'
        )
    return content


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files in a folder into it."""
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files_in(folder)}
    (folder / CHECKSUMS).write_text(json.dumps(sealed({"files": digests}), indent=1) + "\n", encoding="utf-8")


def read_checksums(folder: Path) -> dict[str, str] | None:
    """The checksums of the files in a folder; None where an older version has written none.

    Raises:
      DamagedError: the checksums themselves are damaged.
    """
    path = folder / CHECKSUMS
    try:
        record = json.loads(path.read_bytes())
        return unsealed(record, path, required=True)["files"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError, KeyError, DamagedError, RecursionError) as error:
        raise DamagedError(f"{CHECKSUMS} is damaged") from error


def check_files(folder: Path, digests: Mapping[str, str], within: tuple[str, ...] = ("",)) -> None:
    """Compare files with their checksums.

    Args:
      folder: the folder of the files.
      digests: from ``read_checksums``.
      within: beginnings of the names of the files to compare; the rest is not read.

    Raises:
      DamagedError: a file is missing or has another content.
    """
    for name, digest in digests.items():
        if not name.startswith(within):
            continue
        try:
            matches = file_digest(folder / name) == digest
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise DamagedError(f"{name} is missing") from None
        except OSError as error:
            raise StorageError(f"{folder / name} cannot be read: {error.strerror}") from error
        if not matches:
            raise DamagedError(f"{name} does not match its checksum")


def files_in(folder: Path) -> list[Path]:
    """All files in a folder and in the folders within it, in a fixed order."""
    return sorted(Path(within, name) for within, _, names in os.walk(folder) for name in names)


def _digest_of(record: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object, whatever the order of its names and the white space between them."""
    content = json.loads(json.dumps(record))  # tuples are lists there, and numbers that are names are text
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()
