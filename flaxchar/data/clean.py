"""Cleaning: from the examples of a reader to those of a corpus, blank and overlong ones left out and counted."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

import numpy as np

from flaxchar.data.examples import Chunk
from flaxchar.data.normal_form import Normalizer
from flaxchar.data.split import hash_texts
from flaxchar.settings import DataConfig

# Character references that lost their ampersand, as in AG News, where a space stands in its place; and whole ones.
_DEBRIS = re.compile(r"[& ]?#(\d{1,7});|&[a-zA-Z]{2,8};")


class Cleaner:
    """Cleans one stream of chunks and keeps count.

    Attributes:
      given: examples read.
      blank: those left out because the text is blank (white space alone counts as blank, except in running text).
      too_long: those left out because text and source together have more than ``max_length`` characters.
      debris: examples with remains of HTML in them.
    """

    def __init__(self, data: DataConfig) -> None:
        self._unescape, self._running, self._limit = data.unescape_html, data.running, data.max_length
        self._normalizer = Normalizer(data.normalize)
        self.given = self.blank = self.too_long = self.debris = 0
        self._hashes = [np.empty(0, np.uint64)]

    def clean(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks with the examples that are kept; a text may be continued from one chunk to the next."""
        continued = False  # whether the first text continues the last one of the chunk before
        last_has_debris = False
        for raw in chunks:
            chunk = self._normalizer.normalize(self._unescaped(raw) if self._unescape else raw)
            with_debris = _count_debris(raw)
            self.debris += with_debris - (continued and last_has_debris and with_debris > 0)
            last_has_debris = with_debris > 0
            self.given += len(chunk.texts) - continued
            if self._running:
                yield self._without_empty(chunk) if chunk.complete and not continued else chunk
            else:
                yield self._without_blank_and_overlong(chunk)
            continued = not chunk.complete

    def hashes(self) -> np.ndarray:
        """For separate texts, the ``hash_texts`` of those kept, uint64 ``[texts]``, made while they are in memory."""
        self._hashes = [np.concatenate(self._hashes)]
        return self._hashes[0]

    def _unescaped(self, chunk: Chunk) -> Chunk:
        sources = None if chunk.sources is None else list(map(unescape_html, chunk.sources))
        return chunk._replace(texts=list(map(unescape_html, chunk.texts)), sources=sources)

    def _without_empty(self, chunk: Chunk) -> Chunk:
        texts = [text for text in chunk.texts if text]
        self.blank += len(chunk.texts) - len(texts)
        return chunk._replace(texts=texts)

    def _without_blank_and_overlong(self, chunk: Chunk) -> Chunk:
        full = [bool(text) and not text.isspace() for text in chunk.texts]
        kept = chunk.select(full)
        self.blank += len(full) - len(kept.texts)
        lengths = map(len, kept.texts) if kept.sources is None else map(_sum_of_lengths, kept.texts, kept.sources)
        short = [length <= self._limit for length in lengths]
        result = kept.select(short)
        self.too_long += len(short) - len(result.texts)
        self._hashes.append(hash_texts(result.texts, result.sources))
        return result


def _sum_of_lengths(text: str, source: str) -> int:
    return len(text) + len(source)


def _count_debris(chunk: Chunk) -> int:
    """The examples with remains of HTML in the text or in its source."""
    if chunk.sources is not None:
        return sum(1 for row in zip(chunk.texts, chunk.sources, strict=True) if any(map(_DEBRIS.search, row)))
    return sum(1 for text in chunk.texts if ";" in text and _DEBRIS.search(text))


def unescape_html(text: str) -> str:
    """Decode HTML's character references, those too that lost their ampersand: `` #39;`` becomes ``'``."""
    return html.unescape(re.sub(r"[& ]?#(\d{1,7});", r"&#\1;", text))
