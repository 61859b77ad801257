"""JSON files that somebody else may have written, read within bounds: size, depth, and only regular files."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from flaxchar.config import InputError
from flaxchar.storage import StorageError

# Bytes of a file of settings, and of one that holds a vocabulary: words, one a line.
MOST_BYTES, MOST_VOCABULARY_BYTES = 16 << 20, 512 << 20


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """The value that a JSON file holds.

    Raises:
      InputError: the file is missing, no regular file, larger than ``most`` bytes, or no JSON.
      StorageError: it cannot be read.
    """
    return parse_json(read_regular(path, most), str(path))


def read_records(path: Path, most: int = MOST_BYTES) -> list[dict[str, Any]]:
    """The objects of a file that holds one JSON object a line; a line that is half written or no object is left out.

    Raises:
      InputError: the file is missing, no regular file, or larger than ``most`` bytes.
      StorageError: it cannot be read.
    """
    values = []
    for line in read_regular(path, most).splitlines():
        with contextlib.suppress(InputError):
            values.append(parse_json(line, str(path)))
    return [value for value in values if isinstance(value, dict)]


def read_regular(path: Path, most: int) -> bytes:
    """The content of a regular file. A pipe, which could be waited for without end, or a device is not opened for long.

    Raises:
      InputError: the file is missing, something else than a regular file, or larger than ``most`` bytes.
      StorageError: it cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InputError(f"{path} is no regular file: the run is damaged")
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: the run is damaged") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise InputError(f"{path} is larger than {most >> 20} MiB, the most that is read: the run is damaged")
    return data


def parse_json(data: bytes, name: str) -> Any:
    """The value of a JSON document.

    Args:
      data: the document, in UTF-8.
      name: what error messages call it.

    Raises:
      InputError: it is no JSON, holds NaN or an infinite number, or is nested too deeply.
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_parse_int)
    except ValueError as error:
        raise InputError(f"{name} cannot be read: {error}") from error
    except RecursionError:
        raise InputError(f"{name} cannot be read: its values are nested too deeply") from None


def _parse_int(digits: str) -> int:
    if len(digits) > 1000:  # Python's own limit, of 4,300, tells to change a setting of Python
        raise ValueError(f"a number has {len(digits):,} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
