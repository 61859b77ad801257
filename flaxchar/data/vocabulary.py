"""The vocabulary turns text into ids and back; everything after it sees only integers."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flaxchar.config import InputError, Unit
from flaxchar.data.texts import Texts, joined

PAD = 0
# Where a model knows classes, each is one token that stands first in its texts: a character of a private-use plane (The
# Unicode Standard, section 23.5).
_FIRST_LABEL, MOST_LABELS = 0xF0000, 1000
# Likewise what stands between a source and the text that is written from it.
SOURCE_END = chr(_FIRST_LABEL + MOST_LABELS)
# Runs of letters and digits, runs of white space, and every other character by itself: joined they give the text back.
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


def label_token(number: int) -> str:
    """The character that stands before the texts of class ``number``."""
    return chr(_FIRST_LABEL + number)


def labelled(text: str, number: int, classify: bool) -> str:
    """A text with the token of its class, number ``number``: before it or, to ``classify``, after it as its source."""
    return text + SOURCE_END + label_token(number) if classify else label_token(number) + text


@dataclasses.dataclass(frozen=True)
class EncodedTexts:
    """Many texts as one array of ids: text ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.

    Attributes:
      ids: of the smallest unsigned type that holds them, ``[tokens]``; mapped from a file where they are many.
      offsets: int64 ``[texts + 1]``.
      source_end: the id up to which a text is given, not predicted; None where there are no sources.
      ends: whether ``<eos>`` is predicted after each text.
    """

    ids: np.ndarray
    offsets: np.ndarray
    source_end: int | None = None
    ends: bool = True

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each text, int64 ``[texts]``."""
        return np.diff(self.offsets)

    @property
    def sources(self) -> np.ndarray:
        """Tokens of each text's source, the one that ends it included, int64 ``[texts]``."""
        if self.source_end is None:
            return np.zeros(len(self), np.int64)
        return np.flatnonzero(self.ids == self.source_end) + 1 - self.offsets[:-1]

    @property
    def mean_length(self) -> float:
        """Tokens of a text on average, its source left out."""
        # Of many lines without sources, arrays of their lengths would take hundreds of megabytes for one number.
        given = 0 if self.source_end is None else int(self.sources.sum())
        return (len(self.ids) - given) / len(self)

    def exchanged(self) -> EncodedTexts:
        """The texts, each after the source of another: of a model that reads its sources these cost more."""
        own = self.sources
        texts = [
            np.concatenate([self[other][: own[other]], self[number][own[number] :]])
            for number, other in enumerate([*range(1, len(self)), 0])
        ]
        offsets = np.cumsum([0, *map(len, texts)])
        return dataclasses.replace(self, ids=np.concatenate(texts), offsets=offsets)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The tokens a model knows, numbered as Keras' ``Tokenizer(char_level=True, lower=False)`` numbers them.

    Id 0 pads. The tokens follow from 1, the most frequent first. ``<eos>``, which ends a text and with ``bos`` also
    begins it, is last; an unknown token, where there is one, stands just before it.

    Attributes:
      tokens: single characters, or words; ``tokens[k]`` has the id ``k + 1``.
      unit: ``"char"`` or ``"word"``.
      has_unknown: whether tokens outside the vocabulary have an id of their own.
      labels: names of the classes that texts belong to; the token of each, ``label_token``, is among the tokens.
    """

    tokens: tuple[str, ...]
    unit: Unit = "char"
    has_unknown: bool = False
    labels: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        texts: Iterable[str] | Texts,
        unit: Unit = "char",
        max_size: int | None = None,
        labels: Sequence[str] = (),
    ) -> Vocabulary:
        """The vocabulary of some texts: tokens by falling frequency, those equally frequent in order of appearance.

        Args:
          texts: the training texts.
          unit: ``"char"`` or ``"word"``.
          max_size: keep at most this many tokens and add an unknown token for the others.
          labels: names of the classes whose tokens stand first in the texts; these tokens are kept in any case.

        Raises:
          InputError: there is no character in the texts.
        """
        counts = (
            _count_characters(Texts.of(texts))
            if unit == "char"
            else Counter(t for text in texts for t in _WORDS.findall(text))
        )
        if not counts:
            raise InputError("there is no text to learn from: every text is empty")
        # The sort is stable and the counts are in order of appearance.
        tokens = tuple(sorted(counts, key=lambda token: -counts[token]))
        kept = tokens[:max_size]
        always = [SOURCE_END] * (SOURCE_END in counts) + [label_token(number) for number in range(len(labels))]
        kept += tuple(token for token in always if token not in kept)
        return cls(kept, unit, max_size is not None, tuple(labels))

    @property
    def size(self) -> int:
        """Ids there are, padding and ``<eos>`` included."""
        return len(self.tokens) + self.has_unknown + 2

    @property
    def eos(self) -> int:
        """The id of ``<eos>``, the last."""
        return self.size - 1

    @property
    def unknown(self) -> int | None:
        """The id of the unknown token, or None."""
        return self.size - 2 if self.has_unknown else None

    @property
    def source_end(self) -> int | None:
        """The id of what ends a source, None where there are no sources."""
        return self._ids.get(SOURCE_END)

    @property
    def classifies(self) -> bool:
        """Whether what is predicted is the class of a text: its token, after the text as its source."""
        return bool(self.labels) and self.source_end is not None

    def texts(self, ids: np.ndarray, offsets: np.ndarray) -> EncodedTexts:
        """Texts by their ids: text ``k`` is ``ids[offsets[k]:offsets[k + 1]]``."""
        return EncodedTexts(ids, offsets, self.source_end, not self.classifies)

    def label_id(self, name: str) -> int:
        """The id of a class.

        Raises:
          InputError: there is no class of that name.
        """
        if name not in self.labels:
            known = ", ".join(map(repr, self.labels[:20]))
            raise InputError(f"the model knows no class {name!r}; it knows {known or 'none: see train --label-field'}")
        return self.label_ids[self.labels.index(name)]

    @functools.cached_property
    def label_ids(self) -> tuple[int, ...]:
        """The ids of the classes, in the order of ``labels``."""
        return tuple(self._ids[label_token(number)] for number in range(len(self.labels)))

    @property
    def never_written(self) -> tuple[int, ...]:
        """The ids that stand for nothing a text may go on with: padding, classes, a source's end, the unknown token."""
        others = (k for k in (self.source_end, self.unknown) if k is not None)
        return (PAD, *self.label_ids, *others)

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {token: k for k, token in enumerate(self.tokens, start=1)}

    @functools.cached_property
    def _table(self) -> np.ndarray:
        """Code point → id, with -1 for those outside the vocabulary and, as its last entry, for any larger one."""
        points = np.array([ord(token) for token in self.tokens])
        table = np.full(max(points.max(), 0xFF) + 2, -1, np.int32)
        table[points] = np.arange(1, len(points) + 1)
        return table

    def tokenize(self, text: str) -> list[str]:
        """The characters or words of a text, known or not; joined they are the text."""
        return list(text) if self.unit == "char" else _WORDS.findall(text)

    def id_of(self, token: str) -> int | None:
        """The id of a token, None for what the vocabulary does not hold."""
        return self._ids.get(token)

    def encode(self, text: str, unknown: Literal["error", "drop"] = "error") -> np.ndarray:
        """The ids of a text, int32 ``[tokens]``, without ``<eos>``.

        Args:
          text: any text.
          unknown: what to do with what the vocabulary does not hold, where it has no unknown token: raise an error
            that names it, or leave it out.

        Raises:
          InputError: the text holds something unknown, and ``unknown`` is ``"error"``.
        """
        encoded, missing = self.encode_texts([text])
        if missing and unknown == "error":
            shown = ", ".join(repr(token) for token in list(missing)[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            what = "character" if self.unit == "char" else "word"
            raise InputError(
                f"{text[:40]!r} holds {what}{'s' if len(missing) > 1 else ''} the model has never seen: {shown}{more}; "
                "leave them out, by hand or with --unknown drop"
            )
        return encoded.ids.astype(np.int32)

    def encode_texts(self, texts: Iterable[str] | Texts, path: Path | None = None) -> tuple[EncodedTexts, Counter[str]]:
        """Many texts at once, leaving out what is unknown and has no token.

        Args:
          texts: the texts.
          path: a new file to keep the ids in.

        Returns:
          The texts, and how often each token was left out.
        """
        texts = Texts.of(texts)
        lengths = texts.lengths.copy()  # of which those left out are subtracted
        missing: Counter[str] = Counter()
        parts = (
            self._encode_words(texts, lengths, missing)
            if self.unit == "word"
            else self._encode(texts, lengths, missing)
        )
        ids = joined(parts, np.min_scalar_type(self.eos), texts.characters, path)
        return self.texts(ids, np.concatenate([[0], np.cumsum(lengths)])), missing

    def _encode(self, texts: Texts, lengths: np.ndarray, missing: Counter[str]) -> Iterator[np.ndarray]:
        ends, position = np.cumsum(lengths), 0
        for given in texts.code_points():
            points = given if given.dtype == np.uint8 else np.minimum(given, len(self._table) - 1)
            ids = self._table[points]
            known = ids >= 0
            if not known.all():
                if self.unknown is not None:
                    ids = np.where(known, ids, np.int32(self.unknown))
                else:
                    at = np.flatnonzero(~known)
                    np.subtract.at(lengths, np.searchsorted(ends, position + at, "right"), 1)
                    missing.update(map(chr, given[at].tolist()))
                    ids = ids[known]
            yield ids
            position += len(points)

    def _encode_words(self, texts: Texts, lengths: np.ndarray, missing: Counter[str]) -> Iterator[np.ndarray]:
        for number, text in enumerate(texts):
            tokens = self.tokenize(text)
            row = [self._ids.get(token, self.unknown) for token in tokens]
            if None in row:
                missing.update(token for token in tokens if token not in self._ids)
                row = [k for k in row if k is not None]
            lengths[number] = len(row)
            yield np.array(row, np.int32)

    def predicted_characters(
        self, texts: Iterable[str] | Texts, bos: bool, running: bool = False, sources: bool = False
    ) -> int:
        """How many characters a model predicts of some texts, ``<eos>`` counted as one each.

        Without ``bos`` the first token of each text (of the first one only in running text) is given, not predicted.
        A class counts as one, too. ``sources``: whether those are predicted, as in training.
        """
        texts = Texts.of(texts)
        if self.classifies:
            return len(texts)
        if self.source_end is not None and not sources:
            return sum(len(text) - text.index(SOURCE_END) for text in texts)
        total = texts.characters + len(texts)
        if bos:
            return total
        if self.unit == "char":
            return total - int((texts.lengths[:1] if running else texts.lengths > 0).astype(bool).sum())
        firsts = (match[0] for text in texts if (match := _WORDS.match(text)))
        return total - sum(map(len, itertools.islice(firsts, 1) if running else firsts))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, the exact inverse of ``encode``.

        Raises:
          ValueError: one of them is padding, ``<eos>`` or the unknown token, which stand for no text.
        """
        ids = [int(k) for k in ids]
        for k in ids:
            if not 1 <= k <= len(self.tokens):
                raise ValueError(f"id {k} stands for no text; those from 1 to {len(self.tokens)} do")
        return "".join(self.tokens[k - 1] for k in ids)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        values = {"unit": self.unit, "has_unknown": self.has_unknown, "tokens": list(self.tokens)}
        return {**values, "labels": list(self.labels)} if self.labels else values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Vocabulary:
        """The inverse of ``to_dict``."""
        return cls(tuple(values["tokens"]), values["unit"], values["has_unknown"], tuple(values.get("labels", ())))


def _count_characters(texts: Texts) -> dict[str, int]:
    """How often each character occurs, in order of first appearance."""
    counts: dict[str, int] = {}
    for points in texts.code_points():
        occurrences = np.bincount(points)
        found = np.flatnonzero(occurrences)
        if new := {chr(k) for k in found.tolist()} - counts.keys():
            # Written backwards, the first position of each is what stays.
            first = np.empty(len(occurrences), np.int64)
            first[points[::-1]] = np.arange(len(points) - 1, -1, -1)
            counts |= dict.fromkeys(sorted(new, key=lambda character: first[ord(character)]), 0)
        for k in found.tolist():
            counts[chr(k)] += int(occurrences[k])
    return counts
