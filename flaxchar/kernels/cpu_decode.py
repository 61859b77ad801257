"""The native kernel's decode loop, which writes many texts at once.

Python calls it directly, not through JAX, so that no program is compiled before the first character. The same loop in
JAX is ``flaxchar.generation.decode.decode``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt32

from flaxchar.kernels import build
from flaxchar.kernels.arrays import Weights
from flaxchar.kernels.cpu import NATIVE_CELLS, stacked_gates


class DecodeBuffers(NamedTuple):
    """The state of the decode loop, which ``decode`` updates in place.

    Attributes:
      tokens: the prompts and the tokens drawn after them, 0 elsewhere, int32 ``[texts, length]``.
      positions: number of tokens of each text that have been fed, int32 ``[texts]``.
      done: which texts are finished, bool ``[texts]``.
      h: the layers' hidden states, float32 ``[texts, layers, hidden]``.
      c: the layers' cell states, float32 ``[texts, layers, hidden]``; unused by cells other than the LSTM.
    """

    tokens: np.ndarray
    positions: np.ndarray
    done: np.ndarray
    h: np.ndarray
    c: np.ndarray


def decode(
    cell: str,
    layers: Sequence[Weights],
    head: Weights,
    texts: DecodeBuffers,
    prompt_lengths: Int[np.ndarray, " texts"],
    limits: Int[np.ndarray, " texts"],
    keys: UInt32[np.ndarray, "texts 2"],
    sampling: tuple[Any, Any, Any, Any],
    until: int,
    banned: Sequence[int],
) -> None:
    """Write texts until each is finished or has been fed ``until`` tokens.

    Args:
      cell: one of ``NATIVE_CELLS``.
      layers: the parameters of each layer; the first reads ids.
      head: ``kernel`` ``[hidden, vocab]`` and ``bias`` ``[vocab]`` of the layer that computes the logits.
      texts: the state of the loop, changed in place.
      prompt_lengths: number of tokens of each text that are given, not drawn, int32 ``[texts]``.
      limits: the most tokens each text may have, int32 ``[texts]``.
      keys: ``jax.random.key_data`` of each text's key, uint32 ``[texts, 2]``.
      sampling: temperature, top-k, top-p and min-p.
      until: number of tokens to feed.
      banned: ids that are never drawn.
    """
    referenced: list[Any] = []  # keeps the arrays alive that the structures point to

    def pointer(array: Any, dtype: Any = np.float32) -> int:
        referenced.append(np.ascontiguousarray(array, dtype))
        return referenced[-1].ctypes.data

    def pointers(arrays: Sequence[Any]) -> Any:
        referenced.append((ctypes.c_void_p * len(arrays))(*map(pointer, arrays)))
        return ctypes.cast(referenced[-1], ctypes.POINTER(ctypes.c_void_p))

    kernels, biases, recurrents = zip(*(stacked_gates(cell, layer) for layer in layers), strict=True)
    table = np.asarray(kernels[0]) + np.asarray(biases[0])
    hidden, vocab = head["kernel"].shape
    excluded = np.zeros(vocab, np.uint8)
    excluded[list(banned)] = 1
    temperature, top_k, top_p, min_p = sampling
    decoder = _Decoder(
        NATIVE_CELLS.index(cell), len(layers), hidden, vocab, len(table),
        pointers([table, *kernels[1:]]), pointers(biases), pointers(recurrents),
        pointer(head["kernel"]), pointer(head["bias"]), pointer(excluded, np.uint8),
        temperature, top_p, min_p, top_k,
    )  # fmt: skip
    buffers = _Buffers(
        *texts.tokens.shape,
        pointer(prompt_lengths, np.int32), pointer(limits, np.int32), pointer(keys, np.uint32),
        until,
        *(array.ctypes.data for array in texts),
    )  # fmt: skip
    build.library().flaxchar_decode(ctypes.byref(decoder), ctypes.byref(buffers), build.threads())


class _Decoder(ctypes.Structure):
    """``Decoder`` of ``src/decode.h``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("cell", "layers", "hidden", "vocab", "features")),
        *((name, ctypes.POINTER(ctypes.c_void_p)) for name in ("kernels", "biases", "recurrents")),
        *((name, ctypes.c_void_p) for name in ("head", "head_bias", "banned")),
        *((name, ctypes.c_float) for name in ("temperature", "top_p", "min_p")),
        ("top_k", ctypes.c_int64),
    )


class _Buffers(ctypes.Structure):
    """``Buffers`` of ``src/decode.h``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("count", "length")),
        *((name, ctypes.c_void_p) for name in ("given", "limits", "keys")),
        ("until", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("tokens", "positions", "done", "h", "c")),
    )
