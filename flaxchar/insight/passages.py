"""Passages: which held-out texts are looked at, and how running text is cut for it."""

from __future__ import annotations

from collections.abc import Sequence

from flaxchar.config import Config
from flaxchar.data.examples import Example, Examples

# Characters of a passage of running text. Each passage is read from a fresh state, as a text of its own.
PASSAGE = 400
# The most characters that are traced, and the most numbers in all their hidden states, which bounds the memory.
_MOST_CHARACTERS, _MOST_STATES = 40_000, 1 << 24


def choose_passages(config: Config, examples: Examples) -> list[Example]:
    """Choose evenly spaced texts, or passages of running text, of at most 40,000 characters in all.

    Example::

        passages = choose_passages(lm.config, corpus.held_out)
    """
    units = config.model.layers * config.model.hidden
    most = max(PASSAGE, min(_MOST_CHARACTERS, _MOST_STATES // units))
    if config.data.running:
        text = "".join(examples.texts)
        pieces = [text[start : start + PASSAGE] for start in range(0, len(text), PASSAGE)]
        return [Example(piece) for piece in _spaced(pieces, most // PASSAGE)]
    mean = max(1.0, examples.texts.characters / max(1, len(examples)))
    count = max(1, int(most / mean))
    return evenly_spaced(examples, count)


def evenly_spaced(examples: Examples, count: int) -> list[Example]:
    """At most ``count`` examples, evenly spaced."""
    chosen = set(_spaced(range(len(examples)), count))
    return [example for number, example in enumerate(examples) if number in chosen and example.text]


def halves(count: int) -> tuple[list[int], list[int]]:
    """Two halves of ``count`` numbers, every other one: to search in one and to report on the other."""
    return list(range(0, count, 2)), list(range(1, count, 2))


def _spaced(items: Sequence, count: int) -> list:
    """At most ``count`` items, evenly spaced."""
    if len(items) <= count:
        return list(items)
    return [items[k * len(items) // count] for k in range(max(1, count))]
