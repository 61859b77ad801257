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
import lzma
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flaxchar.data.cache import EncodedCorpus
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.vocabulary import Vocabulary

LONGEST = 6
# Predicted tokens to learn from, at most, from the beginning: more would change a few percent, and take minutes.
MOST_TOKENS = 1_000_000
# With sources, at most this many times as many tokens are read, the sources included.
_MOST_WITH_SOURCES = 4
# Tokens of the training and of the held-out texts, at most, from which the time of all is estimated.
_PROBED_TOKENS = 60_000
# Keys up to so many times their number are numbered by a table, larger ones by sorting.
_TABLE = 8


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


def kneser_ney_nats(train: Stream, held_out: Stream, longest: int, vocab: int, outcomes: int) -> list[np.ndarray]:
    """Nats of each predicted token under interpolated Kneser-Ney models of n-grams, for n = 1 to ``longest``.

    Args:
      train: the texts to learn, each led in by ``longest - 1`` times ``<eos>``.
      held_out: the texts to predict, likewise.
      longest: the greatest n.
      vocab: how many ids there are, padding included.
      outcomes: how many of them can be predicted.

    Returns:
      For each n, float64, one number for each ``held_out.predicted``.
    """
    ids = np.concatenate([train.ids, held_out.ids])
    learned = np.concatenate([train.predicted, np.zeros(len(held_out.ids), bool)])
    asked = np.concatenate([np.zeros(len(train.ids), bool), held_out.predicted])
    shorter = np.full(int(asked.sum()), 1 / outcomes)  # P_(n - 1), from counts of preceding tokens
    gram = _number(ids)  # a number for the n-gram that ends at each token
    context = np.zeros(len(ids), np.int64)  # and one for the n - 1 tokens before it
    result = []
    for n in range(1, longest + 1):
        size = int(gram.max()) + 1
        occurrences = np.bincount(gram[learned], minlength=size)
        result.append(-np.log(_interpolated(occurrences, gram, context, asked, shorter)))
        if n == longest:
            break
        # The token before an n-gram makes an (n + 1)-gram of it.
        longer = _number(gram * (vocab + 1) + np.concatenate([np.full(n, vocab), ids])[: len(ids)])
        predecessors = np.bincount(_of_number(longer, gram)[np.unique(longer[learned])], minlength=size)
        shorter = _interpolated(predecessors, gram, context, asked, shorter)
        # The n tokens before each are the n-gram that ends at the token before; the first token has none.
        context, gram = np.concatenate([[size], gram[:-1]]), longer
    return result


def _interpolated(
    counts: np.ndarray, gram: np.ndarray, context: np.ndarray, asked: np.ndarray, shorter: np.ndarray
) -> np.ndarray:
    """The module's formula: the probability of each token that is asked for.

    Args:
      counts: ``c`` of each n-gram, by its number.
      gram: the number of the n-gram that ends at each token, ``[tokens]``.
      context: a number for the tokens before it, ``[tokens]``.
      asked: which tokens are asked for, bool ``[tokens]``.
      shorter: ``P_(k-1)`` of these.
    """
    seen = np.flatnonzero(counts)
    context_of, size = _of_number(gram, context)[seen], int(context.max()) + 1
    totals, followers = np.bincount(context_of, counts[seen], size), np.bincount(context_of, minlength=size)
    once, twice = (counts[seen] == 1).sum(), (counts[seen] == 2).sum()
    discount = once / (once + 2 * twice) if once else 0.5
    total, count, various = totals[context[asked]], counts[gram[asked]], followers[context[asked]]
    known = np.maximum(total, 1)
    return np.where(total > 0, (np.maximum(count - discount, 0) + discount * various * shorter) / known, shorter)


def _number(keys: np.ndarray) -> np.ndarray:
    """Keys, integers from 0, as numbers without gaps: the same for equal keys, in the order of the keys."""
    if keys.max() >= _TABLE * len(keys):
        return np.unique(keys, return_inverse=True)[1]
    present = np.zeros(int(keys.max()) + 1, bool)
    present[keys] = True
    return (np.cumsum(present) - 1)[keys]


