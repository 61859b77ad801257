"""Texts for a terminal, each character shaded by how surprising it was to a model.

Colours come from the terminal's 256: the background says how many bits a character took, and the text on it is black or
white, so it can be read on light and dark terminals. Where ``NO_COLOR`` is set, underlines and reversed video take the
place of colours.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.style import Style
from rich.text import Text

from flaxchar.commands.output import printable
from flaxchar.data.examples import Example
from flaxchar.insight import paint
from flaxchar.models.trained import TrainedModel

# Bits from which each darker shade begins. Below 1 bit, a character was likelier than all others together: no shade.
LEVELS = (1, 2, 3, 5, 7, 10)
_COLOURS = ("color(16) on color(230)", "color(16) on color(222)", "color(16) on color(215)", "color(16) on color(208)",
            "color(231) on color(160)", "color(231) on color(88)")  # fmt: skip
_WITHOUT_COLOUR = ("underline", "underline", "underline", "bold underline", "reverse", "bold reverse")
_NOT_PREDICTED = Style(dim=True)
# Stands for the end of a text, which is predicted too.
END_MARK = "¶"


class Shader:
    """Prints shaded texts. They have colours also where stdout is no terminal, for ``| less -R``.

    Example::

        shader = Shader("char")
        shader.print(["H", "i"], [3.2, 0.4])
        shader.print_legend()
    """

    def __init__(self, unit: str) -> None:
        """``unit``: the unit that the bits are counted by, ``"char"`` or ``"word"``."""
        self._console = Console(
            force_terminal=True, color_system="256", legacy_windows=False, highlight=False, soft_wrap=True
        )
        names = _WITHOUT_COLOUR if self._console.no_color else _COLOURS
        self._styles = [Style(), *map(Style.parse, names)]
        self._unit = "character" if unit == "char" else "word"
        self._some_not_predicted = self._some_ends = False

    def print(self, tokens: Sequence[str], bits: Sequence[float], before: str = "", lines: bool = False) -> None:
        """Print a text.

        Args:
          tokens: its characters or words.
          bits: what each took, NaN for those that were not predicted; one more for the end of the text, if that was.
          before: is printed in front of it.
          lines: whether a line feed, besides being shown as an escape like all control characters, begins a new line.
        """
        pieces = list(clusters(tokens, bits))
        self._some_ends |= len(bits) > len(tokens)
        self._some_not_predicted |= any(math.isnan(cost) for _, cost in pieces)
        line = Text(before)
        for style, alike in itertools.groupby(pieces, key=lambda piece: self._style(piece[1])):
            shown = "".join(printable(text) + "\n" * (lines and text.endswith("\n")) for text, _ in alike)
            line.append(shown, style)
        self._print(line)

    def _style(self, bits: float) -> Style:
        return _NOT_PREDICTED if math.isnan(bits) else self._styles[level(bits)]

    def print_legend(self) -> None:
        """Print what the shades mean."""
        line = Text(f"bits per {self._unit}: ")
        for k, low in enumerate((0, *LEVELS)):
            line.append(f" {low}+ " if k == len(LEVELS) else f" {low}–{LEVELS[k]} ", self._styles[k])
        if self._some_ends:
            line.append(f"  {END_MARK} end of the text")
        if self._some_not_predicted:
            line.append("  ").append("not predicted", _NOT_PREDICTED)
        self._print(line)

    def _print(self, line: Text) -> None:
        with self._console.capture() as printed:  # rich itself would end the process where nobody reads on
            self._console.print(line)
        print(printed.get(), end="")


class SampleShader(Shader):
    """Prints the texts that a model has written, shaded by the bits that the same model gives them."""

    def __init__(self, trained: TrainedModel, size: int, label: str | None, source: str | None) -> None:
        """Prepare to print samples.

        Args:
          trained: the model.
          size: the most tokens of a text. A text that has as many did not end by itself.
          label: the label that the texts were written for, as ``generate``.
          source: the source that they were written from, as ``generate``.
        """
        super().__init__(trained.vocabulary.unit)
        self._trained, self._size, self._label, self._source = trained, size, label, source

    def print_sample(self, text: str, prompted: bool) -> None:
        """Print a text; ``prompted``: whether it begins with a prompt, in which case nothing else was fed before it."""
        from flaxchar.analysis.score import score_examples
        from flaxchar.data.starts import before_a_text
        from flaxchar.generation.given import given_examples

        vocabulary, data = self._trained.vocabulary, self._trained.config.data
        fed = "" if prompted else vocabulary.decode(before_a_text(data, vocabulary))
        tokens = vocabulary.tokenize(text)
        bits: list[float] = []
        if fed + text or not data.running:
            (example,) = given_examples(self._trained, [Example(fed + text, self._label, self._source)])
            (nats,) = score_examples(self._trained, [example], by_token=True).by_token
            bits = (nats[len(vocabulary.tokenize(fed)) :] / math.log(2)).tolist()
        self.print(tokens, bits[: len(tokens)] if len(tokens) >= self._size else bits, lines=True)
        if "\n" in text:  # as without shades, an empty line follows a text of several lines
            self._print(Text())


def level(bits: float) -> int:
    """The shade of a character, from 0 for none to ``len(LEVELS)``."""
    return 0 if math.isnan(bits) else bisect.bisect_right(LEVELS, bits)


def clusters(tokens: Sequence[str], bits: Sequence[float]) -> Iterable[tuple[str, float]]:
    """What a reader sees as one character each (or a whole word), and the bits of all of it; the end as ``END_MARK``.

    A mark that combines with the letter before it cannot have a colour of its own.
    """
    costs = list(bits)
    for first, after in paint.clusters(tokens):
        predicted = [cost for cost in costs[first:after] if not math.isnan(cost)]
        yield "".join(tokens[first:after]), sum(predicted) if predicted else math.nan
    if len(costs) > len(tokens):
        yield END_MARK, costs[-1]
