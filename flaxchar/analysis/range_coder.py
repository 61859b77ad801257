"""Range coder: symbols as intervals of [0, 2^24) into bytes and back.

A range coder (Martin 1979, "Range encoding: an algorithm for removing redundancy from a digitised message") narrows an
interval of 64-bit integers by each symbol and writes its upper bytes as soon as they are settled. A carry out of the
interval is added to the bytes already written.
"""

from __future__ import annotations

# Intervals of all symbols add up to at most 2^24: float32 probabilities have no more digits.
FREQUENCY_BITS = 24
_TOP = 1 << 64
# Below this the next byte of the interval is settled, or a carry is still possible in bytes already written.
_RENORMALIZE = 1 << 48


class Encoder:
    """Codes symbols, given as intervals of ``[0, 2^24)``, into bytes.

    Example::

        encoder = Encoder()
        encoder.encode(0, 1 << 23)  # a symbol of probability 1/2 costs one bit
        data = encoder.finish()
    """

    def __init__(self) -> None:
        self._low, self._range, self._bytes = 0, _TOP, bytearray()

    def encode(self, start: int, size: int) -> None:
        """Append the symbol whose interval is ``[start, start + size)``; ``size`` is 1 or more."""
        unit = self._range >> FREQUENCY_BITS
        self._low += unit * start
        self._range = unit * size
        self._add_carry(self._low)
        self._low %= _TOP
        while self._range < _RENORMALIZE:
            self._bytes.append(self._low >> 56)
            self._low = (self._low << 8) % _TOP
            self._range <<= 8

    def finish(self) -> bytes:
        """Return all bytes, closed by the shortest number within the last interval."""
        for count in range(9):
            unit = 1 << (64 - 8 * count)
            value = -(-self._low // unit) * unit
            if value < self._low + self._range:
                break
        self._add_carry(value)
        return bytes(self._bytes) + (value % _TOP).to_bytes(8, "big")[:count]

    def _add_carry(self, value: int) -> None:
        if value >= _TOP:
            at = len(self._bytes) - 1
            while self._bytes[at] == 0xFF:
                self._bytes[at] = 0
                at -= 1
            self._bytes[at] += 1


class Decoder:
    """Decodes what ``Encoder`` coded: ask for ``target``, find the symbol, and ``take`` its interval."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 8
        self._value, self._range = int.from_bytes(data[:8].ljust(8, b"\0"), "big"), _TOP

    def target(self) -> int:
        """A number within the interval of the next symbol."""
        return min(self._value // (self._range >> FREQUENCY_BITS), (1 << FREQUENCY_BITS) - 1)

    def take(self, start: int, size: int) -> None:
        """Consume the symbol whose interval is ``[start, start + size)``."""
        unit = self._range >> FREQUENCY_BITS
        self._value -= unit * start
        self._range = unit * size
        while self._range < _RENORMALIZE:
            byte = self._data[self._at] if self._at < len(self._data) else 0
            self._value = (self._value << 8) | byte
            self._range <<= 8
            self._at += 1
