"""Recognition of a table's dialect and columns from its first rows.

The first rows are parsed in each dialect that may be meant; the one in which they have the same number of columns is
taken. ``docs/decisions/tables.md`` says why the project has rules of its own here.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from flaxchar.config import InputError
from flaxchar.data.readers.dialects import NO_SEPARATOR, Dialect, columns_in_words, separator_of, split_line
from flaxchar.data.readers.reading import find_name

# The separators that are looked for, and how messages name them.
_SEPARATORS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
# Rows that are looked at, and the share of them that must have the same number of columns in a table.
_ROWS, _LOOKS_LIKE_A_TABLE, _SURELY_A_TABLE = 500, 0.6, 0.95
# A header is looked for in so many lines.
_MOST_ABOVE = 20
# Fewer fields than these say nothing about whether a file's quotation marks enclose fields.
_FEW_FIELDS = 3


class Table(NamedTuple):
    """What the first rows of a table say.

    Attributes:
      dialect: how it is written.
      columns: the columns of the wanted fields, from 0.
      header: the first row, where it names the columns; else None.
      width: how many columns a row has.
      notes: what is to be told, a sentence each without the name of the file.
      padded: whether spaces before the separators belong to them too, as in what psql prints.
    """

    dialect: Dialect
    columns: tuple[int, ...]
    header: list[str] | None
    width: int
    notes: tuple[str, ...]
    padded: bool = False


def recognise(
    lines: Sequence[str], default: str, wanted: Sequence[str], path: str, delimiter: str | None = None
) -> Table:
    """Recognise the dialect of a table from its first lines.

    Args:
      lines: the first lines, with at least one that is not blank.
      default: the separator that the ending of the file's name promises.
      wanted: the fields to read: names in the header, or numbers from 1 where there is no header.
      path: the file's name, for messages.
      delimiter: the separator, where the user names it.

    Raises:
      InputError: the table has no such column.
    """
    chosen = None if delimiter is None else separator_of(delimiter)
    named = not all(field.isdecimal() for field in wanted)
    if not named and any(int(field) == 0 for field in wanted):
        raise InputError("`fields` counts columns from 1; there is no column 0")
    looks = _Looks(lines)
    if chosen is not None:
        separator: str | None = chosen
    elif named:
        separator = _separator_by_names(looks, default, wanted)
    else:
        separator = _separator_by_widths(looks, default, max(map(int, wanted)))
    best = looks.best(separator)
    dialect, first, width = best.dialect, best.first, best.width
    if named and any(field not in first for field in wanted) and any(name[:1] == " " for name in first):
        dialect, first = dialect._replace(spaces=True), [name.lstrip(" ") for name in first]
    notes, padded = [], False
    if separator is None:
        if looks.best(default).misfits or looks.best(default).width > 1:
            notes.append(f"the table has one column, so each {_SEPARATORS.get(default, repr(default))} in it is text")
    elif separator != default and chosen is None:
        notes.append(f"columns are separated by {_SEPARATORS[separator]}")
    if dialect.quoting == "backslash":
        example = '\\"' if '\\"' in looks.text else f"\\{separator}"
        notes.append(f"quotation marks and separators inside fields are written with a backslash, as {example}")
    elif dialect.quoting == "none":
        notes.append("quotation marks are read as text, because most that begin a field do not end it")
    if dialect.spaces:
        padded = named and any(name.endswith(" ") for name in first[:-1])
        notes.append(f"spaces {'around' if padded else 'after'} the separators are left out")
    if not named and max(map(int, wanted)) > width:
        raise InputError(
            f"{path} has no column {max(map(int, wanted))}: most rows have {columns_in_words(width)}, the first one "
            f"reads {', '.join(map(repr, first[:20]))}; name the `delimiter` if it is another"
        )
    if not named:
        return Table(dialect, tuple(int(field) - 1 for field in wanted), None, width, tuple(notes))
    if missing := [field for field in wanted if find_name(field, first) is None]:
        cells = ", ".join(map(repr, first[:20]))
        raise InputError(
            f"{path} has no column {missing[0]!r}; its header reads {cells}"
            + (" (if these are not the columns, name the `delimiter`)" if len(first) == 1 else "")
        )
    for field in dict.fromkeys(wanted):
        if (times := first.count(field)) > 1:
            notes.append(f"{times} columns are named {field!r}; the first of them is read")
    columns = tuple(column for field in wanted if (column := find_name(field, first)) is not None)
    return Table(dialect, columns, first, len(first), tuple(notes), padded)


def lines_above(lines: Sequence[str], default: str, wanted: Sequence[str], delimiter: str | None = None) -> int:
    """How many lines, such as a title, stand above the header with the wanted columns; arguments as ``recognise``."""
    if all(field.isdecimal() for field in wanted):
        return 0
    separators = (default, *_SEPARATORS) if delimiter is None else (separator_of(delimiter),)
    for above, line in enumerate(lines[:_MOST_ABOVE]):
        for separator in separators:
            names = split_line(line, separator)
            if (above == 0 or len(names) > 1) and all(find_name(field, names) is not None for field in wanted):
                return above
    return 0


def first_row(lines: Sequence[str], default: str, delimiter: str | None = None) -> list[str]:
    """The first row of a table, for messages; arguments as for ``recognise``."""
    looks = _Looks(lines)
    separator = _separator_by_widths(looks, default, 2) if delimiter is None else separator_of(delimiter)
    return looks.best(separator).first


class _Look(NamedTuple):
    """The first rows in one dialect: the first one, the most frequent number of columns, and the misfits' share."""

    dialect: Dialect
    first: list[str]
    width: int
    misfits: float


