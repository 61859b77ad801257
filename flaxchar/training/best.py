"""The best parameters of a run by its held-out results, and when to stop early."""

from __future__ import annotations

import math

from flaxchar.models.charlm import Params


class Best:
    """Held-out results so far, and the parameters of the best one.

    Attributes:
      results: held-out bits per character of each evaluation, in order.
      bits_per_character: the best result; None where there is none yet.
      params: the parameters of the best result.
    """

    def __init__(self, patience: int | None = None) -> None:
        """``patience``: evaluations in a row without a new best after which to stop; None to go on to the end."""
        self.results: list[float] = []
        self.params: Params | None = None
        self.bits_per_character: float | None = None
        self._patience = patience

    def restore(self, results: list[float], bits: float | None, params: Params | None) -> None:
        """Continue from the best checkpoint of a run, and the results of its last stretch, which patience looks at."""
        self.results, self.bits_per_character, self.params = list(results), bits, params

    def add(self, bits_per_character: float) -> bool:
        """Add a result; return whether it is the best, so that the caller sets ``params``.

        A result that is not finite is never the best.
        """
        if not math.isfinite(bits_per_character):
            self.results.append(math.inf)
            return False
        self.results.append(bits_per_character)
        if self.bits_per_character is not None and not bits_per_character < self.bits_per_character:
            return False
        self.bits_per_character = bits_per_character
        return True

    @property
    def out_of_patience(self) -> bool:
        """Whether the last ``patience`` results brought no new best."""
        if self._patience is None or not self.results:
            return False
        return len(self.results) - 1 - self.results.index(min(self.results)) >= self._patience