def _of_number(numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The value of each number, from one value a token that is the same wherever the number is."""
    result = np.zeros(int(numbers.max()) + 1, np.int64)
    result[numbers] = values
    return result


def compressed_bits(train: str, held_out: str) -> dict[str, float]:
    """Bits that ``xz`` needs for a text after the training text, and ``bz2`` by itself (it looks back 900 kB only)."""
    before, after = train.encode("utf-8", "surrogatepass"), held_out.encode("utf-8", "surrogatepass")
    alone, together = (len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)) for data in (before, before + after))
    return {
        "xz, after the training texts": 8.0 * (together - alone),
        "bz2": 8.0 * len(bz2.compress(after)),
    }


def baselines(corpus: EncodedCorpus, bos: bool) -> dict[str, float]:
    """Bits per character of a corpus' held-out texts under each n-gram model and compressor.

    Args:
      corpus: the corpus. Only the first ``MOST_TOKENS`` predicted tokens of its training texts are used.
      bos: whether the first token of each text is predicted; compressors always need it.

    Returns:
      The bits by name; nothing where no held-out character is predicted, so that there is nothing to compare.
    """
    if not corpus.held_out_characters:
        return {}
    train = _first_tokens(corpus.vocabulary, corpus.train, MOST_TOKENS)
    unknown = (corpus.train_unknown.tokens, corpus.held_out_unknown.tokens)
    bits = _total_bits(corpus.vocabulary, train, corpus.held_out, bos, unknown, corpus.held_out_unknown.nats)
    return {name: value / corpus.held_out_characters for name, value in bits.items()}


def baseline_seconds(corpus: EncodedCorpus, bos: bool) -> float:
    """Estimate how long ``baselines`` takes, from a run on a small part of the texts; that takes about 0.1 s.

    A time budget has to leave this much for after training. Without held-out texts, and for a classifier, there are no
    baselines: 0.
    """
    vocabulary = corpus.vocabulary
    if vocabulary.classifies or not len(corpus.held_out):
        return 0.0
    train, held_out = (_first_tokens(vocabulary, texts, _PROBED_TOKENS) for texts in (corpus.train, corpus.held_out))
    begin = time.perf_counter()
    _total_bits(vocabulary, train, held_out, bos)
    seconds = time.perf_counter() - begin
    probed = len(train.ids) + len(held_out.ids)
    tokens = len(_first_tokens(vocabulary, corpus.train, MOST_TOKENS).ids) + len(corpus.held_out.ids)
    return seconds * tokens / probed


def _first_tokens(vocabulary: Vocabulary, texts: EncodedTexts, most: int) -> EncodedTexts:
    """The first texts, of ``most`` tokens without those of their sources, and ``_MOST_WITH_SOURCES`` times with them.

    At least the first text is kept: ``most`` tokens of it, and its whole source.
    """
    tokens, source = texts.offsets[1:], 0
    if texts.source_end is not None:
        sources = texts.sources
        tokens, source = np.maximum(tokens - np.cumsum(sources), tokens // _MOST_WITH_SOURCES), int(sources[0])
    kept = int(np.searchsorted(tokens, most, "right"))
    offsets = texts.offsets[: kept + 1] if kept else np.minimum(texts.offsets[:2], source + most)
    return vocabulary.texts(texts.ids[: offsets[-1]], offsets)


def _total_bits(
    vocabulary: Vocabulary,
    train: EncodedTexts,
    held_out: EncodedTexts,
    bos: bool,
    unknown: tuple[Sequence[str], Sequence[str]] = ((), ()),
    spelling: float = 0.0,
) -> dict[str, float]:
    """Bits of all held-out texts under each n-gram model and compressor.

    Args:
      vocabulary: the vocabulary.
      train: the texts to learn.
      held_out: the texts to predict.
      bos: whether the first token of each text is predicted.
      unknown: the unknown tokens of either in order, which compressors are given.
      spelling: what the spelling of those in ``held_out`` costs, nats; n-grams of ids pay it as the model does.
    """
    learned, asked = (make_stream(texts, vocabulary.eos, LONGEST - 1, bos) for texts in (train, held_out))
    spelled = spelling / math.log(2)
    # Padding, labels and the ends of sources are never predicted.
    outcomes = vocabulary.size - 1 - len(vocabulary.labels) - (vocabulary.source_end is not None)
    bits = {"uniform": int(asked.predicted.sum()) * math.log2(outcomes) + spelled}
    for n, nats in enumerate(kneser_ney_nats(learned, asked, LONGEST, vocabulary.size, outcomes), start=1):
        bits["unigram" if n == 1 else f"Kneser-Ney {n}-gram"] = float(nats.sum()) / math.log(2) + spelled
    return bits | _compressed(vocabulary, train, held_out, unknown)


def _compressed(
    vocabulary: Vocabulary, train: EncodedTexts, held_out: EncodedTexts, unknown: tuple[Sequence[str], Sequence[str]]
) -> dict[str, float]:
    """Bits of all held-out texts under each compressor; none with sources, which a compressor cannot be given."""
    if held_out.source_end is not None:
        return {}
    table = np.array(["", *vocabulary.tokens, *["\ufffd"] * vocabulary.has_unknown, "\n"], object)
    table[list(vocabulary.label_ids)] = ""  # the label is given to the model, and not asked of a compressor either
    texts = []
    for encoded, tokens in zip((train, held_out), unknown, strict=True):
        ids = make_stream(encoded, vocabulary.eos, 0).ids
        pieces = table[ids]
        places = np.flatnonzero(ids == vocabulary.unknown)[: len(tokens)]
        pieces[places] = tokens[: len(places)]
        texts.append("".join(pieces))
    return compressed_bits(*texts)
