"""The format of a file: plain text, table, JSON or Parquet, by what the user said, its ending, or its content."""

from __future__ import annotations

import csv
import json
import re
from pathlib import PurePath
from typing import Literal, NamedTuple

from flaxchar.config import InputError
from flaxchar.data.readers.compressions import uncompressed_name
from flaxchar.data.readers.encodings import is_binary, sample_text
from flaxchar.data.readers.json_values import VARIABLE
from flaxchar.data.readers.reading import Findings, ReadOptions, find_name
from flaxchar.data.readers.signatures import unreadable
from flaxchar.settings import FormatName

FormatKind = Literal["plain", "table", "json", "parquet"]


class Format(NamedTuple):
    """How a file is read.

    Attributes:
      kind: which reader reads it.
      delimiter: of a table: what stands between columns, by the ending; its reader looks closer.
    """

    kind: FormatKind
    delimiter: str = ","

    @classmethod
    def of(cls, name: FormatName) -> Format:
        """The format that the user named."""
        return _BY_NAME[name]


_PLAIN, _TABLE, _JSON, _PARQUET = (Format(kind) for kind in ("plain", "table", "json", "parquet"))
_BY_NAME: dict[FormatName, Format] = {
    "txt": _PLAIN,
    "csv": _TABLE,
    "tsv": Format("table", "\t"),
    "json": _JSON,
    "parquet": _PARQUET,
}
_TOLD = {"plain": "plain text", "table": "a table", "json": "JSON", "parquet": "Parquet"}
# Endings of plain text: prose, notations that people train on, and programs.
_PLAIN_ENDINGS = """
    txt text md markdown rst adoc asciidoc org tex bib log srt vtt lrc poem lyrics story
    abc pgn smi fasta fa faa fna
    py pyi js mjs ts jsx tsx c h cc cpp cxx hh hpp cu cs java kt scala go rs swift rb php pl pm lua r sh bash zsh ps1
    sql hs ml mli lisp el scm clj ex exs erl f f90 m asm s vim
"""
_ENDINGS = {
    **{f".{ending}": _PLAIN for ending in _PLAIN_ENDINGS.split()},
    **{".csv": _TABLE, ".tsv": Format("table", "\t"), ".tab": Format("table", "\t"), ".psv": Format("table", "|")},
    **dict.fromkeys((".json", ".jsonl", ".ndjson", ".jl", ".jsonlines"), _JSON),
    **dict.fromkeys((".parquet", ".pq"), _PARQUET),
}
_ARCHIVES = (".zip", ".tar")
_PARQUET_MAGIC = b"PAR1"
_STRING = r'"(?:[^"\\]|\\.)*"'
# How an object begins, or an array of strings, objects or arrays; "[Verse 1]" and "[1]" are plain text.
_BEGINS_JSON = re.compile(rf"\s*(?:\{{\s*{_STRING}\s*:|\[\s*(?:{_STRING}\s*[,\]]|\{{\s*{_STRING}\s*:|\[\s*{_STRING}))")


def by_ending(name: str) -> Format | None:
    """The format that a file's ending tells; None where it tells none."""
    return _ENDINGS.get(_ending(name))


def endings() -> dict[str, list[str]]:
    """The endings that tell a format, by what they tell."""
    kinds: dict[str, list[str]] = {_TOLD[form.kind]: [] for form in _ENDINGS.values()}
    for ending, form in _ENDINGS.items():
        kinds[_TOLD[form.kind]].append(ending)
    return kinds


def is_archive(name: str) -> bool:
    """Whether a file's ending is that of an archive of files."""
    return _ending(name) in _ARCHIVES


def by_content(head: bytes, options: ReadOptions) -> Format:
    """The format that the first bytes of a file tell; a table only where the fields named are columns of it."""
    if head.startswith(_PARQUET_MAGIC):
        return _PARQUET
    text = sample_text(head, options.encoding)
    if _begins_json(VARIABLE.sub("", text, count=1)):
        return _JSON
    delimiter = _delimiter(text, options) if options.records else None
    return _PLAIN if delimiter is None else Format("table", delimiter)


def looks_like_text(head: bytes) -> bool:
    """Whether a file that begins with these bytes can be read as text."""
    return bool(head) and unreadable(head) is None and not head.startswith(_PARQUET_MAGIC) and not is_binary(head)


def decide_format(name: str, ending: str, head: bytes, options: ReadOptions, findings: Findings) -> Format:
    """Decide how a file is read.

    Args:
      name: the file, for messages.
      ending: its name, for its ending.
      head: its first bytes.
      options: what the user said.
      findings: told what is decided by the content.

    Raises:
      InputError: no reader can read it; the message names its kind and what to convert it to.
    """
    if (kind := unreadable(head)) is not None and not (options.format == "txt" and head.isascii()):
        raise InputError(f"{name} is {kind.name}; {kind.advice}")
    if options.format is not None:
        return Format.of(options.format)
    told = by_ending(ending)
    content = by_content(head, options)
    if told is not None and told.kind != content.kind:
        if content.kind == "parquet":
            told = None
        elif told.kind == "plain" and (options.records or VARIABLE.match(sample_text(head, options.encoding))):
            told = None  # plain text has no fields, and Twitter's archive is no program, so the content decides
        elif _ending(ending) == ".jl":
            told = content  # a program in Julia, not JSON lines
    if told is None and content.kind != "plain":
        findings.note(f"{name} is read as {_TOLD[content.kind]}, which its content looks like")
    return told or content


def _ending(name: str) -> str:
    return PurePath(uncompressed_name(name)).suffix.lower()


def _begins_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    if _BEGINS_JSON.match(text):
        return True
    line = text.strip().split("\n", 1)[0]
    try:
        return bool(isinstance(value := json.loads(line), dict)) or value == [] == json.loads(text)
    except (ValueError, RecursionError):
        return False


def _delimiter(text: str, options: ReadOptions) -> str | None:
    """What stands between the columns, if the first line has all the fields that are named."""
    line = text.strip("\n").split("\n", 1)[0].removesuffix("\r")
    wanted = [*options.fields, *options.named]
    for delimiter in "\t,;|":
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:
            continue
        if all(find_name(field, cells) is not None for field in wanted):
            return delimiter
        if len(cells) > 1 and all(field.isdecimal() and int(field) <= len(cells) for field in wanted):
            return delimiter
    return None
