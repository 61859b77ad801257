"""Examples from Python objects: strings, records, pairs, parallel sequences, and columns of a table."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.data.labels import label_name
from flaxchar.data.readers.reading import Findings, is_no_path
from flaxchar.validation import shown


def examples_from(
    texts: Iterable[Any],
    labels: Iterable[Any] | None = None,
    sources: Iterable[Any] | None = None,
    name: str = "texts",
    findings: Findings | None = None,
) -> Iterator[Example]:
    """Examples from whatever holds texts.

    Args:
      texts: strings, ``Example`` records, ``(text, label)`` pairs, or a column of a pandas or pyarrow table.
      labels: the label of each text, where ``texts`` holds strings; strings, or numbers and truth values, which
        become strings as Python prints them.
      sources: the source of each text, where ``texts`` holds strings.
      name: what error messages call ``texts``.
      findings: told of the texts whose label in ``labels`` is None or NaN, which are then left out; without it they
        have no label.

    Raises:
      InputError: an item is no text; the message names the first one and its position. Or the sequences differ in
        length.

    Example::

        examples_from(["up 3 %", "down 2 %"], labels=["good", "bad"])
    """
    if isinstance(texts, str | bytes):
        raise InputError(
            f"`{name}` is one {type(texts).__name__}; pass a list of texts: [text], or text.splitlines(); or a file: "
            'pathlib.Path("texts.txt")'
        )
    columns = {"labels": labels, "sources": sources}
    given = {column: list(_items(values, column)) for column, values in columns.items() if values is not None}
    position = -1
    for position, item in enumerate(_items(texts, name)):
        fields = {}
        for column, values in given.items():
            if position >= len(values):
                raise InputError(f"`{name}` has more items than `{column}`, which has {len(values):,}")
            fields[column.removesuffix("s")] = values[position]
        example = _example(item, fields, f"`{name}`[{position}]")
        if findings is not None and labels is not None and example.label is None:
            findings.count("texts without a label left out: {}", f"`labels`[{position}]")
            continue
        yield example
    for column, values in given.items():
        if len(values) > position + 1:
            raise InputError(f"`{column}` has {len(values):,} items, but `{name}` has {position + 1:,}")


def _items(values: Iterable[Any], name: str) -> Iterable[Any]:
    if isinstance(values, str | bytes):
        raise InputError(f"`{name}` is one {type(values).__name__}; pass a list with an item for each text")
    if isinstance(values, Mapping):
        keys = ", ".join(map(repr, list(values)[:5]))
        raise InputError(
            f"`{name}` is a {type(values).__name__} with the keys {keys}; pass its values, {name}.values(), or what is "
            f"under one key, as {name}[key]"
        )
    columns = getattr(values, "column_names", getattr(values, "columns", None))  # pyarrow and datasets; pandas
    if columns is not None:
        names = ", ".join(map(repr, list(columns)[:5]))
        raise InputError(f"`{name}` is a table with the columns {names}; pass one of them, as {name}[column]")
    if isinstance(values, io.IOBase):
        raise InputError(
            f"`{name}` is an open file; pass its path, as a pathlib.Path, or its lines: file.read().splitlines()"
        )
    try:
        iter(values)
    except TypeError:
        raise InputError(f"`{name}` is {shown(values)}; it must be a list or another iterable") from None
    # The items of a pyarrow column are scalars of its own; it knows how to become a list of Python objects.
    return values.to_pylist() if hasattr(values, "to_pylist") else values


def _example(item: Any, fields: dict[str, Any], where: str) -> Example:
    if isinstance(item, str):
        example = Example(item, **fields)
    elif isinstance(item, Example):
        example = item._replace(**fields)
    elif isinstance(item, tuple) and len(item) == 2:
        example = Example(*item)._replace(**fields)
    else:
        raise InputError(f"{where} is {shown(item)}; each item must be a text, an Example or a pair (text, label)")
    text, label, source = example
    try:
        label = label_name(label)
    except InputError as error:
        raise InputError(f"{where}: its label {error}") from None
    for what, value in (("text", text), ("label", label), ("source", source)):
        if value is None and what != "text":
            continue
        if not isinstance(value, str):
            raise InputError(f"{where} has the {what} {shown(value)}; it must be a str, not {type(value).__name__}")
    return Example(text, label, source)


def file_settings(
    texts: Any, labels: Any, sources: Any, held_out: Any, settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The settings of a training whose texts are in files.

    Args:
      texts: as ``flaxchar.train`` takes them: a path or a list of paths, or None with ``data`` or ``dataset`` among
        ``settings``; anything else holds the texts themselves.
      labels: must be None for files, which have a field for them.
      sources: as ``labels``.
      held_out: paths as well, or None.
      settings: what the user set, where ``data`` and ``val_data`` may be a name, a path, or several.

    Returns:
      The settings with ``data`` and ``val_data`` as tuples of names; None where ``texts`` holds the texts.

    Raises:
      InputError: there is nothing to read, or paths and texts are mixed.
    """
    given = dict(settings)
    if (paths := _paths(texts)) is not None:
        if "data" in given or "dataset" in given:
            raise InputError("`texts` and `data` each say what to train on; give one of them")
        given["data"] = paths
    elif texts is not None:
        return None
    elif "data" not in given and "dataset" not in given:
        raise InputError('`texts` is None; pass texts, a file as pathlib.Path("texts.txt"), or `data="texts.txt"`')
    for name, value in (("labels", labels), ("sources", sources)):
        if value is not None:
            raise InputError(f"`{name}` goes with texts; of a file, name the field with `{name[:-1]}_field`")
    if held_out is not None:
        if (paths := _paths(held_out)) is None:
            raise InputError("`texts` are files, so `held_out` must be files too, each a pathlib.Path")
        given["val_data"] = paths
    for name in ("data", "val_data"):
        if name in given:
            values = [given[name]] if isinstance(given[name], str | Path) else given[name]
            if not (isinstance(values, list | tuple) and all(isinstance(value, str | Path) for value in values)):
                raise InputError(f"`{name}` is {shown(values)}; it must be a file, as a string or a Path, or several")
            given[name] = tuple(
                str(value) if is_no_path(str(value)) else str(Path(value).absolute()) for value in values
            )
    if isinstance(given.get("fields"), str):
        given["fields"] = (given["fields"],)
    return given


def _paths(texts: Any) -> list[Path] | None:
    """The paths that were given instead of texts; None where texts were given."""
    if isinstance(texts, Path):
        return [texts]
    if isinstance(texts, list | tuple) and texts and all(isinstance(item, Path) for item in texts):
        return list(texts)
    return None
