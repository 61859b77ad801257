"""Files of texts: plain, CSV, TSV and JSONL, each also gzipped, in any encoding, read a stretch at a time."""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import json
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from flaxchar.config import InputError
from flaxchar.data.texts import BEFORE_END, STRETCH, Some, grouped

STDIN = "-"
# What is picked up from a folder; a file that is named outright may have any other ending and is read as plain text.
_PLAIN, _TABLES, _JSON = (".txt",), {".csv": ",", ".tsv": "\t"}, (".jsonl",)
_NEWLINES = re.compile(r"\r\n|\r|\n")
# A line of more characters is a paragraph; fewer lines than these are no sign of how a text is laid out.
_LONG_LINE, _FEW_LINES = 1000, 20
_CSV_FIELD_LIMIT = 1 << 30  # the csv module's own limit, 128 KB, is less than some texts


def read_files(
    names: Sequence[str],
    fields: Sequence[str] = (),
    encoding: str = "utf-8",
    running: bool = False,
    before: str | None = None,
) -> Iterator[Some]:
    """The texts of some files, in the order given; those of a folder sorted by name.

    Args:
      names: files, folders, or ``-`` for standard input.
      fields: which columns (by name, or by number from 1 where there is no header) or JSON keys hold the text; several
        are joined by one space.
      encoding: of the files, as Python names it; a byte order mark is dropped.
      running: take a plain file as one text rather than each of its lines.
      before: the field of what is put before each text, its class or its source, with ``BEFORE_END`` between them.

    Yields:
      Some texts at a time, blank ones included.

    Raises:
      InputError: a file is missing, is not in that encoding, or does not have those fields; the message says where.
    """
    codec = _codec(encoding)
    for path in expand(names):
        suffix = _suffix(path)
        stretches = _decode(_read(path), codec, path)
        if suffix in _TABLES:
            yield from grouped(_table(_lines(stretches), _TABLES[suffix], fields, path, before))
        elif suffix in _JSON:
            yield from grouped(_json_lines(_lines(stretches), fields, path, before))
        elif before is not None:
            raise InputError(
                f"{path} is plain text, which has no field for --label-field or --source-field; give a table or .jsonl"
            )
        elif fields:
            raise InputError(f"{path} is plain text, which has no fields; leave out --fields")
        elif running:
            yield from _whole(stretches)
        else:
            yield from map(Some, _lines(stretches))


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise InputError(f"--encoding {encoding}: there is no encoding of that name") from None


def expand(names: Sequence[str]) -> list[str]:
    """The files that some names stand for: a folder is all the files of a known kind in it.

    Raises:
      InputError: there is none in a folder.
    """
    return [path for name in names for path in _expand(name)]


def running_share(names: Sequence[str], encoding: str) -> float | None:
    """What share of the first lines are as in running text: blank, indented, or longer than a text may be.

    Returns:
      That share of the first lines of each file, None where they are not all plain text files.

    Raises:
      InputError: a file cannot be read.
    """
    paths = expand(names)
    if STDIN in paths or any(_suffix(path) in (*_TABLES, *_JSON) for path in paths):
        return None
    codec = _codec(encoding)
    lines = layout = long = 0
    for path in paths:
        for some in _lines(_decode(_read(path), codec, path)):
            lines += len(some)
            layout += sum(not line.strip() or line[0] in " \t" for line in some)
            long += sum(len(line) > _LONG_LINE for line in some)
            break  # a stretch of each file tells enough
    if lines < _FEW_LINES:
        layout = 0  # as a list may well be
    return (layout + long) / lines if lines else None


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


