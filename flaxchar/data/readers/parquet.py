"""Parquet files: columns of texts, labels and sources as examples, read by pyarrow a few thousand rows at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.data.labels import label_name
from flaxchar.data.readers.reading import Findings, ReadOptions, find_name
from flaxchar.storage import scratch_file

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 8192
_SHOWN_COLUMNS = 20


def read_parquet(data: Iterator[bytes], path: str, options: ReadOptions, findings: Findings) -> Iterator[str | Example]:
    """Read the examples of a Parquet file; strings where there is neither a label nor a source.

    A text that is null counts as empty. A row whose label or source is null is left out and counted.

    Args:
      data: the content of the file. It is written to a scratch file, since Parquet is not read in order; a file that
        lies at ``path`` is read there instead.
      path: the file's name, for messages.
      options: which columns to read, by name, or by number from 1; ``a.b`` is the key ``b`` of the objects in
        the column ``a``. Where no field is named: ``text``, else the only column that holds text.
      findings: told what is decided and left out.

    Raises:
      InputError: the file is damaged, or there is no such column, or it does not hold texts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with contextlib.ExitStack() as stack, _errors(path, pa):
        file = pq.ParquetFile(stack.enter_context(_seekable(data, path)))
        schema = file.schema_arrow
        fields = [_column(schema, field, path) for field in options.fields] or [
            _text_column(schema, options, path, findings)
        ]
        for field in fields:
            if not _holds_text(kind := _type(schema, field)) and not _is_binary(kind):
                raise InputError(f"{path}: the column {field!r} holds {kind}, which is no text{_advice(kind, field)}")
        label_field = None if options.label_field is None else _column(schema, options.label_field, path)
        source_field = None if options.source_field is None else _column(schema, options.source_field, path)
        named = [field for field in (label_field, source_field) if field is not None]
        first = 1  # the number of the first row at hand
        for batch in file.iter_batches(_ROWS, columns=list(dict.fromkeys([*fields, *named]))):
            columns = [_texts(batch, field, path, first) for field in fields]
            texts = [" ".join([text or "" for text in row]) for row in zip(*columns, strict=True)]
            if not named:
                yield from texts
            else:
                labels = _names(batch, label_field, path, first)
                sources = _names(batch, source_field, path, first)
                yield from _examples(texts, labels, sources, f"{path}, row", first, findings)
            first += len(texts)


def _examples(
    texts: list[str],
    labels: list[str | None] | None,
    sources: list[str | None] | None,
    where: str,
    first: int,
    findings: Findings,
) -> Iterator[Example]:
    for k, text in enumerate(texts):
        if labels is not None and labels[k] is None:
            findings.count("rows without a label left out: {}", f"{where} {first + k}")
        elif sources is not None and sources[k] is None:
            findings.count("rows without a source left out: {}", f"{where} {first + k}")
        else:
            yield Example(text, None if labels is None else labels[k], None if sources is None else sources[k])


def _names(batch: pa.RecordBatch, field: str | None, path: str, first: int) -> list[str | None] | None:
    if field is None:
        return None
    values = _values(batch, field).to_pylist()
    try:
        return list(map(label_name, values))
    except InputError as error:
        raise InputError(f"{path}, rows from {first} on: in {field!r}, {error}") from None


def _values(batch: pa.RecordBatch, field: str) -> Any:
    """A column, or the part of an object column that a path such as ``translation.de`` names."""
    import pyarrow.compute as pc

    if field in batch.schema.names:
        return batch.column(field)
    name, *keys = field.split(".")
    return pc.struct_field(batch.column(name), keys)


def _texts(batch: pa.RecordBatch, field: str, path: str, first: int) -> list[str | None]:
    """The texts of a column. Programs such as Impala write texts as bytes, in UTF-8."""
    values = _values(batch, field).to_pylist()
    if not _is_binary(_type(batch.schema, field)):
        return values
    texts: list[str | None] = []
    for number, value in enumerate(values, start=first):
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            raise InputError(f"{path}, row {number}: {field!r} is not UTF-8; write it as text") from None
    return texts


def _type(schema: pa.Schema, field: str) -> Any:
    """The type of a column, or of the part of an object column that a path names; None if there is none."""
    import pyarrow as pa

    if field in schema.names:
        return schema.field(field).type
    name, *keys = field.split(".")
    if name not in schema.names or not keys:
        return None
    kind = schema.field(name).type
    for key in keys:
        if not pa.types.is_struct(kind) or kind.get_field_index(key) < 0:
            return None
        kind = kind.field(key).type
    return kind


def _advice(kind: Any, field: str) -> str:
    import pyarrow as pa

    if pa.types.is_struct(kind) and kind.num_fields:
        return f"; name one of its keys, such as `fields={field + '.' + kind.field(0).name!r}`"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "; write each item as a row of its own, as explode does in pandas"
    return ""


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _column(schema: pa.Schema, field: str, path: str) -> str:
    """The name of a column that is given by its name, its path or its number."""
    if _type(schema, field) is not None:
        return field
    if (position := find_name(field, schema.names)) is not None:
        return schema.names[position]
    if field.isdecimal() and 1 <= int(field) <= len(schema.names):
        return schema.names[int(field) - 1]
    raise InputError(f"{path} has no column {field!r}; it has {_listed(schema)}")


def _text_column(schema: pa.Schema, options: ReadOptions, path: str, findings: Findings) -> str:
    if "text" in schema.names:
        return "text"
    texts = [name for name in schema.names if _holds_text(schema.field(name).type) and not name.startswith("__index")]
    texts = [name for name in texts if name not in options.named]
    if len(texts) != 1:
        raise InputError(f"{path} is a table: say with `fields` which column holds the text; it has {_listed(schema)}")
    findings.note(f"{path}: the texts are those of {texts[0]!r}, the only column that holds text")
    return texts[0]


def _listed(schema: pa.Schema) -> str:
    shown = ", ".join(f"{field.name!r} ({field.type})" for field in list(schema)[:_SHOWN_COLUMNS])
    return shown + " …" * (len(schema) > _SHOWN_COLUMNS)


def _holds_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    return any(
        test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    )


@contextlib.contextmanager
def _errors(path: str, pa: Any) -> Iterator[None]:
    """Raise pyarrow's errors about a file as ``InputError``."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).split("\n")[0].split(". ")[0].rstrip(".")[:200]
        raise InputError(f"{path} is not a whole Parquet file: {reason}") from error


@contextlib.contextmanager
def _seekable(data: Iterator[bytes], path: str) -> Iterator[BinaryIO]:
    """The content of a file, to read at any place."""
    if Path(path).is_file():
        with Path(path).open("rb") as file:
            if file.read(4) == b"PAR1":
                file.seek(0)
                yield file
                return
    with scratch_file() as file:
        for part in data:
            file.write(part)
        file.seek(0)
        yield file
