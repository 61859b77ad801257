"""The held-out split: which examples are trained on and which are held out; equal examples go to the same side."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence

import numpy as np

from flaxchar.data.examples import Examples
from flaxchar.data.texts import Texts

# Running text of fewer texts than this is cut within each text.
_FEW_TEXTS = 20


def split_examples(
    examples: Examples, hashes: np.ndarray, fraction: float, seed: int, running: bool = False
) -> tuple[Examples, Examples]:
    """Split examples into those to train on and those to hold out.

    If running text has few texts, the end of each is held out, from the start of a line if possible. Otherwise examples
    are chosen at random. Examples with the same hash stay together, so that no example is on both sides.

    Args:
      examples: all examples.
      hashes: uint64 ``[examples]``, from ``hash_texts``.
      fraction: the share to hold out.
      seed: seed of the choice.
      running: whether the examples are running text.

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
    """Hash each text with its source; different ones almost surely have different hashes.

    The label is left out. Otherwise a text that occurs with two labels could be trained on with one label and held out
    with the other.

    Args:
      texts: the texts.
      sources: the source of each text; None if there are no sources.

    Returns:
      uint64 ``[texts]``.
    """
    data = [text.encode("utf-8", "surrogatepass") for text in texts]
    crc, adler = (np.fromiter(map(f, data), np.uint64, len(data)) for f in (zlib.crc32, zlib.adler32))
    hashes = crc << np.uint64(32) | adler
    if sources is None:
        return hashes
    # The factor (odd, 2^64 divided by the golden ratio) makes the sum change if a text and its source are exchanged.
    return hashes * np.uint64(0x9E3779B97F4A7C15) + hash_texts(sources)


def _choose(hashes: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose at most a share of the texts at random, equal texts together: bool ``[texts]``, True if chosen."""
    # The place of each text in a random order, equal for equal texts: a permutation of the hashes, as in SplitMix64.
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
        # The last group is never chosen: the sort may have cut it short, and something must be left to train on.
        for begin, end in itertools.pairwise(begins.tolist()):
            if count < wanted and count + end - begin <= wanted:
                chosen.append(foremost[begin])
                count += end - begin
    if not chosen:
        return np.zeros(len(hashes), bool)
    nearest = np.searchsorted(chosen, places)
    return np.take(chosen, nearest, mode="clip") == places


def _at_line_ends(texts: Texts, cuts: np.ndarray) -> np.ndarray:
    """Move each cut back to the last line end before it, if there is one in the second half of the text."""
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
