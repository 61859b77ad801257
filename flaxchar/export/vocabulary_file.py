"""The vocabulary of an imported model, from a JSON file: flaxchar's own, or characters and their ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.export.metadata import read_description
from flaxchar.json_files import MOST_VOCABULARY_BYTES, parse_json
from flaxchar.validation import shown


def read_vocabulary(path: Path) -> tuple[Vocabulary, Config | None]:
    """Read a vocabulary, and the settings of the model if the file has them, as ``flaxchar.json`` does.

    The file is one of these:

    - ``vocabulary.json`` of a run directory, or ``flaxchar.json`` of an export to Keras;
    - a list of characters, ``["e", "t", …]``, which have the ids 1, 2 …;
    - an object from characters to ids, such as Keras' ``Tokenizer.word_index``: ``{"e": 1, "t": 2, …}``.

    In each, id 0 is padding, and ``<eos>`` has the last id.

    Raises:
      InputError: the file is something else.
    """
    with path.open("rb") as file:
        data = file.read(MOST_VOCABULARY_BYTES + 1)
    if len(data) > MOST_VOCABULARY_BYTES:
        raise InputError(f"{path} is larger than {MOST_VOCABULARY_BYTES >> 20} MiB, the most that is read")
    values = parse_json(data, str(path))
    if isinstance(values, dict) and isinstance(values.get("vocabulary"), dict):
        if "config" in values:
            config, vocabulary = read_description(data.decode(), str(path))
            return vocabulary, config
        values = values["vocabulary"]
    elif isinstance(values, list):
        values = _of_tokens(values)
    elif isinstance(values, dict) and not isinstance(values.get("tokens"), list):
        values = _of_tokens(_in_order(values, path))
    try:
        return Vocabulary.from_dict(values), None
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from error


def _of_tokens(tokens: list[Any]) -> dict[str, Any]:
    return {"unit": "char", "has_unknown": False, "tokens": tokens}


def _in_order(ids: dict[str, Any], path: Path) -> list[str]:
    """The characters of an object in the order of their ids, which must be 1, 2, 3 and so on."""
    for token, number in ids.items():
        if type(number) is not int:
            raise InputError(f"{path}: the id of {shown(token)} is {shown(number)}; it must be a whole number")
    tokens = sorted(ids, key=lambda token: ids[token])
    for number, token in enumerate(tokens, start=1):
        if ids[token] != number:
            raise InputError(
                f"{path}: the id of {shown(token)} is {shown(ids[token])}, and no character has the id {number}; the "
                "ids must be 1, 2, 3 …, for 0 pads"
            )
    return tokens
