"""Write docs/files.md: what flaxchar reads and what it refuses, made by writing such files and reading them.

python docs/make_files_page.py
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from flaxchar.commands.flags import as_flags
from flaxchar.config import InputError
from flaxchar.data.files import read_files
from flaxchar.data.formats import endings
from flaxchar.data.reading import Findings, ReadOptions

PAGE = Path(__file__).with_name("files.md")
_SHOWN = 3


class Case(NamedTuple):
    """A file to write and read.

    Attributes:
      title: what it is.
      name: its name; a name with ``/`` lies in a folder, which is then read as a whole.
      content: its bytes, or for a folder those of each file in it, by name.
      options: what the user says, as ``ReadOptions`` takes it.
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
        Case("line ends of Windows and old Macs", "poems.txt", b"Rain.\r\nSnow.\rWind.\n"),
        Case("an empty file", "poems.txt", b""),
    ],
    "Tables": [
        Case("commas", "posts.csv", _TABLE, _TITLE),
        Case("tabs", "posts.tsv", _TABLE.replace(b",", b"\t"), _TITLE),
        Case("a table without a telling ending", "posts.txt", _TABLE, _TITLE),
        Case("the format said", "posts.dat", _TABLE, {"fields": ("1",), "format": "csv"}),
    ],
    "JSON": [
        Case("JSON lines", "posts.jsonl", _LINES),
        Case("JSON lines by another ending", "posts.ndjson", _LINES),
        Case("JSON without a telling ending", "posts.dat", _LINES),
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
        Case("cut short", "poems.txt.gz", gzip.compress(_TEXT)[:-9]),
        Case("a file that is not compressed", "poems.txt.gz", _TEXT),
        Case("a damaged archive", "poems.zip", _zip(_FILES)[:-30]),
        Case("a password", "poems.zip", _zip({"a.txt": _TEXT}, encrypted=True)),
        Case("an empty archive", "poems.tar", _tar({})),
    ],
    "Encodings": [
        Case("UTF-8 with a byte order mark", "poems.txt", b"\xef\xbb\xbf" + _TEXT),
        Case("UTF-16", "poems.txt", _TEXT.decode().encode("utf-16")),
        Case("UTF-32", "poems.txt", _TEXT.decode().encode("utf-32")),
        Case("UTF-16 without its mark", "poems.txt", _TEXT.decode().encode("utf-16-le")),
        Case("Western European", "poems.txt", _TEXT.decode().encode("cp1252")),
        Case("the same, as said", "poems.txt", _TEXT.decode().encode("cp1252"), {"encoding": "cp1252"}),
        Case("Central European", "poems.txt", _POLISH.encode("cp1250")),
        Case("Russian", "poems.txt", _RUSSIAN.encode("koi8_r")),
        Case("UTF-8 with a damaged byte", "poems.txt", "Größe und Maß, schön\n".encode() + b"caf\xe9\n"),
        Case("UTF-8 that is cut short", "poems.txt", "Größe und Maß".encode()[:-1]),
        Case("another encoding said", "poems.txt", _TEXT, {"encoding": "ascii"}),
        Case("no encoding of texts", "poems.txt", _TEXT, {"encoding": "base64"}),
        Case("zero bytes", "poems.txt", b"Ra\0in.\nSnow.\0\n"),
        Case("a list that ends each line with a zero byte", "names.txt", b"Anna K.\0Otto P.\0"),
        Case("joined files, each with its mark", "poems.txt", b"\xef\xbb\xbfRain.\n\xef\xbb\xbfSnow.\n"),
        Case("half of a surrogate pair", "poems.txt", b"Rain \xed\xa0\xbd.\n"),
        Case("the end-of-file sign of DOS", "poems.txt", b"Rain.\n\x1a"),
    ],
    "Folders": [
        Case("files of systems, and empty ones", "poems/", {**_FILES, ".DS_Store": b"\0", "cover.png": _PNG}),
        Case("a README beside tables", "posts/", {"README.md": b"About.\n", "posts.csv": _TABLE}, _TITLE),
        Case("a README beside JSON", "posts/", {"README.md": b"About.\n", "posts.jsonl": _LINES}),
        Case("tables among plain texts", "posts/", {"poem.txt": _TEXT, "posts.csv": _TABLE}),
        Case("unknown endings alone", "pages/", {"a.html": b"<p>Rain\n", "b.html": b"<p>Snow\n"}),
        Case("nothing to read", "scans/", {"a.png": _PNG, "b.png": _PNG, "c.pdf": b"%PDF-1.7\n"}),
        Case("nothing at all", "scans/", {}),
    ],
    "What holds no readable text": [
        Case("a picture", "cover.png", _PNG),
        Case("a picture by another name", "cover.txt", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        Case("PDF", "notes.pdf", b"%PDF-1.7\n%\xe2\xe3\n"),
        Case("Word", "notes.docx", _zip({"[Content_Types].xml": b"", "word/document.xml": b""})),
        Case("Excel", "posts.xlsx", _zip({"[Content_Types].xml": b"", "xl/workbook.xml": b""})),
        Case("OpenDocument", "notes.odt", _zip({"mimetype": b"application/vnd.oasis.opendocument.text"})),
        Case("e-book", "novel.epub", _zip({"mimetype": b"application/epub+zip"})),
        Case("old Word", "notes.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)),
        Case("RTF", "notes.rtf", b"{\\rtf1\\ansi Rain.}"),
        Case("database", "posts.db", b"SQLite format 3\0" + bytes(100)),
        Case("pickle", "posts.pkl", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x04Rain\x94."),
        Case("Arrow", "posts.arrow", b"ARROW1\0\0"),
        Case("NumPy", "posts.npy", b"\x93NUMPY\x01\0"),
        Case("HDF5", "posts.h5", b"\x89HDF\r\n\x1a\n"),
        Case("program", "flaxchar", b"\x7fELF\x02\x01\x01\0"),
        Case("sound", "song.mp3", b"ID3\x03\0\0"),
        Case("video", "film.mp4", b"\0\0\0\x18ftypmp42"),
        Case("another packed file", "poems.7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
        Case("any other bytes", "poems.bin", bytes(range(256))),
    ],
}


def page() -> str:
    """The text of the page."""
    lines = [
        "# Files that are read",
        "",
        "This page is made by `python docs/make_files_page.py`, which writes each file and reads it.",
        "",
        "The ending of a file tells its format, unless `--format` does:",
        "",
        *(f"- {kind}: {', '.join(names)}" for kind, names in endings().items()),
        "",
        "A file with another ending or none, and standard input, is told by its content: JSON and Parquet by how they",
        "begin, a table where `--fields` names columns that the first line has, and plain text otherwise. Any of them",
        "may be compressed (.gz, .bz2, .xz, .zst), be in an archive (.zip, .tar, .tar.gz, …) or in a folder.",
    ]
    for section, cases in SECTIONS.items():
        lines += ["", f"## {section}", "", "| file | name and flags | read as |", "|---|---|---|"]
        lines += [f"| {case.title} | {_named(case)} | {_outcome(case)} |" for case in cases]
    return "\n".join([*lines, ""])


def _named(case: Case) -> str:
    flags = [
        as_flags(f"`{name}={list(value) if isinstance(value, tuple) else value!r}`")
        for name, value in case.options.items()
    ]
    return f"`{' '.join([case.name, *flags])}`"


def _outcome(case: Case) -> str:
    """What comes of a file, for a cell of the table: its first texts and what is told, or the error."""
    findings = Findings()
    with _inside_folder():
        files = (
            {case.name: case.content}
            if isinstance(case.content, bytes)
            else {case.name + name: content for name, content in case.content.items()}
        )
        Path(case.name).parent.mkdir(exist_ok=True)
        if case.name.endswith("/"):
            Path(case.name).mkdir()
        for name, content in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)
        try:
            chunks = list(read_files([case.name.rstrip("/")], ReadOptions(**case.options), findings))
        except InputError as error:
            return _cell(f"**refused:** {as_flags(str(error))}")
    texts = [json.dumps(text, ensure_ascii=False) for chunk in chunks for text in chunk.texts]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    told = "".join(f"<br>*{as_flags(sentence)}*" for sentence in findings.sentences())
    return _cell((", ".join(texts[:_SHOWN]) or "no text") + more + told)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "").replace("__MACOSX", "\\_\\_MACOSX").replace("\n", " ")


@contextlib.contextmanager
def _inside_folder() -> Iterator[None]:
    """A new folder as the working directory, so that messages name files as a user would."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
