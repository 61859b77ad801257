"""Generation: texts that continue a prompt, all at once or in pieces while they are written.

On a CPU the native kernel runs the decode loop where it can be compiled, elsewhere JAX does. Both draw with the same
random keys. JAX's loop also runs where a constraint, a repetition penalty or a blend of two models is asked for.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from flaxchar.config import InputError
from flaxchar.data.vocabulary import PAD, Vocabulary
from flaxchar.generation.arguments import check
from flaxchar.generation.blend import AnyModel, BlendedModel
from flaxchar.generation.control import Control
from flaxchar.generation.decode import DecodeState, decode
from flaxchar.generation.sampling import Sampling
from flaxchar.hardware import this_hardware
from flaxchar.kernels import build, cpu_decode
from flaxchar.kernels.cpu import NATIVE_CELLS
from flaxchar.kernels.random import fold_in, new_key
from flaxchar.models.charlm import CharLM, Params
from flaxchar.models.layers import with_embedding
from flaxchar.settings import MOST_SAMPLES, MOST_WRITTEN

# In the native kernel a row does not depend on the others; these numbers of rows and of tokens only bound the memory.
NATIVE_ROWS, _BUFFER = 4096, 1 << 26
# Types of the settings of `Sampling` in JAX's loop.
_SAMPLING_TYPES = np.float32, np.int32, np.float32, np.float32
# Tokens drawn between two pieces of a stream.
STREAM_TOKENS = 8


def lead_in(prompt: np.ndarray, eos: int, bos: bool) -> np.ndarray:
    """Ids that are fed before the first draw: the prompt, after ``<eos>`` if ``bos`` is set or the prompt is empty."""
    return np.concatenate([[eos] * int(bos or not len(prompt)), prompt]).astype(np.int32)


def sample_keys(given: np.ndarray, seed: int, samples: np.ndarray | Sequence[int]) -> Array:
    """The random keys of some samples, ``[samples]``; ``given``: the ids that are fed before the first draw."""
    # Each prompt has its own keys; with the same keys different prompts would be continued alike.
    return fold_in(new_key(seed), zlib.crc32(given.tobytes()), np.asarray(samples))


class _Request(NamedTuple):
    """Arguments of the decode loop for some samples of one prompt.

    Attributes:
      tokens: the prompts, padded with 0 to the length of the buffer, ``[rows, length]``; int32 for the native kernel,
        else the smallest type that holds all ids, because on a GPU they are sent there and fetched again.
      done: rows without a sample, bool ``[rows]``.
      prompt_lengths: tokens that are given, int32 ``[rows]``.
      limits: the length at which a row is finished, int32 ``[rows]``.
      numbers: the number of each row's sample, uint32 ``[rows]``; 0 for rows without one.
      keys: random keys ``[rows]``.
      lead: 1 if the rows begin with ``<eos>``, else 0.
      last: the last position that may be written.
    """

    tokens: np.ndarray
    done: np.ndarray
    prompt_lengths: np.ndarray
    limits: np.ndarray
    numbers: np.ndarray
    keys: Array
    lead: int
    last: int


def _request(
    model: AnyModel,
    prompt: np.ndarray,
    samples: Sequence[int],
    rows: int,
    size: int,
    seed: int,
    bos: bool,
    natively: bool,
) -> _Request:
    """The request for the samples with these numbers, in ``rows`` rows, to the native kernel or to JAX's loop."""
    check("seed", seed, int, least=0, most=2**32 - 1)
    given = lead_in(prompt, model.vocab - 1, bos)
    lead = len(given) - len(prompt)
    length = _buffer_length(size)
    tokens = np.full((rows, length), PAD, np.int32 if natively else np.min_scalar_type(model.vocab - 1))
    tokens[:, : len(given)] = given
    numbers = np.zeros(rows, np.uint32)
    numbers[: len(samples)] = samples
    keys = sample_keys(given, seed, numbers)
    done = (np.arange(rows) >= len(samples)) | (len(prompt) >= size)
    lengths, limits = np.full(rows, len(given), np.int32), np.full(rows, size + lead, np.int32)
    return _Request(tokens, done, lengths, limits, numbers, keys, lead, size + lead - 1)


def _buffer_length(size: int) -> int:
    """Tokens of the buffer of a text: a power of two, so that few lengths are ever compiled."""
    return max(64, 1 << size.bit_length())


def _jax_rows(model: AnyModel, size: int) -> int:
    """Rows of JAX's loop; they are always this many, filled up where fewer samples are asked for."""
    length = _buffer_length(size)
    carry = jax.eval_shape(lambda: model.initial_step_carry(1, length))
    return this_hardware().generation_rows(
        length + 2 * model.vocab + 4 * sum(leaf.size for leaf in jax.tree.leaves(carry))
    )


