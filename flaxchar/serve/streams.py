"""Streams: the state of one text that is being written for a reader."""

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

# The most tokens of a source. A model with sources keeps a state for each of them.
MOST_SOURCE = 1024

Reason = Literal["eos", "size", "closing", "error"]


class Token(NamedTuple):
    """A token that was written.

    Attributes:
      text: the token.
      probability: the model's probability of it, at temperature 1 and without filters.
      alternatives: the likeliest tokens at its position with their probabilities, best first; ``END`` for the end.
    """

    text: str
    probability: float
    alternatives: list[tuple[str, float]]


class Ended(NamedTuple):
    """The end of a text.

    Attributes:
      reason: ``"eos"`` if the model ended it, ``"size"`` if it has its full length, ``"closing"`` if the server ends,
        ``"error"`` if the device failed.
      alternatives: for ``"eos"``, the likeliest tokens where the text ended.
    """

    reason: Reason
    alternatives: Sequence[tuple[str, float]] = ()


# Called in the batcher's thread with new tokens or with the end.
Deliver = Callable[[list[Token] | Ended], None]


class Drawn(NamedTuple):
    """The draw of one row at one step: the fields of ``Outputs`` as plain numbers."""

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
        """Ask the batcher to free the row, because nobody reads the text any more."""
        self.closed = True

    def take(self, drawn: Drawn, names: list[str]) -> Token | Ended | None:
        """Convert a draw: to a token, to the end, or to None for a line feed before the text begins."""
        self.drawn, self.left = self.drawn + 1, self.left - 1
        alternatives = [(names[k], p) for k, p in zip(drawn.likeliest, drawn.likeliest_probabilities, strict=True)]
        if drawn.id == self.trained.vocabulary.eos:
            return Ended("eos", alternatives)
        text = names[drawn.id] if self._begun else names[drawn.id].lstrip("\n")
        self._begun = self._begun or bool(text)
        return Token(text, drawn.probability, alternatives) if text else None
