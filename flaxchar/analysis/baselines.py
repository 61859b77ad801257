"""What a model is measured against: uniform, unigram and Kneser-Ney n-grams, ``xz`` and ``bz2``, on the same texts.

Interpolated Kneser-Ney (Kneser & Ney 1995; Chen & Goodman 1999, https://doi.org/10.1006/csla.1999.0128, section 4.1.6)
discounts each count by ``D`` and hands what that frees to the next shorter context::

    P_k(w | u) = max(c(u w) - D_k, 0) / c(u) + D_k N(u .) / c(u) P_(k-1)(w | u')     D_k = n1 / (n1 + 2 n2)

``N(u .)`` being how many different tokens follow ``u``, ``u'`` the context without its first token, ``n1`` and ``n2``
how many n-grams were counted once and twice. For the longest contexts ``c`` counts occurrences; for shorter ones, how
many different tokens stand before ``u w``. ``P_0`` is uniform.
"""

from __future__ import annotations

import bz2
import dataclasses
import lzma
import math
import time
from typing import NamedTuple

import numpy as np

from flaxchar.data.cache import EncodedCorpus
from flaxchar.data.vocabulary import EncodedTexts

LONGEST = 6
# Tokens to learn from, at most, from the beginning: enough that more would change little, and a matter of seconds.
MOST_TOKENS = 1_000_000
# Tokens by which the duration is estimated. So few take more time each, because each compressor begins with tables of
# a fixed size: for 0.15 to 1.1 million tokens, the estimate is then 0.9 to 1.4 times the duration.
MEASURED_TOKENS, MEASURED_FACTOR = 30_000, 0.7


class Stream(NamedTuple):
    """Texts one after another, each led in by ``<eos>`` and closed by it.

    Attributes:
      ids: ``[tokens]``.
      predicted: which of them are to be predicted, bool ``[tokens]``.
    """

    ids: np.ndarray
    predicted: np.ndarray


def make_stream(texts: EncodedTexts, eos: int, lead: int, bos: bool = True) -> Stream:
    """Texts as a stream, with ``lead`` times ``<eos>`` before each; without ``bos`` no first token is predicted."""
    lengths = texts.lengths + lead + 1
    starts = np.cumsum(lengths) - lengths
    ids = np.full(int(lengths.sum()), eos, np.int64)
    predicted = np.ones(len(ids), bool)
    within = np.arange(len(ids)) - np.repeat(starts, lengths)
    given = np.full(len(texts), not bos) if texts.source_end is None else texts.sources
    predicted[within < lead + np.repeat(given, lengths)] = False
    ids[(within >= lead) & (within < np.repeat(lengths, lengths) - 1)] = texts.ids
    return Stream(ids, predicted)


def kneser_ney_nats(train: Stream, held_out: Stream, longest: int, vocab: int) -> list[np.ndarray]:
    """Nats of each predicted token under interpolated Kneser-Ney models of n-grams, for n = 1 to ``longest``.

    Args:
      train: the texts to learn, each led in by ``longest - 1`` times ``<eos>``.
      held_out: the texts to predict, likewise.
      longest: the greatest n.
      vocab: how many ids there are, padding included.

    Returns:
      For each n, float64, one number for each ``held_out.predicted``.
    """
    ids = np.concatenate([train.ids, held_out.ids])
    learned = np.concatenate([train.predicted, np.zeros(len(held_out.ids), bool)])
    asked = np.concatenate([np.zeros(len(train.ids), bool), held_out.predicted])
    shorter = np.full(int(asked.sum()), 1 / (vocab - 1))  # P_(n - 1), of counts of what stands before
    context = np.zeros(len(ids), np.int64)  # a number for the n - 1 tokens before each
    result = []
    for n in range(1, longest + 1):
        gram = _number(context * (vocab + 1) + ids)  # one for these and the token itself
        before = np.concatenate([np.full(n, vocab), ids])[: len(ids)]  # what stands n tokens before
        _, where = np.unique((gram * (vocab + 1) + before)[learned], return_index=True)
        size = int(gram.max()) + 1
        occurrences = np.bincount(gram[learned], minlength=size)
        predecessors = np.bincount(gram[learned][where], minlength=size)
        result.append(-np.log(_interpolated(occurrences, gram, context, learned, asked, shorter)))
        shorter = _interpolated(predecessors, gram, context, learned, asked, shorter)
        context = _number(context * (vocab + 1) + before)
    return result


