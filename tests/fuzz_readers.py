"""Files of all kinds to change and read, and what reads them: for the fuzz tests and for ``fuzz_coverage.py``."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
from helpers import tarred, zipped, zstd_compress

from flaxchar import InputError
from flaxchar.data.readers.files import read_files, running_share
from flaxchar.data.readers.reading import Findings, ReadOptions

NAMES = (
    *("a", "a.txt", "a.md", "a.dat", "a.jl", "a.csv", "a.tsv", "a.psv", "a.json", "a.jsonl", "a.ndjson", "a.parquet"),
    *("a.zip", "a.tar", "a.tgz", "a.txt.gz", "a.csv.bz2", "a.json.xz", "a.jsonl.zst", "a.tar.gz", "a.tar.bz2"),
    *("a.tar.xz", "a.tar.zst", "a.parquet.gz", "a.gz.gz"),
)


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["Zoë", "b"], "label": ["x", "y"]}), file)
    return file.getvalue()


TEXT = "Zoë was here.\nIt was late.\n\n  And dark, “too”.\n".encode()
TABLE = 'title,text,label\n"a, b",Zoë,1\n"say ""no""","two\nlines",2\nplain,z,3\n'.encode()
RECORDS = [{"text": "Zoë", "title": None, "label": 1}, {"text": "b", "title": "c", "label": "x"}]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()
FILES = [
    b"",
    TEXT,
    TEXT.decode().encode("utf-16"),
    TEXT.decode().encode("utf-16-le"),
    TEXT.decode().encode("utf-32"),
    TEXT.decode().encode("cp1252"),
    TABLE,
    TABLE.replace(b",", b"\t"),
    LINES,
    json.dumps(RECORDS, indent=1).encode(),
    json.dumps({"text": ["a", "b"], "title": ["c", "d"]}).encode(),
    parquet(),
]
MEMBERS = (
    *(("b/a.txt", TEXT), ("a.csv", TABLE), ("c.jsonl", LINES)),
    *(("README", TEXT), (".DS_Store", b"\0\1"), ("e.txt", b"")),
)
ARCHIVES = [
    *(zipped(*MEMBERS), tarred(*MEMBERS), zipped(*MEMBERS[:1]), tarred(*MEMBERS[:1])),
    zipped(("a.zip", zipped(*MEMBERS)), ("b.tar", tarred(*MEMBERS[:2]))),
]
COMPRESS = [gzip.compress, bz2.compress, lzma.compress, zstd_compress]
COMPRESSED = [compress(content) for compress in COMPRESS for content in (TEXT, TABLE, LINES, ARCHIVES[1])]
VALID = [*FILES, *ARCHIVES, *COMPRESSED]


def read_file(path: str, options: ReadOptions) -> None:
    """Read a file in all the ways in which it is read; only ``InputError`` may come of it."""
    findings = Findings()
    with contextlib.suppress(InputError):
        for chunk in read_files([path], options, findings):
            for column in (chunk.texts, chunk.labels or (), chunk.sources or ()):
                for text in column:
                    text.encode()  # no half of a surrogate pair
        findings.sentences()
    with contextlib.suppress(InputError):
        running_share([path], options)
