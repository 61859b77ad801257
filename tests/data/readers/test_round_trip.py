"""What programs write, readers read: random tables, JSON and Parquet come back as they were written."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from flaxchar.data.examples import Example
from flaxchar.data.readers.encodings import encoded_once
from flaxchar.data.readers.json_records import read_json
from flaxchar.data.readers.lines import lines_of
from flaxchar.data.readers.parquet import read_parquet
from flaxchar.data.readers.reading import Findings, ReadOptions
from flaxchar.data.readers.tables import read_table

# Readers translate line ends, and leave out NUL, Ctrl-Z and byte order marks of joined files, so cells hold none.
# A noncharacter stands for the separator of a table of one column.
CELL_CHARACTERS = st.characters(exclude_characters="\r\0\x1a\ufeff\uffff", exclude_categories=["Cs"])
# Separators and quotation marks are frequent.
# \N alone is a missing value.
CELL = st.text(st.one_of(st.sampled_from(",;|\t\"'\n \\ab"), CELL_CHARACTERS), max_size=12).filter(
    lambda text: text.strip() != "\\N"
)
# An empty label is missing, and a row of blank cells is a blank row.
LABEL = st.text(st.sampled_from("abc,;| "), min_size=1, max_size=3).filter(str.strip)

DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
        # Not "\r" alone: Python's writer would leave a line feed within a cell without quotation marks.
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
    }
)
HEADER = ["id", "text", "kind"]
OPTIONS = ReadOptions(("text",), "kind")


def table_of(rows: list, **dialect) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, **dialect).writerows(rows)
    return file.getvalue()


def read(content: str, delimiter: str, options: ReadOptions, block: int = 1 << 20) -> list:
    translated = content.replace("\r\n", "\n").replace("\r", "\n")
    blocks = (translated[k : k + block] for k in range(0, len(translated), block))
    return list(read_table(lines_of(blocks), delimiter, "a.csv", options, Findings()))


def broken_line_looks_like_rows(text: str) -> bool:
    """Whether a reader cannot tell lines of a text from rows: see ``Rows._swallows``."""
    return text.count("\n") > 1 and any(mark in text for mark in ",;|\t")


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, LABEL), max_size=8),
    dialect=DIALECTS,
    ending=st.sampled_from(",\t"),
    block=st.sampled_from([3, 17, 1 << 20]),
)
@example([("\\", ";a")], {"delimiter": ";", "quoting": csv.QUOTE_ALL, "lineterminator": "\n"}, ",", 3)
def test_tables_with_doubled_marks(rows, dialect, ending, block):
    assume(not any(broken_line_looks_like_rows(text) for text, _ in rows))
    content = table_of([HEADER, *([k, *row] for k, row in enumerate(rows))], **dialect)
    assert read(content, ending, OPTIONS, block) == [Example(*row) for row in rows]
    told = OPTIONS._replace(delimiter=dialect["delimiter"])
    assert read(content, ending, told, block) == [Example(*row) for row in rows]


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL.filter(lambda text: "\n" not in text), LABEL), min_size=1, max_size=8),
    dialect=DIALECTS,
)
def test_tables_with_backslashes(rows, dialect):
    # At least one mark is escaped: nothing else says that a backslash is one.
    content = table_of(
        [HEADER, *([k, *row] for k, row in enumerate(rows)), ["9", '"\\",', "z"]],
        **dialect,
        doublequote=False,
        escapechar="\\",
    )
    expected = [Example(*row) for row in [*rows, ('"\\",', "z")]]
    assert read(content, ",", OPTIONS) == expected


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8),
    dialect=DIALECTS,
)
def test_tables_without_a_header_whose_separator_is_named(rows, dialect):
    assume(not any(broken_line_looks_like_rows(cell) for row in rows for cell in row))
    assume(all(any(cell.strip() for cell in row) for row in rows))
    options = ReadOptions(("3", "1"), delimiter=dialect["delimiter"])
    assert read(table_of(rows, **dialect), ",", options) == [f"{row[2]} {row[0]}" for row in rows]


# What looks as if it were encoded twice is decoded twice.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda text: encoded_once(text) == text)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(), "text": TEXT, "kind": TEXT | st.integers() | st.booleans() | st.floats(allow_nan=False)}
    ),
    min_size=1,
    max_size=6,
)
SHAPES = {
    "lines": lambda records, indent: "\n".join(json.dumps(record, indent=indent) for record in records),
    "list": lambda records, indent: json.dumps(records, indent=indent),
    "columns": lambda records, indent: json.dumps(
        {key: [r[key] for r in records] for key in records[0]}, indent=indent
    ),
    "indexed columns": lambda records, indent: json.dumps(
        {key: {k: r[key] for k, r in enumerate(records)} for key in records[0]}, indent=indent
    ),
    "by id": lambda records, indent: json.dumps({f"r{k}": record for k, record in enumerate(records)}, indent=indent),
    "one list within": lambda records, indent: json.dumps({"version": 1, "data": records}, indent=indent),
}


@settings(max_examples=300, deadline=None)
@given(
    records=RECORDS, shape=st.sampled_from(list(SHAPES)), indent=st.sampled_from([None, 0, 1]), block=st.integers(1, 99)
)
def test_json_of_every_shape(records, shape, indent, block):
    content = SHAPES[shape](records, indent)
    blocks = (content[k : k + block] for k in range(0, len(content), block))
    expected = [Example(record["text"], str(record["kind"])) for record in records]
    assert list(read_json(blocks, "a.json", OPTIONS, Findings())) == expected


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXT, TEXT), max_size=8),
    compression=st.sampled_from(["none", "snappy", "gzip", "zstd"]),
    dictionary=st.booleans(),
)
def test_parquet(rows, compression, dictionary):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, kinds = pa.array([row[0] for row in rows], pa.string()), pa.array([row[1] for row in rows], pa.string())
    table = pa.table({"kind": kinds.dictionary_encode() if dictionary else kinds, "text": texts})
    file = io.BytesIO()
    pq.write_table(table, file, compression=compression)
    read_back = list(read_parquet(iter([file.getvalue()]), "a.parquet", OPTIONS, Findings()))
    assert read_back == [Example(*row) for row in rows]
