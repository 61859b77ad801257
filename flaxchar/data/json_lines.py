"""JSON lines: one JSON value per line, as examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.data.reading import Findings, ReadOptions


def read_json_lines(
    lines: Iterator[list[str]],
    path: str,
    options: ReadOptions,
    findings: Findings,
) -> Iterator[str | Example]:
    """Read the examples of a JSONL file; strings where there is neither a label nor a source.

    A line is an object with a text, or, where no field is named, a string. A text that is null counts as empty.

    Args:
      lines: the lines of the file, some at a time.
      path: the file's name, for messages.
      options: which keys to read; ``text`` where no field is named. A label may be a number.
      findings: told what is replaced and left out.

    Raises:
      InputError: a line is not JSON or lacks a key; the message names it.
    """
    fields, label_field, source_field = options[:3]
    for number, line in enumerate((line for some in lines for line in some), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: not JSON ({error})") from error
        plain = not options.named
        if isinstance(value, str) and not fields and plain:
            yield value
            continue
        if not isinstance(value, dict):
            raise InputError(f'{where}: expected an object with a text, such as {{"text": "…"}}')
        text = _text(value, fields, where)
        yield text if plain else Example(text, _name(value, label_field, where), _name(value, source_field, where))


def _text(value: dict[str, Any], fields: Sequence[str], where: str) -> str:
    parts = []
    for field in fields or ("text",):
        if field not in value:
            keys = ", ".join(map(repr, list(value)[:20]))
            raise InputError(f"{where}: there is no {field!r}; say with `fields` which of {keys} hold the text")
        part = value[field]
        if part is not None and not isinstance(part, str):
            raise InputError(f"{where}: {field!r} is {part!r:.40}, which is no text")
        parts.append(part or "")
    return " ".join(parts)


def _name(value: dict[str, Any], field: str | None, where: str) -> str | None:
    """The label or source in a field, None where no field is named."""
    if field is None:
        return None
    if field not in value:
        raise InputError(f"{where}: there is no {field!r}; the keys are {', '.join(map(repr, list(value)[:20]))}")
    name = value[field]
    if not isinstance(name, str | int):
        raise InputError(f"{where}: {field!r} is {name!r:.40}, which is neither a text nor a whole number")
    return str(name)
