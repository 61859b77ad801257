"""Dialects of tables: which character separates the columns, and how quotation marks are written."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from flaxchar.config import InputError

Quoting = Literal["double", "backslash", "none"]
# What stands for the separator of a table of one column: a noncharacter, which no text contains.
NO_SEPARATOR = "\uffff"
# A row with more marks that may end a field is not read in all ways.
_MOST_MARKS = 40
_FIELD_LIMIT = 1 << 30  # characters; the csv module's own limit, 128 KB, is less than some texts


class Dialect(NamedTuple):
    r"""How a table is written.

    Attributes:
      separator: the character between columns; None for a table of one column, whose commas are text.
      quoting: how a quotation mark inside a quoted field is written: ``double`` is ``""``, ``backslash`` is ``\"``;
        ``none`` where quotation marks do not enclose fields, but are text.
      spaces: whether spaces after the separator belong to it.
    """

    separator: str | None
    quoting: Quoting = "double"
    spaces: bool = False

    def parse(self, lines: Sequence[str], start: int) -> Any:
        """The csv module's strict parser of the lines from ``start`` on; its errors are ``csv.Error``."""
        feed = _lines_from(lines, start)
        separator = self.separator or NO_SEPARATOR
        escaped = self.quoting == "backslash"
        if escaped:
            feed = map(_keep_other_backslashes(separator), feed)
        csv.field_size_limit(_FIELD_LIMIT)
        return csv.reader(
            feed,
            delimiter=separator,
            escapechar="\\" if escaped else None,
            quoting=csv.QUOTE_NONE if self.quoting == "none" else csv.QUOTE_MINIMAL,
            skipinitialspace=self.spaces,
            strict=True,
        )


def separator_of(delimiter: str) -> str:
    r"""The character that the setting ``delimiter`` means, which may be written as ``\t`` or ``tab``.

    Raises:
      InputError: it is not one character that can separate columns.
    """
    escapes = {"\\t": "\t", "tab": "\t", "\\x1f": "\x1f", "\\x01": "\x01", "^A": "\x01", "space": " "}
    separator = escapes.get(delimiter, delimiter)
    if len(separator) != 1 or separator in '"\n\r\\':
        raise InputError(
            f"`delimiter` is {delimiter!r}; it must be one character, such as ; or | or \\t for tabs, and no quotation "
            "mark, backslash or line end"
        )
    return separator


def columns_in_words(number: int) -> str:
    """``1 column`` or ``3 columns``."""
    return "1 column" if number == 1 else f"{number} columns"


def split_line(line: str, separator: str | None) -> list[str]:
    """Split one line, reading a quotation mark that does not enclose a whole field as text."""
    mark = re.escape(separator or NO_SEPARATOR)
    cells = []
    for match in re.finditer(rf'(?:"([^"]*(?:""[^"]*)*)"|([^{mark}]*))({mark}|$)', line):
        quoted, plain, end = match.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        if not end:
            break
    return cells


def with_bare_marks(text: str, separator: str | None, columns: int) -> list[list[str]]:
    """The ways to read a row in which quotation marks inside quoted fields may be written as they are.

    Args:
      text: the row, which may have several lines.
      separator: the character between columns.
      columns: how many the row has.

    Returns:
      No row, the only one, or two of several.

    Example::

        with_bare_marks('1,"a "b", c",x', ",", 3)  # [["1", 'a "b", c', "x"]]
    """
    mark = separator or NO_SEPARATOR
    ends = [k for k in range(1, len(text)) if text[k] == '"' and text[k + 1 : k + 2] in ("", mark)]
    if len(ends) > _MOST_MARKS:
        return []
    # All rows that begin the text with so many cells: from the position after these, the cells.
    begun: dict[int, list[list[str]]] = {0: [[]]}
    for _ in range(columns):
        longer: dict[int, list[list[str]]] = {}
        for start, rows in begun.items():
            if start > len(text):
                continue  # the row has ended with fewer cells
            if text[start : start + 1] == '"':
                cells = [(end + 1, text[start + 1 : end].replace('""', '"')) for end in ends if end > start]
            else:
                plain = text.find(mark, start)
                cells = [(end := len(text) if plain < 0 else plain, text[start:end])]
                cells = [cell for cell in cells if "\n" not in cell[1]]
            for end, cell in cells:
                both = longer.setdefault(end + 1, [])
                both += [[*row, cell] for row in rows[: 2 - len(both)]]
        begun = longer
    return begun.get(len(text) + 1, [])


def _lines_from(lines: Sequence[str], start: int) -> Iterator[str]:
    for k in range(start, len(lines)):
        yield lines[k] + "\n"


def _keep_other_backslashes(separator: str) -> Callable[[str], str]:
    """A function that doubles each backslash which escapes nothing, so that the csv module keeps it."""
    pattern = re.compile(rf'\\(["\\\n{re.escape(separator)}])?')
    return lambda line: pattern.sub(lambda match: match[0] if match[1] else "\\\\", line)
