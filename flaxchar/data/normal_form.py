"""Normal form: the examples of a reader in one of Unicode's normal forms (https://unicode.org/reports/tr15/)."""

from __future__ import annotations

import unicodedata

from flaxchar.data.examples import Chunk
from flaxchar.data.forms import normalized
from flaxchar.settings import NormalForm


class Normalizer:
    """Brings a stream of chunks into a normal form.

    A text may be continued by the next chunk, and a character may combine with the next one. So what follows the last
    place where a text can be cut waits for the next chunk.
    """

    def __init__(self, form: NormalForm | None) -> None:
        """``form`` is the run's ``normalize``; None changes nothing."""
        self._form = form
        self._waiting = ""

    def normalize(self, chunk: Chunk) -> Chunk:
        """The next chunk with its texts, labels and sources in the normal form."""
        if self._form is None or not chunk.texts:
            return chunk
        texts = [self._waiting + chunk.texts[0], *chunk.texts[1:]]
        self._waiting = ""
        if not chunk.complete:
            end = _last_boundary(texts[-1], self._form)
            texts[-1], self._waiting = texts[-1][:end], texts[-1][end:]
        labels, sources = (
            None if column is None else [normalized(value, self._form) for value in column] for column in chunk[1:3]
        )
        return Chunk([normalized(text, self._form) for text in texts], labels, sources, chunk.complete)


def _last_boundary(text: str, form: NormalForm) -> int:
    """Where the last character begins that no character before it can combine with; 0 if there is none."""
    return next((k for k in range(len(text) - 1, 0, -1) if _begins(text[k], form)), 0)


def _begins(character: str, form: NormalForm) -> bool:
    """Whether a character never combines with the one before it. Marks and the later parts of Hangul syllables may."""
    first = unicodedata.normalize("NFKD" if form == "nfkc" else "NFD", character)[0]
    return not (unicodedata.category(first).startswith("M") or "\u1161" <= first <= "\u11ff")
