"""Numbers and records in a compressed file, and what is refused in one that was damaged or forged.

A forged file may claim anything. What it claims is bounded by its own length: numbers have at most nine bytes, and
records may inflate to ``most_inflated`` bytes, which ``deflate`` keeps to as well.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from flaxchar.config import InputError

# Records may inflate to this many bytes, and to this many more for each byte that they take in the file.
_FREE, _PER_BYTE = 16 << 20, 100
_MOST_SHIFT = 56


class Damaged(ValueError):
    """A compressed file holds what no encoder writes."""


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte have their highest bit set."""
    result = bytearray()
    while number >= 0x80:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*result, number])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place after it.

    Raises:
      Damaged: it does not end, or is larger than 2^63.
    """
    number = 0
    for shift in range(0, _MOST_SHIFT + 1, 7):
        if at >= len(data):
            raise Damaged("it ends within a number")
        number |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return number, at
    raise Damaged("a number in it is too large")


def read_part(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """The ``size`` bytes at a place, and the place after them.

    Raises:
      Damaged: there are fewer.
    """
    if size > len(data) - at:
        raise Damaged(f"it claims {size:,} bytes where there are {len(data) - at:,}")
    return data[at : at + size], at + size


def most_inflated(size: int) -> int:
    """The bytes to which ``size`` deflated ones may inflate."""
    return _FREE + _PER_BYTE * size


def deflate(records: list[list[Any]]) -> bytes:
    """Records as JSON, deflated; nothing where there are none.

    Raises:
      InputError: they are so many and so regular that a file of this size is not allowed to claim them.
    """
    if not records:
        return b""
    written = json.dumps(records, allow_nan=False)
    if json.loads(written) != records:  # two halves of a surrogate pair, escaped, would be read as one character
        written = json.dumps(records, ensure_ascii=False, allow_nan=False)
    data = written.encode("utf-8", "surrogatepass")
    result = zlib.compress(data, 9)
    if len(data) > most_inflated(len(result)):
        raise InputError(
            f"the content has {len(records):,} tokens that the model has never seen, or labels and sources, which are "
            "too many for a compressed file; use another model, or compress parts of the content"
        )
    return result


def inflate(data: bytes) -> list[Any]:
    """The inverse of ``deflate``.

    Raises:
      Damaged: it is no deflated list, or inflates to more than ``most_inflated``.
    """
    if not data:
        return []
    most = most_inflated(len(data))
    inflater = zlib.decompressobj()
    try:
        written = inflater.decompress(data, most + 1)
        if len(written) > most:
            raise Damaged(f"{len(data):,} bytes in it inflate to more than {most:,}")
        if not inflater.eof or inflater.unused_data:
            raise Damaged("its deflated part has no end")
        records = json.loads(written.decode("utf-8", "surrogatepass"))
    except Damaged:
        raise
    except (zlib.error, ValueError, RecursionError):
        raise Damaged("its deflated part cannot be read") from None
    if not isinstance(records, list):
        raise Damaged("its deflated part holds no list")
    return records
