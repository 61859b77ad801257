"""Control of the decode loop: constraints on the text, and a repetition penalty."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.arguments import check
from flaxchar.generation.constraints import Constraint, TextConstraints, make_constraint
from flaxchar.generation.decode import DecodeState, Guide
from flaxchar.generation.prompt import Prompt
from flaxchar.settings import MOST_PENALTY


class Control(NamedTuple):
    """The constraints and the repetition penalty of a request.

    Attributes:
      constraint: the table of the constraints on the texts; None for none.
      repetition_penalty: multiplies the log-probabilities of the tokens that a text holds; 1 for no penalty.
      repeated: the tokens of the prompt that count for the penalty, int32 ``[tokens]``.
    """

    constraint: Constraint | None = None
    repetition_penalty: float = 1.0
    repeated: np.ndarray = np.zeros(0, np.int32)

    @property
    def active(self) -> bool:
        """Whether there is a constraint or a penalty."""
        return self.constraint is not None or self.repetition_penalty != 1

    @property
    def texts(self) -> int:
        """How many texts belong together, as the lines of an acrostic do where each is a text."""
        return 1 if self.constraint is None else len(self.constraint.starts)

    def guide(self) -> Guide:
        """The arrays that the decode loop needs."""
        table, needed = (None, None) if self.constraint is None else self.constraint[:2]
        penalty = None if self.repetition_penalty == 1 else np.float32(self.repetition_penalty)
        return Guide(table, needed, penalty)

    def begin(self, state: DecodeState, numbers: np.ndarray, vocab: int) -> DecodeState:
        """The state of the loop before samples of some numbers, int32 ``[rows]``."""
        if self.constraint is not None:
            starts = self.constraint.starts[numbers % len(self.constraint.starts)]
            state = state._replace(constraint_states=jnp.asarray(starts))
        if self.repetition_penalty != 1:
            seen = np.zeros((len(numbers), vocab), bool)
            seen[:, self.repeated] = True
            state = state._replace(seen=jnp.asarray(seen))
        return state


def make_control(
    vocabulary: Vocabulary, prompt: Prompt, constraints: TextConstraints, repetition_penalty: float = 1.0
) -> Control:
    """The control of the texts that continue a prompt.

    Raises:
      InputError: the penalty is out of its range, or no text meets the constraints.
      TypeError: there is no constraint of some name.
    """
    check("repetition_penalty", repetition_penalty, float, least=1, most=MOST_PENALTY)
    constraint = make_constraint(vocabulary, prompt, constraints)
    repeated = vocabulary.encode(prompt.text, "drop")
    return Control(constraint, repetition_penalty, repeated[repeated != vocabulary.unknown])
