"""Where the records of a JSON file lie: on lines, in a list, or within an object.

An object may hold a list of records, columns as pandas writes them, or records by their id.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from flaxchar.config import InputError
from flaxchar.data.labels import kind_of
from flaxchar.data.readers.reading import ReadOptions, find_name

# Records that are looked at to find the key of the text, and how many keys a message shows.
LOOKED_AT, _SHOWN_KEYS = 100, 20
# A list of records is looked for in objects within so many others.
_DEEPEST = 4
# Stands for the item of a key that an object lacks.
MISSING = object()
# What else to do where no field is named and there is no ``text``: the setting is that of all files.
ALL_PLAIN = ', or read all files as plain text with `format="txt"`'


def find_records(values: Iterator[tuple[int, Any]], path: str, options: ReadOptions) -> Iterator[tuple[str, Any]]:
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
    if all(isinstance(get_item(document, field), str) for field in wanted):
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
    return isinstance(item, list) and any(isinstance(record, dict) for record in item) and parts_of_text(item) is None


def _check_fields(
    document: dict[str, Any], objects: dict[str, list[Any]], wanted: Sequence[str], path: str, options: ReadOptions
) -> None:
    """Raise ``InputError`` where a document lacks a field, and say which of the lists of objects in it may have it.

    Args:
      document: all that the file holds.
      objects: the lists of objects in it, by their keys.
      wanted: the fields to read.
      path: the file's name, for messages.
      options: what the user said.
    """
    amiss = [field for field in wanted if get_item(document, field) is MISSING or field in objects]
    if not amiss or options.skip_bad_rows:
        return
    fitting = [key for key, records in objects.items() if any(_has(record, wanted) for record in records[:LOOKED_AT])]
    if len(fitting) > 1:
        raise InputError(
            f"{path}: the lists {', '.join(map(repr, fitting))} all have {' and '.join(map(repr, wanted))}; write the "
            f"ones to read into files of their own, as jq -c '.{fitting[0]}[]' does"
        )
    longest = max(objects, key=lambda key: len(objects[key]))
    records = [record for record in objects[longest][:LOOKED_AT] if isinstance(record, dict)]
    keys = {key: item for record in reversed(records) for key, item in record.items()}
    field = next((field for field in amiss if get_item(keys, field) is MISSING), None)
    if field is None:
        problem = f"no object has all of {', '.join(map(repr, wanted))}"
    elif field in objects:
        problem = f"{field!r} is {kind_of(objects[field])}, which is no text"
    else:
        problem = f"there is no {field!r}"
    advice = "the keys are" if field in options.named else "say with `fields` which key holds the text:"
    beside = [repr(key) for key, item in document.items() if isinstance(item, str)]
    raise InputError(
        f"{path}: {problem}; {advice} {list_keys(keys)} (in the objects of {longest!r}){' or '.join(['', *beside])}"
        f"{'' if options.records else ALL_PLAIN}"
    )


def _list_of_records(document: dict[str, Any], wanted: Sequence[str]) -> list[Any] | None:
    """The only list of records with the wanted keys, in an object or in the objects in it; None if there is none.

    Lists that lie less deep go before others. Answers of servers have them as ``{"response": {"docs": [{…}]}}``.
    """
    level = [document]
    for _ in range(_DEEPEST):
        lists = [item for part in level for key, item in part.items() if isinstance(item, list) and key not in wanted]
        # The first records may be of another kind, such as a picture among messages.
        fitting = [item for item in lists if any(_has(record, wanted) for record in item[:LOOKED_AT])]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
        level = [item for part in level for item in part.values() if isinstance(item, dict)]
    return None


def _has(record: Any, wanted: Sequence[str]) -> bool:
    return isinstance(record, dict) and all(get_item(record, field) is not MISSING for field in wanted)


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
    if any(isinstance(cell, dict | list) for column in cells for cell in column[:LOOKED_AT]):
        return None
    if len(set(map(len, cells))) > 1:
        raise InputError(
            f"{path}: the columns have different lengths: {', '.join(str(len(column)) for column in cells)}"
        )
    return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]


def get_item(value: dict[str, Any], field: str) -> Any:
    """The item of a key, or of a path of keys such as ``user.name``; ``MISSING`` if there is none."""
    item = value.get(field, MISSING)
    if item is MISSING and "." in field:
        item = value
        for key in field.split("."):
            item = item.get(key, MISSING) if isinstance(item, dict) else MISSING
    if item is MISSING and not field.isascii() and (position := find_name(field, list(value))) is not None:
        return list(value.values())[position]
    return item


def parts_of_text(value: Any) -> list[str] | None:
    """The strings of a text that is a list of strings and typed parts, as Telegram writes it; None if it is none.

    A typed part is an object with ``type`` and ``text``: ``["see ", {"type": "link", "text": "example.org"}]``.
    """
    if not isinstance(value, list) or not any(isinstance(part, dict) for part in value):
        return None
    parts = [part["text"] if isinstance(part, dict) and {"type", "text"} <= part.keys() else part for part in value]
    return parts if all(isinstance(part, str) for part in parts) else None


def list_keys(value: dict[str, Any]) -> str:
    """The keys of an object, those of objects in it as paths."""
    paths = [
        f"{key}.{inner}" if inner else key
        for key, item in value.items()
        for inner in (item if isinstance(item, dict) and item else [""])
    ]
    return ", ".join(map(repr, paths[:_SHOWN_KEYS])) + " …" * (len(paths) > _SHOWN_KEYS)
