"""Tables of texts: the rows of CSV and TSV files as examples."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.data.reading import Findings, ReadOptions

_FIELD_LIMIT = 1 << 30  # characters; the csv module's own limit, 128 KB, is less than some texts


def read_table(
    lines: Iterator[list[str]],
    delimiter: str,
    path: str,
    options: ReadOptions,
    findings: Findings,
) -> Iterator[str | Example]:
    """Read the examples of a table; strings where there is neither a label nor a source.

    Args:
      lines: the lines of the file, some at a time.
      delimiter: the character between columns.
      path: the file's name, for messages.
      options: which columns to read.
      findings: told what is decided and left out.

    Raises:
      InputError: there is no such column, or a row is too short or malformed; the message names the line.
    """
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader((line + "\n" for some in lines for line in some), delimiter=delimiter)
    fields, label_field, source_field = options[:3]
    named = options.named
    columns: list[int] | None = None
    try:
        for row in reader:
            if not row:
                continue
            if columns is None:
                columns, header = _columns(row, fields, named, path)
                if header:
                    continue
            if max(columns) >= len(row):
                raise InputError(
                    f"{path}, line {reader.line_num}: the row has {len(row)} columns, and no column {max(columns) + 1}"
                )
            text = " ".join([row[column] for column in columns[len(named) :]])
            if not named:
                yield text
                continue
            label = None if label_field is None else row[columns[0]]
            source = None if source_field is None else row[columns[len(named) - 1]]
            yield Example(text, label, source)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error


def _columns(first: list[str], fields: Sequence[str], named: Sequence[str], path: str) -> tuple[list[int], bool]:
    """The columns of ``named`` and then of ``fields``, and whether the first row is a header."""
    if not fields:
        shown = ", ".join(repr(cell[:30]) for cell in first[:6])
        raise InputError(
            f"{path} is a table: say with `fields` which column holds the text, by its name, or by its number where "
            f"there is no header (the first row reads {shown})"
        )
    wanted = [*named, *fields]
    if all(field.isdecimal() for field in wanted):
        columns = [int(field) - 1 for field in wanted]
        if -1 in columns:
            raise InputError("`fields` counts columns from 1; there is no column 0")
        return columns, False
    missing = [field for field in wanted if field not in first]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; its header reads {', '.join(map(repr, first[:20]))}")
    return [first.index(field) for field in wanted], True
