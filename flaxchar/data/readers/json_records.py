"""Records in JSON: the values of a .json, .jsonl, .ndjson or .jl file as examples.

A record is an object with a text, or, where no field is named, a string. ``json_documents`` finds the records.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.data.labels import is_missing, kind_of, label_name
from flaxchar.data.readers.encodings import encoded_once, encoded_twice
from flaxchar.data.readers.json_documents import (
    ALL_PLAIN,
    LOOKED_AT,
    MISSING,
    find_records,
    get_item,
    list_keys,
    parts_of_text,
)
from flaxchar.data.readers.json_values import JsonValues
from flaxchar.data.readers.reading import Findings, ReadOptions

_SURROGATE = re.compile("[\ud800-\udfff]")
# Records that are looked at, from the first with a text beyond ASCII on, to tell whether texts were encoded twice.
_LOOKED_AHEAD = 1000


def read_json(blocks: Iterator[str], path: str, options: ReadOptions, findings: Findings) -> Iterator[str | Example]:
    r"""Read the examples of a JSON file; strings where there is neither a label nor a source.

    A text that is null counts as empty. A record whose label or source is null is left out and counted. Halves of
    surrogate pairs, which only an escape such as ``\ud83d`` can hold, become U+FFFD and are counted. Texts that were
    encoded twice, as Facebook and Instagram write them, are decoded twice if those of the first text beyond ASCII and
    of the thousand records after it are such beyond doubt (``encoded_twice``).

    Args:
      blocks: the characters of the file, in parts.
      path: the file's name, for messages.
      options: which keys to read, where ``a.b`` is the key ``b`` of the object ``a``. Where no field is named:
        ``text``, else the only key that holds strings.
      findings: told what is decided, replaced and left out.

    Raises:
      InputError: a value is not JSON or lacks a key, or a text is no string; the message says where.
    """
    records = find_records(iter(JsonValues(blocks, path, options.skip_bad_rows, findings)), path, options)
    head = list(itertools.islice(records, LOOKED_AT))
    reader = _RecordReader(path, options, findings, [value for _, value in head])
    return reader.read(itertools.chain(head, records))


class _RecordReader:
    """Makes examples of records that may lie anywhere in a file."""

    def __init__(self, path: str, options: ReadOptions, findings: Findings, head: Sequence[Any]) -> None:
        self._path, self._options, self._findings = path, options, findings
        self._fields = options.fields or self._text_field(head)
        self._encoded_twice: bool | None = None  # None as long as all texts are ASCII

    def _text_field(self, head: Sequence[Any]) -> tuple[str, ...]:
        """``text``, or the only key that holds strings in the first records."""
        objects = [value for value in head if isinstance(value, dict)]
        if not objects or any("text" in value for value in objects):
            return ("text",)
        keys = {key for value in objects for key, item in value.items() if isinstance(item, str)}
        keys -= set(self._options.named)
        others = [item for value in objects for item in value.values() if isinstance(item, list)]
        # Where a list holds objects, as in {"id": "1", "messages": [{…}]}, the texts are in these.
        if len(keys) != 1 or any(isinstance(item, dict) for items in others for item in items):
            return ("text",)
        self._findings.note(f"{self._path}: the texts are those of {min(keys)!r}, the only key that holds strings")
        return tuple(keys)

    def read(self, records: Iterable[tuple[str, Any]]) -> Iterator[str | Example]:
        options = self._options
        field = self._fields[0]
        simple = len(self._fields) == 1 and not options.named
        records = iter(records)
        for where, value in records:
            if simple and type(value) is dict:  # the shortest way for the most frequent kind of record
                text = value.get(field)
                if type(text) is str and (
                    text.isascii() or (self._encoded_twice is False and not _SURROGATE.search(text))
                ):
                    yield text
                    continue
            if self._encoded_twice is None and not all(map(str.isascii, self._texts(value))):
                ahead = [(where, value), *itertools.islice(records, _LOOKED_AHEAD)]
                self._decide_encoding([value for _, value in ahead])
                yield from self.read(itertools.chain(ahead, records))
                return
            try:
                example = self._example(value, f"{self._path}, {where}")
            except InputError:
                if not options.skip_bad_rows:
                    raise
                self._findings.count(
                    "records left out because they lack a text or a field: {}", f"{self._path}, {where}"
                )
                continue
            if example is not None:
                yield example

    def _decide_encoding(self, values: Sequence[Any]) -> None:
        """Decide whether texts were encoded twice: from the first record with a text beyond ASCII and the next ones."""
        self._encoded_twice = encoded_twice(text for value in values for text in self._texts(value))
        if self._encoded_twice:
            self._findings.note(
                f"{self._path}: texts that were encoded twice, as Facebook and Instagram do it, are decoded twice"
            )

    def _texts(self, value: Any) -> list[str]:
        """The strings of a record that are read: its texts, its label and its source."""
        if not isinstance(value, dict):
            return [value] if isinstance(value, str) else []
        cells = [get_item(value, name) for name in (*self._fields, *self._options.named)]
        return [cell if isinstance(cell, str) else "".join(parts_of_text(cell) or ()) for cell in cells]

    def _example(self, value: Any, where: str) -> str | Example | None:
        options = self._options
        if isinstance(value, str) and not options.fields and not options.named:
            return self._mended(value, where)
        if not isinstance(value, dict):
            raise InputError(
                f'{where}: expected an object with a text, such as {{"text": "…"}}, but it is {kind_of(value)}'
            )
        text = " ".join([self._text(value, field, where) for field in self._fields])
        if not options.named:
            return text
        label = source = None
        if options.label_field is not None:
            label = self._name(value, options.label_field, where)
        if options.source_field is not None:
            source = self._name(value, options.source_field, where)
        for name, field, found in (("label", options.label_field, label), ("source", options.source_field, source)):
            if field is not None and found is None:
                self._findings.count(f"records without a {name} left out: {{}}", where)
                return None
        return Example(text, label, source)

    def _text(self, value: dict[str, Any], field: str, where: str) -> str:
        text = get_item(value, field)
        if isinstance(text, str):
            return self._mended(text, where)
        if is_missing(text):
            return ""
        if (parts := parts_of_text(text)) is not None:
            self._findings.count("texts in parts, such as a link between words, joined: {}", where)
            return self._mended("".join(parts), where)
        if text is MISSING and not self._options.fields and len(value) == 1:
            key, only = next(iter(value.items()))
            if isinstance(only, list | dict):
                field, text = key, only  # tell what the only key holds
        if text is MISSING:
            otherwise = ", or leave out such records with `skip_bad_rows=True`" if self._options.records else ALL_PLAIN
            if not value:
                raise InputError(f"{where}: the object is empty, so there is no {field!r}")
            keys = list_keys(value)
            raise InputError(
                f"{where}: there is no {field!r}; say with `fields` which of {keys} hold the text{otherwise}"
            )
        if isinstance(text, list | dict):
            raise InputError(f"{where}: {field!r} is {kind_of(text)}, which is no text; {_advice(text, field)}")
        raise InputError(
            f"{where}: {field!r} is {text!r:.40}, which is no text but {kind_of(text)}; name a key that holds texts, "
            "or write them in quotation marks"
        )

    def _name(self, value: dict[str, Any], field: str, where: str) -> str | None:
        """The label or source in a field, None where it is null."""
        name = get_item(value, field)
        if name is MISSING:
            raise InputError(f"{where}: there is no {field!r}; the keys are {list_keys(value)}")
        try:
            name = label_name(name)
        except InputError as error:
            raise InputError(f"{where}: in {field!r}, {error}") from None
        return None if name is None else self._mended(name, where)

    def _mended(self, text: str, where: str) -> str:
        if text.isascii():
            return text
        if self._encoded_twice:
            text = encoded_once(text)
        text, count = _SURROGATE.subn("\ufffd", text)
        if count:
            self._findings.count("halves of surrogate pairs (such as \\ud83d) read as U+FFFD: {}", where, count)
        return text


def _advice(value: list | dict, field: str) -> str:
    """What to do where a list or an object stands in the place of a text."""
    if isinstance(value, dict):
        return f"name one of its keys, such as `fields={field + '.' + next(iter(value), 'key')!r}`"
    if value and isinstance(value[0], dict):
        keys = [key for key, item in value[0].items() if isinstance(item, str)]
        return (
            f"its objects have the keys {', '.join(map(repr, keys[:5]))}: write each as a line of its own, as "
            f"jq -c '.{field}[]' does, and name the key of the text with `fields`"
        )
    return f"write each of its items as a text of its own, as jq -c '.{field}[]' does"
