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

What a file claims is bounded by its own length: decoding ends with its bytes, and its records may inflate to 16 MiB and
100 bytes for each of theirs. A text still may be much longer than its file, if the model is sure of it.

A file restores on the machine it was made on. A processor that rounds otherwise computes other probabilities; the
checksum of the content tells.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterable

import jax
import numpy as np

from flaxchar.analysis.bodies import (
    Undecodable,
    compress_examples,
    compress_text,
    decompress_examples,
    decompress_text,
)
from flaxchar.analysis.packing import Damaged
from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.models.trained import TrainedModel
from flaxchar.settings import ModelConfig

MAGIC = b"flaxchar"
_TEXT, _EXAMPLES = 1, 2
_HEADER = len(MAGIC) + 17


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
    _refuse_classifier(trained)
    conditional = _is_conditional(trained)
    if isinstance(content, str):
        if conditional:
            field = "label" if vocabulary.labels else "source"
            raise InputError(f"the model was trained with {field}s; give it examples that have a {field}, not a text")
        return _pack(trained, _TEXT, _text_bytes(content), compress_text(trained, content))
    if not conditional:
        raise InputError("the model was trained without labels and sources; give it one text, not examples")
    examples = list(content)
    return _pack(trained, _EXAMPLES, _example_bytes(examples), compress_examples(trained, examples))


def decompress(trained: TrainedModel, data: bytes, name: str = "the file") -> str | list[Example]:
    """Restore what ``compress`` coded: a text, or examples.

    Args:
      trained: the same model.
      data: the compressed content.
      name: what error messages call it.

    Raises:
      InputError: the data was made by another model, is damaged or forged, or is something else.
    """
    _refuse_classifier(trained)
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
    if (kind == _EXAMPLES) != _is_conditional(trained):
        raise InputError(f"{name} is damaged: it is of the other kind than the model codes")
    content: str | list[Example]
    try:
        if kind == _TEXT:
            content = decompress_text(trained, body)
            restored = _text_bytes(content)
        else:
            content = decompress_examples(trained, body)
            restored = _example_bytes(content)
    except Undecodable as error:
        raise InputError(_not_here(name, str(error))) from error
    except (Damaged, InputError) as error:
        raise InputError(f"{name} is damaged: {error}") from error
    if _checksum(restored) != data[at + 8 : at + 12]:
        raise InputError(_not_here(name, "its content has another checksum"))
    return content


def _not_here(name: str, reason: str) -> str:
    return (
        f"{name} cannot be restored here ({reason}): this machine computes other probabilities than the one it was "
        "made on, or the file is forged"
    )


def _refuse_classifier(trained: TrainedModel) -> None:
    if trained.vocabulary.classifies:
        raise InputError('the model names the label of a text (`head="classifier"`); it gives texts no probability')


def _is_conditional(trained: TrainedModel) -> bool:
    """Whether the model writes for a label or from a source, so that it codes examples instead of a text."""
    return bool(trained.vocabulary.labels) or trained.vocabulary.source_end is not None


def fingerprint(trained: TrainedModel) -> bytes:
    """Eight bytes that tell a model from others."""
    data, network = trained.config.data, dataclasses.asdict(trained.config.model)
    if network["matmul_precision"] == ModelConfig.matmul_precision:
        del network["matmul_precision"]  # files of versions without this setting stay readable
    described = [network, trained.vocabulary.to_dict(), data.bos, not data.running]
    digest = hashlib.sha256(json.dumps(described, allow_nan=False).encode("ascii"))
    for leaf in jax.tree.leaves(trained.params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.digest()[:8]


def _pack(trained: TrainedModel, kind: int, content: bytes, body: bytes) -> bytes:
    return MAGIC + bytes([kind]) + fingerprint(trained) + _checksum(content) + _checksum(body) + body


def _text_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _example_bytes(examples: list[Example]) -> bytes:
    return _text_bytes(json.dumps(examples, ensure_ascii=False, allow_nan=False))


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")
