"""Batches: from encoded texts to padded arrays of a few shapes.

Batch ``k`` is a pure function of (texts, seed, k). It can be computed without the batches before it, so an interrupted
run continues exactly where it stopped.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Integer

from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.vocabulary import PAD
from flaxchar.data.widths import choose_widths, fit_width
from flaxchar.hardware import this_hardware

# A longer text is scored in windows of this many time steps, so that a text of any length needs little memory.
LONGEST_SCORED = 1024
# A further width of an evaluation is worth its compilation only for at least this many batches.
BATCHES_PER_WIDTH = 4


# A NumPy array on the host; a JAX array in a compiled function.
AnyArray = Any


class Batch(NamedTuple):
    """The arrays of one training or evaluation step.

    Attributes:
      inputs: ids that are fed, int32 ``[batch, time]``, padded on the right with 0.
      targets: ids to predict: the inputs shifted by one and closed by ``<eos>``, int32 ``[batch, time]``.
      mask: which targets count in the loss, bool ``[batch, time]``.
      fresh: True if the carry starts from zeros, False if it is that of the batch before; bool scalar.
      starts: where a text starts, bool ``[batch, time]``, if a row holds several texts; else None.
    """

    inputs: AnyArray
    targets: AnyArray
    mask: AnyArray
    fresh: AnyArray
    starts: AnyArray | None = None


def one_hot(inputs: Integer[np.ndarray, "batch time"], vocab: int) -> Float32[np.ndarray, "batch time {vocab}"]:
    """One-hot vectors, float32 ``[batch, time, vocab]``, of ids ``[batch, time]``; a model accepts both."""
    return np.eye(vocab, dtype=np.float32)[inputs]


def pad_texts(
    texts: Sequence[Integer[np.ndarray, " _"]],
    rows: int,
    width: int,
    eos: int,
    bos: bool = True,
    source_end: int | None = None,
    ends: bool = True,
    start: int = 0,
) -> Batch:
    """Pad texts, or a window of each, to one batch ``[rows, width]``; the mask of rows without a text is False.

    Args:
      texts: the ids of each text, integers ``[tokens]``; at most ``rows`` texts, none empty.
      rows: rows of the batch.
      width: time steps of the batch.
      eos: the id of ``<eos>``.
      bos: feed ``<eos>`` before the text, so that the first character is predicted too.
      source_end: the id up to which each text is given, not predicted; None to predict the whole text.
      ends: whether ``<eos>`` after each text is predicted.
      start: the first time step of the window; the batch is ``fresh`` if it is 0.
    """
    inputs = np.full((rows, width), PAD, np.int32)
    targets = np.full((rows, width), PAD, np.int32)
    mask = np.zeros((rows, width), bool)
    for row, text in enumerate(texts):
        # The window of what is fed and predicted: <eos> with bos, the text, <eos>.
        part = np.concatenate(
            [[eos] * (bos and start == 0), text[max(0, start - bos) : start + width + 1 - bos], [eos]]
        )[: width + 1]
        count = len(part) - 1
        inputs[row, :count], targets[row, :count] = part[:-1], part[1:]
        first = 0 if source_end is None else int(np.flatnonzero(text == source_end)[0]) + bos
        mask[row, max(0, first - start) : max(0, min(count, len(text) + bos - (not ends) - start))] = True
    return Batch(inputs, targets, mask, np.array(start == 0))


def text_windows(
    texts: EncodedTexts, chosen: Sequence[int] | np.ndarray, rows: int, width: int, eos: int, bos: bool
) -> Iterator[Batch]:
    """The chosen texts in a batch ``[rows, width]``, or in several if one is longer, each with the carry before it."""
    parts = [texts[k] for k in chosen]
    for start in range(0, max(map(len, parts)) + bos, width):
        yield pad_texts(parts, rows, width, eos, bos, texts.source_end, texts.ends, start)


class TextBatches:
    """Batches of separate texts, shuffled anew for each epoch.

    A text belongs to the bucket of the smallest width that holds it, and a batch is filled from one bucket. The texts
    left over from a bucket, too few for a batch, move to the next wider bucket. Every text is in exactly one batch of
    an epoch, the batches come in random order, and at most one of them has empty rows.

    Example::

        batches = TextBatches(encoded, batch_size=32, eos=vocabulary.eos)
        batches.batch(0).inputs  # int32 [32, one of batches.widths]
    """

    def __init__(
        self,
        texts: EncodedTexts,
        batch_size: int,
        eos: int,
        bos: bool = True,
        seed: int = 0,
        buckets: int = 8,
        multiple: int = 1,
    ) -> None:
        """Plan the batches.

        Args:
          texts: the encoded texts, none empty.
          batch_size: rows of a batch; lowered to the number of texts, rounded up to a multiple of ``multiple``.
          eos: the id of ``<eos>``.
          bos: feed ``<eos>`` before each text.
          seed: seed of the order.
          buckets: the most widths to use. Each width costs a compilation of about a second and saves padding.
          multiple: the number that must divide the rows of a batch: of data shards.
        """
        self._texts, self._eos, self._bos, self._seed = texts, eos, bos, seed
        lengths = texts.lengths + bos  # targets of each text
        self.rows = fit_rows(batch_size, len(texts), multiple)
        self.widths = choose_widths(lengths, buckets)
        bucket_of_length = np.searchsorted(self.widths, np.arange(self.widths[-1] + 1))
        self._bucket = bucket_of_length.astype(np.min_scalar_type(buckets))[lengths]

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the texts."""
        return -(-len(self._texts) // self.rows)

    @functools.lru_cache(maxsize=1)  # noqa: B019  the object lives as long as the run
    def _epoch(self, epoch: int) -> _Epoch:
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(np.arange(len(self._texts), dtype=np.min_scalar_type(len(self._texts))))
        buckets = self._bucket[order]
        parts, counts, left = [], [], order[:0]
        for bucket in range(len(self.widths)):  # with millions of texts, sorting by bucket would take twice the memory
            waiting = np.concatenate([left, order[buckets == bucket]])
            full = len(waiting) - len(waiting) % self.rows
            parts.append(waiting[:full])
            counts.append(full // self.rows)
            left = waiting[full:]
        if len(left):
            parts.append(left)
            counts[-1] += 1
        widths = np.repeat(self.widths, counts)
        return _Epoch(np.concatenate(parts), widths, rng.permutation(len(widths)))

    def batch(self, k: int, own: slice = slice(None)) -> Batch:
        """Make batch ``k`` of the run, ``[rows, one of widths]``; ``own`` selects the rows of one process."""
        epoch, encoded = self._epoch(k // self.steps_per_epoch), self._texts
        # A language model is trained to predict the source too: it then learns sooner to use it. A classifier, whose
        # texts have no <eos>, predicts only the label.
        source_end = None if encoded.ends else encoded.source_end
        number = int(epoch.turns[k % self.steps_per_epoch])
        chosen = epoch.texts[number * self.rows : (number + 1) * self.rows]
        rows = len(range(self.rows)[own])
        texts = [encoded[i] for i in chosen[own].tolist()]
        return pad_texts(texts, rows, int(epoch.widths[number]), self._eos, self._bos, source_end, encoded.ends)

    def mean_width(self) -> float:
        """Mean width of a batch, to which the mean cost of a step is proportional."""
        return float(self._epoch(0).widths.mean())


class _Epoch(NamedTuple):
    """The plan of one pass over the texts.

    Attributes:
      texts: the indices of the texts, batch after batch, ``[texts]``.
      widths: the width of each batch, ``[batches]``.
      turns: the number of the batch at each step, ``[batches]``.
    """

    texts: np.ndarray
    widths: np.ndarray
    turns: np.ndarray


class WindowBatches:
    """Windows of running text, for truncated back-propagation through time.

    The texts are joined by ``<eos>`` into one stream, which is cut into ``rows`` rows of equal length. Batch ``k`` of
    an epoch holds the ``k``-th window of every row, so row ``r`` continues row ``r`` of the batch before.
    """

    def __init__(
        self, texts: EncodedTexts, batch_size: int, eos: int, window: int, bos: bool = True, multiple: int = 1
    ) -> None:
        """Lay out the stream; arguments as for ``TextBatches``.

        ``window`` is the width of a batch, in time steps. With ``bos`` the stream begins with ``<eos>``.
        """
        self._texts, self._eos = texts, eos
        # The position in the stream of the <eos> after each text.
        self._ends = texts.offsets[1:] + np.arange(len(texts)) + bos
        self._targets = int(self._ends[-1])
        self.rows = fit_rows(batch_size, self._targets, multiple)
        self._per_row = -(-self._targets // self.rows)
        self.widths = [min(window, self._per_row)]

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the stream."""
        return -(-self._per_row // self.widths[0])

    def batch(self, k: int, own: slice = slice(None)) -> Batch:
        """Make batch ``k`` of the run, ``[rows, width]``, ``fresh`` at the start of an epoch; ``own`` selects rows."""
        width = self.widths[0]
        start = k % self.steps_per_epoch * width
        columns = np.arange(start, start + width + 1)
        positions = np.arange(self.rows)[own, None] * self._per_row + columns  # [rows, width + 1]
        mask = (columns[:-1] < self._per_row) & (positions[:, :-1] < self._targets)
        stream = self._tokens(np.minimum(positions, self._targets))
        inputs, targets = (np.where(mask, part, PAD) for part in (stream[:, :-1], stream[:, 1:]))
        return Batch(inputs, targets, mask, np.array(start == 0))

    def _tokens(self, positions: np.ndarray) -> np.ndarray:
        """The ids at these positions of the stream, int32 of the shape of ``positions``."""
        text = np.searchsorted(self._ends, positions)
        # Counted from the end of the text, so that the <eos> that begins the stream gets index -1.
        index = self._texts.offsets[1:][text] - (self._ends[text] - positions)
        inside = (positions < self._ends[text]) & (index >= 0)
        return np.where(inside, self._texts.ids[np.where(inside, index, 0)], self._eos).astype(np.int32)

    def mean_width(self) -> float:
        """The width of every batch."""
        return float(self.widths[0])


class EvaluationBatches:
    """Batches for scoring: every text once, sorted by length to save padding.

    Texts longer than ``LONGEST_SCORED`` come in windows of that width. A batch that is not ``fresh`` goes on with the
    texts of the batch before it.
    """

    def __init__(self, texts: EncodedTexts, batch_size: int, eos: int, bos: bool = True) -> None:
        """Plan the batches; arguments as for ``TextBatches``. ``batch_size`` is lowered to the number of texts."""
        self._texts, self._eos, self._bos = texts, eos, bos
        self._lengths = texts.lengths + bos
        self._order = by_length(self._lengths, batch_size)
        long = int((self._lengths > LONGEST_SCORED).sum())
        self._rows = min(batch_size, len(texts) - long), min(batch_size, long)  # of a batch of short texts, of long
        most = min(this_hardware().evaluation_widths, -(-len(self._order) // BATCHES_PER_WIDTH))
        longest = np.array([self._lengths[b].max() for b in self._order])
        self.widths = choose_widths(np.minimum(longest, LONGEST_SCORED), most)

    def __iter__(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """Yields ``(indices of the texts in the batch, batch)``."""
        for chosen in self._order:
            width = fit_width(self.widths, min(LONGEST_SCORED, int(self._lengths[chosen].max())))
            rows = self._rows[int(self._lengths[chosen[0]] > LONGEST_SCORED)]
            for batch in text_windows(self._texts, chosen, rows, width, self._eos, self._bos):
                yield chosen, batch


def by_length(lengths: np.ndarray, rows: int) -> list[np.ndarray]:
    """Indices of texts, sorted by length, in batches of ``rows``; those of ``LONGEST_SCORED`` or less apart."""
    order = np.argsort(lengths, kind="stable")
    short, long = np.split(order, [int((lengths <= LONGEST_SCORED).sum())])
    return [part[k : k + rows] for part in (short, long) for k in range(0, len(part), rows)]


def fit_rows(batch_size: int, available: int, multiple: int) -> int:
    """Rows of a batch: ``batch_size``, or if fewer are available, their number rounded up to a multiple."""
    return min(batch_size, -(-available // multiple) * multiple)
