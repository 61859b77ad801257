"""Tables of texts: the rows of CSV and TSV files as examples."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.data.readers.reading import Findings, ReadOptions
from flaxchar.data.readers.recognition import first_row, lines_above, recognise
from flaxchar.data.readers.rows import Rows

# The share of cells in single quotation marks that is worth a word, and fewer cells than say anything.
_NEARLY_ALL, _FEW_CELLS = 0.8, 3
# About so many lines or characters are read before the dialect is recognised.
_FIRST_LINES, _FIRST_CHARACTERS = 2_000, 1 << 22
_END_OF_FILE = "\x1a"
# What MySQL, PostgreSQL, Hive and the tables of IMDb write for a missing value.
_NULL = "\\N"
# The line that psql, MySQL and Markdown draw under the header.
_RULE = re.compile(r"(?=.*[|+])[-+|:= ]*--[-+|:= ]*")


def read_table(
    lines: Iterator[list[str]],
    default_delimiter: str,
    path: str,
    options: ReadOptions,
    findings: Findings,
) -> Iterator[str | Example]:
    """Read the examples of a table; strings where there is neither a label nor a source.

    Args:
      lines: the lines of the file without their ends, some at a time.
      default_delimiter: the character between columns that the ending of the file's name promises.
      path: the file's name, for messages.
      options: which columns to read, and which ``delimiter`` the user names. A row whose label is empty is left out.
      findings: told the dialect, and what is mended and left out.

    Raises:
      InputError: there is no such column, or a row does not fit (``Rows`` says which do); the message names the line.
    """
    lines = _without_marks(lines, path, findings)
    first, number = _first_lines(lines), 1
    delimiter = options.delimiter
    if first and (hint := re.fullmatch('"?sep=(.)"?', first[0])):  # what Excel writes and reads
        delimiter = delimiter or hint[1]
        first, number = first[1:], 2
    if not any(map(str.strip, first)):
        return
    if not options.fields:
        cells = first_row(first, default_delimiter, delimiter)
        shown = ", ".join(repr(cell[:30]) for cell in cells[:6])
        raise InputError(
            f"{path} is a table: say with `fields` which column holds the text, by its name, or by its number where "
            f"there is no header (the first row reads {shown})"
        )
    wanted = [*options.named, *options.fields]
    if above := lines_above(first, default_delimiter, wanted, delimiter):
        findings.note(f"{path}: the table begins in line {number + above}; what stands above it is left out")
        first, number = first[above:], number + above
    table = recognise(first, default_delimiter, wanted, path, delimiter)
    for note in table.notes:
        findings.note(f"{path}: {note}")
    columns = table.columns[len(options.named) :]
    separator = table.dialect.separator
    ruled = table.header is not None and separator is not None and _RULE.fullmatch("".join(first[1:2]))
    if ruled:
        assert separator is not None
        findings.note(f"{path}: the rule under the header, line {number + 1}, is left out")
        first = [first[0], separator * (table.width - 1), *first[2:]]  # a row, left out below
    label_column = None if options.label_field is None else table.columns[0]
    source_column = None if options.source_field is None else table.columns[len(options.named) - 1]
    rows = Rows(table, path, options.skip_bad_rows, findings).read(itertools.chain([first], lines), number)
    if table.header:
        next(rows)
        if ruled:
            next(rows)
        rows = _with_nameless_told(rows, table.header, path, findings)
    if table.padded:
        rows = ((line, [cell.rstrip(" ") for cell in row]) for line, row in rows)
    rows = _without_nulls(rows, table.columns, path, findings)
    rows = _with_single_marks_told(rows, columns[0], path, findings)
    if not options.named:
        column = columns[0]
        for _, row in rows:
            yield row[column] if len(columns) == 1 else " ".join([row[column] for column in columns])
        return
    for line, row in rows:
        label = None if label_column is None else row[label_column]
        if label is not None and not label.strip():
            findings.count("rows without a label left out: {}", f"{path}, line {line}")
            continue
        source = None if source_column is None else row[source_column]
        yield Example(" ".join([row[column] for column in columns]), label, source)


def _with_nameless_told(
    rows: Iterator[tuple[int, list[str]]], header: list[str], path: str, findings: Findings
) -> Iterator[tuple[int, list[str]]]:
    """The rows; those are counted whose text may go on in columns without a name, after the last one with a name."""
    named = max(column for column, name in enumerate(header) if name.strip()) + 1
    if named == len(header):
        return rows

    def told() -> Iterator[tuple[int, list[str]]]:
        for line, row in rows:
            if any(map(str.strip, row[named:])):
                sentence = "rows with cells in columns without a name, which are not read: {}"
                findings.count(sentence, f"{path}, line {line}")
            yield line, row

    return told()


def _with_single_marks_told(
    rows: Iterator[tuple[int, list[str]]], column: int, path: str, findings: Findings
) -> Iterator[tuple[int, list[str]]]:
    """The rows; it is told where nearly all cells of a column stand in single quotation marks, which stay in them."""
    cells = marked = 0
    for line, row in rows:
        cell = row[column]
        cells += 1
        marked += len(cell) > 1 and cell[0] == "'" == cell[-1]
        yield line, row
    if cells >= _FEW_CELLS and marked >= _NEARLY_ALL * cells:
        findings.note(
            f"{path}: nearly all texts stand in single quotation marks, which belong to them here, because only double "
            "ones enclose fields"
        )


def _without_nulls(
    rows: Iterator[tuple[int, list[str]]], columns: Sequence[int], path: str, findings: Findings
) -> Iterator[tuple[int, list[str]]]:
    """The rows with empty cells where these columns hold the sign of a missing value."""
    for line, row in rows:
        if _NULL in row and (missing := sum(row[column] == _NULL for column in columns)):
            sentence = "cells with \\N, which stands for a missing value, read as empty: {}"
            findings.count(sentence, f"{path}, line {line}", missing)
            yield line, ["" if cell == _NULL else cell for cell in row]
        else:
            yield line, row


def _first_lines(lines: Iterator[list[str]]) -> list[str]:
    first: list[str] = []
    for some in lines:
        first += some
        if len(first) >= _FIRST_LINES or sum(map(len, first)) >= _FIRST_CHARACTERS:
            break
    return first


def _without_marks(blocks: Iterator[list[str]], path: str, findings: Findings) -> Iterator[list[str]]:
    """The lines without the Ctrl-Z that old programs put at the end of a file, which joined files have inside."""
    number = 1
    for lines in blocks:
        if any(_END_OF_FILE in line for line in lines):
            cleaned = [line.strip(_END_OF_FILE) for line in lines]
            for k, (line, clean) in enumerate(zip(lines, cleaned, strict=True)):
                if line != clean:
                    findings.count("end-of-file signs (Ctrl-Z) dropped: {}", f"{path}, line {number + k}")
            yield cleaned[:-1] if lines[-1] and not cleaned[-1] else cleaned
        else:
            yield lines
        number += len(lines)
