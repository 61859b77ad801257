"""Painted texts: each character with a shade for its bits, or for the activation of a unit after reading it.

What readers take for one character can be several code points: a letter and its combining marks, or an emoji of several
parts. A shade behind a part of it cannot be seen, and an element around a combining mark alone breaks the letter. So a
cell of a painted text is a grapheme cluster (Unicode Standard Annex 29), and its bits are the sum over its code points.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import regex

from flaxchar.insight.trace import END, Trace

# Number of shades of surprise. Shade ``k`` stands for ``k`` to ``k + 1`` bits, the last one for all above.
SURPRISE_SHADES = 9
# Steps of an activation in either direction from 0.
ACTIVATION_STEPS = 4
# Characters of a text that are painted.
PAINTED = 500
# Characters that Python calls not printable, but that are kept: line feed, joiners and spaces.
_KEPT = "\n\u200c\u200d\u00a0\u3000"
_NAMES = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", END: "end", "\u00a0": "no-break space"}


class Cell(NamedTuple):
    """A piece of a painted text.

    Attributes:
      text: what is shown.
      name: the name of its class in the style sheet.
      positions: the positions of a trace that it stands for: the first and the one after the last.
    """

    text: str
    name: str
    positions: tuple[int, int]


def visible(token: str) -> str:
    r"""A token as it can be seen: ``␣`` for a space, ``U+200B`` for what leaves no mark.

    Example::

        visible(" "), visible("the "), visible("\u0301")  # ("␣", "the␣", "◌́")
    """
    if token in _NAMES:
        return _NAMES[token]
    if len(token) == 1 and unicodedata.category(token) in ("Mn", "Me", "Mc"):
        return "◌" + token
    return "".join(map(_visible, token))


def _visible(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    # Control and format characters, surrogates, private use, unassigned; line and paragraph separators
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return f"U+{ord(character):04X}"
    return character


def legible(text: str) -> str:
    """A text without characters that cannot be seen or that turn the direction of the page; line feeds are kept."""
    return "".join(c if c.isprintable() or c in _KEPT else visible(c) for c in text)


def clusters(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Positions that make one cell together: the first and the one after the last of each.

    The end of the text is a cell of its own. A token of several characters, such as a word, is one cell as well.
    """
    count = len(tokens)
    if any(len(token) > 1 for token in tokens):
        return [(k, k + 1) for k in range(count)]
    written = count - (count > 0 and tokens[-1] == END)
    text = "".join(tokens[:written])
    cells = [(match.start(), match.end()) for match in regex.finditer(r"\X", text)]
    return cells + [(k, k + 1) for k in range(written, count)]


def paint_bits(trace: Trace) -> list[Cell]:
    """The text with a shade for the bits of each cell: classes ``b0`` (below 1 bit) to ``b8`` (8 and more)."""
    cells = []
    for first, after in clusters(trace.tokens):
        shade = min(SURPRISE_SHADES - 1, int(trace.bits[first:after].sum()))
        cells.append(Cell(_shown(trace.tokens[first:after]), f"b{shade}", (first, after)))
    return _cut(cells)


class Span(NamedTuple):
    """The activations at which a unit's bar is full or empty; ``low`` above ``high`` inverts the unit.

    Attributes:
      low: the activation with a full bar downwards.
      middle: the activation without a bar.
      high: the activation with a full bar upwards.
    """

    low: float = -1.0
    middle: float = 0.0
    high: float = 1.0

    def share(self, value: float) -> float:
        """The length of the bar of an activation, -1 to 1."""
        for end, full in ((self.high, 1.0), (self.low, -1.0)):
            if (value - self.middle) * (end - self.middle) > 0:
                return full * min(1.0, (value - self.middle) / (end - self.middle))
        return 0.0


def paint_unit(trace: Trace, layer: int, number: int, span: Span = Span()) -> list[Cell]:
    """The text with a bar for a unit's activation after each cell: classes ``p1``–``p4``, ``n1``–``n4``, or ``z``.

    Args:
      trace: the trace.
      layer: the unit's layer.
      number: its number in the layer.
      span: which activations have full bars, and which none.
    """
    values = trace.activations[layer, :, number]
    cells = []
    for first, after in clusters(trace.tokens):
        if trace.tokens[first] == END or after >= len(values):  # the state after the last character is not known
            continue
        steps = round(span.share(float(values[after])) * ACTIVATION_STEPS)
        name = f"p{steps}" if steps > 0 else f"n{-steps}" if steps < 0 else "z"
        cells.append(Cell(_shown(trace.tokens[first:after]), name, (first, after)))
    return _cut(cells)


def _shown(tokens: Sequence[str]) -> str:
    """The text of a cell. A line feed is shown and kept; what cannot be seen is named."""
    text = "".join(tokens)
    if text == END:
        return "∎"
    return legible(text).replace("\n", "⏎\n")


def _cut(cells: list[Cell]) -> list[Cell]:
    """The first cells, with an ellipsis where some are left out."""
    if len(cells) <= PAINTED:
        return cells
    return [*cells[:PAINTED], Cell("…", "z", (cells[PAINTED].positions[0],) * 2)]
