"""Range coder: encodes symbols, given as intervals of [0, 2^24), into bytes and decodes them.

A range coder (Martin 1979, "Range encoding: an algorithm for removing redundancy from a digitised message") keeps an
interval of 64-bit integers. Each symbol narrows it, and its top bytes are written when it has become narrow. If the
interval's lower end later overflows, the carry is added to the bytes already written.
"""

from __future__ import annotations

from flaxchar.analysis.packing import Damaged

# The intervals of all symbols add up to at most 2^24, because float32 probabilities have 24 bits of precision.
FREQUENCY_BITS = 24
_TOP = 1 << 64
# A decoder reads this many bytes ahead. The encoder leaves out at most as many, which are zero.
_AHEAD = 8
# An interval narrower than this writes its top byte; only a carry can still change that byte.
_RENORMALIZE = 1 << 48


class Encoder:
    """Encodes symbols, given as intervals of ``[0, 2^24)``, into bytes.

    Example::

        encoder = Encoder()
        encoder.encode(0, 1 << 23)  # a symbol of probability 1/2 costs one bit
        data = encoder.finish()
    """

    def __init__(self) -> None:
        self._low, self._range, self._bytes = 0, _TOP, bytearray()

    def encode(self, start: int, size: int) -> None:
        """Encode the symbol whose interval is ``[start, start + size)``; ``size`` is at least 1."""
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
        """Return all bytes. The last ones are as few as suffice to name a number within the last interval."""
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
    """Decodes the bytes of ``Encoder``: for each symbol find the interval that holds ``target()``, then ``take`` it.

    Bytes that no encoder wrote are noticed as soon as they fall beside the intervals, or have been used up: what is
    decoded is bounded by the length of the data, by as much as the model compresses.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, _AHEAD
        self._value, self._range = int.from_bytes(data[:_AHEAD].ljust(_AHEAD, b"\0"), "big"), _TOP

    def target(self) -> int:
        """A number within the interval of the next symbol."""
        return min(self._value // (self._range >> FREQUENCY_BITS), (1 << FREQUENCY_BITS) - 1)

    def take(self, start: int, size: int) -> None:
        """Consume the symbol whose interval is ``[start, start + size)``.

        Raises:
          Damaged: the data is in no symbol's interval, or has ended before.
        """
        unit = self._range >> FREQUENCY_BITS
        self._value -= unit * start
        self._range = unit * size
        if self._value >= self._range:
            raise Damaged("its code stands for nothing")
        while self._range < _RENORMALIZE:
            if self._at >= len(self._data) + _AHEAD:
                raise Damaged("its code ends before its content")
            byte = self._data[self._at] if self._at < len(self._data) else 0
            self._value = (self._value << 8) | byte
            self._range <<= 8
            self._at += 1

    def finish(self) -> None:
        """Check that all bytes have been read.

        Raises:
          Damaged: more bytes follow.
        """
        if self._at < len(self._data):
            raise Damaged("its code goes on after its content")
