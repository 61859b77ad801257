"""Spelling: what it costs to spell a word or character that the vocabulary does not hold, by n-grams of characters.

A model gives an unknown word the probability of the unknown token. The word itself is one of many, and its spelling is
the rest of the cost: ``P(word) = P(<unk>) P(its characters)``. The characters are predicted by interpolated Kneser-Ney
n-grams (Chen & Goodman 1999, https://doi.org/10.1006/csla.1999.0128, section 4.1.6) of the training words. Each
distinct word counts once, because unknown words are like rare ones::

    P_n(c | u) = (max(count(u c) - D_n, 0) + D_n N(u .) P_(n-1)(c | u')) / count(u .)
    D_n = (n1 + 1) / (n1 + 2 n2 + 2)

``u`` is the ``n - 1`` characters before ``c``, and ``u'`` is ``u`` without its first one. ``N(u .)`` is the number of
different characters after ``u``; ``n1`` and ``n2`` are the numbers of n-grams counted once and twice. For the longest
n-grams ``count`` is the number of occurrences; for shorter ones it is the number of different characters before them.
``P_0`` is an escape, after which any of Unicode's code points follows, all equally probable. So every string has a
probability, and those of all strings add up to at most one.

The probabilities are sums, products and quotients of double-precision numbers, which every machine rounds alike.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from flaxchar.settings import Unit

# The longest n-gram of a word's characters.
ORDER = 6
CODE_POINTS = 0x110000
# Words outside the vocabulary that are kept with a model, at most.
MOST_WORDS = 50_000


@dataclasses.dataclass(frozen=True)
class Spelling:
    """What a ``Speller`` is made of: tokens of the training texts outside the vocabulary.

    Attributes:
      tokens: words, of which at most ``MOST_WORDS`` are kept; or characters.
      counts: how often each character occurs; None for words.
    """

    tokens: tuple[str, ...]
    counts: tuple[int, ...] | None = None

    @classmethod
    def of(cls, tokens: Sequence[str], counts: Mapping[str, int], unit: Unit) -> Spelling:
        """Keep tokens, given by falling frequency: all characters, or of many words evenly spaced ones."""
        if unit == "char":
            return cls(tuple(tokens), tuple(counts[token] for token in tokens))
        return cls(tuple(tokens[:: max(1, -(-len(tokens) // MOST_WORDS))]))

    def speller(self, known: Sequence[str] = ()) -> Speller:
        """The speller of unknown words, given the words of the vocabulary too; or of unknown characters."""
        if self.counts is None:
            return Speller([*known, *self.tokens])
        return Speller(self.tokens, self.counts, order=1, ends=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        values: dict[str, Any] = {"tokens": list(self.tokens)}
        return values if self.counts is None else values | {"counts": list(self.counts)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Spelling:
        """The inverse of ``to_dict``."""
        return cls(tuple(values["tokens"]), tuple(values["counts"]) if "counts" in values else None)


class _Table(NamedTuple):
    """The n-grams of one length.

    Attributes:
      keys: the n-grams, sorted: the number of the context times the number of symbols, plus the last symbol.
      counts: how often each occurs, float64 ``[n-grams]``.
      totals: the sum of the counts after each context, float64 ``[contexts]``.
      followers: how many different symbols stand after each context, float64 ``[contexts]``.
      discount: ``D_n``.
      contexts: the n-grams that are contexts of longer ones, sorted: the number of the (n - 1)-gram without the first
        symbol times the number of symbols, plus the first symbol. The place in this array is the number of the context.
    """

    keys: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    followers: np.ndarray
    discount: float
    contexts: np.ndarray


class Speller:
    """Predicts the characters of strings, one after another, from the strings that it was made of.

    The symbols are the known characters, then the end of a string, then the escape to an unknown character.

    Example::

        speller = Speller(["heading", "reading", "reader"])
        speller.nats(["header", "xyz"])  # the first costs less
    """

    def __init__(
        self, strings: Sequence[str], counts: Sequence[int] | None = None, order: int = ORDER, ends: bool = True
    ) -> None:
        """Count the n-grams of some strings.

        Args:
          strings: the strings.
          counts: how often each is counted; None for once.
          order: the longest n-gram.
          ends: whether the end of a string is predicted; without it each string is one character.
        """
        self.order, self.ends = order, ends
        self.characters = sorted(set().union(*strings))
        self._numbers = {character: k for k, character in enumerate(self.characters, start=1)}
        self.end, self.escape = len(self.characters), len(self.characters) + 1  # places among the symbols
        self._symbols = len(self.characters) + 3  # the beginning of a string is number 0
        ids, predicted = self._stream(strings)
        at = np.flatnonzero(predicted)
        weights = np.ones(len(strings)) if counts is None else np.asarray(counts, np.float64)
        occurrences = np.repeat(weights, [len(string) + ends for string in strings])
        self._tables: list[_Table] = []
        gram = np.zeros(len(ids), np.int64)  # the number of the (n - 1)-gram that ends at each symbol
        for n in range(1, order + 1):
            keys, which = np.unique(gram[at - 1] * self._symbols + ids[at], return_inverse=True)
            if n == order:
                tally = np.bincount(which, occurrences, len(keys))
            else:  # how many different symbols stand before
                before = np.unique(which * self._symbols + ids[at - n])
                tally = np.bincount(before // self._symbols, minlength=len(keys)).astype(np.float64)
            size = int(gram.max(initial=0)) + 1
            once, twice = (tally == 1).sum(), (tally == 2).sum()
            # The gram that ends at each symbol is one symbol longer at its beginning.
            first = np.concatenate([np.zeros(n - 1, np.int64), ids])[: len(ids)]
            contexts, gram = np.unique(gram * self._symbols + first, return_inverse=True)
            self._tables.append(
                _Table(
                    keys,
                    tally,
                    np.bincount(keys // self._symbols, tally, size),
                    np.bincount(keys // self._symbols, minlength=size).astype(np.float64),
                    float((once + 1) / (once + 2 * twice + 2)),
                    contexts,
                )
            )

    def symbol(self, character: str) -> int:
        """The place of a character among the symbols; that of the escape for an unknown one."""
        return self._numbers.get(character, self.escape + 1) - 1

    def nats(self, strings: Sequence[str]) -> np.ndarray:
        """What each string costs, nats, float64 ``[strings]``."""
        if not len(strings):
            return np.zeros(0)
        ids, predicted = self._stream(strings)
        at = np.flatnonzero(predicted)
        escapes = ids[at] == self.escape + 1
        probability = escapes.astype(np.float64)
        context = np.zeros(len(ids), np.int64)
        for n, table in enumerate(self._tables, start=1):
            before = context[at - 1]
            known = before >= 0
            before = np.where(known, before, 0)
            count = _look_up(table.keys, before * self._symbols + ids[at], table.counts)
            probability = np.where(
                known & (table.totals[before] > 0), _interpolated(table, before, count, probability), probability
            )
            first = np.concatenate([np.zeros(n - 1, np.int64), ids])[: len(ids)]
            context = _number(table.contexts, np.where(context >= 0, context * self._symbols + first, -1))
        costs = -np.log(probability) + escapes * math.log(CODE_POINTS)
        rows = np.repeat(np.arange(len(strings)), [len(string) + self.ends for string in strings])
        return np.bincount(rows, costs, len(strings))

    def probabilities(self, before: str) -> np.ndarray:
        """Probability of each symbol after the beginning of a string, float64 ``[symbols]``; they add up to one."""
        ids = [0] * (self.order - 1) + [self.symbol(character) + 1 for character in before[-self.order :]]
        result = np.zeros(self._symbols - 1)
        result[self.escape] = 1
        context = 0
        for n, table in enumerate(self._tables, start=1):
            first, after = np.searchsorted(table.keys, [context * self._symbols, (context + 1) * self._symbols])
            if table.totals[context] > 0:
                count = np.zeros(len(result))
                count[table.keys[first:after] - context * self._symbols - 1] = table.counts[first:after]
                result = _interpolated(table, context, count, result)
            if n == self.order:
                break
            context = int(_number(table.contexts, np.array([context * self._symbols + ids[-n]]))[0])
            if context < 0:
                break
        return result

    def _stream(self, strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the symbols of all strings, and which of them are predicted, ``[symbols]``."""
        lengths = np.array([len(string) + self.order - 1 + self.ends for string in strings], np.int64)
        starts = np.cumsum(lengths) - lengths
        ids = np.zeros(int(lengths.sum()), np.int64)
        within = np.arange(len(ids)) - np.repeat(starts, lengths)
        predicted = within >= self.order - 1
        last = np.repeat(lengths, lengths) - 1 == within if self.ends else np.zeros(len(ids), bool)
        ids[last] = self.end + 1
        ids[predicted & ~last] = [self.symbol(character) + 1 for character in "".join(strings)]
        return ids, predicted


def _interpolated(table: _Table, context: np.ndarray | int, count: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    """The module's formula."""
    discount = table.discount
    share = discount * table.followers[context] * shorter
    return (np.maximum(count - discount, 0) + share) / np.maximum(table.totals[context], 1)


def _number(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The place of each wanted key in sorted keys, -1 where it is missing."""
    if not len(keys):
        return np.full(len(wanted), -1)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def _look_up(keys: np.ndarray, wanted: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The value of each wanted key, 0 where it is missing."""
    places = _number(keys, wanted)
    return np.append(values, 0.0)[places]  # -1 is the last place
