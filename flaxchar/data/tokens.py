"""Tokens: text cut into characters or words, and counted."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import numpy as np

from flaxchar.config import Unit
from flaxchar.data.texts import Texts

# Runs of letters and digits, runs of white space, and every other character by itself: joined they give the text back.
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


def tokenize(text: str, unit: Unit) -> list[str]:
    """The characters or words of a text; joined they are the text."""
    return list(text) if unit == "char" else _WORDS.findall(text)


def first_characters(texts: Texts, unit: Unit, most: int | None = None) -> int:
    """The characters in the first token of each text, or of the first ``most`` texts, together."""
    if unit == "char":
        return int((texts.lengths[:most] > 0).sum())
    firsts = (match[0] for text in texts if (match := _WORDS.match(text)))
    return sum(map(len, itertools.islice(firsts, most)))


def count_tokens(texts: Texts, unit: Unit) -> dict[str, int]:
    """How often each token occurs, in order of first appearance."""
    if unit == "word":
        return Counter(token for text in texts for token in _WORDS.findall(text))
    counts: dict[str, int] = {}
    for points in texts.code_points():
        occurrences = np.bincount(points)
        present = np.flatnonzero(occurrences)
        if new := {chr(k) for k in present.tolist()} - counts.keys():
            # Written backwards, the first position of each is what stays.
            first = np.empty(len(occurrences), np.int64)
            first[points[::-1]] = np.arange(len(points) - 1, -1, -1)
            counts |= dict.fromkeys(sorted(new, key=lambda character: first[ord(character)]), 0)
        for k in present.tolist():
            counts[chr(k)] += int(occurrences[k])
    return counts
