"""Texts: many strings, stored once and read block by block, so that they need not fit in memory."""

from __future__ import annotations

import hashlib
import io
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, TypeVar

import numpy as np

from flaxchar.storage import scratch_file

# Number of characters read or written at a time; it bounds the memory that a pass over the texts needs.
BLOCK = 1 << 22
# Data of more bytes than this is stored in a file.
LARGE = 1 << 26

Item = TypeVar("Item")


class Texts:
    """Many texts; iteration yields them as strings.

    The texts are stored one after another as UTF-8, in memory or in a file, and ``lengths`` tells where each one ends.
    Any ``str`` can be stored, even with lone surrogates or NUL.

    Example::

        texts = Texts.of(["Anna", "Otto"])
        len(texts), texts.characters  # 2, 8
        list(texts)  # ["Anna", "Otto"]
    """

    def __init__(self) -> None:
        self._file: BinaryIO = io.BytesIO()
        self._sizes: list[int] = []  # bytes of each block
        self._lengths: list[np.ndarray] = []
        self._open = False

    @classmethod
    def of(cls, texts: Iterable[str] | Texts) -> Texts:
        """Store strings; ``Texts`` are returned unchanged."""
        if isinstance(texts, Texts):
            return texts
        result = cls()
        for group in grouped(texts, len):
            result.add(group)
        return result

    def add(self, texts: Sequence[str], complete: bool = True) -> None:
        """Append texts.

        Args:
          texts: the texts.
          complete: False if the first text of the next call continues the last text of this one.
        """
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
        for start in range(0, len(characters), BLOCK):
            # A str may hold lone surrogates: "surrogateescape" makes one of each byte that it cannot decode.
            data = characters[start : start + BLOCK].encode("utf-8", "surrogatepass")
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
        """Number of characters of each text, int64 ``[texts]``."""
        if len(self._lengths) != 1:
            self._lengths = [np.concatenate([np.empty(0, np.int64), *self._lengths])]
        return self._lengths[0]

    @property
    def characters(self) -> int:
        """Number of characters of all texts together."""
        return sum(int(lengths.sum()) for lengths in self._lengths)

    def blocks(self) -> Iterator[str]:
        """The characters of all texts, block by block; a block may end in the middle of a text."""
        for data in self._stored():
            yield data.decode("utf-8", "surrogatepass")

    def code_points(self) -> Iterator[np.ndarray]:
        """The same blocks as arrays of code points: uint8 if the block is ASCII, else uint32."""
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
        for block in self.blocks():
            until = int(np.searchsorted(ends, position + len(block), "right"))
            start = 0
            for end in (ends[number:until] - position).tolist():
                if begun:
                    yield "".join([*begun, block[start:end]])
                    begun = []
                else:
                    yield block[start:end]
                start = end
            if start < len(block):
                begun.append(block[start:])
            number, position = until, position + len(block)
        for _ in range(number, len(ends)):  # without any character there is no block, and all texts are empty
            yield ""

    def split(self, first: np.ndarray) -> tuple[Texts, Texts]:
        """Cut each text in two.

        Args:
          first: number of characters in the first part of each text, int64 ``[texts]``. The second part is the rest.

        Returns:
          The first parts and the second parts; empty parts are left out.
        """
        return self._cut(first, first > 0, first < self.lengths)

    def partition(self, chosen: np.ndarray) -> tuple[Texts, Texts]:
        """Return the texts that are not chosen and the chosen ones, both in order; ``chosen`` is bool ``[texts]``."""
        return self._cut(np.where(chosen, 0, self.lengths), ~chosen, chosen)

    def _cut(self, first: np.ndarray, in_one: np.ndarray, in_other: np.ndarray) -> tuple[Texts, Texts]:
        """Cut each text in two; ``in_one`` and ``in_other`` choose which parts are kept as texts, bool ``[texts]``."""
        lengths = self.lengths
        ends = np.cumsum(lengths)
        cut = np.flatnonzero(first < lengths)
        begins, ends = (ends - lengths + first)[cut].tolist(), ends[cut].tolist()
        one, other = Texts(), Texts()
        one._lengths, other._lengths = [first[in_one]], [(lengths - first)[in_other]]
        position, k = 0, 0
        for block in self.blocks():
            until = position + len(block)
            kept, taken, at = [], [], 0
            while k < len(cut) and begins[k] < until:
                start, end = max(begins[k] - position, 0), ends[k] - position
                kept.append(block[at:start])
                taken.append(block[start:end])
                at = min(end, len(block))
                if ends[k] > until:
                    break
                k += 1
            kept.append(block[at:])
            one._write("".join(kept))
            other._write("".join(taken))
            position = until
        return one, other

    def digest(self) -> bytes:
        """SHA-256 of the texts in order, 32 bytes; it does not depend on the calls of ``add`` that stored them."""
        characters = hashlib.sha256()
        for data in self._stored():
            characters.update(data)
        lengths = hashlib.sha256(self.lengths.astype("<i8").tobytes())
        return hashlib.sha256(characters.digest() + lengths.digest()).digest()


def grouped(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Group items into lists of about ``BLOCK`` characters, and at most ``BLOCK / 16`` items.

    Args:
      items: any number of items.
      size: gives the number of characters of an item.
    """
    group: list[Item] = []
    held = 0
    for item in items:
        group.append(item)
        held += size(item)
        if held >= BLOCK or len(group) >= BLOCK >> 4:
            yield group
            group, held = [], 0
    if group:
        yield group