def _runs_natively(model: AnyModel, control: Control) -> bool:
    """Whether the native kernel can run the decode loop; it computes in float32 whatever ``dtype`` is."""
    if control.active or isinstance(model, BlendedModel):
        return False
    config = model.config
    plain = not (config.residual or config.layer_norm) and model.source_end is None
    return build.available() and config.cell in NATIVE_CELLS and plain


# Continues the loop to a position; returns how many tokens have been fed, the tokens, and which rows are done.
Advance = Callable[[int], tuple[int, np.ndarray, np.ndarray]]


def _loop(
    model: AnyModel, params: Params, vocabulary: Vocabulary, request: _Request, sampling: Sampling, control: Control
) -> Advance:
    """Prepare the loop for a request; the returned function runs it."""
    banned = vocabulary.never_written
    rows = len(request.tokens)
    if _runs_natively(model, control):
        assert isinstance(model, CharLM)
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
    state, guide = control.begin(state, request.numbers, vocabulary.size), control.guide()
    scalars = Sampling(*(kind(value) for kind, value in zip(_SAMPLING_TYPES, sampling, strict=True)))

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
            guide,
            banned=banned,
            filtered=sampling.filtered,
        )
        return int(state.position), np.asarray(state.tokens), np.asarray(state.done)

    return advance


def generate(
    model: AnyModel,
    params: Params,
    vocabulary: Vocabulary,
    prompt: np.ndarray,
    num_samples: int = 1,
    size: int = 300,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    bos: bool = True,
    control: Control = Control(),
) -> list[np.ndarray]:
    """Continue a prompt.

    Args:
      model: the model.
      params: its parameters.
      vocabulary: its vocabulary.
      prompt: ids, int32 ``[tokens]``; may be empty.
      num_samples: how many texts.
      size: the longest text, in tokens, the prompt included.
      seed: sample ``i`` depends on the seed and the prompt, not on ``num_samples``.
      sampling: how to draw.
      bos: feed ``<eos>`` first, as in training; with an empty prompt it is fed in any case.
      control: constraints and repetition penalty.

    Returns:
      The ids of each text after its prompt, without ``<eos>``.

    Raises:
      InputError: ``sampling`` defines no distribution, or too much is to be written at once.
    """
    sampling.validate()
    check("num_samples", num_samples, int, least=1, most=MOST_SAMPLES)
    if num_samples * size > MOST_WRITTEN:
        raise InputError(
            f"`num_samples` is {num_samples:,} and `size` is {size:,}, which may make {num_samples * size:,} tokens; "
            f"at most {MOST_WRITTEN:,} are written at once"
        )
    texts = []
    natively = _runs_natively(model, control)
    at_once = max(1, min(NATIVE_ROWS, _BUFFER // (2 * size))) if natively else _jax_rows(model, size)
    for first in range(0, num_samples, at_once):
        samples = range(first, min(first + at_once, num_samples))
        rows = len(samples) if natively else at_once
        request = _request(model, prompt, samples, rows, size, seed, bos, natively)
        _, tokens, _ = _loop(model, params, vocabulary, request, sampling, control)(request.last)
        rest = tokens[: len(samples), request.lead + len(prompt) : request.last + 1]
        ends = _ends(rest, vocabulary.eos).tolist()
        texts += [row[:end] for row, end in zip(rest.astype(np.int32, copy=False), ends, strict=True)]
    return texts


def stream(
    model: AnyModel,
    params: Params,
    vocabulary: Vocabulary,
    prompt: np.ndarray,
    sample: int = 0,
    size: int = 300,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    bos: bool = True,
    control: Control = Control(),
) -> Iterator[np.ndarray]:
    """Yield the ids of sample number ``sample`` of ``generate``, a few at a time while they are drawn."""
    sampling.validate()
    natively = _runs_natively(model, control)
    rows = 1 if natively else _jax_rows(model, size)
    request = _request(model, prompt, [sample], rows, size, seed, bos, natively)
    advance = _loop(model, params, vocabulary, request, sampling, control)
    seen, finished = request.lead + len(prompt), bool(request.done[0])
    while not finished:
        position, tokens, done = advance(seen + STREAM_TOKENS)
        rest = tokens[:1, seen : position + 1]
        piece = rest[0, : _ends(rest, vocabulary.eos)[0]].astype(np.int32)
        seen, finished = seen + len(piece), bool(done[0])
        if len(piece):
            yield piece


def _ends(rows: np.ndarray, eos: int) -> np.ndarray:
    """How many ids each row has before the ``<eos>`` or padding that ends the text, ``[rows]``."""
    ended = np.pad((rows == PAD) | (rows == eos), ((0, 0), (0, 1)), constant_values=True)
    return ended.argmax(axis=1)
