"""Spelling coder: unknown words and characters, coded with the probabilities of a ``Speller``."""

from __future__ import annotations

import bisect
import functools

import numpy as np

from flaxchar.analysis.range_coder import FREQUENCY_BITS, Decoder, Encoder
from flaxchar.data.spelling import CODE_POINTS, Speller

# The interval of each code point after an escape.
_CODE_POINT = (1 << FREQUENCY_BITS) // CODE_POINTS


class SpellingCoder:
    """Codes strings character by character.

    Example::

        coder, encoder = SpellingCoder(Speller(["heading", "reading"])), Encoder()
        coder.encode(encoder, "header")
        coder.decode(Decoder(encoder.finish()))  # "header"
    """

    def __init__(self, speller: Speller) -> None:
        self._speller = speller
        self._intervals = functools.lru_cache(1 << 12)(self._compute_intervals)

    def encode(self, encoder: Encoder, string: str) -> None:
        """Code a string and, where the speller predicts it, its end."""
        speller = self._speller
        symbols = [speller.symbol(character) for character in string] + [speller.end] * speller.ends
        for place, symbol in enumerate(symbols):
            begins = self._begins(string[:place])
            encoder.encode(begins[symbol], begins[symbol + 1] - begins[symbol])
            if symbol == speller.escape:
                encoder.encode(ord(string[place]) * _CODE_POINT, _CODE_POINT)

    def decode(self, decoder: Decoder) -> str:
        """Decode a string.

        Raises:
          ValueError: the data was not coded by this speller.
        """
        speller, string = self._speller, ""
        while True:
            begins = self._begins(string)
            symbol = min(bisect.bisect_right(begins, decoder.target()) - 1, speller.escape)
            decoder.take(begins[symbol], begins[symbol + 1] - begins[symbol])
            if symbol == speller.end:
                return string
            if symbol == speller.escape:
                point = min(decoder.target() // _CODE_POINT, CODE_POINTS - 1)
                decoder.take(point * _CODE_POINT, _CODE_POINT)
                string += chr(point)
            else:
                string += speller.characters[symbol]
            if not speller.ends:
                return string

    def _begins(self, before: str) -> list[int]:
        """Where the interval of each symbol begins after the beginning of a string, and the end of the last one."""
        # A longer context changes nothing, but the beginning of a string is a context too.
        return self._intervals(before[-self._speller.order :])

    def _compute_intervals(self, before: str) -> list[int]:
        probabilities = self._speller.probabilities(before)
        # However improbable, each symbol gets an interval, so that any string can be coded.
        sizes = 1 + np.floor(probabilities * ((1 << FREQUENCY_BITS) - len(probabilities))).astype(np.int64)
        return [0, *np.cumsum(sizes).tolist()]
