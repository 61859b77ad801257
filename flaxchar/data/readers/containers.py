"""Compressed files and archives: from a path to the streams of bytes of the files in it.

Nothing is written under a name of its own: a compressed file is read a block at a time, an archive member by member.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, NamedTuple

from flaxchar.config import InputError
from flaxchar.data.readers.choose import Entry, choose
from flaxchar.data.readers.compressions import compression_named, compression_of, uncompressed_name
from flaxchar.data.readers.formats import is_archive
from flaxchar.data.readers.reading import STDIN, Findings, ReadOptions, shown
from flaxchar.data.readers.signatures import HEAD, unreadable, zip_document
from flaxchar.data.texts import BLOCK, LARGE
from flaxchar.storage import scratch_file

# Archives in archives and twice compressed files: deeper ones are made to do harm.
_MOST_LAYERS = 6
_MEMBER = "file of the archive"
_TAR_MAGIC = slice(257, 262)


class Stream(io.RawIOBase):
    """The bytes of a file, the first of which can be looked at before they are read.

    Attributes:
      head: the first ``HEAD`` bytes, or all there are.
    """

    def __init__(self, file: BinaryIO, name: str, kind: str = "") -> None:
        self._file, self._name, self._kind = file, name, kind
        self.head = self._read(HEAD)
        self._position = 0  # of the next byte, while that is one of ``head``

    def blocks(self) -> Iterator[bytes]:
        """All the bytes, a block at a time."""
        first = self.head + self._read(max(0, BLOCK - len(self.head)))
        for start in range(0, len(first), BLOCK):
            yield first[start : start + BLOCK]
        while block := self._read(BLOCK):
            yield block

    def readable(self) -> bool:
        """True: libraries ask for it."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer, as libraries do that take a file."""
        data = self.head[self._position : self._position + len(buffer)]
        self._position += len(data)
        data = data or self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seekable_file(self) -> BinaryIO:
        """The same bytes as a file that can be read in any order: the file itself, or a nameless copy of it."""
        if isinstance(self._file, io.BufferedReader) and self._file.seekable() and not self._kind:
            self._file.seek(0)
            return self._file
        copy: BinaryIO = io.BytesIO()
        for block in self.blocks():
            if isinstance(copy, io.BytesIO) and copy.tell() + len(block) > LARGE:
                file = scratch_file()
                file.write(copy.getbuffer())
                copy = file
            with reading(self._name, self._kind):
                copy.write(block)
        copy.seek(0)
        return copy

    def _read(self, size: int) -> bytes:
        with reading(self._name, self._kind):
            return self._file.read(size)


class OpenFile(NamedTuple):
    """A file that is no container, opened.

    Attributes:
      name: for messages: the path, and within an archive the member: "posts.zip: a/b.csv".
      ending: the file's own name without the endings of compression; it tells the format.
      stream: its bytes.
    """

    name: str
    ending: str
    stream: Stream


def open_files(path: str, options: ReadOptions, findings: Findings) -> Iterator[OpenFile]:
    """Open a file and, where it is compressed or an archive, the files in it, one after another.

    Args:
      path: a file, or ``-`` for standard input.
      options: what the user said, which decides what is taken from an archive.
      findings: told what is left out of an archive.

    Raises:
      InputError: a file is missing, damaged, empty as an archive, or protected by a password.
    """
    name = shown(path)
    if path == STDIN:
        yield from _unpack(Stream(sys.stdin.buffer, name), name, "", options, findings)
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
    with file:
        yield from _unpack(Stream(file, name), name, path, options, findings)


