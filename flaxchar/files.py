"""Files of texts: plain, CSV, TSV and JSONL, each also gzipped, in any encoding, into a list of strings."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

from flaxchar.config import InputError

STDIN = "-"
# What is picked up from a folder; a file that is named outright may have any other ending and is read as plain text.
_PLAIN, _TABLES, _JSON = (".txt",), {".csv": ",", ".tsv": "\t"}, (".jsonl",)
_NEWLINES = re.compile(r"\r\n|\r")
_CSV_FIELD_LIMIT = 1 << 30  # the csv module's own limit, 128 KB, is less than some texts


def read_files(
    names: Sequence[str], fields: Sequence[str] = (), encoding: str = "utf-8", running: bool = False
) -> list[str]:
    """The texts of some files, in the order given; those of a folder sorted by name.

    Args:
      names: files, folders, or ``-`` for standard input.
      fields: which columns (by name, or by number from 1 where there is no header) or JSON keys hold the text; several
        are joined by one space.
      encoding: of the files, as Python names it; a byte order mark is dropped.
      running: take a plain file as one text rather than each of its lines.

    Returns:
      The texts, blank ones included.

    Raises:
      InputError: a file is missing, is not in that encoding, or does not have those fields; the message says where.
    """
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        raise InputError(f"--encoding {encoding}: there is no encoding of that name") from None
    texts: list[str] = []
    for path in (path for name in names for path in _expand(name)):
        suffix = _suffix(path)
        content = _decode(_read(path), codec, path)
        if suffix in _TABLES:
            texts += _table(content, _TABLES[suffix], fields, path)
        elif suffix in _JSON:
            texts += _json_lines(content, fields, path)
        elif fields:
            raise InputError(f"{path} is plain text, which has no fields; leave out --fields")
        elif running:
            texts.append(content)
        else:
            lines = content.split("\n")
            texts += lines[:-1] if lines[-1] == "" else lines  # a last newline ends a line, it does not begin one
    return texts


def _suffix(path: str) -> str:
    name = path.lower().removesuffix(".gz")
    return Path(name).suffix


def _expand(name: str) -> list[str]:
    path = Path(name)
    if name == STDIN or not path.is_dir():
        return [name]
    known = (*_PLAIN, *_TABLES, *_JSON)
    found = sorted(
        str(file)
        for file in path.rglob("*")
        if file.is_file() and _suffix(file.name) in known and not file.name.startswith(".")
    )
    if not found:
        raise InputError(f"the folder {name} holds no file ending in {', '.join(known)} or these with .gz")
    return found


def _read(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read()
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if path.lower().endswith(".gz") else data
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _decode(data: bytes, codec: str, path: str) -> str:
    if codec == "utf-8":
        codec = "utf-8-sig"  # drops the byte order mark where there is one
    name = "standard input" if path == STDIN else path
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\r|\n", data[: error.start])) + 1
        hint = "--encoding latin-1 or cp1252, for example"
        if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            hint = "--encoding utf-16, by its first two bytes"
        raise InputError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} (number {error.start} of the file) is not "
            f"{error.encoding}; name the file's encoding ({hint})"
        ) from error
    except UnicodeError as error:  # such as UTF-16 without its byte order mark
        raise InputError(f"{name} is not {codec}: {error}; name the file's encoding with --encoding") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name}, line {line}: holds a zero byte, so it is no text in {codec}; see --encoding")
    return _NEWLINES.sub("\n", text)


def _table(content: str, delimiter: str, fields: Sequence[str], path: str) -> list[str]:
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error
    if not rows:
        return []
    first = rows[0][1]
    if not fields:
        shown = ", ".join(repr(cell[:30]) for cell in first[:6])
        raise InputError(
            f"{path} is a table: say with --fields which column holds the text, by its name, or by its number where "
            f"there is no header (the first row reads {shown})"
        )
    if all(field.isdecimal() for field in fields):
        columns = [int(field) - 1 for field in fields]
        if -1 in columns:
            raise InputError("--fields counts columns from 1; there is no column 0")
    else:
        missing = [field for field in fields if field not in first]
        if missing:
            raise InputError(
                f"{path} has no column {missing[0]!r}; its header reads {', '.join(map(repr, first[:20]))}"
            )
        columns = [first.index(field) for field in fields]
        rows = rows[1:]
    texts = []
    for line, row in rows:
        if max(columns) >= len(row):
            raise InputError(f"{path}, line {line}: the row has {len(row)} columns, and no column {max(columns) + 1}")
        texts.append(" ".join(row[column] for column in columns))
    return texts


def _json_lines(content: str, fields: Sequence[str], path: str) -> list[str]:
    texts = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: not JSON ({error})") from error
        if isinstance(value, str) and not fields:
            texts.append(value)
            continue
        if not isinstance(value, dict):
            raise InputError(f'{where}: expected an object with a text, such as {{"text": "…"}}')
        parts = []
        for field in fields or ("text",):
            if field not in value:
                keys = ", ".join(map(repr, list(value)[:20]))
                raise InputError(f"{where}: there is no {field!r}; say with --fields which of {keys} hold the text")
            part = value[field]
            if part is not None and not isinstance(part, str):
                raise InputError(f"{where}: {field!r} is {part!r:.40}, which is no text")
            parts.append(part or "")
        texts.append(" ".join(parts))
    return texts
