"""Files of records that people bring: what the table of formats in the documentation is made from.

Each case is a title, the name of a file, its bytes, and what the user says of it (``ReadOptions``).
"""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

HEADER = "id,text,kind\n"
ROWS = "".join(f"{k},row {k},x\n" for k in range(1, 6))
RECORDS: list[dict[str, Any]] = [{"text": "one", "kind": 4.5}, {"text": "two", "kind": True}]
TEXT: dict[str, Any] = {"fields": ("text",)}
KIND: dict[str, Any] = {**TEXT, "label_field": "kind"}


class RecordCase(NamedTuple):
    """One file and the options to read it with."""

    title: str
    name: str
    content: bytes
    options: dict[str, Any]


def _parquet(columns: dict[str, list]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _case(title: str, name: str, content: str | bytes | list | dict, options: dict[str, Any]) -> RecordCase:
    if isinstance(content, list | dict):
        content = json.dumps(content, indent=1)
    return RecordCase(title, name, content.encode() if isinstance(content, str) else content, options)


CASES = [
    _case("commas, doubled quotation marks, a line break in a field", "a.csv", 'id,text\n1,"a ""b"", c\nd"\n', TEXT),
    _case("semicolons", "export.csv", "id;text\n1;so, yes\n2;no\n", TEXT),
    _case("tabs in a .csv file", "export.csv", "id\ttext\n1\tso, yes\n", TEXT),
    _case("vertical bars, by number", "export.csv", "1|so, yes\n2|no\n", {"fields": ("2",)}),
    _case("decimal commas", "export.csv", "1;foo;3,50\n2;bar;4,20\n", {"fields": ("2",)}),
    _case("Excel's line that names the separator", "export.csv", "sep=;\nid;text\n1;so, yes\n", TEXT),
    _case("backslashes before quotation marks", "reviews.csv", 'id,text\n1,"a \\"b, c\\" d"\n2,e\n', TEXT),
    _case("spaces after separators", "a.csv", 'id, text\n1, "so, yes"\n', TEXT),
    _case("a quotation mark that is never closed", "notes.csv", f'{HEADER}{ROWS}6,"open,x\n{ROWS}', TEXT),
    _case("quotation marks that are text", "notes.tsv", 'id\ttext\n1\t"A" a\n2\t"B" b\n3\t"C" c\n', TEXT),
    _case("one column with bare commas", "poem.csv", "text\nHello, world\nYes\n", TEXT),
    _case("a bare comma in a text", "a.csv", f"{HEADER}{ROWS}6,so, yes,x\n{ROWS}", TEXT),
    _case("the same, bad rows skipped", "a.csv", f"{HEADER}{ROWS}6,so, yes,x\n{ROWS}", {**TEXT, "skip_bad_rows": True}),
    _case("a row with too few columns", "a.csv", f"{HEADER}{ROWS}6,so\nyes,x\n{ROWS}", TEXT),
    _case("missing cells after the text", "a.csv", "id,text,kind,note\n1,a,x\n2,b,y,z\n", TEXT),
    _case("joined files", "a.csv", f"{HEADER}{ROWS}\x1a\ufeff{HEADER}{ROWS}", TEXT),
    _case("a title above, blank rows, a footer below", "a.csv", f"Sales, 2021\n\n{HEADER}{ROWS}\nTotal 5 rows\n", TEXT),
    _case("an empty label", "a.csv", f"{HEADER}{ROWS}6,row 6,\n", KIND),
    _case("no such column", "a.csv", f"{HEADER}{ROWS}", {"fields": ("body",)}),
    _case("JSON lines, labels that are numbers and truth values", "a.jsonl", "\n".join(map(json.dumps, RECORDS)), KIND),
    _case("a list of objects", "a.json", RECORDS, TEXT),
    _case("a list of strings", "a.json", ["one", "two"], {}),
    _case("an object of columns", "a.json", {"text": ["one", "two"], "kind": [1, None]}, KIND),
    _case("pandas, orient='columns'", "a.json", {"text": {"0": "one", "1": "two"}, "kind": {"0": 1, "1": 2}}, KIND),
    _case("pandas, orient='split'", "a.json", {"columns": ["text"], "index": [0], "data": [["one"]]}, TEXT),
    _case("records by their id", "a.json", {"r1": RECORDS[0], "r2": RECORDS[1]}, TEXT),
    _case("an object that holds one list of records", "a.json", {"version": 1, "rows": RECORDS}, TEXT),
    _case("a key within an object", "a.jsonl", '{"user": {"name": "Ann"}}\n', {"fields": ("user.name",)}),
    _case("a single key with strings", "a.jsonl", '{"n": 1, "body": "one"}\n', {}),
    _case("half of a surrogate pair", "a.jsonl", '{"text": "a \\ud83d"}\n', {}),
    _case("null as a label", "a.jsonl", '{"text": "a", "kind": "x"}\n{"text": "b", "kind": null}\n', KIND),
    _case("a list as a label", "a.jsonl", '{"text": "a", "kind": ["x", "y"]}\n', KIND),
    _case("chat messages", "chat.jsonl", '{"messages": [{"role": "user", "content": "Hi"}]}\n' * 2, {}),
    _case("numbers as texts", "a.jsonl", '{"text": 1}\n', {}),
    _case("a broken line", "a.jsonl", '{"text": "a"}\n{"text": "b\n', {}),
    _case("Parquet", "a.parquet", _parquet({"text": ["one", "two"], "kind": [4.5, None]}), KIND),
    _case("Parquet without such a column", "a.parquet", _parquet({"n": [1], "body": ["one"]}), {"fields": ("text",)}),
    _case("damaged Parquet", "a.parquet", _parquet({"text": ["one"]})[:-9], TEXT),
]
