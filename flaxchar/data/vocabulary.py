"""The vocabulary turns text into ids and back; everything after it sees only integers."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flaxchar.config import InputError
from flaxchar.data.encoded import EncodedTexts, interleaved
from flaxchar.data.examples import Example, Examples
from flaxchar.data.labels import find_label
from flaxchar.data.spelling import Speller, Spelling
from flaxchar.data.texts import Texts
from flaxchar.data.tokens import Tokens, Unknown, count_tokens, first_characters
from flaxchar.data.vocabulary_values import check_vocabulary
from flaxchar.data.words import WordRule
from flaxchar.settings import Unit

PAD = 0
AnyExamples = Iterable[str | Example] | Texts | Examples
# The characters that stood for labels and for the end of a source in runs of format 1.
_FORMAT_1_LABEL, _FORMAT_1_SOURCE_END = 0xF0000, chr(0xF0000 + 1000)


@dataclasses.dataclass(frozen=True)
class Vocabulary(Tokens):
    """The tokens a model knows, numbered as Keras' ``Tokenizer(char_level=True, lower=False)`` numbers them.

    The ids in their order: 0 pads; the characters or words follow from 1, the most frequent first; then one id per
    label, the id that ends a source, and the unknown token, where there are such; ``<eos>`` is last. It ends a text,
    and with ``bos`` it also begins one. Labels and the end of a source are ids only: no text contains them.

    Attributes:
      tokens, unit, has_unknown, word_rule: see ``Tokens``.
      labels: the names of the classes that texts belong to.
      label_ids: the id of each label.
      source_end: the id between a source and the text written from it; None where there are no sources.
      spelling: training tokens outside the vocabulary, from which the cost of spelling an unknown token is estimated;
        None where there is no unknown token, and in runs of versions that did not count the spelling.

    Example::

        vocabulary = Vocabulary.build(["banana"])
        vocabulary.encode("ban")  # array([3, 1, 2], dtype=int32)
        vocabulary.decode([3, 1, 2])  # "ban"
    """

    labels: tuple[str, ...] = ()
    label_ids: tuple[int, ...] = ()
    source_end: int | None = None
    spelling: Spelling | None = dataclasses.field(default=None, kw_only=True)

    @classmethod
    def build(
        cls,
        examples: AnyExamples,
        unit: Unit = "char",
        max_size: int | None = None,
        classify: bool = False,
        like: Vocabulary | None = None,
    ) -> Vocabulary:
        """Number the tokens of texts and sources by falling frequency, equally frequent ones in order of appearance.

        Args:
          examples: the training texts; their labels and sources get ids where they have some.
          unit: ``"char"`` or ``"word"``.
          max_size: keep at most this many characters or words and add an unknown token for the others.
          classify: whether a model is to predict the label of a text, which it then reads as a source.
          like: the vocabulary of a run that goes on, which a former version may have made: words are cut by its rule,
            and their spelling is counted if it is counted there.

        Raises:
          InputError: there is no character in the texts.
        """
        examples = Examples.of(examples)
        rule: WordRule = "runs" if unit == "char" else "uax29" if like is None else like.word_rule
        counts = count_tokens(examples.texts, unit, rule)
        if not counts:
            raise InputError("there is no text to learn from: every text is empty")
        if examples.sources is not None:
            for token, count in count_tokens(examples.sources, unit, rule).items():
                counts[token] = counts.get(token, 0) + count
        # The sort is stable and the counts are in order of appearance.
        by_frequency = sorted(counts, key=lambda token: -counts[token])
        kept = by_frequency[:max_size]
        spelled = max_size is not None and (like is None or like.spelling is not None)
        first = len(kept) + 1
        after = first + len(examples.label_names)
        has_sources = classify or examples.sources is not None
        return cls(
            (*kept, *[None] * (after - first + has_sources)),
            unit,
            max_size is not None,
            examples.label_names,
            tuple(range(first, after)),
            after if has_sources else None,
            word_rule=rule,
            spelling=Spelling.of(by_frequency[max_size:], counts, unit) if spelled else None,
        )

    @functools.cached_property
    def speller(self) -> Speller | None:
        """Predicts how unknown tokens are spelled; None where ``spelling`` is."""
        if self.spelling is None:
            return None
        known = () if self.unit == "char" else tuple(token for token in self.tokens if token is not None)
        return self.spelling.speller(known)

    @property
    def classifies(self) -> bool:
        """Whether models of this vocabulary predict the label of a text, after the text as its source."""
        return bool(self.labels) and self.source_end is not None

    def label_id(self, name: str) -> int:
        """The id of a label, spelled exactly or as ``labels.label_key`` allows.

        Raises:
          InputError: there is no label of that name.
        """
        number = find_label(name, self.labels)
        if number is None:
            known = ", ".join(map(repr, self.labels[:20]))
            raise InputError(
                f"the model knows no label {name!r}; it knows {known}"
                if known
                else f"the model was trained without labels, so it knows no label {name!r}; train one with `labels`"
            )
        return self.label_ids[number]

    @property
    def never_written(self) -> tuple[int, ...]:
        """The ids that cannot continue a text: padding, labels, the end of a source, and the unknown token."""
        others = (k for k in (self.source_end, self.unknown) if k is not None)
        return (PAD, *self.label_ids, *others)

    def prefix(self, label: str | None = None, source: str | None = None, unknown: Unknown = "error") -> np.ndarray:
        """What a model of this vocabulary is given before a text: the id of a label, or a source with its end.

        Args:
          label: the name of the label, for models that were trained with labels.
          source: the source, for models that were trained with sources.
          unknown: what to do with unknown tokens of the source, as ``encode``; "drop" drops unknown tokens with an id
            as well.

        Returns:
          int32 ``[tokens]``, empty for models that know neither.

        Raises:
          InputError: the model needs a label or a source that is not given, does not know the one that is, or is a
            classifier, which writes nothing.
        """
        if self.classifies:
            raise InputError('the model names the label of a text (it was trained with `head="classifier"`)')
        if self.labels and label is None:
            known = ", ".join(map(repr, self.labels[:20]))
            raise InputError(f"the model writes for a label; say which with `label`: {known}")
        if source is not None and self.source_end is None:
            raise InputError("the model was trained without sources; train one with `sources`")
        if source is None and self.source_end is not None:
            raise InputError("the model writes from a source; give it with `source`")
        ids = [] if label is None else [self.label_id(label)]
        if source is not None:
            read = self.encode(source, unknown)
            ids += (read[read != self.unknown] if unknown == "drop" else read).tolist()
        return np.array(ids if source is None else [*ids, self.source_end], np.int32)

    def texts(self, ids: np.ndarray, offsets: np.ndarray) -> EncodedTexts:
        """Encoded examples from their ids: example ``k`` is ``ids[offsets[k]:offsets[k + 1]]``."""
        return EncodedTexts(ids, offsets, self.source_end, not self.classifies)

    def encode_examples(self, examples: AnyExamples, path: Path | None = None) -> tuple[EncodedTexts, Counter[str]]:
        """Encode many examples, leaving out unknown tokens that have no id.

        A label stands before its text, and so does a source, closed by ``source_end``. For a classifier the text is the
        source: it is closed by ``source_end``, and its label follows.

        Args:
          examples: strings and examples, with labels and sources where the vocabulary has them.
          path: a new file to keep the ids in.

        Returns:
          The encoded examples, and how often each token was left out of a text or a source.
        """
        examples = Examples.of(examples)
        plain = not self.labels and self.source_end is None
        texts, missing = self.encode_texts(examples.texts, path if plain else None)
        if plain:
            return texts, missing
        kind, each = np.min_scalar_type(self.eos), np.arange(len(examples) + 1)
        columns = [texts]
        if self.source_end is not None:
            columns.append(EncodedTexts(np.full(len(examples), self.source_end, kind), each))
        if self.labels:
            if examples.labels is None:
                raise InputError("the model knows classes, but these texts have no label")
            ids = np.array([self.label_id(name) for name in examples.label_names], kind)
            columns.insert(len(columns) if self.classifies else 0, EncodedTexts(ids[examples.labels], each))
        elif self.source_end is not None:
            if examples.sources is None:
                raise InputError("the model writes from sources, but these texts have no source")
            sources, more = self.encode_texts(examples.sources)
            missing.update(more)
            columns = [sources, columns[1], texts]
        together = interleaved(columns, path)
        return self.texts(together.ids, together.offsets), missing

    def predicted_characters(
        self, examples: AnyExamples, bos: bool, running: bool = False, sources: bool = False
    ) -> int:
        """How many characters a model predicts of some texts, counting each ``<eos>`` as one.

        Without ``bos`` the first token of each text (of the first one only in running text) is given, not predicted.
        The first token of an example with a label is its label. For a classifier the count is one per text: its label.

        Args:
          examples: the texts.
          bos: whether ``<eos>`` is fed before each text.
          running: whether the texts are running text.
          sources: whether sources are predicted as well, as in training.
        """
        examples = Examples.of(examples)
        texts, count = examples.texts, len(examples)
        if self.classifies:
            return count
        total = texts.characters + count
        if self.labels or (self.source_end is not None and not sources):
            return total
        if self.source_end is not None:
            if examples.sources is None:
                raise InputError("the model writes from sources, but these texts have no source")
            # The end of a source is a token, and the first one where the source is empty.
            empty = int((examples.sources.lengths == 0).sum())
            return total + examples.sources.characters + count - empty - self._first_characters(examples.sources)
        return total if bos else total - self._first_characters(texts, 1 if running else None)

    def _first_characters(self, texts: Texts, most: int | None = None) -> int:
        return first_characters(texts, self.unit, most, self.word_rule)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        values: dict[str, Any] = {"unit": self.unit, "has_unknown": self.has_unknown, "tokens": list(self.tokens)}
        if self.labels:
            values |= {"labels": list(self.labels), "label_ids": list(self.label_ids)}
        if self.source_end is not None:
            values["source_end"] = self.source_end
        if self.word_rule != "runs":
            values["word_rule"] = self.word_rule
        if self.spelling is not None:
            values["spelling"] = self.spelling.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Vocabulary:
        """The inverse of ``to_dict``.

        Raises:
          InputError: the values are something else; the message names the key.
        """
        check_vocabulary(values)
        return cls(
            tuple(values["tokens"]),
            values["unit"],
            values["has_unknown"],
            tuple(values.get("labels", ())),
            tuple(values.get("label_ids", ())),
            values.get("source_end"),
            word_rule=values.get("word_rule", "runs"),
            spelling=Spelling.from_dict(values["spelling"]) if "spelling" in values else None,
        )


def vocabulary_from_format_1(values: dict[str, Any], labelled: bool, sourced: bool) -> Vocabulary:
    """The vocabulary of a run of format 1, where labels and the end of a source were private-use characters.

    Args:
      values: the content of its ``vocabulary.json``.
      labelled: whether the run was trained with labels.
      sourced: whether it was trained with sources, as a classifier also is.

    Returns:
      A vocabulary with the same ids. The characters count as text where the run had no labels or sources.

    Raises:
      InputError: the values are something else.
    """
    check_vocabulary(values, nameless=False)
    labels = tuple(values.get("labels", ())) if labelled else ()
    tokens: list[str | None] = list(values["tokens"])
    try:
        label_ids = tuple(tokens.index(chr(_FORMAT_1_LABEL + number)) + 1 for number in range(len(labels)))
        source_end = tokens.index(_FORMAT_1_SOURCE_END) + 1 if sourced else None
    except ValueError:
        raise InputError("the vocabulary's 'tokens' lack the characters of its labels or sources") from None
    for k in (*label_ids, *([] if source_end is None else [source_end])):
        tokens[k - 1] = None
    return Vocabulary(tuple(tokens), values["unit"], values["has_unknown"], labels, label_ids, source_end)
