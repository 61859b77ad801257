"""Files that hold no readable text are told by their first bytes; texts are not mistaken for them."""

from __future__ import annotations

import io
import pickle
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers import read_texts, zipped
from hypothesis import given
from hypothesis import strategies as st

from flaxchar import InputError
from flaxchar.data.readers.signatures import unreadable, zip_document


def saved(write) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def arrow(new) -> bytes:
    table = pa.table({"text": ["a"]})

    def write(file):
        with new(file, table.schema) as writer:
            writer.write_table(table)

    return saved(write)


def database(tmp_path) -> bytes:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table t (a)")
    connection.close()
    return (tmp_path / "a.db").read_bytes()


@pytest.mark.parametrize(
    ("content", "name", "advice"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document", "pdftotext"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG picture", "text recognition"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture", "text recognition"),
        (b"GIF89a\x01\0", "a GIF picture", "text recognition"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP picture", "text recognition"),
        (b"BM\x36\x10\0\0\0\0\0\0\x36\0\0\0", "a BMP picture", "text recognition"),
        (b"\0\0\0\x18ftypmp42", "a video", "no text"),
        (b"ID3\x03\0", "an audio file", "no text"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "an audio file", "no text"),
        (b"{\\rtf1\\ansi", "an RTF document", "plain text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), "an old Office document", "plain text"),
        (b"MZ\x90\0\x03\0", "an executable file", "no text"),
        (b"\xcf\xfa\xed\xfe\x07\0", "an executable file", "no text"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", ".csv"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7z archive", "unpack"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive", "unpack"),
        (Path(sys.executable).read_bytes()[:4096], "an executable file", "no text"),
        *((pickle.dumps([["a"], {"b": 1}], protocol), "a Python pickle", ".jsonl") for protocol in range(2, 6)),
        (saved(lambda file: np.save(file, np.arange(3))), "a NumPy array", "plain text"),
        (saved(lambda file: np.savez(file, a=np.arange(3))), "a NumPy archive", "plain text"),
        (arrow(pa.ipc.new_file), "an Arrow file", ".parquet"),
        (arrow(pa.ipc.new_stream), "an Arrow file", ".parquet"),
        (zipped(("[Content_Types].xml", b""), ("word/document.xml", b"")), "a Word document", "pandoc"),
        (zipped(("[Content_Types].xml", b""), ("xl/workbook.xml", b"")), "an Excel workbook", ".csv"),
        (zipped(("[Content_Types].xml", b""), ("ppt/a.xml", b"")), "a PowerPoint presentation", "plain text"),
        (zipped(("mimetype", b"application/epub+zip")), "an EPUB e-book", "pandoc"),
        (zipped(("mimetype", b"application/vnd.oasis.opendocument.text")), "an OpenDocument text", "pandoc"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "a Git LFS pointer", "git lfs pull"),
        (b'{\n "cells": [\n  {\n   "cell_type": "code",\n', "a Jupyter notebook", "plain text"),
        (zipped(("META-INF/MANIFEST.MF", b""), ("A.class", b"")), "a Java archive", "no text"),
    ],
)
def test_the_kind_is_named_with_what_to_do_whatever_the_ending(tmp_path, content, name, advice):
    for ending in ("", ".txt", ".csv", ".bin"):
        path = tmp_path / f"a{ending}"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"a{ending} is {name}.*; .*{advice}") as told:
            read_texts([str(path)])
        assert "latin" not in str(told.value)
        assert "codec" not in str(told.value)


def test_a_database_is_named(tmp_path):
    assert unreadable(database(tmp_path)).name == "an SQLite database"


@given(st.text(st.characters(exclude_characters="\0\x01\x02\x03\x04\x05\x07", exclude_categories=["Cs"])))
def test_a_text_is_no_such_file(text):
    assume_none = (
        "%PDF-",
        "{\\rtf",
        "%!PS",
        "GIF8",
        "FEA1",
        "<stata_dta>",
        "!<arch>",
        "AT&TFORM",
        "#!AMR",
        "RDX",
        "RDA",
    )
    if not text.startswith(assume_none):
        assert unreadable(text.encode()) is None


@pytest.mark.parametrize(
    "text", ["MZ stands for Mark Zbikowski", "BM is a brand", "ID3 tags", "BZh", "PAR", "ORC\n", "PACK up"]
)
def test_words_that_look_like_signatures_are_text(write, text):
    assert read_texts([write("a", text)]) == text.split("\n")[:1]


def test_an_ordinary_archive_is_no_document():
    assert zip_document(["a.txt", "word/b.txt"], b"") is None
