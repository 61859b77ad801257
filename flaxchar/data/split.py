"""The held-out split: which examples are learned and which are held out to judge by, equal ones on the same side."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence

import numpy as np

from flaxchar.data.examples import Examples
from flaxchar.data.texts import Texts

# Running text of fewer pieces than this is cut within each piece.
_FEW_TEXTS = 20


def split_examples(
    examples: Examples, hashes: np.ndarray, fraction: float, seed: int, running: bool = False
) -> tuple[Examples, Examples]:
    """Examples to learn and examples to hold out.

    Of running text in few pieces the end of each piece is held out, from the end of a line where there is one. Else
    examples are chosen at random; those with the same hash stay together, so that none is on both sides.

    Args:
      examples: all of them.
      hashes: uint64 ``[examples]``, from ``hash_texts``.
      fraction: the share to hold out.
      seed: for the choice.
      running: whether this is running text.

    Returns:
      ``(train, held_out)``, each in the order given.
    """
    if fraction == 0:
        return examples, Examples.from_chunks((), like=examples)
    if running and len(examples) < _FEW_TEXTS:
        texts = examples.texts
        cuts = np.rint(texts.lengths * (1 - fraction)).astype(np.int64)
        train, held_out = texts.split(_at_line_ends(texts, cuts))
        return Examples(train), Examples(held_out)
    return examples.partition(_choose(hashes, fraction, seed))


def hash_texts(texts: Sequence[str], sources: Sequence[str] | None = None) -> np.ndarray:
    """A number for each text with its source: equal for equal ones, and almost surely for no others.

    Labels are not part of it: a text that occurs with two labels would else be learned with one and held out with the
    other.

    Args:
      texts: the texts.
      sources: the source of each, where there are sources.

    Returns:
      uint64 ``[texts]``.
    """
    data = [text.encode("utf-8", "surrogatepass") for text in texts]
    crc, adler = (np.fromiter(map(f, data), np.uint64, len(data)) for f in (zlib.crc32, zlib.adler32))
    hashes = crc << np.uint64(32) | adler
    if sources is None:
        return hashes
    # Multiplied by an odd number (2^64 by the golden ratio), so that a text and a source exchanged give another sum.
    return hashes * np.uint64(0x9E3779B97F4A7C15) + hash_texts(sources)


def _choose(hashes: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose a share of the texts, or a little less, where equal ones stay together: bool ``[texts]``."""
    # Places in a random order, the same for equal texts: a permutation of the hashes (the finisher of SplitMix64).
    first, second, third = np.random.default_rng([seed, len(hashes)]).integers(0, 2**64, 3, np.uint64) | np.uint64(1)
    places = hashes ^ first
    places *= second
    places ^= places >> np.uint64(32)
    places *= third
    wanted, sorted_count = round(len(hashes) * fraction), 1000
    chosen: list[np.uint64] = []
    count = 0
    while count < wanted and sorted_count < 4 * max(1000, len(hashes)):
        sorted_count *= 4
        foremost = np.sort(np.partition(places, sorted_count)[:sorted_count] if sorted_count < len(places) else places)
        begins = np.concatenate([[0], np.flatnonzero(foremost[1:] != foremost[:-1]) + 1])
        chosen, count = [], 0
        # The last group may be cut short; and it is never held out, so that something is left to learn.
        for begin, end in itertools.pairwise(begins.tolist()):
            if count < wanted and count + end - begin <= wanted:
                chosen.append(foremost[begin])
                count += end - begin
    if not chosen:
        return np.zeros(len(hashes), bool)
    nearest = np.searchsorted(chosen, places)
    return np.take(chosen, nearest, mode="clip") == places


def _at_line_ends(texts: Texts, cuts: np.ndarray) -> np.ndarray:
    """Cuts moved back to the end of a line, if there is one in the second half of the text before them."""
    lengths = texts.lengths
    begins, moved = np.cumsum(lengths) - lengths, cuts.copy()
    position = 0
    for block in texts.blocks():
        for k, (begin, length, cut) in enumerate(zip(begins.tolist(), lengths.tolist(), cuts.tolist(), strict=True)):
            from_, to = max(begin + length // 2 - position, 0), min(begin + cut - position, len(block))
            end = block.rfind("\n", from_, to) if from_ < to else -1
            if end >= 0:
                moved[k] = position + end + 1 - begin
        position += len(block)
    return moved
