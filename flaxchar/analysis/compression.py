"""Compression: a text, or examples, in as many bits as a model's scores say, and back.

A compressed file proves bits per character, for it can be restored. It holds::

    "flaxchar"      what it is
    1 byte          1 for a text, 2 for examples with labels or sources
    8 bytes         which model: the beginning of a SHA-256 hash of its settings, vocabulary and parameters
    4 bytes         CRC-32 of the content
    4 bytes         CRC-32 of all that follows
    numbers         of a text: tokens, bytes of exceptions; of examples: examples, bytes of fields, of exceptions
    fields          of examples: labels and sources; JSON, deflated
    exceptions      tokens outside the vocabulary and where they stand; JSON, deflated
    the rest        the tokens, by a range coder; the spelling of a token follows its id where that is ``<unk>``

A file restores on the machine it was made on. A processor that rounds otherwise computes other probabilities; the
checksum of the content tells.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from flaxchar.analysis.token_coder import Script, decode_tokens, encode_tokens, example_script, text_script
from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.models.trained import TrainedModel

MAGIC = b"flaxchar"
_TEXT, _EXAMPLES = 1, 2
_HEADER = len(MAGIC) + 17
# A text is cut into rows of at least this many tokens. Every row but the first starts without context.
TOKENS_PER_ROW, MOST_ROWS = 4096, 64


def compress(trained: TrainedModel, content: str | Iterable[Example]) -> bytes:
    """Code a text, or examples, by a model; ``decompress`` restores them.

    Args:
      trained: the model.
      content: a text, whose lines are texts of their own unless the model was trained on running text; or, for a model
        trained with labels or sources, examples. Labels and sources are stored beside the coded texts.

    Raises:
      InputError: the model is a classifier; it needs examples where a text was given, or a text where examples were.
    """
    vocabulary = trained.vocabulary
    if vocabulary.classifies:
        raise InputError('the model names the label of a text (`head="classifier"`); it gives texts no probability')
    conditional = bool(vocabulary.labels) or vocabulary.source_end is not None
    if isinstance(content, str):
        if conditional:
            field = "label" if vocabulary.labels else "source"
            raise InputError(f"the model was trained with {field}s; give it examples that have a {field}, not a text")
        return _pack(trained, _TEXT, _text_bytes(content), _compress_text(trained, content))
    if not conditional:
        raise InputError("the model was trained without labels and sources; give it one text, not examples")
    examples = list(content)
    return _pack(trained, _EXAMPLES, _example_bytes(examples), _compress_examples(trained, examples))


def decompress(trained: TrainedModel, data: bytes, name: str = "the file") -> str | list[Example]:
    """Restore what ``compress`` coded: a text, or examples.

    Args:
      trained: the same model.
      data: the compressed content.
      name: what error messages call it.

    Raises:
      InputError: the data was made by another model, is damaged, or is something else.
    """
    if not data.startswith(MAGIC):
        raise InputError(f"{name} was not made by flaxchar compress")
    kind = data[len(MAGIC)] if len(data) > len(MAGIC) else None
    if kind not in (_TEXT, _EXAMPLES):
        raise InputError(f"{name} was made by another version of flaxchar")
    at = len(MAGIC) + 1
    if data[at : at + 8] != fingerprint(trained):
        raise InputError(f"{name} was made by another model; name the one that made it with `workdir`")
    body = data[_HEADER:]
    if _checksum(body) != data[at + 12 : at + 16]:
        raise InputError(f"{name} is damaged: the checksum in it is not the checksum of its content")
    content: str | list[Example]
    if kind == _TEXT:
        content = _decompress_text(trained, body)
        restored = _text_bytes(content)
    else:
        content = _decompress_examples(trained, body)
        restored = _example_bytes(content)
    if _checksum(restored) != data[at + 8 : at + 12]:
        raise InputError(
            f"{name} cannot be restored here: this machine computes other probabilities than the one it was made on"
        )
    return content


def fingerprint(trained: TrainedModel) -> bytes:
    """Eight bytes that tell a model from others."""
    data = trained.config.data
    described = [dataclasses.asdict(trained.config.model), trained.vocabulary.to_dict(), data.bos, not data.running]
    digest = hashlib.sha256(json.dumps(described, allow_nan=False).encode("ascii"))
    for leaf in jax.tree.leaves(trained.params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.digest()[:8]


class _Tokens(NamedTuple):
    """Tokens of a text.

    Attributes:
      ids: the ids of the tokens in the vocabulary; unknown tokens as strings, where their spelling can be coded.
      exceptions: the others: ``[tokens since the last exception, token]``.
    """

    ids: list[int | str]
    exceptions: list[list[Any]]


def _tokenize(trained: TrainedModel, texts: Iterable[str]) -> _Tokens:
    """Texts as ids with ``<eos>`` between them."""
    vocabulary = trained.vocabulary
    spelled = vocabulary.spelling is not None
    ids: list[int | str] = []
    exceptions: list[list[Any]] = []
    since = 0
    for number, text in enumerate(texts):
        if number:
            ids.append(vocabulary.eos)
            since += 1
        for token in vocabulary.tokenize(text):
            k = vocabulary.id_of(token)
            if k is None and not spelled:
                exceptions.append([since, token])
                since = 0
            else:
                ids.append(token if k is None else k)
                since += 1
    return _Tokens(ids, exceptions)


def _restore(trained: TrainedModel, tokens: _Tokens) -> list[str]:
    """The inverse of ``_tokenize``."""
    eos, characters = trained.vocabulary.eos, trained.vocabulary.tokens
    texts: list[list[str]] = [[]]
    done = 0
    for gap, exception in [*tokens.exceptions, [len(tokens.ids), ""]]:
        for k in tokens.ids[done : done + gap]:
            if k == eos:
                texts.append([])
            else:
                texts[-1].append(k if isinstance(k, str) else characters[k - 1] or "")
        texts[-1].append(exception)
        done += gap
    return ["".join(text) for text in texts]


def _compress_text(trained: TrainedModel, text: str) -> bytes:
    tokens = _tokenize(trained, [text] if trained.config.data.running else text.split("\n"))
    rows = _share(len(tokens.ids))
    scripts = _text_scripts(trained, rows)
    coded = encode_tokens(trained, scripts, [iter(tokens.ids[row.start : row.stop]) for row in rows]) if rows else b""
    exceptions = _deflate(tokens.exceptions)
    return _varint(len(tokens.ids)) + _varint(len(exceptions)) + exceptions + coded


def _decompress_text(trained: TrainedModel, body: bytes) -> str:
    count, at = _read_varint(body, 0)
    size, at = _read_varint(body, at)
    exceptions = _inflate(body[at : at + size])
    rows = decode_tokens(trained, _text_scripts(trained, _share(count)), body[at + size :]) if count else []
    return "\n".join(_restore(trained, _Tokens([k for row in rows for k in row], exceptions)))


def _text_scripts(trained: TrainedModel, rows: list[range]) -> list[Script]:
    data, eos = trained.config.data, trained.vocabulary.eos
    return [text_script(len(row), eos, data.bos, not data.running) for row in rows]


def _share(count: int) -> list[range]:
    """Which tokens each row codes."""
    rows = max(1, min(MOST_ROWS, count // TOKENS_PER_ROW))
    per_row = -(-count // rows)
    return [range(start, min(start + per_row, count)) for start in range(0, count, max(1, per_row))]


def _compress_examples(trained: TrainedModel, examples: list[Example]) -> bytes:
    tokens = _tokenize(trained, [example.text for example in examples])
    fields = _deflate([[example.label, example.source] for example in examples])
    exceptions = _deflate(tokens.exceptions)
    coded = b""
    if examples:
        eos = trained.vocabulary.eos
        texts = [[*text, eos] for text in _split(tokens.ids, eos)]
        rows = [iter([k for n in group for k in texts[n]]) for group in _groups(len(examples))]
        scripts, length = _example_scripts(trained, examples)
        coded = encode_tokens(trained, scripts, rows, length)
    numbers = _varint(len(examples)) + _varint(len(fields)) + _varint(len(exceptions))
    return numbers + fields + exceptions + coded


def _decompress_examples(trained: TrainedModel, body: bytes) -> list[Example]:
    count, at = _read_varint(body, 0)
    fields_size, at = _read_varint(body, at)
    size, at = _read_varint(body, at)
    fields = _inflate(body[at : at + fields_size])
    at += fields_size
    exceptions = _inflate(body[at : at + size])
    if not count:
        return []
    examples = [Example("", label, source) for label, source in fields]
    scripts, length = _example_scripts(trained, examples)
    rows = decode_tokens(trained, scripts, body[at + size :], length)
    ids = [k for row in rows for k in row][:-1]  # all but the <eos> of the last text
    texts = _restore(trained, _Tokens(ids, exceptions))
    return [example._replace(text=text) for example, text in zip(examples, texts, strict=True)]


def _example_scripts(trained: TrainedModel, examples: list[Example]) -> tuple[list[Script], int]:
    """A script for each row of examples, and the tokens of the longest prefix."""
    vocabulary = trained.vocabulary
    # What the vocabulary does not hold is left out of a source, as in training.
    prefixes = [vocabulary.prefix(example.label, example.source, "drop") for example in examples]
    scripts = [example_script([prefixes[n] for n in group], vocabulary.eos) for group in _groups(len(examples))]
    return scripts, max(map(len, prefixes))


def _groups(count: int) -> list[range]:
    """Which examples each row codes."""
    rows = min(MOST_ROWS, count)
    return [range(count * row // rows, count * (row + 1) // rows) for row in range(rows)]


def _split(ids: list[int | str], eos: int) -> list[list[int | str]]:
    texts: list[list[int | str]] = [[]]
    for k in ids:
        if k == eos:
            texts.append([])
        else:
            texts[-1].append(k)
    return texts


def _pack(trained: TrainedModel, kind: int, content: bytes, body: bytes) -> bytes:
    return MAGIC + bytes([kind]) + fingerprint(trained) + _checksum(content) + _checksum(body) + body


def _text_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _example_bytes(examples: list[Example]) -> bytes:
    return _text_bytes(json.dumps(examples, ensure_ascii=False, allow_nan=False))


def _deflate(records: list[list[Any]]) -> bytes:
    written = json.dumps(records, allow_nan=False)
    if json.loads(written) != records:  # two halves of a surrogate pair, escaped, would be read as one character
        written = json.dumps(records, ensure_ascii=False, allow_nan=False)
    return zlib.compress(_text_bytes(written), 9) if records else b""


def _inflate(data: bytes) -> list[list[Any]]:
    return json.loads(zlib.decompress(data).decode("utf-8", "surrogatepass")) if data else []


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte have their highest bit set."""
    result = bytearray()
    while number >= 0x80:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*result, number])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    number = shift = 0
    while data[at] & 0x80:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift, at + 1
