"""Examples: texts, each with the label it belongs to or the source it is written from, where there are such.

``Example`` is the record people write. ``Chunk`` is what travels from a reader to the corpus, and ``Examples`` what is
kept: both hold one column per field, because a Python object for each line of a gigabyte would cost several.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np

from flaxchar.config import InputError
from flaxchar.data.labels import LabelNumbers
from flaxchar.data.texts import Texts, grouped


class Example(NamedTuple):
    """One text to learn from or to be judged by.

    Attributes:
      text: the text.
      label: the name of its class; None where texts have no classes.
      source: the text it is written from, such as the article of a summary; None where there is none.

    Example::

        Example("Wall St. climbs", label="business")
    """

    text: str
    label: str | None = None
    source: str | None = None


class Chunk(NamedTuple):
    """A part of a stream of examples, by columns of equal length.

    Attributes:
      texts: the texts.
      labels: the label of each; None where there are none.
      sources: the source of each; None where there are none.
      complete: False where the last text is continued by the first one of the next chunk.
    """

    texts: list[str]
    labels: list[str] | None = None
    sources: list[str] | None = None
    complete: bool = True

    def select(self, chosen: Sequence[bool]) -> Chunk:
        """The chosen rows; ``chosen`` holds one truth value per row."""
        if all(chosen):
            return self
        texts, labels, sources = (
            None if column is None else [value for value, keep in zip(column, chosen, strict=True) if keep]
            for column in self[:3]
        )
        return Chunk(texts or [], labels, sources, self.complete)


def chunked(examples: Iterable[str | Example]) -> Iterator[Chunk]:
    """Read strings and examples a chunk at a time.

    Raises:
      InputError: one is neither a ``str`` nor an ``Example`` of strings, or only some have a label or a source.
    """
    for group in grouped(examples, _size):
        if all(issubclass(kind, str) for kind in set(map(type, group))):
            yield Chunk(group)  # type: ignore[arg-type]
            continue
        texts, labels, sources = map(
            list, zip(*(each if isinstance(each, Example) else Example(each) for each in group), strict=True)
        )
        yield Chunk(texts, _column(labels, texts, "label"), _column(sources, texts, "source"))


def _size(example: str | Example) -> int:
    """Characters of an example; a check of the types as well, since every item passes here."""
    if isinstance(example, str):
        return len(example)
    if not isinstance(example, Example):
        raise InputError(f"each text must be a str or an Example; one is {type(example).__name__}")
    if not isinstance(example.text, str):
        raise InputError(f"the text of an example must be a str; one is {type(example.text).__name__}")
    for name, value in (("label", example.label), ("source", example.source)):
        if value is not None and not isinstance(value, str):
            raise InputError(f"the {name} of an example must be a str or None; one is {type(value).__name__}")
    return len(example.text) + len(example.source or "")


def _column(values: list, texts: list[str], name: str) -> list[str] | None:
    missing = [text for text, value in zip(texts, values, strict=True) if value is None]
    if len(missing) == len(values):
        return None
    if missing:
        raise InputError(f"the example {missing[0]!r:.40} has no {name}, but others have one; give all of them one")
    return values


@dataclasses.dataclass(frozen=True)
class Examples:
    """Many examples, stored by column. They iterate as ``Example`` records.

    Attributes:
      texts: the texts.
      labels: for each text the index of its label in ``label_names``, int32 ``[examples]``; None without labels.
      label_names: the names of the labels, in the order in which they first occur.
      sources: the source of each text; None without sources.

    Example::

        examples = Examples.of([Example("Anna", label="name"), Example("tree", label="noun")])
        examples.label_names, examples.labels  # ("name", "noun"), array([0, 1])
    """

    texts: Texts
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    sources: Texts | None = None

    @classmethod
    def of(cls, examples: Iterable[str | Example] | Texts | Examples) -> Examples:
        """Store strings and examples; ``Examples`` are returned unchanged.

        Raises:
          InputError: as ``chunked`` and ``from_chunks``.
        """
        if isinstance(examples, Examples):
            return examples
        if isinstance(examples, Texts):
            return cls(examples)
        return cls.from_chunks(chunked(examples))

    @classmethod
    def from_chunks(cls, chunks: Iterable[Chunk], like: Examples | None = None) -> Examples:
        """Store chunks.

        Args:
          chunks: the chunks, in order.
          like: the examples that these are to judge: they must have the same columns, and no other labels.

        Raises:
          InputError: only some examples have a label or a source, or they are not ``like`` the others, or there are
            more than ``labels.MOST_LABELS`` labels.
        """
        texts, sources, labels = Texts(), Texts(), [np.empty(0, np.int32)]
        numbers = LabelNumbers(None if like is None else like.label_names)
        columns = None if like is None else (like.labels is not None, like.sources is not None)
        for chunk in chunks:
            if not chunk.texts:
                continue
            present = chunk.labels is not None, chunk.sources is not None
            if columns is None:
                columns = present
            elif columns != present:
                raise InputError("only some of the texts have a label or a source; give one to all of them or to none")
            texts.add(chunk.texts, chunk.complete)
            sources.add(chunk.sources or [])
            if chunk.labels is not None:
                labels.append(numbers.number(chunk.labels))
        has_labels, has_sources = columns or (False, False)
        return cls(
            texts,
            np.concatenate(labels) if has_labels else None,
            tuple(numbers.names) if has_labels else (),
            sources if has_sources else None,
        )

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Example]:
        labels = repeat(None) if self.labels is None else (self.label_names[k] for k in self.labels.tolist())
        sources = repeat(None) if self.sources is None else iter(self.sources)
        # `repeat` has no end, so the texts say how many examples there are.
        return map(Example, self.texts, labels, sources)

    @property
    def plain(self) -> bool:
        """Whether the examples are texts alone, without labels and sources."""
        return self.labels is None and self.sources is None

    @property
    def characters(self) -> int:
        """Characters of all texts and sources together."""
        return self.texts.characters + (0 if self.sources is None else self.sources.characters)

    def partition(self, chosen: np.ndarray) -> tuple[Examples, Examples]:
        """The examples that are not chosen and those that are, both in order; ``chosen`` is bool ``[examples]``."""
        texts = self.texts.partition(chosen)
        sources = (None, None) if self.sources is None else self.sources.partition(chosen)
        labels = (None, None) if self.labels is None else (self.labels[~chosen], self.labels[chosen])
        return (
            Examples(texts[0], labels[0], self.label_names, sources[0]),
            Examples(texts[1], labels[1], self.label_names, sources[1]),
        )

    def digest(self) -> bytes:
        """SHA-256 of all the examples in order, 32 bytes; that of the texts where they stand alone."""
        if self.plain:
            return self.texts.digest()
        columns = [self.texts.digest()]
        if self.labels is not None:
            columns += [b"labels", Texts.of(self.label_names).digest(), self.labels.astype("<i4").tobytes()]
        if self.sources is not None:
            columns += [b"sources", self.sources.digest()]
        return hashlib.sha256(b"".join(columns)).digest()
