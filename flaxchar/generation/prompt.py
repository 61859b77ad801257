"""Prompts: from the text a person gives to the ids that are fed before the first drawn token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from flaxchar.config import InputError
from flaxchar.data.starts import before_a_text
from flaxchar.generation.arguments import check
from flaxchar.generation.given import given_label, given_text
from flaxchar.models.trained import TrainedModel
from flaxchar.settings import MOST_SIZE


class Prompt(NamedTuple):
    """A beginning that a model continues.

    Attributes:
      text: the beginning as it will be shown: without the characters that were left out.
      ids: what is fed: the id of the label, or the source and its end, and then the text; for running text without a
        prompt, the blank line or line feed before a text; int32 ``[tokens]``.
      size: the longest continuation, in tokens, counted with ``ids``.
      begins: whether a text begins here after line feeds: those that follow are not part of it.
    """

    text: str
    ids: np.ndarray
    size: int
    begins: bool = False

    def followed_by(self, pieces: Iterable[str]) -> Iterator[str]:
        """The pieces of the text that is shown: the prompt, and what the model has written after it."""
        yield self.text
        begun = not self.begins
        for piece in pieces:
            shown = piece if begun else piece.lstrip("\n")
            begun = begun or bool(shown)
            if shown:
                yield shown


def encode_prompt(
    trained: TrainedModel,
    text: str = "",
    size: int = 300,
    unknown: Literal["error", "drop"] = "error",
    label: str | None = None,
    source: str | None = None,
) -> Prompt:
    """Check a prompt and encode it after its label or its source.

    Prompt, label and source are brought into the form that the model knows (``flaxchar.generation.given``).

    Args:
      trained: the model that will continue it.
      text: how the written texts begin; may be empty.
      size: the longest text in tokens, the prompt counted, label and source not counted.
      unknown: what to do with characters outside the vocabulary: raise an error, or leave them out.
      label: the class to write for, where the model was trained with labels.
      source: the text to write from, where the model was trained with sources.

    Raises:
      InputError: an argument is out of range, the model needs a label or a source or knows none, or the prompt is
        longer than ``size`` or holds unknown characters.
    """
    vocabulary = trained.vocabulary
    if vocabulary.classifies:
        raise InputError(
            'the model names the label of a text (it was trained with `head="classifier"`); it cannot write text'
        )
    check("prompt", text, str)
    check("size", size, int, least=1, most=MOST_SIZE)
    check("unknown", unknown, Literal["error", "drop"])
    for name, value in (("label", label), ("source", source)):
        if value is not None:
            check(name, value, str)
    form = trained.config.data.normalize
    text = given_text(vocabulary, text, form)
    label = None if label is None else given_label(vocabulary, label, form)
    source = None if source is None else given_text(vocabulary, source, form, "the source")
    prefix = vocabulary.prefix(label, source, unknown)
    ids = vocabulary.encode(text, unknown)
    if unknown == "drop":
        ids = ids[ids != vocabulary.unknown]
        text = vocabulary.decode(ids)
    before = before_a_text(trained.config.data, vocabulary) if not len(ids) else ids[:0]
    prefix = np.concatenate([prefix, before])
    if len(ids) > size:
        raise InputError(f"the prompt {text[:40]!r} has {len(ids)} tokens; `size` is {size} and counts the prompt")
    return Prompt(text, np.concatenate([prefix, ids]).astype(np.int32), size + len(prefix), len(before) > 0)
