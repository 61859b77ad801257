"""Records in JSON: the values of a .json, .jsonl, .ndjson or .jl file as examples.

A record is an object with a text, or, where no field is named, a string. The file may hold a record a line, a list of
records, an object of columns as pandas writes it, or an object that holds one of these.
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
from flaxchar.data.readers.json_values import JsonValues
from flaxchar.data.readers.reading import Findings, ReadOptions, find_name

_SURROGATE = re.compile("[\ud800-\udfff]")
# Records that are looked at to find the key of the text, and how many keys a message shows.
_LOOKED_AT, _SHOWN_KEYS = 100, 20
# Records that are looked at, from the first with a text beyond ASCII on, to tell whether texts were encoded twice.
_LOOKED_AHEAD = 1000
# A list of records is looked for in objects within so many others.
_DEEPEST = 4
_MISSING = object()
# What else to do where no field is named and there is no ``text``: the setting is that of all files.
_ALL_PLAIN = ', or read all files as plain text with `format="txt"`'


def read_json(blocks: Iterator[str], path: str, options: ReadOptions, findings: Findings) -> Iterator[str | Example]:
    r"""Read the examples of a JSON file; strings where there is neither a label nor a source.

    A text that is null counts as empty. A record whose label or source is null is left out and counted. Halves of
    surrogate pairs, which only an escape such as ``\ud83d`` can hold, become U+FFFD and are counted. Texts that were
    encoded twice, as Facebook and Instagram write them, are decoded twice if the first ones beyond ASCII are beyond
    doubt such (``encoded_twice``).

    Args:
      blocks: the characters of the file, in parts.
      path: the file's name, for messages.
      options: which keys to read, where ``a.b`` is the key ``b`` of the object ``a``. Where no field is named:
        ``text``, else the only key that holds strings.
      findings: told what is decided, replaced and left out.

    Raises:
      InputError: a value is not JSON or lacks a key, or a text is no string; the message says where.
    """
    records = _records(iter(JsonValues(blocks, path, options.skip_bad_rows, findings)), path, options)
    head = list(itertools.islice(records, _LOOKED_AT))
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
        """Decide whether texts were encoded twice, from the values of the first records with texts beyond ASCII."""
        self._encoded_twice = encoded_twice(text for value in values for text in self._texts(value))
        if self._encoded_twice:
            self._findings.note(
                f"{self._path}: texts that were encoded twice, as Facebook and Instagram do it, are decoded twice"
            )

    def _texts(self, value: Any) -> list[str]:
        """The strings of a record that are read: its texts, its label and its source."""
        if not isinstance(value, dict):
            return [value] if isinstance(value, str) else []
        cells = [_get(value, name) for name in (*self._fields, *self._options.named)]
        return [cell if isinstance(cell, str) else "".join(_parts(cell) or ()) for cell in cells]

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
        text = _get(value, field)
        if isinstance(text, str):
            return self._mended(text, where)
        if is_missing(text):
            return ""
        if (parts := _parts(text)) is not None:
            self._findings.count("texts in parts, such as a link between words, joined: {}", where)
            return self._mended("".join(parts), where)
        if text is _MISSING and not self._options.fields and len(value) == 1:
            key, only = next(iter(value.items()))
            if isinstance(only, list | dict):
                field, text = key, only  # tell what the only key holds
        if text is _MISSING:
            otherwise = ", or leave out such records with `skip_bad_rows=True`" if self._options.records else _ALL_PLAIN
            raise InputError(
                f"{where}: there is no {field!r}; say with `fields` which of {_keys(value)} hold the text{otherwise}"
                if value
                else f"{where}: the object is empty, so there is no {field!r}"
            )
        if isinstance(text, list | dict):
            raise InputError(f"{where}: {field!r} is {kind_of(text)}, which is no text; {_advice(text, field)}")
        raise InputError(
            f"{where}: {field!r} is {text!r:.40}, which is no text but {kind_of(text)}; name a key that holds texts, "
            "or write them in quotation marks"
        )

    def _name(self, value: dict[str, Any], field: str, where: str) -> str | None:
        """The label or source in a field, None where it is null."""
        name = _get(value, field)
        if name is _MISSING:
            raise InputError(f"{where}: there is no {field!r}; the keys are {_keys(value)}")
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


def _get(value: dict[str, Any], field: str) -> Any:
    """The item of a key, or of a path of keys such as ``user.name``; ``_MISSING`` if there is none."""
    item = value.get(field, _MISSING)
    if item is _MISSING and "." in field:
        item = value
        for key in field.split("."):
            item = item.get(key, _MISSING) if isinstance(item, dict) else _MISSING
    if item is _MISSING and not field.isascii() and (position := find_name(field, list(value))) is not None:
        return list(value.values())[position]
    return item


def _parts(value: Any) -> list[str] | None:
    """The strings of a text that is a list of strings and typed parts, as Telegram writes it; None if it is none.

    A typed part is an object with ``type`` and ``text``: ``["see ", {"type": "link", "text": "example.org"}]``.
    """
    if not isinstance(value, list) or not any(isinstance(part, dict) for part in value):
        return None
    parts = [part["text"] if isinstance(part, dict) and {"type", "text"} <= part.keys() else part for part in value]
    return parts if all(isinstance(part, str) for part in parts) else None


def _keys(value: dict[str, Any]) -> str:
    """The keys of an object, those of objects in it as paths."""
    paths = [
        f"{key}.{inner}" if inner else key
        for key, item in value.items()
        for inner in (item if isinstance(item, dict) and item else [""])
    ]
    return ", ".join(map(repr, paths[:_SHOWN_KEYS])) + " …" * (len(paths) > _SHOWN_KEYS)


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


# -- where the records lie --------------------------------------------------------------------------------------------


def _records(values: Iterator[tuple[int, Any]], path: str, options: ReadOptions) -> Iterator[tuple[str, Any]]:
    """The records of a file and the place of each."""
    first = next(values, None)
    if first is None:
        return
    second = next(values, None)
    if second is None and isinstance(first[1], dict):
        values = iter([(first[0], _unpacked(first[1], path, options))])
    else:
        values = itertools.chain([first], [] if second is None else [second], values)
    for line, value in values:
        if isinstance(value, list):
            for number, item in enumerate(value, start=1):
                yield f"item {number}" if line == 1 else f"item {number} of the list in line {line}", item
        else:
            yield f"line {line}", value


def _unpacked(document: dict[str, Any], path: str, options: ReadOptions) -> Any:
    """The records of an object that is all that a file holds: a list, or the object itself if it is a record."""
    wanted = [*(options.fields or ("text",)), *options.named]
    if _is_split(document):
        return [dict(zip(document["columns"], row, strict=False)) for row in document["data"] if isinstance(row, list)]
    if all(isinstance(_get(document, field), str) for field in wanted):
        return document
    if (columns := _columns(document, options, path)) is not None:
        return columns
    items, within = list(document.values()), _list_of_records(document, wanted)
    if items and all(isinstance(item, dict) for item in items) and not any(field in document for field in wanted):
        # records by their id, or pandas' orient="index"
        return items if within is None or any(_has(item, wanted) for item in items) else within
    if within is not None:
        return within
    lists = [item for key, item in document.items() if isinstance(item, list) and key not in wanted]
    objects = {key: item for key, item in document.items() if _holds_objects(item)}
    if objects and (len(lists) != 1 or any(field in objects for field in wanted)):
        _check_fields(document, objects, wanted, path, options)
        return document
    return lists[0] if len(lists) == 1 else document


def _holds_objects(item: Any) -> bool:
    """Whether an item is a list of objects, and not a text in parts."""
    return isinstance(item, list) and any(isinstance(record, dict) for record in item) and _parts(item) is None


def _check_fields(
    document: dict[str, Any], objects: dict[str, list[Any]], wanted: Sequence[str], path: str, options: ReadOptions
) -> None:
    """Raise ``InputError`` where a document with lists of objects lacks a field: the longest list may have the texts.

    Args:
      document: all that the file holds.
      objects: the lists of objects in it, by their keys.
      wanted: the fields to read.
      path: the file's name, for messages.
      options: what the user said.
    """
    amiss = [field for field in wanted if _get(document, field) is _MISSING or field in objects]
    if not amiss or options.skip_bad_rows:
        return
    longest = max(objects, key=lambda key: len(objects[key]))
    records = [record for record in objects[longest][:_LOOKED_AT] if isinstance(record, dict)]
    keys = {key: item for record in reversed(records) for key, item in record.items()}
    field = next((field for field in amiss if _get(keys, field) is _MISSING), None)
    if field is None:
        problem = f"no object has all of {', '.join(map(repr, wanted))}"
    elif field in objects:
        problem = f"{field!r} is {kind_of(objects[field])}, which is no text"
    else:
        problem = f"there is no {field!r}"
    advice = "the keys are" if field in options.named else "say with `fields` which key holds the text:"
    beside = [repr(key) for key, item in document.items() if isinstance(item, str)]
    raise InputError(
        f"{path}: {problem}; {advice} {_keys(keys)} (in the objects of {longest!r}){' or '.join(['', *beside])}"
        f"{'' if options.records else _ALL_PLAIN}"
    )


def _list_of_records(document: dict[str, Any], wanted: Sequence[str]) -> list[Any] | None:
    """The only list of records with the wanted keys, in an object or in the objects in it; None if there is none.

    Lists that lie less deep go before others. Answers of servers have them as ``{"response": {"docs": [{…}]}}``.
    """
    level = [document]
    for _ in range(_DEEPEST):
        lists = [item for part in level for key, item in part.items() if isinstance(item, list) and key not in wanted]
        # The first records may be of another kind, such as a picture among messages.
        fitting = [item for item in lists if any(_has(record, wanted) for record in item[:_LOOKED_AT])]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
        level = [item for part in level for item in part.values() if isinstance(item, dict)]
    return None


def _has(record: Any, wanted: Sequence[str]) -> bool:
    return isinstance(record, dict) and all(_get(record, field) is not _MISSING for field in wanted)


def _is_split(document: dict[str, Any]) -> bool:
    """Whether an object is a table as pandas' ``orient="split"`` writes it."""
    return isinstance(document.get("columns"), list) and isinstance(document.get("data"), list)


def _columns(document: dict[str, Any], options: ReadOptions, path: str) -> list[dict[str, Any]] | None:
    """The records of an object of columns: each a list, or an object of cells by their index; None if it is none."""
    fields = options.fields or ("text",) * ("text" in document)
    names = [*fields, *options.named] if fields else list(document)
    columns: list[Any] = [document.get(name) for name in names]
    if columns and all(isinstance(column, list) and column for column in columns):
        cells = [list(column) for column in columns if column]
    elif columns and all(isinstance(column, dict) and column for column in columns):
        if not all(key.isdecimal() for column in columns for key in column):
            return None  # a record of objects, or records by their id
        cells = [list(column.values()) for column in columns]
    else:
        return None
    if any(isinstance(cell, dict | list) for column in cells for cell in column[:_LOOKED_AT]):
        return None
    if len(set(map(len, cells))) > 1:
        raise InputError(
            f"{path}: the columns have different lengths: {', '.join(str(len(column)) for column in cells)}"
        )
    return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]
