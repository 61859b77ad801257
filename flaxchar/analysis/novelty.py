"""How much of what a model writes stands in the texts it learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

# Common substrings are measured up to this many characters: the index is sorted no further.
LONGEST = 1024
# Between the texts of an index: in no text that was read as a line.
_BETWEEN = "\n"


class Match(NamedTuple):
    """The longest part of a text that stands in the indexed texts, too.

    Attributes:
      start: where it begins in the text.
      length: characters.
      is_copy: whether the whole text is one of the indexed texts.
    """

    start: int
    length: int
    is_copy: bool


class TextIndex:
    """Texts, searchable for any substring: a suffix array, sorted by prefix doubling.

    (Manber & Myers 1993, https://doi.org/10.1137/0222058.)
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Sort the suffixes of all texts, some seconds for a million characters."""
        texts = list(texts)
        self._whole = set(texts)
        self._text = _BETWEEN.join(texts)
        points = np.frombuffer(self._text.encode("utf-32-le", "surrogatepass"), np.uint32)
        rank = np.unique(points, return_inverse=True)[1].astype(np.int64) + 1
        self._suffixes = np.argsort(rank, kind="stable")
        width = 1
        while width < LONGEST and len(rank) and rank.max() < len(rank):
            # By the first `width` characters, then by those after: both are ranks already.
            after = np.zeros_like(rank)
            after[:-width] = rank[width:]
            key = rank * (len(rank) + 1) + after
            self._suffixes = np.argsort(key, kind="stable")
            in_order = key[self._suffixes]
            rank[self._suffixes] = np.cumsum(np.concatenate([[1], in_order[1:] != in_order[:-1]]))
            width *= 2

    def longest_match(self, text: str) -> Match:
        """The longest substring, up to ``LONGEST`` characters, that a text has in common with the indexed ones."""
        best = Match(0, 0, text in self._whole)
        for start in range(len(text)):
            if start + best.length >= len(text):
                break
            sought = text[start : start + LONGEST]
            low, high = 0, len(self._suffixes)
            while low < high:
                middle = (low + high) // 2
                at = self._suffixes[middle]
                if self._text[at : at + len(sought)] < sought:
                    low = middle + 1
                else:
                    high = middle
            # What has the longest prefix in common with it stands beside its place.
            length = max((_common(self._text, int(self._suffixes[k]), sought) for k in (low - 1, low)
                          if 0 <= k < len(self._suffixes)), default=0)  # fmt: skip
            if length > best.length:
                best = best._replace(start=start, length=length)
        return best


def _common(text: str, at: int, sought: str) -> int:
    """How many characters of ``sought`` stand at a place of a text."""
    other = text[at : at + len(sought)]
    if other == sought:
        return len(sought)
    return next(
        (k for k, (a, b) in enumerate(zip(other, sought, strict=False)) if a != b), min(len(other), len(sought))
    )


class Novelty(NamedTuple):
    """What is new in some samples.

    Attributes:
      samples: how many there are.
      copies: how many are training texts, to the letter.
      duplicates: how many repeat an earlier sample.
      matches: the longest match of each.
      shares: what share of each its longest match is, float64 ``[samples]``.
    """

    samples: int
    copies: int
    duplicates: int
    matches: list[Match]
    shares: np.ndarray


def measure_novelty(samples: Sequence[str], index: TextIndex) -> Novelty:
    """What of some samples stands in the indexed texts."""
    matches = [index.longest_match(sample) for sample in samples]
    return Novelty(
        len(samples),
        sum(match.is_copy for match in matches),
        len(samples) - len(set(samples)),
        matches,
        np.array([match.length / max(1, len(sample)) for match, sample in zip(matches, samples, strict=True)]),
    )
