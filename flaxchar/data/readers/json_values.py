"""JSON values of a file: one a line, or one document over many lines, or several documents one after another."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from flaxchar.config import InputError
from flaxchar.data.readers.lines import lines_of
from flaxchar.data.readers.reading import Findings

# What may stand around a value: white space, and the marks that joined files have where one begins or ends.
_AROUND = " \t\n\r\ufeff\x1a\x1e\0"
_SKIPPED = re.compile(f"[{_AROUND}]*")
# How the files of Twitter's archive begin, which are programs that set a variable.
VARIABLE = re.compile(r"\A\s*window\.YTD\.\w+\.part\d+\s*=\s*")
# Characters of a document after which those that have been read are forgotten.
_FORGET = 1 << 20


class JsonValues:
    """The JSON values of a file, each with the number of the line in which it begins.

    Lines that are values by themselves are read one at a time. A value over several lines is held in memory whole.

    Args:
      blocks: the characters of the file, in parts.
      path: its name, for messages.
      skip_bad: whether lines that are not JSON are left out and counted, where other lines are values by themselves.
      findings: told what is left out.

    Raises:
      InputError: a value is not JSON; the message names its line.
    """

    def __init__(self, blocks: Iterator[str], path: str, skip_bad: bool, findings: Findings) -> None:
        # The first block is as long as the bytes that told the format. Its lines keep their numbers.
        head = VARIABLE.sub(lambda match: "\n" * match[0].count("\n"), next(blocks, ""), count=1)
        blocks = itertools.chain([head], blocks)
        self._lines = enumerate((line for some in lines_of(blocks) for line in some), start=1)
        self._path, self._skip, self._findings = path, skip_bad, findings
        self._by_line = False  # whether a line has been a value by itself

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        decode = json.JSONDecoder().decode
        for number, line in self._lines:
            if not line or line.isspace():
                continue
            try:
                value = decode(line)
            except (ValueError, RecursionError):
                yield from self._closely(number, line)
            else:
                self._by_line = True
                yield number, value

    def _closely(self, number: int, line: str) -> Iterator[tuple[int, Any]]:
        """The values that begin in a line which is not one value as it stands."""
        text, start = line, 0
        # Among values of a line each, only a bracket alone begins a value over several lines; else a line is broken.
        goes_on = not self._by_line or line.strip(_AROUND) in ("[", "{")
        if line.strip(_AROUND) != line.strip():
            self._findings.count("lines with a byte order mark or the like: {}", f"{self._path}, line {number}")
        while (start := _end_of(_SKIPPED, text, start)) < len(text):
            if start > _FORGET:
                number, text, start = number + text.count("\n", 0, start), text[start:], 0
            begins = number + text.count("\n", 0, start)
            try:
                value, start = _LENIENT.raw_decode(text, start)
            except RecursionError:
                raise InputError(
                    f"{self._path}, line {begins}: lists or objects are nested too deeply; give objects such as "
                    '{"text": "…"}, one a line'
                ) from None
            except json.JSONDecodeError as error:
                if self._by_line and self._skip and not goes_on:
                    self._findings.count("lines left out because they are not JSON: {}", f"{self._path}, line {begins}")
                    return
                if goes_on and error.pos >= len(text.rstrip(_AROUND)) and (more := self._more(len(text))):
                    text = f"{text}\n{more}"
                    continue
                raise self._not_json(error, number, text) from error
            yield begins, value

    def _more(self, characters: int) -> str:
        """The lines that follow, of as many characters together.

        The more of a document has been read in vain the more is read on, so that it is not parsed anew for each line.
        """
        more: list[str] = []
        for _, line in self._lines:
            more.append(line)
            characters -= len(line) + 1
            if characters <= 0:
                break
        return "\n".join(more) + " " * bool(more)

    def _not_json(self, error: json.JSONDecodeError, number: int, text: str) -> InputError:
        where = f"{self._path}, line {number + error.lineno - 1}"
        if error.pos >= len(text.rstrip(_AROUND)):
            return InputError(f"{where}: not JSON: it ends before the value does")
        shown = text[error.pos : error.pos + 20].split("\n", 1)[0]
        problem = error.msg.removesuffix(" at")
        return InputError(
            f"{where}: not JSON: {problem} at character {error.colno}, which reads {shown!r}{_advice(text, error.pos)}"
        )


def _advice(text: str, position: int) -> str:
    """What to do about a fault that is frequent in files written by hand or by ``str`` in Python; else nothing."""
    rest = text[position : position + 10]
    if re.match(r"/[/*]|#", rest):
        return "; JSON has no comments: take them out"
    if rest.startswith(","):
        return "; take away this comma"
    if re.match("[]}]", rest) and text[:position].rstrip().endswith(","):
        return "; take away the comma before it"
    if rest.startswith("'"):
        return "; JSON has double quotation marks: in Python, json.dumps writes them"
    if re.match("(None|True|False)\\b", rest):
        return "; JSON has null, true and false: in Python, json.dumps writes them"
    return ""


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return start if match is None else match.end()


def _integer(digits: str) -> int | str:
    """A whole number; one of so many digits that Python refuses to convert it stays as it is written."""
    try:
        return int(digits)
    except ValueError:
        return digits


_LENIENT = json.JSONDecoder(parse_int=_integer)
