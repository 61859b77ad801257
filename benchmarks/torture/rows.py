"""The rows of the attacks' table."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What became of an attack.

    Attributes:
      attack: what was tried.
      tried: how often.
      detected_or_refused: how often it was detected or refused.
      survived: how often it changed nothing.
      lost: how often something was lost, silently different, accepted, or ended in another way than documented.
    """

    attack: str
    tried: int
    detected_or_refused: int
    survived: int
    lost: int
