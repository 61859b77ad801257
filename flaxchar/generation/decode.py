"""Generation: from logits to a distribution to text, in one compiled loop that carries the recurrent state.

A prompt is fed through the same loop as what follows it: at each position the loop feeds the character that stands
there, and where none stands yet it draws one. A character costs one step of the network, however long the text before.
On a CPU ``flaxchar.kernels.cpu_decode`` runs the same loop where it can be compiled.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from flaxchar.data.vocabulary import PAD, Vocabulary
from flaxchar.generation.sampling import Sampling, draw_token
from flaxchar.kernels import build, cpu_decode
from flaxchar.kernels.cpu import NATIVE_CELLS
from flaxchar.kernels.random import fold_in, new_key
from flaxchar.models.charlm import CharLM, Params
from flaxchar.models.layers import with_embedding

# Samples drawn together in JAX. Always this many rows, filled up where fewer are asked for: a matrix product may round
# otherwise for another number of rows, and sample i must not depend on how many are drawn.
ROWS = 16
# Natively a row does not depend on the others; this many only bound the memory.
NATIVE_ROWS = 4096
# Characters between two looks at the loop when streaming.
STREAM_CHUNK = 8


class DecodeState(NamedTuple):
    """Where the decode loop is.

    Attributes:
      position: how many tokens of each row have been fed, int32 scalar.
      tokens: the prompts and what has been written after them, 0 elsewhere, int32 ``[batch, length]``.
      done: rows that are finished, bool ``[batch]``.
      carry: the recurrent state.
    """

    position: Array
    tokens: Array
    done: Array
    carry: tuple


@functools.partial(jax.jit, static_argnames=("model", "banned", "filtered"))
def decode(
    model: CharLM,
    params: Params,
    state: DecodeState,
    prompt_lengths: Array,
    limits: Array,
    keys: Array,
    sampling: Sampling,
    until: Array,
    *,
    banned: tuple[int, ...],
    filtered: bool,
) -> DecodeState:
    """The decode loop: feed, draw and write one token after the other.

    Args:
      model: the model; static.
      params: its parameters.
      state: where to begin; from this function, or the start: position 0, the prompts, nothing done, a zero carry.
      prompt_lengths: tokens that are given rather than drawn, at least 1, int32 ``[batch]``.
      limits: tokens after which a row is finished, int32 ``[batch]``.
      keys: random keys ``[batch]``; token ``j`` after the prompt is drawn with the key folded by ``j``.
      sampling: scalars.
      until: position at which to return even if rows are unfinished, int32 scalar.
      banned: ids never drawn (padding, the unknown token); static.
      filtered: whether top-k or top-p is in use; static.

    Returns:
      The state when every row is finished (``<eos>`` drawn, or its limit reached) or ``until`` is reached.
    """
    draw = jax.vmap(functools.partial(draw_token, sampling=sampling, filtered=filtered))
    eos = model.vocab - 1
    allowed = ~np.isin(np.arange(model.vocab), banned)

    def advance(state: DecodeState) -> DecodeState:
        fed = lax.dynamic_index_in_dim(state.tokens, state.position, 1, keepdims=False)  # [batch]
        logits, carry = model.apply({"params": params}, fed, state.carry, method="step")  # [batch, vocab]
        position = state.position + 1
        step_keys = jax.vmap(jax.random.fold_in)(keys, position - prompt_lengths)
        drawn = draw(jnp.where(allowed, logits, -jnp.inf), step_keys)
        given = lax.dynamic_index_in_dim(state.tokens, position, 1, keepdims=False)
        in_prompt = position < prompt_lengths
        written = jnp.where(in_prompt, given, jnp.where(state.done, PAD, drawn))
        tokens = lax.dynamic_update_index_in_dim(state.tokens, written, position, 1)
        done = state.done | ~in_prompt & (written == eos) | (position + 1 >= limits)
        return DecodeState(position, tokens, done, carry)

    return lax.while_loop(lambda s: (s.position < until) & ~s.done.all(), advance, state)


def lead_in(prompt: np.ndarray, eos: int, bos: bool) -> np.ndarray:
    """The ids that are fed before anything is drawn: a prompt, after ``<eos>`` with ``bos`` or where it is empty."""
    return np.concatenate([[eos] * int(bos or not len(prompt)), prompt]).astype(np.int32)


class _Request(NamedTuple):
    """Some samples of one prompt: where they begin and the arguments of the loop."""

    tokens: np.ndarray
    done: np.ndarray
    prompt_lengths: np.ndarray
    limits: np.ndarray
    keys: Array
    lead: int  # whether the rows begin with <eos>
    last: int  # the last position that may be written


def _request(
    model: CharLM, prompt: np.ndarray, samples: Sequence[int], rows: int, size: int, seed: int, bos: bool
) -> _Request:
    """Samples number ``samples`` of a prompt, in at least as many rows."""
    given = lead_in(prompt, model.vocab - 1, bos)
    lead = len(given) - len(prompt)
    # A few buffer lengths serve all sizes, so that few are ever compiled.
    length = max(64, 1 << size.bit_length())
    tokens = np.full((rows, length), PAD, np.int32)
    tokens[:, : len(given)] = given
    numbers = np.zeros(rows, np.uint32)
    numbers[: len(samples)] = samples
    # Each prompt has keys of its own: with the same ones, different prompts would be continued alike.
    key = fold_in(new_key(seed), zlib.crc32(given.tobytes()))
    keys = fold_in(key, numbers)
    done = (np.arange(rows) >= len(samples)) | (len(prompt) >= size)
    lengths, limits = np.full(rows, len(given), np.int32), np.full(rows, size + lead, np.int32)
    return _Request(tokens, done, lengths, limits, keys, lead, size + lead - 1)


def _natively(model: CharLM) -> bool:
    """Whether the native kernel writes with this model."""
    config = model.config
    plain = not (config.residual or config.layer_norm) and model.source_end is None
    return build.available() and config.cell in NATIVE_CELLS and plain


# Goes on to a position, and returns how many tokens have been fed, the tokens, and which rows are done.
Advance = Callable[[int], tuple[int, np.ndarray, np.ndarray]]


def _loop(model: CharLM, params: Params, vocabulary: Vocabulary, request: _Request, sampling: Sampling) -> Advance:
    """The loop for a request, at its beginning."""
    banned = vocabulary.never_written
    rows = len(request.tokens)
    if _natively(model):
        cell = model.config.cell
        layers = [params[f"{cell}_{k}"] for k in range(model.config.layers)]
        if model.config.embedding:
            layers[0] = with_embedding(layers[0], params["embedding"])
        h, c = np.zeros((2, rows, model.config.layers, model.config.hidden), np.float32)
        texts = cpu_decode.DecodeBuffers(request.tokens, np.zeros(rows, np.int32), request.done, h, c)
        keys = np.asarray(jax.random.key_data(request.keys))

        def advance_native(until: int) -> tuple[int, np.ndarray, np.ndarray]:
            lengths, limits = request.prompt_lengths, request.limits
            cpu_decode.decode(cell, layers, params["logits"], texts, lengths, limits, keys, sampling, until, banned)
            return int(texts.positions.max()), texts.tokens, texts.done

        return advance_native

    carry = model.initial_step_carry(rows, request.tokens.shape[1])
    state = DecodeState(jnp.int32(0), jnp.asarray(request.tokens), jnp.asarray(request.done), carry)
    scalars = Sampling(np.float32(sampling.temperature), np.int32(sampling.top_k), np.float32(sampling.top_p))

    def advance(until: int) -> tuple[int, np.ndarray, np.ndarray]:
        nonlocal state
        state = decode(
            model,
            params,
            state,
            request.prompt_lengths,
            request.limits,
            request.keys,
            scalars,
            np.int32(until),
            banned=banned,
            filtered=sampling.top_k > 0 or sampling.top_p < 1,
        )
        return int(state.position), np.asarray(state.tokens), np.asarray(state.done)

    return advance


def generate(
    model: CharLM,
    params: Params,
    vocabulary: Vocabulary,
    prompt: np.ndarray,
    num_samples: int = 1,
    size: int = 300,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    bos: bool = True,
) -> list[np.ndarray]:
    """Texts that go on from a prompt.

    Args:
      model: the model.
      params: its parameters.
      vocabulary: its vocabulary.
      prompt: ids, int32 ``[tokens]``, possibly none.
      num_samples: how many texts.
      size: the longest text, in tokens, the prompt included.
      seed: sample ``i`` of a seed is the same text whatever ``num_samples`` is.
      sampling: how to draw.
      bos: feed ``<eos>`` first, as the model was trained; without a prompt it is fed in any case.

    Returns:
      The ids of each text after its prompt, ``<eos>`` left out.

    Raises:
      InputError: ``sampling`` defines no distribution.
    """
    sampling.validate()
    texts = []
    at_once = NATIVE_ROWS if _natively(model) else ROWS
    for first in range(0, num_samples, at_once):
        samples = range(first, min(first + at_once, num_samples))
        rows = len(samples) if _natively(model) else ROWS
        request = _request(model, prompt, samples, rows, size, seed, bos)
        _, tokens, _ = _loop(model, params, vocabulary, request, sampling)(request.last)
        start = request.lead + len(prompt)
        texts += [_written(row, start, vocabulary.eos) for row in tokens[: len(samples)]]
    return texts


def stream(
    model: CharLM,
    params: Params,
    vocabulary: Vocabulary,
    prompt: np.ndarray,
    sample: int = 0,
    size: int = 300,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    bos: bool = True,
) -> Iterator[np.ndarray]:
    """The ids of sample number ``sample`` of ``generate`` after its prompt, a few at a time as they are drawn."""
    sampling.validate()
    request = _request(model, prompt, [sample], 1 if _natively(model) else ROWS, size, seed, bos)
    advance = _loop(model, params, vocabulary, request, sampling)
    seen, finished = request.lead + len(prompt), bool(request.done[0])
    while not finished:
        position, tokens, done = advance(seen + STREAM_CHUNK)
        piece = _written(tokens[0, : position + 1], seen, vocabulary.eos)
        seen, finished = seen + len(piece), bool(done[0])
        if len(piece):
            yield piece


def _written(row: np.ndarray, start: int, eos: int) -> np.ndarray:
    """What stands in a row of tokens from ``start`` up to the ``<eos>`` or padding that ends it."""
    rest = row[start:]
    ends = np.flatnonzero((rest == PAD) | (rest == eos))
    return rest[: ends[0]] if len(ends) else rest