def _read(path: str) -> Iterator[bytes]:
    try:
        if path == STDIN:
            yield from iter(lambda: sys.stdin.buffer.read(STRETCH), b"")
            return
        opened = gzip.open if path.lower().endswith(".gz") else open
        with opened(path, "rb") as file:
            yield from iter(lambda: file.read(STRETCH), b"")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _decode(data: Iterator[bytes], codec: str, path: str) -> Iterator[str]:
    """The characters of a file, a line feed at the end of each line."""
    if codec == "utf-8":
        codec = "utf-8-sig"  # drops the byte order mark where there is one
    name = "standard input" if path == STDIN else path
    decoder = codecs.getincrementaldecoder(codec)()
    first, done, line = b"", 0, 1  # how the file begins; bytes decoded, and the line they end in
    waiting = ""  # a \r that may be half of the end of a line
    for part in itertools.chain(data, [b""]):
        first = first or part[:2]
        undecoded = decoder.getstate()[0]
        try:
            text = waiting + decoder.decode(part, final=not part)
        except UnicodeDecodeError as error:
            start = done + error.start  # of what the decoder had left over and this part
            line += len(_NEWLINES.findall(waiting + error.object[: error.start].decode("latin-1")))
            hint = "--encoding latin-1 or cp1252, for example"
            if first in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                hint = "--encoding utf-16, by its first two bytes"
            raise InputError(
                f"{name}, line {line}: byte 0x{error.object[error.start]:02x} (number {start} of the file) is not "
                f"{error.encoding}; name the file's encoding ({hint})"
            ) from error
        except UnicodeError as error:  # such as UTF-16 without its byte order mark
            raise InputError(f"{name} is not {codec}: {error}; name the file's encoding with --encoding") from error
        done += len(part) + len(undecoded) - len(decoder.getstate()[0])
        waiting = "\r" if part and text.endswith("\r") else ""
        if "\r" in text:
            text = _NEWLINES.sub("\n", text.removesuffix(waiting))
        if "\0" in text:
            line += text.count("\n", 0, text.index("\0"))
            raise InputError(f"{name}, line {line}: holds a zero byte, so it is no text in {codec}; see --encoding")
        line += text.count("\n")
        yield text


def _lines(stretches: Iterator[str]) -> Iterator[list[str]]:
    """The lines of a file; a last newline ends a line, it does not begin one."""
    begun: list[str] = []
    for stretch in stretches:
        *whole, last = stretch.split("\n")
        if whole:
            whole[0] = "".join([*begun, whole[0]])
            begun = []
            yield whole
        begun.append(last)
    if rest := "".join(begun):
        yield [rest]


def _whole(stretches: Iterator[str]) -> Iterator[Some]:
    """A file as one text, in parts that end where a line does, if there are lines."""
    begun = ""
    for stretch in stretches:
        text = begun + stretch
        end = text.rfind("\n") + 1 or len(text)
        if end:
            yield Some([text[:end]], complete=False)
        begun = text[end:]
    yield Some([begun])


def _table(
    lines: Iterator[list[str]], delimiter: str, fields: Sequence[str], path: str, before: str | None
) -> Iterator[str]:
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    reader = csv.reader((line + "\n" for some in lines for line in some), delimiter=delimiter)
    columns: list[int] | None = None
    try:
        for row in reader:
            if not row:
                continue
            if columns is None:
                columns, header = _columns(row, fields, path, before)
                if header:
                    continue
            if max(columns) >= len(row):
                raise InputError(
                    f"{path}, line {reader.line_num}: the row has {len(row)} columns, and no column {max(columns) + 1}"
                )
            text = " ".join(row[column] for column in columns[before is not None :])
            yield text if before is None else f"{row[columns[0]]}{BEFORE_END}{text}"
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error


def _columns(first: list[str], fields: Sequence[str], path: str, before: str | None) -> tuple[list[int], bool]:
    """Which columns hold the text, after that of what is put before it, and whether the first row is a header."""
    if not fields:
        shown = ", ".join(repr(cell[:30]) for cell in first[:6])
        raise InputError(
            f"{path} is a table: say with --fields which column holds the text, by its name, or by its number where "
            f"there is no header (the first row reads {shown})"
        )
    fields = fields if before is None else [before, *fields]
    if all(field.isdecimal() for field in fields):
        columns = [int(field) - 1 for field in fields]
        if -1 in columns:
            raise InputError("--fields counts columns from 1; there is no column 0")
        return columns, False
    missing = [field for field in fields if field not in first]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; its header reads {', '.join(map(repr, first[:20]))}")
    return [first.index(field) for field in fields], True


def _json_lines(lines: Iterator[list[str]], fields: Sequence[str], path: str, before: str | None) -> Iterator[str]:
    for number, line in enumerate((line for some in lines for line in some), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: not JSON ({error})") from error
        if isinstance(value, str) and not fields and before is None:
            yield value
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
        text = " ".join(parts)
        if before is None:
            yield text
            continue
        if not isinstance(value.get(before), str | int):
            raise InputError(f"{where}: {before!r} is {value.get(before)!r:.40}, which is neither a text nor a class")
        yield f"{value[before]}{BEFORE_END}{text}"
