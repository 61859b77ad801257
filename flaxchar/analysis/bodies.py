"""The body of a compressed file: the tokens of a text or of examples, coded by a model, and those it cannot code.

A body may be forged. What it claims is bounded by its own length before anything is decoded, and decoding ends with the
coded bytes (see ``flaxchar.analysis.packing`` and ``range_coder.Decoder``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from flaxchar.analysis.packing import Damaged, deflate, inflate, read_part, read_varint, varint
from flaxchar.analysis.token_coder import (
    Script,
    decode_tokens,
    encode_tokens,
    example_script,
    most_tokens,
    text_script,
)
from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.models.trained import TrainedModel
from flaxchar.sizes import in_bytes, machine_memory

# A text is cut into rows of at least this many tokens. Every row but the first starts without context.
TOKENS_PER_ROW, MOST_ROWS = 4096, 64


class Undecodable(Exception):
    """The coded tokens cannot be decoded with the probabilities that the model gives here."""


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
                token = k if isinstance(k, str) else characters[k - 1] if k <= len(characters) else None
                if token is None:
                    raise Undecodable("it codes an id that stands for no text")
                texts[-1].append(token)
        texts[-1].append(exception)
        done += gap
    return ["".join(text) for text in texts]


def compress_text(trained: TrainedModel, text: str) -> bytes:
    """The body of a text."""
    tokens = _tokenize(trained, [text] if trained.config.data.running else text.split("\n"))
    rows = _share(len(tokens.ids))
    scripts = _text_scripts(trained, rows)
    coded = encode_tokens(trained, scripts, [iter(tokens.ids[row.start : row.stop]) for row in rows]) if rows else b""
    exceptions = deflate(tokens.exceptions)
    return varint(len(tokens.ids)) + varint(len(exceptions)) + exceptions + coded


def decompress_text(trained: TrainedModel, body: bytes) -> str:
    """The inverse of ``compress_text``.

    Raises:
      Damaged: the body claims what cannot be.
      Undecodable: its tokens cannot be decoded here.
    """
    count, at = read_varint(body, 0)
    size, at = read_varint(body, at)
    deflated, at = read_part(body, at, size)
    exceptions = _check_exceptions(inflate(deflated), count)
    scripts = _text_scripts(trained, _share(_check_count(trained, count, len(body) - at)))
    rows = _decode(trained, scripts, body[at:])
    return "\n".join(_restore(trained, _Tokens([k for row in rows for k in row], exceptions)))


def _check_count(trained: TrainedModel, count: int, size: int) -> int:
    """The claimed number of tokens, if ``size`` bytes can code as many."""
    most = most_tokens(size, trained.vocabulary.size)
    if count > most:
        raise Damaged(f"it claims {count:,} tokens in {size:,} bytes, which hold at most {most:,}")
    return count


def _check_exceptions(exceptions: list[Any], count: int | None = None) -> list[list[Any]]:
    """The exceptions, if they are such and stand within ``count`` tokens."""
    for item in exceptions:
        pair = isinstance(item, list) and len(item) == 2
        if not (pair and type(item[0]) is int and item[0] >= 0 and isinstance(item[1], str) and item[1]):
            raise Damaged("its tokens outside the vocabulary cannot be read")
    if count is not None and sum(gap for gap, _ in exceptions) > count:
        raise Damaged("its tokens outside the vocabulary stand after its end")
    return exceptions


def _decode(trained: TrainedModel, scripts: list[Script], coded: bytes, length: int = 1) -> list[list[int | str]]:
    if not scripts:
        if coded:
            raise Damaged("bytes follow its content")
        return []
    try:
        return decode_tokens(trained, scripts, coded, length)
    except Damaged as error:
        raise Undecodable(str(error)) from error


def _text_scripts(trained: TrainedModel, rows: list[range]) -> list[Script]:
    data, eos = trained.config.data, trained.vocabulary.eos
    return [text_script(len(row), eos, data.bos, not data.running) for row in rows]


def _share(count: int) -> list[range]:
    """Which tokens each row codes."""
    rows = max(1, min(MOST_ROWS, count // TOKENS_PER_ROW))
    per_row = -(-count // rows)
    return [range(start, min(start + per_row, count)) for start in range(0, count, max(1, per_row))]


def compress_examples(trained: TrainedModel, examples: list[Example]) -> bytes:
    """The body of examples."""
    tokens = _tokenize(trained, [example.text for example in examples])
    fields = deflate([[example.label, example.source] for example in examples])
    exceptions = deflate(tokens.exceptions)
    coded = b""
    if examples:
        eos = trained.vocabulary.eos
        texts = [[*text, eos] for text in _split(tokens.ids, eos)]
        rows = [iter([k for n in group for k in texts[n]]) for group in _groups(len(examples))]
        scripts, length = _example_scripts(trained, examples)
        coded = encode_tokens(trained, scripts, rows, length)
    numbers = varint(len(examples)) + varint(len(fields)) + varint(len(exceptions))
    return numbers + fields + exceptions + coded


def decompress_examples(trained: TrainedModel, body: bytes) -> list[Example]:
    """The inverse of ``compress_examples``.

    Raises:
      Damaged: the body claims what cannot be.
      Undecodable: its tokens cannot be decoded here.
    """
    count, at = read_varint(body, 0)
    fields_size, at = read_varint(body, at)
    size, at = read_varint(body, at)
    deflated, at = read_part(body, at, fields_size)
    fields = inflate(deflated)
    deflated, at = read_part(body, at, size)
    exceptions = _check_exceptions(inflate(deflated))
    _check_count(trained, count, len(body) - at)
    if len(fields) != count or any(
        not (isinstance(item, list) and len(item) == 2 and all(isinstance(value, str | None) for value in item))
        for item in fields
    ):
        raise Damaged(f"it claims {count:,} examples, but its labels and sources are others")
    examples = [Example("", label, source) for label, source in fields]
    scripts, length = _example_scripts(trained, examples) if examples else ([], 0)
    rows = _decode(trained, scripts, body[at:], length)
    ids = [k for row in rows for k in row][:-1]  # all but the <eos> of the last text
    if sum(gap for gap, _ in exceptions) > len(ids):
        raise Damaged("its tokens outside the vocabulary stand after its end")
    texts = _restore(trained, _Tokens(ids, exceptions))
    return [example._replace(text=text) for example, text in zip(examples, texts, strict=False)]


def _example_scripts(trained: TrainedModel, examples: list[Example]) -> tuple[list[Script], int]:
    """A script for each row of examples, and the tokens of the longest prefix.

    Raises:
      InputError: a source is too long for this machine.
    """
    vocabulary = trained.vocabulary
    # What the vocabulary does not hold is left out of a source, as in training.
    prefixes = [vocabulary.prefix(example.label, example.source, "drop") for example in examples]
    scripts = [example_script([prefixes[n] for n in group], vocabulary.eos) for group in _groups(len(examples))]
    length = max(map(len, prefixes))
    needed, memory = 8 * len(scripts) * length * trained.config.model.hidden, machine_memory()
    if vocabulary.source_end is not None and memory is not None and needed > memory // 2:
        raise InputError(
            f"the longest source has {length - 1:,} tokens, for which {in_bytes(needed)} of memory would be needed; "
            f"this machine has {in_bytes(memory)}"
        )
    return scripts, length


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
