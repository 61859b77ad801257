"""Files of texts: plain text, tables, JSON and Parquet, also compressed, in archives and folders, as examples.

A file goes through these modules in turn: ``choose`` takes it from its folder or archive, ``containers`` unpacks it,
``formats`` tells how it is read, ``encodings`` decodes it, and the reader of its format makes examples of it. All of
them work on a block at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from flaxchar.config import InputError
from flaxchar.data.examples import Chunk, chunked
from flaxchar.data.readers.choose import Entry, choose
from flaxchar.data.readers.containers import OpenFile, open_files
from flaxchar.data.readers.dialects import separator_of
from flaxchar.data.readers.encodings import decode, find_codec
from flaxchar.data.readers.formats import decide_format
from flaxchar.data.readers.json_records import read_json
from flaxchar.data.readers.lines import lines_of
from flaxchar.data.readers.parquet import read_parquet
from flaxchar.data.readers.reading import STDIN, Findings, ReadOptions, is_no_path, is_read_once
from flaxchar.data.readers.signatures import HEAD
from flaxchar.data.readers.tables import read_table

# A line of more characters is a paragraph; fewer lines than these are no sign of how a text is laid out.
_LONG_LINE, _FEW_LINES = 1000, 20


def read_files(
    names: Sequence[str],
    options: ReadOptions | None = None,
    findings: Findings | None = None,
) -> Iterator[Chunk]:
    """Read the texts of files in the order given, those of a folder or archive sorted by name.

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
    find_codec(options.encoding)  # complains before anything is read
    if options.delimiter is not None:
        separator_of(options.delimiter)
    for path in expand(names, options, findings):
        for file in open_files(path, options, findings):
            yield from _read(file, options, findings)


def expand(names: Sequence[str], options: ReadOptions | None = None, findings: Findings | None = None) -> list[str]:
    """Replace each folder by the files in it that are to be read (``choose``).

    Raises:
      InputError: a folder has no such file, or it cannot be told which are meant.
    """
    options, findings = options or ReadOptions(), findings or Findings()
    return [path for name in names for path in _files_of(name, options, findings)]


def running_share(names: Sequence[str], options: ReadOptions) -> float | None:
    """The share of lines that look like running text: blank, indented, or longer than a text may be.

    Returns:
      The share in the first block of each file; None where not all of them are plain text files, or where one can be
      read only once.

    Raises:
      InputError: a file cannot be read.
    """
    findings = Findings()  # they are told when the files are read
    paths = expand(names, options, findings)
    if any(map(is_read_once, paths)):
        return None
    count = layout = long = 0
    for file in (file for path in paths for file in open_files(path, options, findings)):
        if decide_format(file.name, file.ending, file.stream.head, options, findings).kind != "plain":
            return None
        lines = next(lines_of(_decode(file, options, findings)), [])
        count += len(lines)
        layout += sum(not line.strip() or line[0].isspace() for line in lines)
        long += sum(len(line) > _LONG_LINE for line in lines)
    if count < _FEW_LINES:
        layout = 0  # a short list may have such lines too
    return (layout + long) / count if count else None


def _files_of(name: str, options: ReadOptions, findings: Findings) -> list[str]:
    if not name:
        raise InputError("the name of a file is empty; name a file or folder")
    if name != STDIN and is_no_path(name):
        raise InputError(f"{name} is an address on the web; download the file, for example with curl -O, and name it")
    folder = Path(name)
    if name == STDIN or not folder.is_dir():
        return [name]
    files = {path.relative_to(folder).as_posix(): path for path in sorted(_walk(folder, findings)) if path.is_file()}
    entries = [Entry(relative, path.stat().st_size, partial(_head, path)) for relative, path in files.items()]
    return [str(files[chosen]) for chosen in choose(entries, f"the folder {name}", options, findings)]


def _walk(folder: Path, findings: Findings) -> Iterator[Path]:
    """All that lies in a folder and in those within it, linked ones included, each folder once."""

    def tell(error: OSError) -> None:
        if error.filename == str(folder):
            raise InputError(f"{folder} cannot be read: {error.strerror}") from error
        findings.note(f"{error.filename} cannot be read and is left out: {error.strerror}")

    visited = {os.path.realpath(folder)}
    for parent, folders, files in os.walk(folder, onerror=tell, followlinks=True):
        real = {name: os.path.realpath(os.path.join(parent, name)) for name in sorted(folders)}
        folders[:] = [name for name, path in real.items() if path not in visited]
        visited.update(real.values())
        for name in files:
            path = Path(parent, name)
            if path.is_symlink() and not path.exists():
                findings.note(f"{path} is left out: it is a link to a file that does not exist")
            yield path


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _read(file: OpenFile, options: ReadOptions, findings: Findings) -> Iterator[Chunk]:
    """The examples of a file that is open."""
    name = file.name
    form = decide_format(name, file.ending, file.stream.head, options, findings)
    findings.begin(name, "line" if form.kind == "plain" else "row" if form.kind == "table" else "record")
    if form.kind == "parquet":
        yield from chunked(read_parquet(file.stream.blocks(), name, options, findings))
        return
    blocks = _decode(file, options, findings)
    if form.kind == "table":
        yield from chunked(read_table(lines_of(blocks), form.delimiter, name, options, findings))
    elif form.kind == "json":
        yield from chunked(read_json(blocks, name, options, findings))
    elif options.named:
        raise InputError(
            f"{name} is plain text, which has no field for `label_field` or `source_field`; give a table or JSON, or "
            "say which of these it is with `format`"
        )
    elif options.fields:
        raise InputError(
            f"{name} is plain text, which has no fields; leave out `fields`, or say with `format` if it is a table"
        )
    elif options.running:
        yield from _whole(blocks)
    else:
        yield from map(Chunk, lines_of(blocks))


def _decode(file: OpenFile, options: ReadOptions, findings: Findings) -> Iterator[str]:
    return decode(file.stream.blocks(), file.stream.head, options.encoding, file.name, findings)


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
