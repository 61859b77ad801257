"""Token coder: tokens of several texts at once, coded with the probabilities that a model gives to each.

Encoder and decoder ask the same compiled program for the probabilities, one token of every row at a time, so that both
compute them to the last bit. Each row follows a script, a generator that says which token to feed and when to code one;
the same script drives both directions.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from flaxchar.analysis.range_coder import FREQUENCY_BITS, Decoder, Encoder
from flaxchar.analysis.spelling_coder import SpellingCoder
from flaxchar.data.vocabulary import PAD
from flaxchar.models.charlm import CharLM, Params
from flaxchar.models.trained import TrainedModel


class Feed(NamedTuple):
    """Feed ``token`` to the model; ``fresh`` resets the recurrent state before."""

    token: int
    fresh: bool


class Code(NamedTuple):
    """Code the next token, by the model's probabilities or, with ``uniform``, by equal ones."""

    uniform: bool


Script = Generator[Feed | Code, int, None]
# Codes the next token of a row, given where the interval of each id begins, and returns the token.
CodeToken = Callable[[int, Sequence[int]], int]


def text_script(count: int, eos: int, bos: bool, separate: bool) -> Script:
    """Script of ``count`` tokens of lines that ``<eos>`` separates, or of running text.

    Without ``bos`` nothing is fed before a text, so that the model says nothing about its first token.
    """
    if bos:
        yield Feed(eos, fresh=True)
    begins_text = True
    for _ in range(count):
        token = yield Code(uniform=begins_text and not bos)
        ends_text = separate and token == eos
        # With bos, the <eos> that ends a text also begins the next one.
        yield Feed(token, fresh=ends_text if bos else begins_text)
        begins_text = ends_text


def example_script(prefixes: Sequence[np.ndarray], eos: int) -> Script:
    """Script of texts that each follow a known prefix: the id of a label, or a source and its end."""
    for prefix in prefixes:
        for number, token in enumerate(prefix.tolist()):
            yield Feed(token, fresh=number == 0)
        while (token := (yield Code(uniform=False))) != eos:
            yield Feed(token, fresh=False)


def encode_tokens(
    trained: TrainedModel, scripts: Sequence[Script], tokens: Sequence[Iterator[int | str]], length: int = 1
) -> bytes:
    """Code tokens.

    Args:
      trained: the model.
      scripts: a script for each row.
      tokens: the tokens that each script codes, in order; an unknown one, to be spelled, as a string.
      length: tokens of the longest source, its end included; 1 where there are no sources.
    """
    encoder, spelling, unknown = Encoder(), _spelling_coder(trained), trained.vocabulary.unknown

    def encode(row: int, begins: Sequence[int]) -> int:
        item = next(tokens[row])
        token = unknown if isinstance(item, str) else item
        assert token is not None
        encoder.encode(begins[token], begins[token + 1] - begins[token])
        if isinstance(item, str):
            assert spelling is not None
            spelling.encode(encoder, item)
        return token

    _follow(trained, scripts, encode, length)
    return encoder.finish()


def decode_tokens(
    trained: TrainedModel, scripts: Sequence[Script], data: bytes, length: int = 1
) -> list[list[int | str]]:
    """Decode what ``encode_tokens`` coded by scripts of the same kind: the tokens of each row.

    Raises:
      Damaged: the data was coded by other scripts or with other probabilities.
    """
    decoder, spelling = Decoder(data), _spelling_coder(trained)
    rows: list[list[int | str]] = [[] for _ in scripts]

    def decode(row: int, begins: Sequence[int]) -> int:
        token = min(bisect.bisect_right(begins, decoder.target()) - 1, trained.vocabulary.size - 1)
        decoder.take(begins[token], begins[token + 1] - begins[token])
        if spelling is not None and token == trained.vocabulary.unknown:
            rows[row].append(spelling.decode(decoder))
        else:
            rows[row].append(token)
        return token

    _follow(trained, scripts, decode, length)
    decoder.finish()
    return rows


def most_tokens(size: int, vocab: int) -> int:
    """The most tokens that ``size`` bytes can code, by a model that is as sure of every token as one can be.

    A token of all the probability still leaves an interval of 1 to each other id, see ``_advance``.
    """
    bits = (vocab - 1) / (math.log(2) * 2**FREQUENCY_BITS)  # -log2(1 - (vocab - 1) / 2^24), or less
    return int(8 * (size + 16) / bits)


def _spelling_coder(trained: TrainedModel) -> SpellingCoder | None:
    """Codes unknown tokens after their id; None for a model that has none, or was saved without their spelling."""
    speller = trained.vocabulary.speller
    return None if speller is None else SpellingCoder(speller)


def _follow(trained: TrainedModel, scripts: Sequence[Script], code: CodeToken, length: int) -> None:
    """Follow all scripts to their ends, one fed token of each at a time."""
    model, eos, vocab = trained.model, trained.vocabulary.eos, trained.vocabulary.size
    initial = carry = model.initial_step_carry(len(scripts), length)
    uniform = (np.maximum(np.arange(vocab + 1) - 1, 0) * ((1 << FREQUENCY_BITS) // (vocab - 1))).tolist()
    begins: list[list[int]] = [uniform] * len(scripts)
    active = dict(enumerate(scripts))
    while active:
        fed, fresh = np.full(len(scripts), eos, np.int32), np.zeros(len(scripts), bool)
        for row, script in list(active.items()):
            try:
                action = next(script)
                while isinstance(action, Code):
                    action = script.send(code(row, uniform if action.uniform else begins[row]))
                fed[row], fresh[row] = action
            except StopIteration:
                del active[row]
        if active:
            intervals, carry = _advance(model, trained.params, carry, initial, fed, fresh)
            begins = np.asarray(intervals).tolist()


@functools.partial(jax.jit, static_argnums=0)
def _advance(
    model: CharLM, params: Params, carry: tuple, initial: tuple, ids: Array, fresh: Array
) -> tuple[Array, tuple]:
    """Feed one token to every row.

    Args:
      model: the model; static.
      params: its parameters.
      carry: the state before.
      initial: the state before the first token of a text.
      ids: tokens, int32 ``[rows]``.
      fresh: rows that start from ``initial``, bool ``[rows]``.

    Returns:
      Where the interval of each next token begins, int32 ``[rows, vocab + 1]``, and the carry.
    """

    def reset(state: Array, start: Array) -> Array:
        return jnp.where(fresh.reshape(-1, *[1] * (state.ndim - 1)), start, state)

    logits, carry = model.apply({"params": params}, ids, jax.tree.map(reset, carry, initial), method="step")
    probabilities = jax.nn.softmax(logits.at[:, PAD].set(-jnp.inf))
    # However improbable, each id but padding gets an interval, so that any text can be coded.
    sizes = 1 + jnp.floor(probabilities * (2**FREQUENCY_BITS - model.vocab)).astype(jnp.int32)
    return jnp.pad(jnp.cumsum(sizes.at[:, PAD].set(0), axis=1), ((0, 0), (1, 0))), carry
