"""The union of two vocabularies: that of some texts, with the tokens of another model added."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from flaxchar.data.vocabulary import Vocabulary


def with_tokens(vocabulary: Vocabulary, known: Sequence[str], limit: int | None = None) -> Vocabulary:
    """Add tokens that the texts of a vocabulary do not hold: after those of the texts, and before the labels.

    Args:
      vocabulary: the vocabulary of some texts.
      known: tokens to add, in this order; those that it holds are left out.
      limit: the most tokens that the result holds; None for any number.

    Returns:
      The vocabulary, with all ids renumbered as ``Vocabulary`` describes.

    Example::

        with_tokens(Vocabulary.build(["banana"]), ["b", "x"]).tokens  # ("a", "n", "b", "x")
    """
    own = [token for token in vocabulary.tokens if token is not None]
    added = [token for token in known if vocabulary.id_of(token) is None]
    tokens = [*own, *added][: None if limit is None else max(limit, len(own))]
    if len(tokens) == len(own):
        return vocabulary
    first = len(tokens) + 1
    after = first + len(vocabulary.labels)
    return dataclasses.replace(
        vocabulary,
        tokens=(*tokens, *[None] * (len(vocabulary.tokens) - len(own))),
        label_ids=tuple(range(first, after)),
        source_end=None if vocabulary.source_end is None else after,
    )
