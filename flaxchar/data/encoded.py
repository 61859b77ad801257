"""Encoded texts: the ids of many texts in one array, in memory or mapped from a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flaxchar.data.texts import BLOCK, LARGE
from flaxchar.storage import scratch_file


@dataclasses.dataclass(frozen=True)
class EncodedTexts:
    """Many texts as one array of ids: text ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.

    Attributes:
      ids: unsigned integers of the smallest type that holds them, ``[tokens]``; a large array is mapped from a file.
      offsets: int64 ``[texts + 1]``.
      source_end: the id that ends the source of each text; None if there are no sources. Evaluation gives the model the
        source and does not predict it.
      ends: whether ``<eos>`` after each text is predicted.
    """

    ids: np.ndarray
    offsets: np.ndarray
    source_end: int | None = None
    ends: bool = True

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each text, int64 ``[texts]``."""
        return np.diff(self.offsets)

    @property
    def sources(self) -> np.ndarray:
        """Number of tokens of each text's source, ``source_end`` included, int64 ``[texts]``."""
        if self.source_end is None:
            return np.zeros(len(self), np.int64)
        return np.flatnonzero(self.ids == self.source_end) + 1 - self.offsets[:-1]

    @property
    def mean_length(self) -> float:
        """Mean number of tokens of a text, without its source."""
        # Without sources no array of lengths is made: for many lines it would take hundreds of megabytes.
        given = 0 if self.source_end is None else int(self.sources.sum())
        return (len(self.ids) - given) / len(self)

    def exchanged(self) -> EncodedTexts:
        """Pair each text with the source of the next text. A model that uses its sources predicts these texts worse."""
        own = self.sources
        texts = [
            np.concatenate([self[other][: own[other]], self[number][own[number] :]])
            for number, other in enumerate([*range(1, len(self)), 0])
        ]
        offsets = np.cumsum([0, *map(len, texts)])
        return dataclasses.replace(self, ids=np.concatenate(texts), offsets=offsets)


def interleaved(columns: Sequence[EncodedTexts], path: Path | None = None) -> EncodedTexts:
    """Join columns row by row: text ``i`` is the concatenation of text ``i`` of each column.

    Args:
      columns: encoded texts, the same number in each column.
      path: a new file for the ids; None to keep them in memory or in a file without a name.
    """
    lengths = sum(column.lengths for column in columns)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    kind = np.result_type(*(column.ids for column in columns))
    return EncodedTexts(joined(_interleaved_blocks(columns, offsets), kind, int(offsets[-1]), path), offsets)


def _interleaved_blocks(columns: Sequence[EncodedTexts], offsets: np.ndarray) -> Iterator[np.ndarray]:
    first = 0
    while first < len(offsets) - 1:
        after = int(np.searchsorted(offsets, offsets[first] + BLOCK, "right")) - 1
        rows = slice(first, max(after, first + 1))
        starts = offsets[rows] - offsets[first]  # position in the block of the next column's part of each row
        block = np.empty(offsets[rows.stop] - offsets[first], np.result_type(*(column.ids for column in columns)))
        for column in columns:
            begins, lengths = column.offsets[rows], np.diff(column.offsets[first : rows.stop + 1])
            ids = column.ids[begins[0] : column.offsets[rows.stop]]
            block[np.arange(len(ids)) + np.repeat(starts - (begins - begins[0]), lengths)] = ids
            starts = starts + lengths
        yield block
        first = rows.stop


def joined(parts: Iterable[np.ndarray], kind: Any, most: int, path: Path | None = None) -> np.ndarray:
    """Concatenate arrays ``[any]``, in a mapped file if a path is given or the result may be large, else in memory.

    Args:
      parts: the arrays, in order.
      kind: dtype of the result.
      most: an upper bound of the number of elements of the result.
      path: a new file; None for a file without a name.
    """
    if path is None and most * np.dtype(kind).itemsize <= LARGE:
        return np.concatenate([np.empty(0, kind), *(part.astype(kind, copy=False) for part in parts)])
    file = scratch_file() if path is None else path.open("w+b")
    with file:
        for part in parts:
            file.write(np.ascontiguousarray(part, kind).data)
        file.flush()
        return np.memmap(file, kind, "r") if file.tell() else np.empty(0, kind)
