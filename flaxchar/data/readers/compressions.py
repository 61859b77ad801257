"""Compressed files: gzip, bzip2, xz and zstd, told by their first bytes or by their endings."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from typing import Any, NamedTuple


class Compression(NamedTuple):
    """A way in which a single file is compressed.

    Attributes:
      kind: for messages: "gzip file".
      magic: the first bytes of such a file.
      endings: its endings, and what each stands for within: ``.tgz`` is ``.tar`` compressed.
      open: makes a file of the uncompressed bytes from a file of the compressed ones.
    """

    kind: str
    magic: bytes
    endings: dict[str, str]
    open: Callable[[Any], Any]


def _open_zstd(file: Any) -> Any:
    try:
        from compression import zstd
    except ImportError:  # Python before 3.14
        from backports import zstd
    # Dumps of Reddit refer back over 2 GB. The library refuses more than 128 MB unless it is told otherwise.
    longest = zstd.DecompressionParameter.window_log_max
    return zstd.ZstdFile(file, options={longest: longest.bounds()[1]})


_BZIP2 = Compression("bzip2 file", b"BZh", {".bz2": "", ".tbz2": ".tar", ".tbz": ".tar"}, bz2.BZ2File)
_ALL = (
    Compression("gzip file", b"\x1f\x8b", {".gz": "", ".tgz": ".tar"}, lambda file: gzip.GzipFile(fileobj=file)),
    _BZIP2,
    Compression("xz file", b"\xfd7zXZ\0", {".xz": "", ".txz": ".tar", ".lzma": ""}, lzma.LZMAFile),
    Compression("zstd file", b"\x28\xb5\x2f\xfd", {".zst": "", ".zstd": "", ".tzst": ".tar"}, _open_zstd),
)
# "BZh" may begin a text. In a compressed file, a digit and then the mark of a block or of the end follows.
_AFTER_BZH = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")


def compression_of(head: bytes) -> Compression | None:
    """How a file is compressed, by its first bytes; None for other files."""
    for compression in _ALL:
        if head.startswith(compression.magic) and (compression is not _BZIP2 or head[4:10] in _AFTER_BZH):
            return compression
    return None


def compression_named(name: str) -> Compression | None:
    """How a file is compressed, by its ending; None for other files."""
    return next((each for each in _ALL if name.lower().endswith(tuple(each.endings))), None)


def uncompressed_name(name: str) -> str:
    """A name without the ending of a compression: ``posts.CSV.gz`` → ``posts.CSV``, ``posts.tgz`` → ``posts.tar``."""
    for compression in _ALL:
        for ending, inner in compression.endings.items():
            if name.lower().endswith(ending):
                return name[: -len(ending)] + inner
    return name
