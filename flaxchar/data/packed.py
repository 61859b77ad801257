"""Packed batches: several whole texts in each row, so that one batch width serves texts of all lengths.

The recurrent state is set to 0 where a text starts (``Batch.starts``), so the loss and the gradient of each text are
those it has in a row of its own; only recurrent dropout differs, because a row has one mask. The texts are packed by
best-fit decreasing (Johnson 1973), computed on the histogram of their lengths as in Krell et al. 2021,
https://arxiv.org/abs/2107.02027. Rows of texts of many lengths are then more than 95 % full.
"""

from __future__ import annotations

import bisect
import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer

from flaxchar.data.batches import Batch, fit_rows
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.vocabulary import PAD

# Rows have at least this many time steps. With fewer, starting the GPU's kernels takes longer than their work.
LEAST_WIDTH = 128
# If rows as long as the longest text are less full than this, rows twice as long are packed instead.
FULL_ENOUGH = 0.95


def pack_lengths(lengths: Integer[np.ndarray, " texts"], width: int) -> list[tuple[int, tuple[int, ...]]]:
    """Divide texts among rows, so that little padding is left.

    Args:
      lengths: the length of each text, at least 1 and at most ``width``.
      width: positions of a row.

    Returns:
      Pairs ``(count, lengths)``: so many rows hold texts of these lengths.

    Example::

        pack_lengths(np.array([3, 5, 3, 2]), 8)  # [(1, (5, 3)), (1, (3, 2))]
    """
    histogram = np.bincount(lengths, minlength=width + 1)
    open_rows: dict[int, list[tuple[int, tuple[int, ...]]]] = {}  # by the positions that are left
    spaces: list[int] = []  # the keys, sorted
    for length in np.flatnonzero(histogram)[::-1].tolist():
        waiting = int(histogram[length])
        while waiting:
            fitting = bisect.bisect_left(spaces, length)
            if fitting == len(spaces):  # no row has room: begin a new one
                count, row, space = waiting, tuple[int, ...](), width
            else:
                space = spaces[fitting]
                rows = open_rows[space]
                count, row = rows.pop()
                if count > waiting:
                    rows.append((count - waiting, row))
                    count = waiting
                if not rows:
                    del open_rows[space], spaces[fitting]
            waiting -= count
            left = space - length
            if left not in open_rows:
                open_rows[left] = []
                bisect.insort(spaces, left)
            open_rows[left].append((count, (*row, length)))
    return [group for rows in open_rows.values() for group in rows]


class _Slots(NamedTuple):
    """Slots: the places in the rows of an epoch that hold one text each.

    Attributes:
      lengths: the length of the text that a slot holds, ``[texts]``.
      first: the first slot of each row, and after them the number of slots, ``[rows + 1]``.
      by_length: the slots, sorted by length, ``[texts]``.
    """

    lengths: Int[np.ndarray, " texts"]
    first: Int[np.ndarray, " rows_and_one"]
    by_length: Int[np.ndarray, " texts"]


def _slots(groups: list[tuple[int, tuple[int, ...]]]) -> _Slots:
    lengths = np.concatenate([np.tile(row, count) for count, row in groups])
    texts_of_row = np.concatenate([np.full(count, len(row)) for count, row in groups])
    return _Slots(lengths, np.concatenate([[0], np.cumsum(texts_of_row)]), np.argsort(lengths, kind="stable"))


