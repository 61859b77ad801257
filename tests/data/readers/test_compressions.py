"""Compressed files are told by their first bytes, and by their endings what is in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import pytest
from helpers import zstd_compress

from flaxchar.data.readers.compressions import compression_named, compression_of, uncompressed_name


@pytest.mark.parametrize(
    ("compress", "kind", "ending"),
    [
        (gzip.compress, "gzip file", ".gz"),
        (bz2.compress, "bzip2 file", ".bz2"),
        (lzma.compress, "xz file", ".xz"),
        (zstd_compress, "zstd file", ".zst"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"some text"])
def test_compressed_bytes_tell_how_to_open_them(compress, kind, ending, content):
    compression = compression_of(compress(content))
    assert compression.kind == kind
    assert compression.open(io.BytesIO(compress(content))).read() == content
    assert compression_named("A" + ending.upper()) is compression


def test_zstd_files_may_refer_back_over_two_gigabytes():
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    file = io.BytesIO()
    with zstd.ZstdFile(file, "w", options={zstd.CompressionParameter.window_log: 31}) as writer:
        writer.write(b"some text")
        writer.flush()  # so that the length is not known where the file begins
    file.seek(0)
    assert compression_of(file.getvalue()).open(file).read() == b"some text"


@pytest.mark.parametrize("text", [b"", b"BZh", b"BZh9 is the beginning of a text", b"PK"])
def test_texts_are_not_compressed(text):
    assert compression_of(text) is None


@pytest.mark.parametrize(
    ("name", "inner"),
    [("a.CSV.gz", "a.CSV"), ("a.TGZ", "a.tar"), ("a.tar.zst", "a.tar"), ("a.txt", "a.txt"), ("gz", "gz")],
)
def test_the_name_within(name, inner):
    assert uncompressed_name(name) == inner
