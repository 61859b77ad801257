"""Tokens: text cut into characters or words, counted, and turned into ids and back."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from flaxchar.config import InputError
from flaxchar.data.encoded import EncodedTexts, joined
from flaxchar.data.forms import shown, suggestions
from flaxchar.data.texts import Texts
from flaxchar.data.words import WordRule, word_pattern
from flaxchar.settings import Unit

Unknown = Literal["error", "drop"]


def tokenize(text: str, unit: Unit, rule: WordRule = "uax29") -> list[str]:
    """The characters or words of a text; joined they are the text."""
    return list(text) if unit == "char" else word_pattern(rule).findall(text)


def first_characters(texts: Texts, unit: Unit, most: int | None = None, rule: WordRule = "uax29") -> int:
    """The characters in the first token of each text, or of the first ``most`` that are not empty, together."""
    if unit == "char":
        count = int((texts.lengths > 0).sum())
        return count if most is None else min(most, count)
    first_word = word_pattern(rule).match
    firsts = (match[0] for text in texts if (match := first_word(text)))
    return sum(map(len, itertools.islice(firsts, most)))


def count_tokens(texts: Texts, unit: Unit, rule: WordRule = "uax29") -> dict[str, int]:
    """How often each token occurs, in order of first appearance."""
    if unit == "word":
        return Counter(token for text in texts for token in word_pattern(rule).findall(text))
    counts: dict[str, int] = {}
    for points in texts.code_points():
        occurrences = np.bincount(points)
        present = np.flatnonzero(occurrences)
        if new := {chr(k) for k in present.tolist()} - counts.keys():
            # Written backwards, the first position of each is what stays.
            first = np.empty(len(occurrences), np.int64)
            first[points[::-1]] = np.arange(len(points) - 1, -1, -1)
            counts |= dict.fromkeys(sorted(new, key=lambda character: first[ord(character)]), 0)
        for k in present.tolist():
            counts[chr(k)] += int(occurrences[k])
    return counts


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The characters or words a model knows, and their ids.

    Attributes:
      tokens: single characters, or words; ``tokens[k]`` has the id ``k + 1``. None where an id stands for no text.
      unit: ``"char"`` or ``"word"``.
      has_unknown: whether tokens outside the vocabulary have an id of their own.
      word_rule: how texts are cut into words.
    """

    tokens: tuple[str | None, ...]
    unit: Unit = "char"
    has_unknown: bool = False
    word_rule: WordRule = dataclasses.field(default="runs", kw_only=True)

    @property
    def size(self) -> int:
        """The number of ids, padding and ``<eos>`` included."""
        return len(self.tokens) + self.has_unknown + 2

    @property
    def eos(self) -> int:
        """The id of ``<eos>``, the last."""
        return self.size - 1

    @property
    def unknown(self) -> int | None:
        """The id of the unknown token, or None."""
        return self.size - 2 if self.has_unknown else None

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {token: k for k, token in enumerate(self.tokens, start=1) if token is not None}

    @functools.cached_property
    def _table(self) -> np.ndarray:
        """Code point → id, with -1 for those outside the vocabulary and, as its last entry, for any larger one."""
        points = np.array([ord(token) for token in self._ids], np.int64)
        table = np.full(max(points.max(initial=0), 0xFF) + 2, -1, np.int32)
        table[points] = list(self._ids.values())
        return table

    def tokenize(self, text: str) -> list[str]:
        """The characters or words of a text, known or not; joined they are the text."""
        return tokenize(text, self.unit, self.word_rule)

    def iterate(self, text: str) -> Iterator[str]:
        """As ``tokenize``, one token after another, for texts that are not read to their ends."""
        if self.unit == "char":
            return iter(text)
        return (match[0] for match in word_pattern(self.word_rule).finditer(text))

    def id_of(self, token: str) -> int | None:
        """The id of a token, None for one that the vocabulary does not hold."""
        return self._ids.get(token)

    def encode(self, text: str, unknown: Unknown = "error") -> np.ndarray:
        """The ids of a text, int32 ``[tokens]``, without ``<eos>``.

        Args:
          text: any text.
          unknown: what to do with tokens that the vocabulary does not hold, where it has no unknown token: raise an
            error that names them, or leave them out.

        Raises:
          InputError: the text holds an unknown token, and ``unknown`` is ``"error"``.
        """
        encoded, missing = self.encode_texts([text])
        if missing and unknown == "error":
            listed = ", ".join(shown(token) for token in list(missing)[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            what = "character" if self.unit == "char" else "word"
            what = f"{what}s" if len(missing) > 1 else f"a {what}"
            near, them = suggestions(missing, self._ids), "them" if len(missing) > 1 else "it"
            raise InputError(
                f"{text[:40]!r} holds {what} that the model has never seen: {listed}{more}; "
                f'{near + " Otherwise " if near else ""}leave {them} out, by hand or with `unknown="drop"`'
            )
        return encoded.ids.astype(np.int32)

    def encode_texts(self, texts: Iterable[str] | Texts, path: Path | None = None) -> tuple[EncodedTexts, Counter[str]]:
        """Encode many texts, without labels and sources, leaving out unknown tokens that have no id.

        Args:
          texts: the texts.
          path: a new file to keep the ids in.

        Returns:
          The encoded texts, and how often each token was left out.
        """
        texts = Texts.of(texts)
        lengths = texts.lengths.copy()  # what is left out is subtracted
        missing: Counter[str] = Counter()
        parts = (
            _word_ids(texts, self._ids, self.word_rule, self.unknown, lengths, missing)
            if self.unit == "word"
            else _character_ids(texts, self._table, self.unknown, lengths, missing)
        )
        ids = joined(parts, np.min_scalar_type(self.eos), texts.characters, path)
        return EncodedTexts(ids, np.concatenate([[0], np.cumsum(lengths)])), missing

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, the exact inverse of ``encode``.

        Raises:
          ValueError: an id stands for no text: padding, a label, the end of a source, ``<eos>`` or the unknown token.
        """
        tokens = []
        for k in map(int, ids):
            token = self.tokens[k - 1] if 1 <= k <= len(self.tokens) else None
            if token is None:
                raise ValueError(f"id {k} stands for no text; the vocabulary has {len(self._ids)} tokens that do")
            tokens.append(token)
        return "".join(tokens)


def _character_ids(
    texts: Texts, table: np.ndarray, unknown: int | None, lengths: np.ndarray, missing: Counter[str]
) -> Iterator[np.ndarray]:
    """The ids of all the characters, block by block, int32 ``[characters]``.

    Args:
      texts: the texts.
      table: code point → id, -1 for characters without one; the last entry stands for any larger code point.
      unknown: the id of characters without one; None to leave them out.
      lengths: characters of each text, int64 ``[texts]``; those left out are subtracted.
      missing: the characters left out are added.
    """
    ends, position = np.cumsum(lengths), 0
    for given in texts.code_points():
        points = given if given.dtype == np.uint8 else np.minimum(given, len(table) - 1)
        ids = table[points]
        known = ids >= 0
        if not known.all():
            if unknown is not None:
                ids = np.where(known, ids, np.int32(unknown))
            else:
                at = np.flatnonzero(~known)
                np.subtract.at(lengths, np.searchsorted(ends, position + at, "right"), 1)
                missing.update(map(chr, given[at].tolist()))
                ids = ids[known]
        yield ids
        position += len(points)


def _word_ids(
    texts: Texts,
    ids: Mapping[str, int],
    rule: WordRule,
    unknown: int | None,
    lengths: np.ndarray,
    missing: Counter[str],
) -> Iterator[np.ndarray]:
    """The ids of the words of each text, int32 ``[words]``.

    Args:
      texts: the texts.
      ids: word → id.
      rule: how texts are cut into words.
      unknown: as ``_character_ids``.
      lengths: replaced by the number of words of each text, int64 ``[texts]``.
      missing: the words left out are added.
    """
    cut = word_pattern(rule).findall
    for number, text in enumerate(texts):
        words = cut(text)
        row = [ids.get(word, unknown) for word in words]
        if None in row:
            missing.update(word for word in words if word not in ids)
            row = [k for k in row if k is not None]
        lengths[number] = len(row)
        yield np.array(row, np.int32)
