"""Novelty: how much of a generated text occurs in the training texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

# The longest match that is measured, in characters. The index sorts suffixes by this many characters.
LONGEST_MATCH = 1024
# Separates the texts of an index. A text that was read as a line does not contain it.
_SEPARATOR = "\n"


class Match(NamedTuple):
    """The longest substring of a text that also occurs in the indexed texts.

    Attributes:
      start: position of its first character in the text.
      length: its length in characters.
      is_copy: whether the whole text is one of the indexed texts.
    """

    start: int
    length: int
    is_copy: bool


class TextIndex:
    """Index of texts that finds any substring: a suffix array, sorted by prefix doubling (Manber & Myers 1993).

    https://doi.org/10.1137/0222058

    Example::

        TextIndex(["oil prices rise", "rain"]).longest_match("oil prizes")  # Match(start=0, length=7, is_copy=False)
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Sort the suffixes of all texts, which takes some seconds for a million characters."""
        texts = list(texts)
        self._whole = set(texts)
        self._text = _SEPARATOR.join(texts)
        points = np.frombuffer(self._text.encode("utf-32-le", "surrogatepass"), np.uint32)
        rank = np.unique(points, return_inverse=True)[1].astype(np.int64) + 1
        self._suffixes = np.argsort(rank, kind="stable")
        width = 1
        while width < LONGEST_MATCH and len(rank) and rank.max() < len(rank):
            # Sort by the first `width` characters, then by the next `width`. The ranks of both are already known.
            after = np.zeros_like(rank)
            after[:-width] = rank[width:]
            key = rank * (len(rank) + 1) + after
            self._suffixes = np.argsort(key, kind="stable")
            in_order = key[self._suffixes]
            rank[self._suffixes] = np.cumsum(np.concatenate([[1], in_order[1:] != in_order[:-1]]))
            width *= 2

    def longest_match(self, text: str) -> Match:
        """Find the longest substring, up to ``LONGEST_MATCH`` characters, that a text shares with the indexed texts."""
        best = Match(0, 0, text in self._whole)
        for start in range(len(text)):
            if start + best.length >= len(text):
                break
            suffix = text[start : start + LONGEST_MATCH]
            place = self._insertion_place(suffix)
            # The indexed suffix with the longest common prefix is next to that place.
            neighbours = [k for k in (place - 1, place) if 0 <= k < len(self._suffixes)]
            length = max((_common_prefix(self._text, int(self._suffixes[k]), suffix) for k in neighbours), default=0)
            if length > best.length:
                best = best._replace(start=start, length=length)
        return best

    def _insertion_place(self, suffix: str) -> int:
        """The index at which to insert a suffix among the sorted suffixes."""
        low, high = 0, len(self._suffixes)
        while low < high:
            middle = (low + high) // 2
            at = self._suffixes[middle]
            if self._text[at : at + len(suffix)] < suffix:
                low = middle + 1
            else:
                high = middle
        return low


def _common_prefix(text: str, at: int, suffix: str) -> int:
    """Length of the common prefix of ``suffix`` and the text from position ``at`` on."""
    other = text[at : at + len(suffix)]
    if other == suffix:
        return len(suffix)
    pairs = enumerate(zip(other, suffix, strict=False))
    return next((k for k, (a, b) in pairs if a != b), min(len(other), len(suffix)))


class Novelty(NamedTuple):
    """Novelty of samples against the indexed texts.

    Attributes:
      samples: number of samples.
      copies: number of samples that equal an indexed text.
      duplicates: number of samples that repeat an earlier sample.
      matches: the longest match of each sample.
      shares: length of the longest match as a share of the sample's length, float64 ``[samples]``.
    """

    samples: int
    copies: int
    duplicates: int
    matches: list[Match]
    shares: np.ndarray


def measure_novelty(samples: Sequence[str], index: TextIndex) -> Novelty:
    """Find the longest match of each sample in the indexed texts."""
    matches = [index.longest_match(sample) for sample in samples]
    return Novelty(
        len(samples),
        sum(match.is_copy for match in matches),
        len(samples) - len(set(samples)),
        matches,
        np.array([match.length / max(1, len(sample)) for match, sample in zip(matches, samples, strict=True)]),
    )
