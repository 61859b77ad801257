"""How files are read: what the user said of them, and what the readers found in them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

from flaxchar.settings import DataConfig, FormatName

# The name that stands for standard input among files.
STDIN = "-"


class ReadOptions(NamedTuple):
    """What the user said about the files to read.

    Attributes:
      fields: which columns (by name, or by number from 1 where there is no header) or JSON keys hold the text; several
        are joined by one space.
      label_field: the field that holds the label of each text.
      source_field: the field that holds the source of each text.
      encoding: of the files, as Python names it; a byte order mark is dropped.
      running: whether a plain file is read as one text rather than each of its lines.
      format: how all the files are read; None to tell each by its ending, else by its content.
      delimiter: the character between the columns of tables; None to recognise it.
      skip_bad_rows: whether rows and records that do not fit are left out and counted, rather than an error.
    """

    fields: tuple[str, ...] = ()
    label_field: str | None = None
    source_field: str | None = None
    encoding: str = "utf-8"
    running: bool = False
    format: FormatName | None = None
    delimiter: str | None = None
    skip_bad_rows: bool = False

    @classmethod
    def of(cls, data: DataConfig) -> ReadOptions:
        """The options that a run's settings give."""
        return cls(**{name: getattr(data, name) for name in cls._fields})

    @property
    def named(self) -> tuple[str, ...]:
        """The fields of label and source, those that are given."""
        return tuple(field for field in (self.label_field, self.source_field) if field is not None)

    @property
    def records(self) -> bool:
        """Whether fields are named, so that plain text cannot be meant."""
        return bool(self.fields or self.named)


class Place(NamedTuple):
    """Where an example was read.

    Attributes:
      file: the file's name.
      counted: what ``number`` counts: the file's lines, or the rows of a table or other records that were read in it.
      number: the number of the line, row or record, from 1.
    """

    file: str
    counted: Literal["line", "row", "record"]
    number: int = 0


class Findings:
    """What readers decided, replaced and left out, to be told to the user.

    Attributes:
      place: the file that is being read, a new object for each.

    Example::

        findings = Findings()
        findings.note("posts.csv: columns are separated by ';'")
        findings.count("{} rows were left out for their number of columns", "posts.csv, line 7")
        findings.sentences()  # ["posts.csv: …", "1 rows were left out …, the first in posts.csv, line 7"]
    """

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}
        self._counts: dict[str, tuple[int, str]] = {}
        self.place = Place("", "record")

    def begin(self, file: str, counted: Literal["line", "row", "record"]) -> None:
        """The next examples are those of this file: its lines, blank ones included, or the rows or records in it."""
        self.place = Place(file, counted)

    def note(self, sentence: str) -> None:
        """Keep a sentence; the same sentence is told once."""
        self._sentences[sentence] = None

    def count(self, sentence: str, where: str, times: int = 1) -> None:
        """Count cases of one kind.

        Args:
          sentence: what happened, with ``{}`` where the number of cases belongs.
          where: the place, which is told of the first case.
          times: how many cases.
        """
        before, first = self._counts.get(sentence, (0, where))
        self._counts[sentence] = before + times, first

    def sentences(self) -> list[str]:
        """All that is to be told, without a full stop."""
        counted = (f"{text.format(f'{n:,}')}, the first in {where}" for text, (n, where) in self._counts.items())
        return [*self._sentences, *counted]


def shown(path: str) -> str:
    """A path as messages name it."""
    return "standard input" if path == STDIN else path


def is_no_path(name: str) -> bool:
    """Whether the name of a file is none of this machine's: standard input, an empty one, or an address on the web."""
    return name in (STDIN, "") or re.match(r"\w+://", name) is not None


def is_read_once(path: str) -> bool:
    """Whether a file can be read only once: standard input, or a pipe, such as the one of ``<(zcat posts.txt.gz)``."""
    return path == STDIN or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


def find_name(name: str, names: Sequence[str]) -> int | None:
    """The position of a column or key: spelled exactly, else in another normal form or with spaces around it."""
    if name in names:
        return names.index(name)
    plain = [unicodedata.normalize("NFC", other).strip() for other in names]
    wanted = unicodedata.normalize("NFC", name)
    return plain.index(wanted) if wanted in plain else None


def listed(names: Sequence[str], most: int = 3) -> str:
    """A list of names for people, the first few of many.

    Example::

        listed(["a", "b", "c", "d", "e"])  # "a, b, c and 2 more files"
    """
    more = len(names) - most
    if more > 0:
        return f"{', '.join(names[:most])} and {more:,} more file{'s' * (more > 1)}"
    return ", ".join(names)
