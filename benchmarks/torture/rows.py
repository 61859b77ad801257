"""The rows of the attacks' table."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of an attack. Each attempt counts once.

    Attributes:
      attack: what was tried.
      refused: how often it was refused, or the damage was detected.
      survived: how often it changed nothing, or nothing that was not mended again.
      lost: how often something was lost, silently different, accepted, hung, or ended in another way than documented.
    """

    attack: str
    refused: int
    survived: int
    lost: int

    @property
    def tried(self) -> int:
        """How often the attack was tried."""
        return self.refused + self.survived + self.lost

    def __str__(self) -> str:
        """The row in Markdown."""
        counts = (self.tried, self.refused, self.survived, self.lost)
        return " | ".join([f"| {self.attack}", *(f"{count:,}" for count in counts)]) + " |"

    @classmethod
    def parse(cls, line: str) -> Row:
        """The row that was printed as this line."""
        attack, _, *counts = line.strip("| \n").split(" | ")
        return cls(attack, *(int(count.replace(",", "")) for count in counts))