class _Looks:
    """The first lines, parsed in any dialect when it is asked for."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.text = "\n".join(lines[: 4 * _ROWS])
        self._best: dict[str | None, _Look] = {}

    def best(self, separator: str | None) -> _Look:
        """The best reading of the lines with that separator."""
        if separator not in self._best:
            self._best[separator] = self._compare(separator)
        return self._best[separator]

    def _compare(self, separator: str | None) -> _Look:
        best, quoted, broken = self._parse(Dialect(separator))
        others: list[Dialect] = []
        if separator is not None and separator != " " and f'{separator} "' in self.text:
            others.append(Dialect(separator, spaces=True))
        if "\\" in self.text:
            others.append(Dialect(separator, "backslash"))
        if broken >= _FEW_FIELDS and broken > quoted:
            others.append(Dialect(separator, "none"))
        escaped = self._all_inner_marks_are_escaped(separator)
        if not best.misfits and not broken and not escaped:
            return best
        for dialect in others:
            look, _, _ = self._parse(dialect)
            if dialect.quoting == "none" and look.width != len(look.first):
                continue  # fields in marks have separators and line breaks in them
            rather = escaped and dialect.quoting == "backslash" and look.misfits == best.misfits
            if look.misfits < best.misfits or rather:
                best = look
        return best

    def _all_inner_marks_are_escaped(self, separator: str | None) -> bool:
        r"""Whether each quotation mark that neither begins nor ends a field is written ``\"``, and there are such."""
        end = re.escape(separator or NO_SEPARATOR)
        # A backslash before a mark that ends its field, as in "C:\";"x", is the field's own.
        escaped = re.search(rf'\\"(?=[^\n{end}])', self.text) is not None
        return escaped and re.search(rf'(?<=[^\\\n{end}])"(?=[^\n{end}])', self.text) is None

    def _parse(self, dialect: Dialect) -> tuple[_Look, int, int]:
        """A look, how many rows have fields in quotation marks, and how many a quotation mark that is out of place."""
        first: list[str] = []
        widths: Counter[int] = Counter()
        begins_quoted = re.compile(f'(?:^|{re.escape(dialect.separator or NO_SEPARATOR)})"')
        start = quoted = broken = 0
        while start < len(self.lines) and widths.total() + broken < _ROWS:
            begin, reader = start, dialect.parse(self.lines, start)
            try:
                for row in reader:
                    if row:
                        first = first or row
                        widths[len(row)] += 1
                        quoted += begins_quoted.search(self.lines[start]) is not None
                    start = begin + reader.line_num
                    if widths.total() + broken >= _ROWS:
                        break
                else:
                    break
            except csv.Error:
                if not first:
                    first = split_line(self.lines[start], dialect.separator)
                broken += 1
                start += 1
        width, count = widths.most_common(1)[0] if widths else (len(first), 0)
        if widths[len(first)] == count:  # equally frequent: the first row decides
            width = len(first)
        return _Look(dialect, first, width, 1 - count / max(1, widths.total() + broken)), quoted, broken


def _separator_by_names(looks: _Looks, default: str, wanted: Sequence[str]) -> str | None:
    """The separator with which the first row names the wanted columns."""
    header = next(line for line in looks.lines if line.strip())
    for separator in (default, *(other for other in _SEPARATORS if other != default)):
        if separator in header:
            first = looks.best(separator).first
            if len(first) > 1 and all(find_name(field, first) is not None for field in wanted):
                return separator
    if all(find_name(field, looks.best(None).first) is not None for field in wanted):
        return None
    return _separator_by_widths(looks, default, 2) or default


def _separator_by_widths(looks: _Looks, default: str, least: int) -> str | None:
    """The separator with which most rows have the same number of columns, ``least`` or more."""
    look = looks.best(default)
    sure = look.width >= max(2, least) and look.misfits <= 1 - _SURELY_A_TABLE
    if sure and not (default == "," and _only_decimal(looks.text)):
        return default
    candidates = {}
    for separator in (default, *_SEPARATORS):
        if separator in looks.text and looks.best(separator).width >= max(2, least):
            candidates[separator] = looks.best(separator).misfits
    if not candidates and least > 2:
        return _separator_by_widths(looks, default, 2)
    if len(candidates) > 1 and _only_decimal(looks.text):
        candidates.pop(",", None)
    best = min(candidates, key=candidates.__getitem__, default=default)
    if least == 1 and (best not in candidates or candidates[best] > 1 - _LOOKS_LIKE_A_TABLE):
        return None
    return best


def _only_decimal(text: str) -> bool:
    """Whether each comma stands between two digits, as in 3,50."""
    return re.search(r"(?<!\d),|,(?!\d)", text) is None
