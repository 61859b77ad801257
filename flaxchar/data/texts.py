"""Texts: many strings, written once and read in stretches, so that they need not fit in memory."""

from __future__ import annotations

import hashlib
import io
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import platformdirs

# Characters read or written at a time: bounds the memory that any pass over the texts needs.
STRETCH = 1 << 22
# What is larger than this, bytes, is kept in a file.
LARGE = 1 << 26


# A text with a class or a source is read as that, this, and the text; it is in no text of a file that is one.
BEFORE_END = "\0"


class Some(NamedTuple):
    """Some of the texts of a source, in order.

    Attributes:
      texts: the texts.
      complete: False where the last of them goes on in the first of the next.
    """

    texts: list[str]
    complete: bool = True


class Texts:
    """Many texts: iterated over, they are strings again.

    Their characters stand one after another, in memory or in a file; where each ends is told by ``lengths``.
    """

    def __init__(self) -> None:
        self._file: BinaryIO = io.BytesIO()
        self._sizes: list[int] = []  # bytes of each stretch
        self._lengths: list[np.ndarray] = []
        self._open = False

    @classmethod
    def of(cls, texts: Iterable[str] | Texts) -> Texts:
        """Texts of any strings."""
        if isinstance(texts, Texts):
            return texts
        result = cls()
        for some in grouped(texts):
            result.add(*some)
        return result

    def add(self, texts: Sequence[str], complete: bool = True) -> None:
        """Append some texts; unless ``complete``, the next one to be added continues the last."""
        if not texts:
            return
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        if self._open:
            self._lengths[-1][-1] += lengths[0]
            lengths = lengths[1:]
        if len(lengths):
            self._lengths.append(lengths)
        self._open = not complete
        self._write("".join(texts))

    def _write(self, characters: str) -> None:
        for start in range(0, len(characters), STRETCH):
            # A str may hold half of a surrogate pair, as Python makes of bytes it cannot decode.
            data = characters[start : start + STRETCH].encode("utf-8", "surrogatepass")
            self._file.seek(0, io.SEEK_END)
            self._file.write(data)
            self._sizes.append(len(data))
        if isinstance(self._file, io.BytesIO) and self._file.tell() > LARGE:
            file = scratch_file()
            file.write(self._file.getbuffer())
            self._file = file
            weakref.finalize(self, file.close)

    def __len__(self) -> int:
        return sum(map(len, self._lengths))

    @property
    def lengths(self) -> np.ndarray:
        """Characters of each text, int64 ``[texts]``."""
        if len(self._lengths) != 1:
            self._lengths = [np.concatenate([np.empty(0, np.int64), *self._lengths])]
        return self._lengths[0]

    @property
    def characters(self) -> int:
        """Characters of all the texts."""
        return sum(int(lengths.sum()) for lengths in self._lengths)

    def stretches(self) -> Iterator[str]:
        """The characters of all the texts, a stretch at a time; where one ends says nothing of where a text ends."""
        for data in self._stored():
            yield data.decode("utf-8", "surrogatepass")

    def code_points(self) -> Iterator[np.ndarray]:
        """As ``stretches``, as Unicode code points: uint8 where all are ASCII, else uint32."""
        for data in self._stored():
            if data.isascii():
                yield np.frombuffer(data, np.uint8)
            else:
                characters = data.decode("utf-8", "surrogatepass")
                yield np.frombuffer(characters.encode("utf-32-le", "surrogatepass"), np.uint32)

    def _stored(self) -> Iterator[bytes]:
        start = 0
        for size in list(self._sizes):
            self._file.seek(start)
            yield self._file.read(size)
            start += size

    def __iter__(self) -> Iterator[str]:
        ends = np.cumsum(self.lengths)
        number, position = 0, 0
        begun: list[str] = []
        for stretch in self.stretches():
            until = int(np.searchsorted(ends, position + len(stretch), "right"))
            start = 0
            for end in (ends[number:until] - position).tolist():
                if begun:
                    yield "".join([*begun, stretch[start:end]])
                    begun = []
                else:
                    yield stretch[start:end]
                start = end
            if start < len(stretch):
                begun.append(stretch[start:])
            number, position = until, position + len(stretch)
        for _ in range(number, len(ends)):  # where there is no character at all
            yield ""

    def split(self, first: np.ndarray) -> tuple[Texts, Texts]:
        """Two parts of the texts.

        Args:
          first: how many characters of each text, from its beginning, belong to the first part, int64 ``[texts]``; the
            others belong to the second. What has no character is in neither.
        """
        lengths = self.lengths
        ends = np.cumsum(lengths)
        cut = np.flatnonzero(first < lengths)
        begins, ends = (ends - lengths + first)[cut].tolist(), ends[cut].tolist()
        one, other = Texts(), Texts()
        one._lengths, other._lengths = [first[first > 0]], [(lengths - first)[cut]]
        position, k = 0, 0
        for stretch in self.stretches():
            until = position + len(stretch)
            kept, taken, at = [], [], 0
            while k < len(cut) and begins[k] < until:
                start, end = max(begins[k] - position, 0), ends[k] - position
                kept.append(stretch[at:start])
                taken.append(stretch[start:end])
                at = min(end, len(stretch))
                if ends[k] > until:
                    break
                k += 1
            kept.append(stretch[at:])
            one._write("".join(kept))
            other._write("".join(taken))
            position = until
        return one, other

    def digest(self) -> bytes:
        """A SHA-256 hash of the texts in order."""
        characters = hashlib.sha256()
        for data in self._stored():
            characters.update(data)
        lengths = hashlib.sha256(self.lengths.astype("<i8").tobytes())
        return hashlib.sha256(characters.digest() + lengths.digest()).digest()


def grouped(texts: Iterable[str]) -> Iterator[Some]:
    """Any texts, about a stretch at a time."""
    group: list[str] = []
    held = 0
    for text in texts:
        group.append(text)
        held += len(text)
        if held >= STRETCH or len(group) >= STRETCH >> 4:
            yield Some(group)
            group, held = [], 0
    if group:
        yield Some(group)


def joined(parts: Iterable[np.ndarray], kind: Any, most: int, path: Path | None = None) -> np.ndarray:
    """Arrays ``[any]`` as one: in memory or, where it may be large or a path is given, in a file that is mapped.

    Args:
      parts: one after another.
      kind: dtype of the result.
      most: how many elements they may have.
      path: the file, new; None for one without a name.
    """
    if path is None and most * np.dtype(kind).itemsize <= LARGE:
        return np.concatenate([np.empty(0, kind), *(part.astype(kind, copy=False) for part in parts)])
    file = scratch_file() if path is None else path.open("w+b")
    with file:
        for part in parts:
            file.write(np.ascontiguousarray(part, kind).data)
        file.flush()
        return np.memmap(file, kind, "r") if file.tell() else np.empty(0, kind)


def scratch_file() -> BinaryIO:
    """A file without a name, in the user's cache directory, or where there is none that of the system.

    The system's is often held in memory, which is what a file is to spare.
    """
    try:
        folder = platformdirs.user_cache_path("flaxchar", ensure_exists=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return tempfile.TemporaryFile()
