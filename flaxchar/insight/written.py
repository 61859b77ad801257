"""What a model writes: samples over temperatures, and how much of them is copied from the training texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flaxchar.analysis.novelty import TextIndex, measure_novelty
from flaxchar.data.examples import Examples
from flaxchar.data.forms import normalized
from flaxchar.generation.generate import generate
from flaxchar.generation.prompt import encode_prompt
from flaxchar.generation.sampling import Sampling
from flaxchar.models.trained import TrainedModel

TEMPERATURES = (0.3, 0.8, 1.0, 1.3)
# Texts at each temperature, and their longest length in tokens.
_TEXTS, _SIZE = 4, 200
# Samples that are compared with the training texts, and the most characters of the training texts that are indexed.
_SEARCHED, _INDEXED = 60, 600_000
# Labels and sources that texts are written for, at most.
_MOST_BEGINNINGS = 4
# The temperature of the texts that are searched.
_TEMPERATURE = 0.8


class Written(NamedTuple):
    """A text that the model wrote.

    Attributes:
      text: the text.
      beginning: the label or source that it was written for; empty for none.
      copied: start and length of the longest passage that also occurs in the training texts.
    """

    text: str
    beginning: str = ""
    copied: tuple[int, int] = (0, 0)


class Copying(NamedTuple):
    """How much of the written texts is copied from training texts.

    Attributes:
      samples: number of texts.
      copies: number that equal some training text.
      repeated: number that repeat an earlier one.
      quartiles: quartiles of the length of the longest copied passage, in characters.
      share: median share of a text that its longest copied passage makes up.
      indexed: number of training texts that were searched for passages.
      texts: number of training texts.
      examples: the texts of which the largest share is copied, the most copied first.
    """

    samples: int
    copies: int
    repeated: int
    quartiles: tuple[int, int, int]
    share: float
    indexed: int
    texts: int
    examples: list[Written]


def write_samples(trained: TrainedModel, sources: Sequence[str] = ()) -> dict[float, list[Written]]:
    """Some texts at each of ``TEMPERATURES``: for each label or source in turn, where the model has such.

    Args:
      trained: a language model.
      sources: sources to write from, at least one for a model with sources.
    """
    # Each temperature has a seed of its own; with the same one, many texts would be the same.
    return {t: _write(trained, sources, t, _TEXTS, seed) for seed, t in enumerate(TEMPERATURES)}


def measure_copying(trained: TrainedModel, train: Examples, sources: Sequence[str] = ()) -> Copying:
    """Write texts and search them in the training texts.

    Copies are searched in all training texts, common passages in the first 600,000 characters of them.

    Args:
      trained: a language model.
      train: the training texts.
      sources: sources to write from, at least one for a model with sources.
    """
    written = _write(trained, sources, _TEMPERATURE, _SEARCHED)
    form = trained.config.data.normalize
    samples = [normalized(each.text, form) for each in written]
    texts, characters, seen = [], 0, set()
    for text in train.texts:
        if characters < _INDEXED:
            texts.append(normalized(text[: _INDEXED - characters], form))
            characters += len(text)
        seen |= {normalized(text, form)}.intersection(samples)
    novelty = measure_novelty(samples, TextIndex(texts))
    low, middle, high = np.quantile([match.length for match in novelty.matches], (0.25, 0.5, 0.75))
    order = np.argsort(-novelty.shares, kind="stable")[:_TEXTS]
    return Copying(
        novelty.samples,
        sum(sample in seen for sample in samples),
        novelty.duplicates,
        (round(low), round(middle), round(high)),
        float(np.median(novelty.shares)),
        len(texts),
        len(train),
        [written[k]._replace(copied=novelty.matches[k][:2]) for k in order],
    )


def _write(
    trained: TrainedModel, sources: Sequence[str], temperature: float, count: int, seed: int = 0
) -> list[Written]:
    """Texts at a temperature, shared out evenly among labels or sources."""
    vocabulary = trained.vocabulary
    beginnings: list[tuple[str | None, str | None]] = [(None, None)]
    if vocabulary.source_end is not None:
        beginnings = [(None, source) for source in sources[:_MOST_BEGINNINGS]]
    elif vocabulary.labels:
        beginnings = [(label, None) for label in vocabulary.labels[:_MOST_BEGINNINGS]]
    written = []
    for number, (label, source) in enumerate(beginnings):
        share = len(range(number, count, len(beginnings)))
        if not share:
            continue
        begin = encode_prompt(trained, "", _SIZE, "drop", label, source)
        rows = generate(
            trained.model, trained.params, vocabulary, begin.ids, share, begin.size, seed, Sampling(temperature),
            trained.config.data.bos,
        )  # fmt: skip
        texts = ["".join(begin.followed_by([vocabulary.decode(row)])) for row in rows]
        written += [Written(text, label or source or "") for text in texts]
    return written
