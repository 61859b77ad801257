"""Files of texts: plain, CSV, TSV and JSONL, each also gzipped, in any encoding, read a block at a time."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from flaxchar.config import InputError
from flaxchar.data.examples import Chunk, chunked
from flaxchar.data.json_records import read_json
from flaxchar.data.lines import lines_of
from flaxchar.data.parquet import read_parquet
from flaxchar.data.reading import Findings, ReadOptions
from flaxchar.data.tables import read_table
from flaxchar.data.texts import BLOCK

STDIN = "-"
# The kinds of files that are taken from a folder; a file that is named outright may have any other ending and is then
# read as plain text.
_PLAIN, _TABLES, _JSON = (".txt",), {".csv": ",", ".tsv": "\t"}, (".json", ".jsonl", ".ndjson", ".jl")
_PARQUET = ".parquet"
# A line of more characters is a paragraph; fewer lines than these are no sign of how a text is laid out.
_LONG_LINE, _FEW_LINES = 1000, 20


def read_files(
    names: Sequence[str],
    options: ReadOptions | None = None,
    findings: Findings | None = None,
) -> Iterator[Chunk]:
    """Read the texts of files in the order given, those of a folder sorted by name.

    Args:
      names: files, folders, or ``-`` for standard input.
      options: what the user said about the files.
      findings: told what the readers decide and leave out.

    Yields:
      Chunks of examples, blank ones included.

    Raises:
      InputError: a file is missing, is not in that encoding, or does not have those fields; the message says where.
    """
    options, findings = options or ReadOptions(), findings or Findings()
    codec = _codec(options.encoding)
    for path in expand(names):
        suffix = _suffix(path)
        blocks = _decode(_read(path), codec, path)
        if suffix == _PARQUET:
            yield from chunked(read_parquet(_read(path), path, options, findings))
        elif suffix in _TABLES:
            yield from chunked(read_table(lines_of(blocks), _TABLES[suffix], path, options, findings))
        elif suffix in _JSON:
            yield from chunked(read_json(blocks, path, options, findings))
        elif options.named:
            raise InputError(
                f"{path} is plain text, which has no field for `label_field` or `source_field`; give a table or .jsonl"
            )
        elif options.fields:
            raise InputError(f"{path} is plain text, which has no fields; leave out `fields`")
        elif options.running:
            yield from _whole(blocks)
        else:
            yield from map(Chunk, lines_of(blocks))


def expand(names: Sequence[str]) -> list[str]:
    """Replace each folder by the files of a known kind in it.

    Raises:
      InputError: a folder has no such file.
    """
    return [path for name in names for path in _files_of(name)]


def running_share(names: Sequence[str], encoding: str) -> float | None:
    """The share of lines that look like running text: blank, indented, or longer than a text may be.

    Returns:
      The share in the first block of each file; None where not all of them are plain text files.

    Raises:
      InputError: a file cannot be read.
    """
    paths = expand(names)
    if STDIN in paths or any(_suffix(path) in (*_TABLES, *_JSON, _PARQUET) for path in paths):
        return None
    codec = _codec(encoding)
    count = layout = long = 0
    for path in paths:
        lines = next(lines_of(_decode(_read(path), codec, path)), [])
        count += len(lines)
        layout += sum(not line.strip() or line[0] in " \t" for line in lines)
        long += sum(len(line) > _LONG_LINE for line in lines)
    if count < _FEW_LINES:
        layout = 0  # a short list may have such lines too
    return (layout + long) / count if count else None


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise InputError(f"`encoding` is {encoding!r}; there is no encoding of that name") from None


def _suffix(path: str) -> str:
    name = path.lower().removesuffix(".gz")
    return Path(name).suffix


def _files_of(name: str) -> list[str]:
    path = Path(name)
    if name == STDIN or not path.is_dir():
        return [name]
    known = (*_PLAIN, *_TABLES, *_JSON, _PARQUET)
    files = sorted(
        str(file)
        for file in path.rglob("*")
        if file.is_file() and _suffix(file.name) in known and not file.name.startswith(".")
    )
    if not files:
        raise InputError(f"the folder {name} holds no file ending in {', '.join(known)} or these with .gz")
    return files


def _read(path: str) -> Iterator[bytes]:
    try:
        if path == STDIN:
            yield from iter(lambda: sys.stdin.buffer.read(BLOCK), b"")
            return
        opened = gzip.open if path.lower().endswith(".gz") else open
        with opened(path, "rb") as file:
            yield from iter(lambda: file.read(BLOCK), b"")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _decode(data: Iterator[bytes], codec: str, path: str) -> Iterator[str]:
    """The characters of a file, with a line feed at the end of each line."""
    if codec == "utf-8":
        codec = "utf-8-sig"  # drops the byte order mark where there is one
    name = "standard input" if path == STDIN else path
    # What `io.TextIOWrapper` decodes with. The wrapper itself would not tell which byte of the file cannot be decoded,
    # and standard input cannot be read a second time to find it.
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)(), translate=True)
    start, size, line = b"", 0, 1  # the first bytes of the file, the bytes read, and the line that is reached
    for part in itertools.chain(data, [b""]):
        start = start or part[:2]
        size += len(part)
        try:
            text = decoder.decode(part, final=not part)
        except UnicodeDecodeError as error:
            position = size - len(error.object) + error.start
            waiting = "\r" if decoder.getstate()[1] & 1 else ""  # it may be half of the end of a line
            line += _translated(waiting + error.object[: error.start].decode("latin-1")).count("\n")
            hint = "such as latin-1 or cp1252"
            if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                hint = "utf-16, by its first two bytes"
            raise InputError(
                f"{name}, line {line}: byte 0x{error.object[error.start]:02x} (number {position} of the file) is not "
                f"{error.encoding}; name the file's `encoding`, {hint}"
            ) from error
        except UnicodeError as error:  # such as UTF-16 without its byte order mark
            raise InputError(f"{name} is not {codec}: {error}; name the file's `encoding`") from error
        if "\0" in text:
            line += text.count("\n", 0, text.index("\0"))
            raise InputError(f"{name}, line {line}: holds a zero byte, so it is no text in {codec}; see `encoding`")
        line += text.count("\n")
        yield text


def _translated(text: str) -> str:
    return io.IncrementalNewlineDecoder(None, translate=True).decode(text, final=True)


def _whole(blocks: Iterator[str]) -> Iterator[Chunk]:
    """A file as one text, in chunks that end where a line does, if there are lines."""
    begun = ""
    for block in blocks:
        text = begun + block
        end = text.rfind("\n") + 1 or len(text)
        if end:
            yield Chunk([text[:end]], complete=False)
        begun = text[end:]
    yield Chunk([begun])
