"""Unknown tokens: the words or characters of texts that a vocabulary does not hold, and what their spelling costs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from flaxchar.data.texts import Texts
from flaxchar.data.vocabulary import Vocabulary


class UnknownTokens(NamedTuple):
    """The unknown tokens of some texts. White space counts as no word.

    Attributes:
      tokens: all of them in order, those included that are given to the model and not predicted.
      words: number of predicted words, or of predicted characters for a model of characters.
      unknown: how many of these are unknown.
      characters: number of predicted characters, each ``<eos>`` counted as one.
      nats: what the spelling of all predicted unknown tokens costs; 0 where it is not counted.
      spelled: whether the spelling is counted.
    """

    tokens: tuple[str, ...] = ()
    words: int = 0
    unknown: int = 0
    characters: int = 0
    nats: float = 0.0
    spelled: bool = True

    @property
    def bits_per_character(self) -> float:
        """What the spelling adds to each predicted character on average."""
        return self.nats / math.log(2) / max(1, self.characters)

    def describe(self, which: str, unit: str, total: float) -> str:
        """A sentence for people, without a full stop; empty where no word is unknown.

        Args:
          which: the texts, such as ``"held-out "``, or nothing.
          unit: ``"char"`` or ``"word"``.
          total: bits per character of the model, the spelling included.
        """
        if not self.unknown:
            return ""
        units = "words" if unit == "word" else "characters"
        share = f"{self.unknown / self.words:.1%} of the {which}{units} are unknown"
        if not self.spelled:
            return f"{share}, and their spelling is not counted: an older version trained the model"
        return f"{share}; spelling them takes {self.bits_per_character:.2f} of the {total:.2f} bits/char"


NONE_UNKNOWN = UnknownTokens()


def find_unknown(
    vocabulary: Vocabulary, texts: Texts, bos: bool, running: bool = False, most: int | None = None
) -> tuple[UnknownTokens, np.ndarray]:
    """Find the tokens that a model reads as its unknown token, and score their spelling.

    Args:
      vocabulary: the vocabulary; without an unknown token nothing is found.
      texts: the texts, without labels and sources.
      bos: whether ``<eos>`` is fed before each text, as ``Vocabulary.predicted_characters``.
      running: whether the texts are running text.
      most: read this many tokens at most.

    Returns:
      The unknown tokens, and what the spelling of those in each text costs, nats, float64 ``[texts]``.
    """
    nats = np.zeros(len(texts))
    if not vocabulary.has_unknown or vocabulary.classifies:
        return NONE_UNKNOWN, nats
    first_is_given = not (bos or bool(vocabulary.labels) or vocabulary.source_end is not None)
    tokens: list[str] = []
    owners: list[int] = []
    predicted: list[bool] = []
    words = unknown = characters = 0
    left = math.inf if most is None else most
    for number, text in enumerate(texts):
        is_predicted = not first_is_given
        for token in vocabulary.iterate(text):
            left -= 1
            is_word = vocabulary.unit == "char" or not token.isspace()
            words += is_word and is_predicted
            characters += len(token) * is_predicted
            if vocabulary.id_of(token) is None:
                unknown += is_word and is_predicted
                tokens.append(token)
                owners.append(number)
                predicted.append(is_predicted)
            is_predicted = True
            first_is_given &= not running  # only the first token of running text is given
            if left <= 0:
                break
        characters += not running
        if left <= 0:
            break
    speller = vocabulary.speller
    if speller is not None and tokens:
        distinct = {token: k for k, token in enumerate(dict.fromkeys(tokens))}
        costs = speller.nats(list(distinct))[[distinct[token] for token in tokens]]
        np.add.at(nats, owners, costs * predicted)
    found = UnknownTokens(
        tuple(tokens), int(words), int(unknown), characters, float(nats.sum()), vocabulary.spelling is not None
    )
    return found, nats
