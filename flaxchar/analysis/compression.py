"""Text as small as a model says: its probabilities and an arithmetic coder, there and back.

The proof that bits per character are real. A file is::

    "flaxchar" 1   what it is, and the version of this format
    8 bytes        which model: the beginning of a SHA-256 hash of its settings, vocabulary and parameters
    4 bytes        CRC-32 of the text
    4 bytes        CRC-32 of all that follows
    numbers        how many tokens, how many bytes the exceptions take
    exceptions     what the vocabulary does not hold: after how many tokens, and what; JSON, deflated
    the rest       the tokens, coded

Both directions ask the same compiled program for the probabilities, a character of every row at a time, so that they
agree to the last bit. (Between machines whose processors round differently they may not; the checksum tells.) The coder
is a range coder with byte-wise output (Martin 1979), carries propagated into what is written.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import hashlib
import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from flaxchar.config import InputError
from flaxchar.data.vocabulary import PAD
from flaxchar.language_model import LanguageModel
from flaxchar.models.charlm import CharLM, Params

MAGIC = b"flaxchar\x01"
# Frequencies add up to 2^24: float32 tells no more digits apart.
_BITS = 24
_TOP = 1 << 64
# A text is coded in as many rows as leave each this many tokens; every row but the first starts without context.
TOKENS_PER_ROW, MOST_ROWS = 4096, 64


class Encoder:
    """Symbols, as intervals of [0, 2^24), into bytes."""

    def __init__(self) -> None:
        self._low, self._range, self._bytes = 0, _TOP, bytearray()

    def encode(self, start: int, size: int) -> None:
        """The symbol that has the interval from ``start``, of ``size``."""
        unit = self._range >> _BITS
        self._low += unit * start
        self._range = unit * size
        self._carry(self._low)
        self._low %= _TOP
        while self._range < 1 << 48:
            self._bytes.append(self._low >> 56)
            self._low = (self._low << 8) % _TOP
            self._range <<= 8

    def finish(self) -> bytes:
        """All the bytes: of the last interval, a number that needs few."""
        for count in range(9):
            unit = 1 << (64 - 8 * count)
            value = -(-self._low // unit) * unit
            if value < self._low + self._range:
                break
        self._carry(value)
        return bytes(self._bytes) + (value % _TOP).to_bytes(8, "big")[:count]

    def _carry(self, value: int) -> None:
        """What a number above the top adds to what is written."""
        if value >= _TOP:
            at = len(self._bytes) - 1
            while self._bytes[at] == 0xFF:
                self._bytes[at] = 0
                at -= 1
            self._bytes[at] += 1


class Decoder:
    """The inverse of ``Encoder``."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 8
        self._value, self._range = int.from_bytes(data[:8].ljust(8, b"\0"), "big"), _TOP

    def target(self) -> int:
        """A number in the interval of the next symbol."""
        return min(self._value // (self._range >> _BITS), (1 << _BITS) - 1)

    def take(self, start: int, size: int) -> None:
        """Go on after the symbol that has this interval."""
        unit = self._range >> _BITS
        self._value -= unit * start
        self._range = unit * size
        while self._range < 1 << 48:
            byte = self._data[self._at] if self._at < len(self._data) else 0
            self._value = (self._value << 8) | byte
            self._range <<= 8
            self._at += 1


@functools.partial(jax.jit, static_argnums=0)
def _step(model: CharLM, params: Params, carry: tuple, ids: Array, fresh: Array) -> tuple[Array, tuple]:
    """Feed a token of every row ``[rows]``; where the intervals of the next begin ``[rows, vocab + 1]``, and the carry.

    ``fresh`` ``[rows]``: which rows start anew with this token.
    """
    carry = jax.tree.map(lambda state: jnp.where(fresh[:, None], 0.0, state), carry)
    logits, carry = model.apply({"params": params}, ids, carry, method="step")
    probabilities = jax.nn.softmax(logits.at[:, PAD].set(-jnp.inf))
    # Each id has some share, however improbable, so that anything can be coded.
    sizes = 1 + jnp.floor(probabilities * (2**_BITS - model.vocab)).astype(jnp.int32)
    return jnp.pad(jnp.cumsum(sizes.at[:, PAD].set(0), axis=1), ((0, 0), (1, 0))), carry


class _Rows:
    """Tokens of several rows in step: where the intervals of the next token of each begin."""

    def __init__(self, lm: LanguageModel, tokens: int) -> None:
        self._lm, self.count = lm, max(1, min(MOST_ROWS, tokens // TOKENS_PER_ROW))
        self._carry = lm.model.initial_carry(self.count)
        vocab = lm.vocabulary.size
        uniform = np.arange(vocab + 1) - 1  # but for padding
        self._uniform = np.maximum(uniform, 0) * ((1 << _BITS) // (vocab - 1))
        self._begins_text = np.ones(self.count, bool)
        if lm.config.data.bos:
            self._next = self._advance(np.full(self.count, lm.vocabulary.eos, np.int32), self._begins_text)
        else:  # no <eos> is fed before a text, so its first token is not predicted: all are as probable
            self._next = np.tile(self._uniform, (self.count, 1))

    def _advance(self, ids: np.ndarray, fresh: np.ndarray) -> np.ndarray:
        begins, self._carry = _step(self._lm.model, self._lm.params, self._carry, ids, fresh)
        return np.array(begins)

    def begins(self) -> list[list[int]]:
        """For each row, where the interval of each id begins; that of id ``k`` ends where the next begins."""
        return self._next.tolist()

    def feed(self, ids: list[int]) -> None:
        """What the tokens were."""
        data = self._lm.config.data
        fed = np.array(ids, np.int32)
        ends_text = (fed == self._lm.vocabulary.eos) & (not data.running)
        # With bos the <eos> that ends a text begins the next one, too.
        self._next = self._advance(fed, ends_text if data.bos else self._begins_text)
        self._begins_text = ends_text
        if not data.bos:
            self._next[ends_text] = self._uniform


def compress(lm: LanguageModel, text: str) -> bytes:
    """A text coded by a model; ``decompress`` gives it back.

    Raises:
      InputError: the model knows classes, or writes from sources.
    """
    vocabulary, separate = lm.vocabulary, not lm.config.data.running
    lm.refuse_sources()
    if vocabulary.labels:
        raise InputError("compress cannot use a model that writes for classes: nothing tells which a line belongs to")
    ids: list[int] = []
    exceptions: list[tuple[int, str]] = []
    since = 0
    # Of separate texts, each is a line.
    for number, line in enumerate(text.split("\n") if separate else [text]):
        if number:
            ids.append(vocabulary.eos)
            since += 1
        for token in vocabulary.tokenize(line):
            k = vocabulary.id_of(token)
            if k is None:
                exceptions.append((since, token))
                since = 0
            else:
                ids.append(k)
                since += 1
    left_out = zlib.compress(json.dumps(exceptions).encode("ascii"), 9) if exceptions else b""
    body = _varint(len(ids)) + _varint(len(left_out)) + left_out + _encode(lm, ids)
    return MAGIC + fingerprint(lm) + _checksum(_bytes(text)) + _checksum(body) + body


def _encode(lm: LanguageModel, ids: list[int]) -> bytes:
    if not ids:
        return b""
    encoder, rows = Encoder(), _Rows(lm, len(ids))
    per_row = -(-len(ids) // rows.count)
    for step in range(per_row):
        column = ids[step::per_row]  # row r has the tokens from r * per_row on
        for begins, k in zip(rows.begins(), column, strict=False):
            encoder.encode(begins[k], begins[k + 1] - begins[k])
        if step + 1 < per_row:
            rows.feed(column + [lm.vocabulary.eos] * (rows.count - len(column)))
    return encoder.finish()


def decompress(lm: LanguageModel, data: bytes, name: str = "the file") -> str:
    """The text that ``compress`` coded.

    Raises:
      InputError: it was coded by another model, or is damaged, or is something else.
    """
    if not data.startswith(MAGIC[:-1]):
        raise InputError(f"{name} was not made by flaxchar compress")
    if data[len(MAGIC) - 1 : len(MAGIC)] != MAGIC[-1:]:
        raise InputError(f"{name} was made by another version of flaxchar")
    at = len(MAGIC)
    if data[at : at + 8] != fingerprint(lm):
        raise InputError(f"{name} was made by another model; name the one that made it with --workdir")
    text_sum, body_sum, body = data[at + 8 : at + 12], data[at + 12 : at + 16], data[at + 16 :]
    if _checksum(body) != body_sum:
        raise InputError(f"{name} is damaged: its checksum is not that of its content")
    count, at = _read_varint(body, 0)
    size, at = _read_varint(body, at)
    exceptions = json.loads(zlib.decompress(body[at : at + size])) if size else []
    ids = _decode(lm, body[at + size :], count)
    words: list[str] = []
    done = 0
    for gap, token in [*exceptions, (len(ids), "")]:
        words += ("\n" if k == lm.vocabulary.eos else lm.vocabulary.decode([k]) for k in ids[done : done + gap])
        words.append(token)
        done += gap
    text = "".join(words)
    if _checksum(_bytes(text)) != text_sum:
        raise InputError(
            f"{name} cannot be restored here: this machine computes other probabilities than the one it was made on"
        )
    return text


def _decode(lm: LanguageModel, data: bytes, count: int) -> list[int]:
    if not count:
        return []
    decoder, rows = Decoder(data), _Rows(lm, count)
    per_row = -(-count // rows.count)
    columns: list[list[int]] = []
    for k in range(per_row):
        column: list[int] = []
        for begins in rows.begins()[: len(range(k, count, per_row))]:
            token = min(bisect.bisect_right(begins, decoder.target()) - 1, lm.vocabulary.size - 1)
            decoder.take(begins[token], begins[token + 1] - begins[token])
            column.append(token)
        columns.append(column)
        if k + 1 < per_row:
            rows.feed(column + [lm.vocabulary.eos] * (rows.count - len(column)))
    return [column[r] for r in range(rows.count) for column in columns if r < len(column)]


def fingerprint(lm: LanguageModel) -> bytes:
    """Eight bytes that tell a model from others."""
    data = lm.config.data
    described = [dataclasses.asdict(lm.config.model), lm.vocabulary.to_dict(), data.bos, not data.running]
    digest = hashlib.sha256(json.dumps(described).encode("ascii"))
    for leaf in jax.tree.leaves(lm.params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.digest()[:8]


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have their highest bit set."""
    result = bytearray()
    while number >= 0x80:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*result, number])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] & 0x80:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift, at + 1