@contextlib.contextmanager
def reading(name: str, kind: str) -> Iterator[None]:
    """Turn whatever a file's decompressor or archive reader raises into an ``InputError``.

    Args:
      name: the file, for messages.
      kind: what it should be, such as ``"gzip file"``; empty for a file that is read as it is.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        # Decompressors raise OSError without a number for damaged data; archives lead to seeks that cannot be done.
        if error.strerror and not (kind and isinstance(error, io.UnsupportedOperation)):
            raise InputError(f"{name} cannot be read: {error.strerror}") from error
        raise _damaged(name, kind) from error
    except EOFError as error:
        raise InputError(f"{name} is not a whole {kind}: its end is missing") from error
    except NotImplementedError as error:
        raise InputError(f"{name} is packed in a way that cannot be read here; pack it anew") from error
    except Exception as error:
        # What the libraries raise for damaged data is documented for none of them, and there is a lot.
        if not kind:
            raise
        raise _damaged(name, kind) from error


def _damaged(name: str, kind: str) -> InputError:
    return InputError(f"{name} is not a whole {kind or 'file'}: it is damaged")


# -- archives ---------------------------------------------------------------------------------------------------------


def _unpack(
    stream: Stream, name: str, ending: str, options: ReadOptions, findings: Findings, layer: int = 0
) -> Iterator[OpenFile]:
    if layer > _MOST_LAYERS:
        raise InputError(f"{name} holds more than {_MOST_LAYERS} archives or compressed files in one another")
    compression = compression_of(stream.head)
    if compression is not None:
        if compression_named(ending) is not compression:
            findings.note(f"{name} is unpacked as a {compression.kind}, by its first bytes")
        file = io.BufferedReader(stream, HEAD)
        with reading(name, compression.kind):
            opened = compression.open(file)
        inner = Stream(opened, name, compression.kind)
        yield from _unpack(inner, name, uncompressed_name(ending), options, findings, layer + 1)
    elif stream.head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if not is_archive(ending):
            findings.note(f"{name} is unpacked as a zip file, by its first bytes")
        yield from _members(_ZipArchive(stream.seekable_file(), name), name, options, findings, layer)
    elif (
        (is_archive(ending) or compression_named(ending))
        and stream.head[_TAR_MAGIC] != b"ustar"
        and (kind := unreadable(stream.head)) is not None
    ):
        raise InputError(f"{name} is {kind.name}; {kind.advice}")
    elif stream.head[_TAR_MAGIC] == b"ustar" or (stream.head and ending.lower().endswith(".tar")):
        if not is_archive(ending):
            findings.note(f"{name} is unpacked as a tar file, by its first bytes")
        yield from _members(_TarArchive(stream.seekable_file(), name), name, options, findings, layer)
    elif stream.head and ending.lower().endswith(".zip"):
        raise _damaged(name, "zip file")
    elif stream.head and (named := compression_named(ending)) is not None:
        raise InputError(
            f"{name} is not a whole {named.kind}, by its first bytes; if it is not compressed, take away the ending"
        )
    else:
        yield OpenFile(name, ending, stream)


def _members(
    archive: _ZipArchive | _TarArchive, name: str, options: ReadOptions, findings: Findings, layer: int
) -> Iterator[OpenFile]:
    if not archive.members:
        raise InputError(f"{name} is an empty archive; it holds no file")

    def head(member: str) -> bytes:
        with contextlib.closing(archive.open(member)) as file:
            return Stream(file, f"{name}: {member}", _MEMBER).head

    entries = [Entry(member, size, partial(head, member)) for member, size in archive.members.items()]
    for member in choose(entries, f"the archive {name}", options, findings):
        label = f"{name}: {member}"
        with contextlib.closing(archive.open(member)) as file:
            yield from _unpack(Stream(file, label, _MEMBER), label, member, options, findings, layer + 1)


class _ZipArchive:
    """A zip file: the names and sizes of the files in it, sorted by name."""

    kind = "zip file"

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        with reading(name, self.kind):
            self._archive = zipfile.ZipFile(file)
            found = {info.filename: info for info in self._archive.infolist() if not info.is_dir()}
            self._infos = dict(sorted(found.items()))
            mimetype = b""
            if (info := found.get("mimetype")) is not None and not info.flag_bits & 1:
                with self._archive.open(info) as content:
                    mimetype = content.read(100)
        if (document := zip_document(found, mimetype)) is not None:
            raise InputError(f"{name} is {document.name}; {document.advice}")
        self.members = {member: info.file_size for member, info in self._infos.items()}

    def open(self, member: str) -> BinaryIO:
        info = self._infos[member]
        if info.flag_bits & 1:
            raise InputError(f"{self._name} is protected by a password; unpack it and give the files in it")
        with reading(f"{self._name}: {member}", _MEMBER):
            return self._archive.open(info)  # type: ignore[return-value]


class _TarArchive:
    """A tar file: the names and sizes of the files in it, sorted by name."""

    kind = "tar file"

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        with reading(name, self.kind):
            self._archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - opens no file
            found = {info.name: info for info in self._archive if info.isfile()}
            # The module takes a damaged header for the end of the archive.
            file.seek(self._archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise _damaged(name, self.kind)
        self._infos = dict(sorted(found.items()))
        self.members = {member: info.size for member, info in self._infos.items()}

    def open(self, member: str) -> BinaryIO:
        with reading(f"{self._name}: {member}", _MEMBER):
            return self._archive.extractfile(self._infos[member])  # type: ignore[return-value]
