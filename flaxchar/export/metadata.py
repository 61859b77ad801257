"""The description of an exported model: settings and vocabulary as JSON, and the ids that begin a text."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from flaxchar.config import Config, InputError
from flaxchar.data.starts import before_a_text
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.generate import lead_in
from flaxchar.json_files import parse_json
from flaxchar.models.trained import TrainedModel
from flaxchar.validation import shown

# The metadata key of the JSON in safetensors and ONNX files, and the version of the JSON's layout.
KEY, VERSION = "flaxchar", 1


def describe_model(trained: TrainedModel) -> str:
    """Settings and vocabulary of a model as JSON. File paths are left out, because they mean nothing elsewhere."""
    config = trained.config.replace(data=(), val_data=(), data_dir=None, format=None, init_from=None)
    record = {"version": VERSION, "config": config.to_dict(), "vocabulary": trained.vocabulary.to_dict()}
    return json.dumps(record, ensure_ascii=True, allow_nan=False)


def read_description(text: str, name: str) -> tuple[Config, Vocabulary]:
    """The inverse of ``describe_model``, for untrusted text.

    Args:
      text: the JSON.
      name: the file's name, for messages.

    Raises:
      InputError: the text is no valid description; the message names the file and the value.
    """
    record = parse_json(text.encode("utf-8", "surrogatepass"), f"the description of the model in {name}")
    if not isinstance(record, dict) or record.get("version") != VERSION:
        version = record.get("version") if isinstance(record, dict) else record
        raise InputError(f"the description of the model in {name} has the version {shown(version)}; it must be 1")
    try:
        config = Config.from_dict(record.get("config", {}))
        vocabulary = Vocabulary.from_dict(record.get("vocabulary", {}))
    except InputError as error:
        raise InputError(f"the description of the model in {name} cannot be used: {error}") from error
    if vocabulary.unit != config.data.unit or vocabulary.classifies != (config.model.head == "classifier"):
        raise InputError(f"the description of the model in {name} contradicts itself: vocabulary and settings differ")
    return config, vocabulary


class Beginnings(NamedTuple):
    """The ids that are fed before a text.

    Attributes:
      start: before a text with a prompt, or a text to score; ``()`` if its first character is not predicted.
      begin: before a text without a prompt; at least one id.
    """

    start: tuple[int, ...]
    begin: tuple[int, ...]


def beginnings(trained: TrainedModel) -> dict[str, Beginnings]:
    """The ids that are fed before a text, by the label of the text; under ``""`` for a model without labels."""
    vocabulary, bos = trained.vocabulary, trained.config.data.bos
    before = before_a_text(trained.config.data, vocabulary)
    prefixes: dict[str, int | None] = dict(zip(vocabulary.labels, vocabulary.label_ids, strict=True)) or {"": None}
    result = {}
    for name, label in prefixes.items():
        prefix = np.array([] if label is None else [label], np.int32)
        begin = lead_in(np.concatenate([prefix, before]), vocabulary.eos, bos)
        start = [vocabulary.eos] * bos + prefix.tolist()
        result[name] = Beginnings(tuple(start), tuple(begin.tolist()))
    return result


def in_words(trained: TrainedModel) -> str:
    """One line about a model: ``LSTM, 2 layers of 256 units, an embedding of 64, 71 ids``."""
    settings: Any = trained.config.model
    cell = {"mingru": "minGRU", "minlstm": "minLSTM"}.get(settings.cell, settings.cell.upper())
    layers = f"{settings.layers} layer{'s' * (settings.layers > 1)} of {settings.hidden} units"
    embedding = f"an embedding of {settings.embedding}, " if settings.embedding else ""
    return f"{cell}, {layers}, {embedding}{trained.vocabulary.size} ids"
