"""Rows of a table: lines become lists of cells, and what does not fit is mended, left out and counted, or refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator

from flaxchar.config import InputError
from flaxchar.data.readers.dialects import NO_SEPARATOR, Dialect, columns_in_words, split_line, with_bare_marks
from flaxchar.data.readers.reading import Findings
from flaxchar.data.readers.recognition import Table

# Characters after which a field in quotation marks that has not ended is taken not to be one.
LONGEST_FIELD = 1 << 26
# A footer is told from a broken row only after this many rows.
_FEW_ROWS = 3
_SHOWN = 60
# A row with bare quotation marks inside a quoted field is looked for in so many lines.
_MOST_JOINED = 20
# A bare quotation mark that begins a quotation within a text.
_OPENING = re.compile(r'["\s(\[{–—-]"[^\s"]')


class Rows:
    """Reads the rows of one table.

    A row fits if it has as many columns as the others, if its additional cells are empty, or if it is shorter but has
    all wanted cells before its last one: a line break may have cut the last cell. After a row that does not fit,
    shorter rows do not fit either, until one has all columns: they may be the rest of the broken row.

    Args:
      table: its dialect, its columns and its width.
      path: its name, for messages.
      skip_bad_rows: whether rows that do not fit are left out and counted, rather than refused.
      findings: told what is mended and left out.
    """

    def __init__(self, table: Table, path: str, skip_bad_rows: bool, findings: Findings) -> None:
        self._table, self._width = table, table.width
        self._needed = max(table.columns) + 1
        self._path, self._skip, self._findings = path, skip_bad_rows, findings
        # Whether the first field is in quotation marks, as where a program quotes every field.
        self._quotes_all: bool | None = None
        self._header_is_read = False
        self._given = 0  # rows that needed a closer look and fitted
        self._waiting: list[tuple[int, list[str]]] = []  # single cells that are a footer if no row follows
        self._after_bad = False

    def read(self, blocks: Iterable[list[str]], number: int = 1) -> Iterator[tuple[int, list[str]]]:
        """The rows that fit, a header included, each with the number of the line in which it begins.

        Args:
          blocks: the lines of the table, some at a time.
          number: that of the first line.

        Raises:
          InputError: a row does not fit and is not to be skipped.
        """
        dialect, width, header = self._table.dialect, self._width, self._table.header
        begun: list[str] = []  # the lines of a row that has not ended
        for block, last in _with_last(blocks):
            lines = begun + block if begun else block
            if self._quotes_all is None:
                self._quotes_all = lines[0].startswith('"')
            start, begun = 0, []
            while start < len(lines):
                begin, reader = start, dialect.parse(lines, start)
                parsed: tuple[list[str], int] | None = None
                try:
                    for row in reader:
                        end = begin + reader.line_num
                        if len(row) != width or end > start + 1 or row == header or self._waiting:
                            parsed = row, end
                            break
                        self._given += 1
                        self._after_bad = False
                        yield number + start, row
                        start = end
                    else:
                        break
                except csv.Error:
                    ended = begin + reader.line_num < len(lines) and len(lines) - start >= _MOST_JOINED
                    if not ended and not last and sum(map(len, lines[start:])) < LONGEST_FIELD:
                        begun = lines[start:]
                        break
                row, end = self._mend(lines, start, parsed, number + start)
                fitted = self._fit(row, number + start)
                if fitted is not None:
                    yield number + start, fitted
                start = end
            number += len(lines) - len(begun)
        for line, row in self._waiting:
            text = " ".join(filter(None, row))
            self._findings.note(f"{self._path}, line {line}: {text[:_SHOWN]!r} stands below the table and is left out")

    def _mend(
        self, lines: list[str], start: int, parsed: tuple[list[str], int] | None, number: int
    ) -> tuple[list[str], int]:
        """The row that its writer meant.

        Args:
          lines: the lines at hand.
          start: where the row begins.
          parsed: the row as the dialect says, and where the next one begins; None if its quotation marks are wrong.
          number: the number of the row's line, for messages.

        Returns:
          The row, and where the next one begins.
        """
        broken = parsed is None
        if parsed is not None:
            row, end = parsed
            if end == start + 1 and len(row) == self._width:
                return parsed
            if end > start + 1 and self._swallows(lines[start:end], len(row)):
                parsed = None
            elif len(row) == self._width or not any(row):
                return parsed
        dialect = self._table.dialect
        first, separator = lines[start], dialect.separator or "\n"
        others: dict[str, Dialect] = {}
        if "\\" in first and dialect.quoting == "double":
            others["rows with a quotation mark or separator after a backslash, which is text: {}"] = dialect._replace(
                quoting="backslash"
            )
        if f'{separator} "' in first and not dialect.spaces:
            others["rows with a space between a separator and a quotation mark: {}"] = dialect._replace(spaces=True)
        for sentence, other in others.items():
            reader = other.parse(lines, start)
            try:
                row = next(reader)
            except (csv.Error, StopIteration):
                continue
            if len(row) == self._width:
                self._count(sentence, number)
                return row, start + reader.line_num
        if parsed is not None:
            return parsed
        row = split_line(first, dialect.separator)
        if broken and dialect.quoting == "double" and (mended := self._with_bare_marks(lines, start, row)) is not None:
            self._count("rows with bare quotation marks inside a field in quotation marks, read as text: {}", number)
            return mended
        if len(row) == self._width:
            self._count("quotation marks that begin a field and do not end it, read as text: {}", number)
        return row, start + 1

    def _with_bare_marks(self, lines: list[str], start: int, as_text: list[str]) -> tuple[list[str], int] | None:
        """The row that begins in a line, with bare marks inside quoted fields; None where it cannot be told.

        Args:
          lines: the lines at hand.
          start: where the row begins.
          as_text: the line with all marks read as text.

        Returns:
          The row, and where the next one begins.
        """
        separator = self._table.dialect.separator
        goes_on = lines[start].count('"') % 2 == 1 and not self._ends(lines, start + 1)
        if not goes_on:
            rows = with_bare_marks(lines[start], separator, self._width)
            # "so "he" said" is enclosed in marks, "so" and "so" is not, unless all fields are in marks.
            enclosed = len(as_text) != self._width or (self._quotes_all and self._table.header is not None)
            enclosed = enclosed or any(
                cell[:1] == '"' and _OPENING.match(cell, cell.find('"', 1) - 1) for cell in as_text
            )
            return (rows[0], start + 1) if len(rows) == 1 and enclosed else None
        if len(as_text) == self._width:
            return None
        for end in range(start + 2, min(len(lines), start + _MOST_JOINED) + 1):
            if self._ends(lines, end):
                rows = with_bare_marks("\n".join(lines[start:end]), separator, self._width)
                return (rows[0], end) if len(rows) == 1 else None
        return None

    def _ends(self, lines: list[str], end: int) -> bool:
        """Whether a row may end before a line, because that line looks like a row by itself or begins one."""
        if end >= len(lines):
            return True
        line, separator = lines[end], self._table.dialect.separator
        if line.count('"') % 2 == 0:
            return len(split_line(line, separator)) == self._width
        before = line[: line.find('"')]
        return before.endswith(separator or NO_SEPARATOR) or not before

    def _swallows(self, lines: list[str], columns: int) -> bool:
        """Whether lines that a quotation mark joins to one row look like rows of their own."""
        if self._width == 1:
            return False
        like_rows = sum(len(split_line(line, self._table.dialect.separator)) == self._width for line in lines)
        if columns == self._width:
            return len(lines) > 2 and like_rows == len(lines) and not self._quotes_all
        return 2 * like_rows >= len(lines)

    def _fit(self, row: list[str], line: int) -> list[str] | None:
        """A row with the columns that are wanted; None if it is left out.

        Raises:
          InputError: it does not fit and is not to be skipped.
        """
        if row == self._table.header:
            if self._header_is_read:
                self._count("headers in the middle of a table left out: {}", line)
                return None
            self._header_is_read = True
            return row
        if not any(cell.strip() for cell in row):
            self._count("blank rows left out: {}", line)
            return None
        if len(row) > self._width and not any(row[self._width :]):
            row = row[: self._width]
        # The last cell of a short row may have been cut; those before it are whole.
        whole = self._needed < len(row) < self._width and not self._after_bad
        if len(row) == self._width or whole:
            for earlier_line, earlier in self._waiting:
                self._refuse(earlier, earlier_line)
            self._waiting.clear()
            self._after_bad = False
            self._given += 1
            if whole:
                self._count("rows with fewer columns than others, but with those that are read: {}", line)
            return row
        if len(row) < self._width and sum(map(bool, row)) == 1 and self._given >= _FEW_ROWS:
            self._waiting.append((line, row))
        else:
            self._refuse(row, line)
        return None

    def _refuse(self, row: list[str], line: int) -> None:
        self._after_bad = True
        separator = self._table.dialect.separator
        shown = (separator or "").join(row)[:_SHOWN]
        if self._skip:
            sentence = "rows left out because their number of columns differs: {}"
            self._findings.count(sentence, f"{self._path}, line {line}, which reads {shown!r}")
            return
        found = columns_in_words(len(row))
        expected = f"{'the header has' if self._table.header else 'other rows have'} {self._width}"
        reason = (
            f"perhaps a text holds {separator!r} without quotation marks"
            if len(row) > self._width
            else "perhaps a text holds a line break without quotation marks"
        )
        raise InputError(
            f"{self._path}, line {line}: the row has {found}, but {expected} ({reason}; it reads "
            f"{shown!r}); leave out such rows with `skip_bad_rows=True`, or name the `delimiter`"
        )

    def _count(self, sentence: str, line: int) -> None:
        self._findings.count(sentence, f"{self._path}, line {line}")


def _with_last(blocks: Iterable[list[str]]) -> Iterator[tuple[list[str], bool]]:
    """Each block that has lines, and whether it is the last one."""
    before: list[str] = []
    for block in blocks:
        if before:
            yield before, False
        before = block
    if before:
        yield before, True
