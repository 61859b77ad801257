"""Questions that a unit of the network may answer about the text, such as: inside quotation marks?

The text itself gives the right answers. The state at a position of a trace has read the text before it and not yet the
token that is predicted there. Most questions are about the text that was read. Those whose name begins with "next" are
about the token to come, which a unit can only anticipate.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from flaxchar.insight.trace import END, Trace

_OPENING, _CLOSING = "([{", ")]}"
# Marks that open and close a quotation alike, and those that have a form for either end.
_QUOTE, _OPENING_QUOTES, _CLOSING_QUOTES = '"', "“„«‹", "”»›"


class Question(NamedTuple):
    """A question about each position of a text.

    Attributes:
      name: the question, for people.
      read: the answer after each character of a text, the first before any: ``text`` → ``len(text) + 1`` answers; None
        for a question about the next token.
      following: the answer for the token to come; None for a question about the text that was read.
      numeric: whether the answers are numbers rather than yes or no.
    """

    name: str
    read: Callable[[str], Iterator[float]] | None = None
    following: Callable[[str], bool] | None = None
    numeric: bool = False

    def answers(self, trace: Trace) -> np.ndarray:
        """The right answer at each position of a trace, float64 ``[time]``; 0 and 1 for no and yes.

        Example::

            QUESTIONS[0].answers(trace(lm, 'He said "no".'))  # 1.0 from n to the second quotation mark
        """
        if self.following is not None:
            return np.array([self.following(token) for token in trace.tokens], np.float64)
        assert self.read is not None
        ends = len(trace.given) + np.cumsum([0, *map(len, trace.tokens)])[: len(trace.tokens)]
        return np.fromiter(self.read(trace.given + "".join(trace.tokens)), np.float64)[ends]


def _quotes(text: str) -> Iterator[float]:
    """Whether a quotation is open. A plain mark opens one if none is open."""
    is_open = False
    yield is_open
    for character in text:
        if character == _QUOTE:
            is_open = not is_open
        elif character in _OPENING_QUOTES:
            is_open = not (is_open and character == "“")  # it also closes what „ has opened
        elif character in _CLOSING_QUOTES or character == "\n":  # a quotation that is never closed ends with its line
            is_open = False
        yield is_open


def _brackets(text: str) -> Iterator[float]:
    """Whether a bracket is open."""
    depth = 0
    yield False
    for character in text:
        depth = max(0, depth + (character in _OPENING) - (character in _CLOSING))
        yield depth > 0


def _digits(text: str) -> Iterator[float]:
    """Whether the last character is a digit."""
    yield False
    yield from map(str.isdigit, text)


def _in_word(text: str) -> Iterator[float]:
    """The number of letters since the beginning of the word; 0 between words."""
    return _since(text, lambda character: not character.isalnum())


def _in_line(text: str) -> Iterator[float]:
    """The number of characters since the beginning of the line, or of the text."""
    return _since(text, lambda character: character == "\n")


def _since(text: str, ends: Callable[[str], bool]) -> Iterator[float]:
    return itertools.accumulate(text, lambda count, character: 0 if ends(character) else count + 1, initial=0)


QUESTIONS = (
    Question("Inside quotation marks?", _quotes),
    Question("Inside brackets?", _brackets),
    Question("Has it just read a digit?", _digits),
    Question("Position in the word", _in_word, numeric=True),
    Question("Position in the line", _in_line, numeric=True),
    Question("Next: a capital letter?", following=lambda token: token[:1].isupper()),
    Question("Next: the end of the word?", following=lambda token: not token[:1].isalnum()),
    Question("Next: the end of the text?", following=lambda token: token == END),
)
