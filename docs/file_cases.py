"""Example files of every kind, from which docs/files.md is made."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq


class Case(NamedTuple):
    """A file to write and read.

    Attributes:
      title: a description of the file, for the table.
      name: the file's name; a name that ends in ``/`` is a folder, which is read as a whole.
      content: the bytes of the file, or for a folder the bytes of each file in it, by name.
      options: the arguments of ``ReadOptions``.
    """

    title: str
    name: str
    content: bytes | dict[str, bytes]
    options: Mapping[str, Any] = MappingProxyType({})


def _tar(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _zip(files: dict[str, bytes], encrypted: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    data = bytearray(file.getvalue())
    for header, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + at] |= encrypted
    return bytes(data)


def _zstd(content: bytes) -> bytes:
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd.compress(content)


_HEADER = "id,text,kind\n"
_ROWS = "".join(f"{k},row {k},x\n" for k in range(1, 6))
_RECORDS: list[dict[str, Any]] = [{"text": "one", "kind": 4.5}, {"text": "two", "kind": True}]
_FIELD: dict[str, Any] = {"fields": ("text",)}
_LABELLED: dict[str, Any] = {**_FIELD, "label_field": "kind"}


def _parquet(columns: dict[str, list]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _case(title: str, name: str, content: str | bytes | list | dict, options: dict[str, Any]) -> Case:
    if isinstance(content, list | dict):
        content = json.dumps(content, indent=1)
    return Case(title, name, content.encode() if isinstance(content, str) else content, options)


_TEXT = "Zoë was here.\nIt was late.\n".encode()
_TABLE = b"title,year\nRain,1999\nSnow,2001\n"
_LINES = b'{"text": "Rain"}\n{"text": "Snow"}\n'
_FILES = {"b/2.txt": b"It was late.\n", "a/1.txt": b"Rain.\n", "__MACOSX/._1.txt": b"\0", "empty.txt": b""}
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_POLISH = "Wczoraj poszedłem do sklepu, żeby kupić chleb.\n"
_RUSSIAN = "Вчера вечером я пошёл в магазин.\n"
_TITLE = {"fields": ("title",)}

SECTIONS: dict[str, list[Case]] = {
    "Plain text": [
        Case("plain text", "poems.txt", _TEXT),
        Case("other endings of plain text", "notes.md", _TEXT),
        Case("no ending", "poems", _TEXT),
        Case("an unknown ending", "poems.dat", _TEXT),
        Case("line ends of Windows and of old Macs", "poems.txt", b"Rain.\r\nSnow.\rWind.\n"),
        Case("an empty file", "poems.txt", b""),
    ],
    "Tables": [
        Case("commas", "posts.csv", _TABLE, _TITLE),
        Case("tabs", "posts.tsv", _TABLE.replace(b",", b"\t"), _TITLE),
        Case("a table with the ending .txt", "posts.txt", _TABLE, _TITLE),
        Case("an unknown ending, with the format named", "posts.dat", _TABLE, {"fields": ("1",), "format": "csv"}),
        _case(
            "commas, doubled quotation marks, a line break in a field", "a.csv", 'id,text\n1,"a ""b"", c\nd"\n', _FIELD
        ),
        _case("semicolons", "export.csv", "id;text\n1;so, yes\n2;no\n", _FIELD),
        _case("tabs in a .csv file", "export.csv", "id\ttext\n1\tso, yes\n", _FIELD),
        _case("vertical bars, the column named by its number", "export.csv", "1|so, yes\n2|no\n", {"fields": ("2",)}),
        _case("decimal commas", "export.csv", "1;foo;3,50\n2;bar;4,20\n", {"fields": ("2",)}),
        _case("Excel's line that names the separator", "export.csv", "sep=;\nid;text\n1;so, yes\n", _FIELD),
        _case("backslashes before quotation marks", "reviews.csv", 'id,text\n1,"a \\"b, c\\" d"\n2,e\n', _FIELD),
        _case("single quotation marks", "a.csv", "id,text\n1,'so'\n2,'yes'\n3,'no'\n", _FIELD),
        _case("spaces after separators", "a.csv", 'id, text\n1, "so, yes"\n', _FIELD),
        _case("a quotation mark that is never closed", "notes.csv", f'{_HEADER}{_ROWS}6,"open,x\n{_ROWS}', _FIELD),
        _case("bare quotation marks in a field", "a.csv", f'{_HEADER}{_ROWS}6,"so "he", said",x\n{_ROWS}', _FIELD),
        _case("quotation marks that are text", "notes.tsv", 'id\ttext\n1\t"A" a\n2\t"B" b\n3\t"C" c\n', _FIELD),
        _case("one column with bare commas", "poem.csv", "text\nHello, world\nYes\n", _FIELD),
        _case("a bare comma in a text", "a.csv", f"{_HEADER}{_ROWS}6,so, yes,x\n{_ROWS}", _FIELD),
        _case(
            "the same, with bad rows skipped",
            "a.csv",
            f"{_HEADER}{_ROWS}6,so, yes,x\n{_ROWS}",
            {**_FIELD, "skip_bad_rows": True},
        ),
        _case(
            "a row that ends in the column of the text, where it may be cut off",
            "a.csv",
            f"{_HEADER}{_ROWS}6,so\nyes,x\n{_ROWS}",
            _FIELD,
        ),
        _case("a row that ends after the text", "a.csv", "id,text,kind,note\n1,a,x\n2,b,y,z\n", _FIELD),
        _case("joined files", "a.csv", f"{_HEADER}{_ROWS}\x1a\ufeff{_HEADER}{_ROWS}", _FIELD),
        _case(
            "a title above, blank rows, a footer below",
            "a.csv",
            f"Sales, 2021\n\n{_HEADER}{_ROWS}\nTotal 5 rows\n",
            _FIELD,
        ),
        _case("columns without a name", "spam.csv", "v1,v2,,\nham,Rain,,\nham,Snow, so much,\n", {"fields": ("v2",)}),
        _case("an empty label", "a.csv", f"{_HEADER}{_ROWS}6,row 6,\n", _LABELLED),
        _case("no such column", "a.csv", f"{_HEADER}{_ROWS}", {"fields": ("body",)}),
    ],
    "JSON": [
        Case("JSON lines", "posts.jsonl", _LINES),
        Case("JSON lines with the ending .ndjson", "posts.ndjson", _LINES),
        Case("JSON with an unknown ending", "posts.dat", _LINES),
        _case(
            "JSON lines, labels that are numbers and truth values",
            "a.jsonl",
            "\n".join(map(json.dumps, _RECORDS)),
            _LABELLED,
        ),
        _case("a list of objects", "a.json", _RECORDS, _FIELD),
        _case("a list of strings", "a.json", ["one", "two"], {}),
        _case("an object of columns", "a.json", {"text": ["one", "two"], "kind": [1, None]}, _LABELLED),
        _case(
            "pandas, orient='columns'",
            "a.json",
            {"text": {"0": "one", "1": "two"}, "kind": {"0": 1, "1": 2}},
            _LABELLED,
        ),
        _case("pandas, orient='split'", "a.json", {"columns": ["text"], "index": [0], "data": [["one"]]}, _FIELD),
        _case("records by their id", "a.json", {"r1": _RECORDS[0], "r2": _RECORDS[1]}, _FIELD),
        _case("an object that holds one list of records", "a.json", {"version": 1, "rows": _RECORDS}, _FIELD),
        _case("a key within an object", "a.jsonl", '{"user": {"name": "Ann"}}\n', {"fields": ("user.name",)}),
        _case("a single key with strings", "a.jsonl", '{"n": 1, "body": "one"}\n', {}),
        _case("half of a surrogate pair", "a.jsonl", '{"text": "a \\ud83d"}\n', {}),
        _case("null as a label", "a.jsonl", '{"text": "a", "kind": "x"}\n{"text": "b", "kind": null}\n', _LABELLED),
        _case("a list as a label", "a.jsonl", '{"text": "a", "kind": ["x", "y"]}\n', _LABELLED),
        _case("chat messages", "chat.jsonl", '{"messages": [{"role": "user", "content": "Hi"}]}\n' * 2, {}),
        _case("numbers as texts", "a.jsonl", '{"text": 1}\n', {}),
        _case(
            "Facebook's and Instagram's exports",
            "message_1.json",
            {
                "participants": [{"name": "Zo\u00c3\u00ab"}],
                "messages": [
                    {
                        "sender_name": "Zo\u00c3\u00ab",
                        "content": "d\u00c3\u00a9j\u00c3\u00a0 vu \u00f0\u009f\u0091\u008d",
                    }
                ],
            },
            {"fields": ("content",), "label_field": "sender_name"},
        ),
        _case(
            "Twitter's archive",
            "tweets.js",
            'window.YTD.tweets.part0 = [\n  {"tweet": {"id": "1", "full_text": "Rain"}}\n]\n',
            {"fields": ("tweet.full_text",)},
        ),
        _case(
            "Telegram's export",
            "result.json",
            {
                "messages": [
                    {"id": 1, "text": ["See ", {"type": "link", "text": "example.org"}]},
                    {"id": 2, "text": "Hi"},
                ]
            },
            {},
        ),
        _case("what Python prints", "a.jsonl", "{'text': 'a'}\n{'text': 'b'}\n", {}),
        _case("a broken line", "a.jsonl", '{"text": "a"}\n{"text": "b\n', {}),
    ],
    "Parquet": [
        _case("Parquet", "a.parquet", _parquet({"text": ["one", "two"], "kind": [4.5, None]}), _LABELLED),
        _case(
            "Parquet without such a column", "a.parquet", _parquet({"n": [1], "body": ["one"]}), {"fields": ("text",)}
        ),
        Case(
            "a key of objects in Parquet",
            "a.parquet",
            _parquet({"translation": [{"en": "Yes", "de": "Ja"}]}),
            {"fields": ("translation.de",)},
        ),
        _case("damaged Parquet", "a.parquet", _parquet({"text": ["one"]})[:-9], _FIELD),
    ],
    "Compressed files and archives": [
        Case("gzip", "poems.txt.gz", gzip.compress(_TEXT)),
        Case("bzip2", "poems.txt.bz2", bz2.compress(_TEXT)),
        Case("xz", "poems.txt.xz", lzma.compress(_TEXT)),
        Case("zstd", "poems.txt.zst", _zstd(_TEXT)),
        Case("gzip without its ending", "poems.txt", gzip.compress(_TEXT)),
        Case("a table in gzip", "posts.csv.gz", gzip.compress(_TABLE), _TITLE),
        Case("zip", "poems.zip", _zip(_FILES)),
        Case("tar", "poems.tar", _tar(_FILES)),
        Case("tar, compressed", "poems.tar.xz", lzma.compress(_tar(_FILES))),
        Case("an archive in an archive", "all.zip", _zip({"poems.tgz": gzip.compress(_tar(_FILES))})),
        Case("a file that is cut short", "poems.txt.gz", gzip.compress(_TEXT)[:-9]),
        Case("a file that is not compressed", "poems.txt.gz", _TEXT),
        Case("a damaged archive", "poems.zip", _zip(_FILES)[:-30]),
        Case("an archive with a password", "poems.zip", _zip({"a.txt": _TEXT}, encrypted=True)),
        Case("an empty archive", "poems.tar", _tar({})),
    ],
    "Encodings": [
        Case("UTF-8 with a byte order mark", "poems.txt", b"\xef\xbb\xbf" + _TEXT),
        Case("UTF-16", "poems.txt", _TEXT.decode().encode("utf-16")),
        Case("UTF-32", "poems.txt", _TEXT.decode().encode("utf-32")),
        Case("UTF-16 without its mark", "poems.txt", _TEXT.decode().encode("utf-16-le")),
        Case("Western European", "poems.txt", _TEXT.decode().encode("cp1252")),
        Case("the same, with the encoding named", "poems.txt", _TEXT.decode().encode("cp1252"), {"encoding": "cp1252"}),
        Case("Central European", "poems.txt", _POLISH.encode("cp1250")),
        Case("Russian", "poems.txt", _RUSSIAN.encode("koi8_r")),
        Case("UTF-8 with a damaged byte", "poems.txt", "Größe und Maß, schön\n".encode() + b"caf\xe9\n"),
        Case("UTF-8 that is cut short", "poems.txt", "Größe und Maß".encode()[:-1]),
        Case("UTF-8 read as latin-1", "poems.txt", _TEXT, {"encoding": "latin-1"}),
        Case("UTF-8 read as ASCII", "poems.txt", _TEXT, {"encoding": "ascii"}),
        Case("an encoding that is not for text", "poems.txt", _TEXT, {"encoding": "base64"}),
        Case("zero bytes", "poems.txt", b"Ra\0in.\nSnow.\0\n"),
        Case("a list that ends each line with a zero byte", "names.txt", b"Anna K.\0Otto P.\0"),
        Case("joined files, each with its mark", "poems.txt", b"\xef\xbb\xbfRain.\n\xef\xbb\xbfSnow.\n"),
        Case("half of a surrogate pair", "poems.txt", b"Rain \xed\xa0\xbd.\n"),
        Case("the end-of-file sign of DOS", "poems.txt", b"Rain.\n\x1a"),
    ],
    "Folders": [
        Case("hidden, empty and unreadable files", "poems/", {**_FILES, ".DS_Store": b"\0", "cover.png": _PNG}),
        Case("a README beside tables", "posts/", {"README.md": b"About.\n", "posts.csv": _TABLE}, _TITLE),
        Case("a README beside JSON", "posts/", {"README.md": b"About.\n", "posts.jsonl": _LINES}),
        Case("tables among plain texts", "posts/", {"poem.txt": _TEXT, "posts.csv": _TABLE}),
        Case("only unknown endings", "pages/", {"a.html": b"<p>Rain\n", "b.html": b"<p>Snow\n"}),
        Case("only files without text", "scans/", {"a.png": _PNG, "b.png": _PNG, "c.pdf": b"%PDF-1.7\n"}),
        Case("an empty folder", "scans/", {}),
    ],
    "What holds no readable text": [
        Case("a picture", "cover.png", _PNG),
        Case("a picture with the ending .txt", "cover.txt", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        Case("PDF", "notes.pdf", b"%PDF-1.7\n%\xe2\xe3\n"),
        Case("Word", "notes.docx", _zip({"[Content_Types].xml": b"", "word/document.xml": b""})),
        Case("Excel", "posts.xlsx", _zip({"[Content_Types].xml": b"", "xl/workbook.xml": b""})),
        Case("OpenDocument", "notes.odt", _zip({"mimetype": b"application/vnd.oasis.opendocument.text"})),
        Case("e-book", "novel.epub", _zip({"mimetype": b"application/epub+zip"})),
        Case("old Word", "notes.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)),
        Case("RTF", "notes.rtf", b"{\\rtf1\\ansi Rain.}"),
        Case("database", "posts.db", b"SQLite format 3\0" + bytes(100)),
        Case("pickle", "posts.pkl", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x04Rain\x94."),
        Case("Jupyter notebook", "notes.ipynb", b'{\n "cells": [\n  {\n   "cell_type": "code",\n'),
        Case("Git LFS", "posts.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"),
        Case("Arrow", "posts.arrow", b"ARROW1\0\0"),
        Case("NumPy", "posts.npy", b"\x93NUMPY\x01\0"),
        Case("HDF5", "posts.h5", b"\x89HDF\r\n\x1a\n"),
        Case("program", "flaxchar", b"\x7fELF\x02\x01\x01\0"),
        Case("sound", "song.mp3", b"ID3\x03\0\0"),
        Case("video", "film.mp4", b"\0\0\0\x18ftypmp42"),
        Case("7-Zip", "poems.7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
        Case("other bytes", "poems.bin", bytes(range(256))),
    ],
}