class PackedBatches:
    """Batches of rows that each hold several texts, in a new random order every epoch.

    All epochs pack the same lengths into the same rows; which text of a length stands in which row is drawn anew.
    Batch ``k`` is a pure function of (texts, seed, ``k``).
    """

    def __init__(
        self, texts: EncodedTexts, batch_size: int, eos: int, bos: bool = True, seed: int = 0, multiple: int = 1
    ) -> None:
        """Plan the batches.

        Args:
          texts: the encoded texts, none empty, without sources.
          batch_size: rows of a batch; lowered to the number of packed rows, rounded up to a multiple of ``multiple``.
          eos: the id of ``<eos>``.
          bos: feed ``<eos>`` before each text.
          seed: seed of the order.
          multiple: the number of data shards, which must divide the rows of a batch.
        """
        self._texts, self._eos, self._bos, self._seed = texts, eos, bos, seed
        self._lengths = texts.lengths + bos  # targets of each text
        width = max(LEAST_WIDTH, int(self._lengths.max()))
        groups = pack_lengths(self._lengths, width)
        if self._lengths.sum() < FULL_ENOUGH * width * sum(count for count, _ in groups):
            width *= 2
            groups = pack_lengths(self._lengths, width)
        self._slots, self.widths = _slots(groups), [width]
        self._rows_of_epoch = len(self._slots.first) - 1
        self.rows = fit_rows(batch_size, self._rows_of_epoch, multiple)
        self._texts_by_length = np.argsort(self._lengths, kind="stable")

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the texts."""
        return -(-self._rows_of_epoch // self.rows)

    @functools.lru_cache(maxsize=2)  # noqa: B019  the object lives as long as the run
    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The text in each slot ``[texts]``, and the order of the rows ``[rows]``."""
        rng = np.random.default_rng([self._seed, epoch])
        # Sorting a random order by length, stably, shuffles the texts of each length.
        shuffled = rng.permutation(len(self._lengths))
        texts = np.empty(len(shuffled), np.int64)
        texts[self._slots.by_length] = shuffled[np.argsort(self._lengths[shuffled], kind="stable")]
        return texts, rng.permutation(self._rows_of_epoch)

    def batch(self, k: int, own: slice = slice(None)) -> Batch:
        """Make batch ``k`` of the run, ``[rows, width]``; ``own`` selects the rows of one process."""
        in_slot, order = self._epoch(k // self.steps_per_epoch)
        begin = k % self.steps_per_epoch * self.rows
        rows = order[begin : begin + self.rows][own]
        first, last = self._slots.first[rows], self._slots.first[rows + 1]
        counts = last - first  # texts of each row
        slots = _ranges(first, counts)
        texts, lengths = in_slot[slots], self._slots.lengths[slots]
        ends = np.cumsum(lengths)
        row_of_text = np.repeat(np.arange(len(rows)), counts)
        before_row = np.concatenate([[0], ends])[np.cumsum(counts) - counts]  # positions used by the rows before
        column = ends - lengths - before_row[row_of_text]
        offset = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths)  # within the text
        place = np.repeat(row_of_text * self.widths[0] + column, lengths) + offset
        tokens = np.repeat(lengths - self._bos, lengths)  # of the text, without <eos>
        index = np.repeat(self._texts.offsets[texts], lengths) + offset - self._bos  # of the input among all ids
        return self._arrays(len(range(self.rows)[own]), place, offset, index, offset - self._bos + 1 < tokens)

    def _arrays(self, rows: int, place: np.ndarray, offset: np.ndarray, index: np.ndarray, inside: np.ndarray) -> Batch:
        """Fill the arrays of a batch.

        Args:
          rows: rows of the arrays.
          place: the place of each target in the flattened arrays, ``[targets]``.
          offset: its number within its text.
          index: the index of its input among the ids of all texts; not used for the ``<eos>`` fed before a text.
          inside: whether the target belongs to the text, else it is ``<eos>``.
        """
        ids, width = self._texts.ids, self.widths[0]
        inputs, targets = np.full((2, rows * width), PAD, np.int32)
        mask, starts = np.zeros((2, rows * width), bool)
        fed_eos = (offset == 0) & self._bos
        inputs[place] = np.where(fed_eos, self._eos, ids[np.where(fed_eos, 0, index)])
        targets[place] = np.where(inside, ids[np.where(inside, index + 1, 0)], self._eos)
        mask[place], starts[place] = True, offset == 0
        shape = (rows, width)
        inputs, targets, mask, starts = (array.reshape(shape) for array in (inputs, targets, mask, starts))
        return Batch(inputs, targets, mask, np.array(True), starts)

    def mean_width(self) -> float:
        """The width of every batch."""
        return float(self.widths[0])


def _ranges(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``first[0], first[0] + 1, …`` for ``counts[0]`` numbers, then the same from ``first[1]``, and so on."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) + np.repeat(first - (ends - counts), counts)
