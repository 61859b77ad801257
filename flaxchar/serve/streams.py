"""Streams: one text that is being written for a reader, with the tokens it is fed next and the settings of its row."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from flaxchar.config import InputError
from flaxchar.generation.generate import lead_in, sample_keys
from flaxchar.generation.prompt import Prompt
from flaxchar.generation.sampling import Sampling
from flaxchar.models.trained import TrainedModel

# The most tokens of a source: a model with sources keeps a state for each.
MOST_SOURCE = 1024

Reason = Literal["eos", "size", "closing", "error"]


class Token(NamedTuple):
    """A token that was written.

    Attributes:
      text: the token.
      probability: the model's probability of it, at temperature 1 and without filters.
      alternatives: the likeliest tokens there with their probabilities, best first; ``END`` for the end of the text.
    """

    text: str
    probability: float
    alternatives: list[tuple[str, float]]


class Ended(NamedTuple):
    """A text has ended.

    Attributes:
      reason: ``"eos"`` where the model ended it, ``"size"`` at its longest, ``"closing"`` where the server ends,
        ``"error"`` where the device failed.
      alternatives: for ``"eos"``, the likeliest tokens where the text ended.
    """

    reason: Reason
    alternatives: Sequence[tuple[str, float]] = ()


# Receives what was written, in the batcher's thread: some tokens, or the end.
Deliver = Callable[[list[Token] | Ended], None]


class Drawn(NamedTuple):
    """What one row drew at one step: the fields of ``Outputs`` as plain numbers."""

    id: int
    probability: float
    likeliest: list[int]
    likeliest_probabilities: list[float]


class Stream:
    """One text that is being written. ``close`` may be called from any thread."""

    def __init__(self, trained: TrainedModel, prompt: Prompt, sampling: Sampling, seed: int, deliver: Deliver) -> None:
        """Prepare a text: sample 0 of ``generate`` for the same arguments.

        Raises:
          InputError: the source is longer than ``MOST_SOURCE``.
        """
        fed = lead_in(prompt.ids, trained.vocabulary.eos, trained.config.data.bos)
        end = trained.vocabulary.source_end
        if end is not None and (length := int(np.argmax(prompt.ids == end))) > MOST_SOURCE:
            raise InputError(f"`source` has {length:,} tokens; the page reads at most {MOST_SOURCE:,}")
        self.trained, self.sampling, self.deliver = trained, sampling, deliver
        self.key = sample_keys(fed, seed, [0])[0]
        self.waiting = deque(fed.tolist())
        self.left = prompt.size - len(prompt.ids)  # tokens that may still be drawn
        self.drawn = 0
        self.fresh, self.closed = True, False
        self._begun = not prompt.begins

    def close(self) -> None:
        """Give up the row: nobody reads the text any more."""
        self.closed = True

    def take(self, drawn: Drawn, names: list[str]) -> Token | Ended | None:
        """Take what was drawn: a token, the end, or None for a line feed before the text begins."""
        self.drawn, self.left = self.drawn + 1, self.left - 1
        alternatives = [(names[k], p) for k, p in zip(drawn.likeliest, drawn.likeliest_probabilities, strict=True)]
        if drawn.id == self.trained.vocabulary.eos:
            return Ended("eos", alternatives)
        text = names[drawn.id] if self._begun else names[drawn.id].lstrip("\n")
        self._begun = self._begun or bool(text)
        return Token(text, drawn.probability, alternatives) if text else None