def _interpolated(
    counts: np.ndarray,
    gram: np.ndarray,
    context: np.ndarray,
    learned: np.ndarray,
    asked: np.ndarray,
    shorter: np.ndarray,
) -> np.ndarray:
    """The formula of the module: the probability of each token that is asked for, from counts by gram."""
    seen, where = np.unique(gram[learned], return_index=True)
    context_of, size = context[learned][where], int(context.max()) + 1
    totals, followers = np.bincount(context_of, counts[seen], size), np.bincount(context_of, minlength=size)
    once, twice = (counts[seen] == 1).sum(), (counts[seen] == 2).sum()
    discount = once / (once + 2 * twice) if once else 0.5
    total, count, various = totals[context[asked]], counts[gram[asked]], followers[context[asked]]
    known = np.maximum(total, 1)
    return np.where(total > 0, (np.maximum(count - discount, 0) + discount * various * shorter) / known, shorter)


def _number(keys: np.ndarray) -> np.ndarray:
    """Keys as numbers from 0, the same for equal ones."""
    return np.unique(keys, return_inverse=True)[1]


def compressed_bits(train: str, held_out: str) -> dict[str, float]:
    """Bits that ``xz`` needs for a text after the training text, and ``bz2`` by itself (it looks back 900 kB only)."""
    before, after = train.encode("utf-8", "surrogatepass"), held_out.encode("utf-8", "surrogatepass")
    preset = 9 | lzma.PRESET_EXTREME
    sizes = [len(lzma.compress(data, preset=preset)) for data in (before, before + after)]
    return {
        "xz, after the training texts": 8.0 * (sizes[1] - sizes[0]),
        "bz2": 8.0 * len(bz2.compress(after)),
    }


def baselines(corpus: EncodedCorpus, bos: bool) -> dict[str, float]:
    """Bits per character of a corpus' held-out texts under each n-gram model and compressor.

    Args:
      corpus: the corpus; of the texts to learn the first ``MOST_TOKENS`` tokens are used.
      bos: whether the first token of each text is predicted; compressors always need it.
    """
    train, held_out, vocabulary = _head(corpus, corpus.train, MOST_TOKENS), corpus.held_out, corpus.vocabulary
    learned, asked = (make_stream(texts, vocabulary.eos, LONGEST - 1, bos) for texts in (train, held_out))
    bits = {"uniform": int(asked.predicted.sum()) * math.log2(vocabulary.size - 1)}
    for n, nats in enumerate(kneser_ney_nats(learned, asked, LONGEST, vocabulary.size), start=1):
        bits["unigram" if n == 1 else f"Kneser-Ney {n}-gram"] = float(nats.sum()) / math.log(2)
    if held_out.source_end is None:  # a compressor would have to be told the sources, too
        table = np.array(["", *vocabulary.tokens, *["\ufffd"] * vocabulary.has_unknown, "\n"], object)
        table[list(vocabulary.label_ids)] = ""  # a class is given to the model; a compressor is not asked for it either
        streams = (make_stream(texts, vocabulary.eos, 0) for texts in (train, held_out))
        bits |= compressed_bits(*("".join(table[stream.ids]) for stream in streams))
    return {name: value / corpus.held_out_characters for name, value in bits.items()}


def baseline_seconds(corpus: EncodedCorpus, bos: bool) -> float:
    """Estimate how long ``baselines`` will take on this machine, by measuring it on a small part of the corpus."""
    tokens = min(len(corpus.train.ids), MOST_TOKENS) + len(corpus.held_out.ids)
    share = min(1.0, MEASURED_TOKENS / tokens)
    train, held_out = (
        _head(corpus, texts, max(1, int(share * min(len(texts.ids), MOST_TOKENS))))
        for texts in (corpus.train, corpus.held_out)
    )
    begin = time.perf_counter()
    baselines(dataclasses.replace(corpus, train=train, held_out=held_out), bos)
    return (time.perf_counter() - begin) / share * MEASURED_FACTOR


def _head(corpus: EncodedCorpus, texts: EncodedTexts, tokens: int) -> EncodedTexts:
    """The first texts that hold this many tokens together; the first text alone is cut if it is longer."""
    kept = max(1, int(np.searchsorted(texts.offsets, tokens, "right")) - 1)
    offsets = np.minimum(texts.offsets[: kept + 1], tokens)
    return corpus.vocabulary.texts(texts.ids[: offsets[-1]], offsets)
