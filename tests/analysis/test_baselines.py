"""The n-gram models against a loop over dictionaries, and the compressors against themselves."""

from __future__ import annotations

import dataclasses
import importlib
import lzma
from collections import Counter

import numpy as np
import pytest
from helpers import fake_clock

from flaxchar import DataConfig, Example, Vocabulary
from flaxchar.analysis.baselines import (
    LONGEST,
    baseline_seconds,
    baselines,
    compressed_bits,
    kneser_ney_nats,
    make_stream,
)
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus


def texts_of(rng, count, letters="aab"):
    return ["".join(rng.choice(list(letters), rng.integers(1, 9))) for _ in range(count)]


def loop_probability(train, context, token, vocab):
    """Interpolated Kneser-Ney by the book: ``train`` is a list of (tokens, positions predicted)."""

    def probability(context, highest):
        if context is None:
            return 1 / (vocab - 1)
        n = len(context)
        counts = Counter()
        longer = Counter()
        for tokens, predicted in train:
            for t in predicted:
                counts[tokens[t - n : t], tokens[t]] += 1
                longer[tokens[max(0, t - n - 1) : t], tokens[t]] += 1
        if not highest:
            counts = Counter((before[-n:] if n else (), token) for before, token in longer)
        discounts = Counter(counts.values())
        once, twice = discounts[1], discounts[2]
        d = once / (once + 2 * twice) if once else 0.5
        mine = {token: count for (before, token), count in counts.items() if before == context}
        shorter = probability(context[1:] if n else None, False)
        if not mine:
            return shorter
        total = sum(mine.values())
        return max(mine.get(token, 0) - d, 0) / total + d * len(mine) / total * shorter

    return probability(context, True)


@pytest.mark.parametrize("bos", [True, False])
def test_kneser_ney_equals_a_loop_over_dictionaries(bos):
    rng = np.random.default_rng(0)
    learned, asked = texts_of(rng, 12), texts_of(rng, 4)
    vocabulary = Vocabulary.build(learned)
    longest, eos = 4, vocabulary.eos
    encoded = [vocabulary.encode_texts(texts)[0] for texts in (learned, asked)]
    streams = [make_stream(texts, eos, longest - 1, bos) for texts in encoded]
    results = kneser_ney_nats(*streams, longest, vocabulary.size, vocabulary.size - 1)
    lead = longest - 1
    train = []
    for text in learned:
        tokens = (eos,) * lead + tuple(map(int, vocabulary.encode(text))) + (eos,)
        train.append((tokens, range(lead + (not bos), len(tokens))))
    for n in range(1, longest + 1):
        expected = []
        for text in asked:
            tokens = (eos,) * lead + tuple(map(int, vocabulary.encode(text))) + (eos,)
            for t in range(lead + (not bos), len(tokens)):
                expected.append(-np.log(loop_probability(train, tokens[t - n + 1 : t], tokens[t], vocabulary.size)))
        np.testing.assert_allclose(results[n - 1], expected, rtol=1e-9)


def test_probabilities_sum_to_one():
    rng = np.random.default_rng(1)
    learned = texts_of(rng, 40, "abcd")
    vocabulary = Vocabulary.build(learned)
    eos = vocabulary.eos
    train = make_stream(vocabulary.encode_texts(learned)[0], eos, 2)
    for context in ([1, 2], [4, 4], [eos, 3]):
        total = np.zeros(3)
        for token in range(1, vocabulary.size):
            stream = make_stream(vocabulary.encode_texts(["a"])[0], eos, 2)
            ids = np.array([*context, token])
            stream = stream._replace(ids=ids, predicted=np.array([False, False, True]))
            total += [
                np.exp(-nats[0]) for nats in kneser_ney_nats(train, stream, 3, vocabulary.size, vocabulary.size - 1)
            ]
        np.testing.assert_allclose(total, 1, rtol=1e-9)


def test_the_table_finds_what_there_is_to_find():
    rng = np.random.default_rng(2)

    # The next letter is told by the two before it, up to one bit.
    def text():
        letters = [0, 1]
        for _ in range(200):
            letters.append((letters[-1] + letters[-2] + rng.integers(2)) % 5)
        return "".join("abcde"[k] for k in letters)

    learned, asked = [text() for _ in range(60)], [text() for _ in range(10)]
    bits = baselines(encode_corpus(make_corpus(learned, asked, DataConfig(), 0), DataConfig()), bos=True)
    ngrams = [f"Kneser-Ney {n}-gram" for n in range(2, LONGEST + 1)]
    assert list(bits) == ["uniform", "unigram", *ngrams, "xz, after the training texts", "bz2"]
    assert bits["uniform"] == pytest.approx(np.log2(6))
    assert bits["Kneser-Ney 2-gram"] > 2.0
    assert bits["Kneser-Ney 3-gram"] == pytest.approx(1.02, abs=0.06)


def test_xz_knows_the_training_texts():
    text = "".join(map(chr, np.random.default_rng(3).integers(97, 123, 3000)))
    bits = compressed_bits(text, text)
    assert bits["xz, after the training texts"] < 0.1 * 8 * len(lzma.compress(text.encode()))
    assert bits["bz2"] > 8 * 0.5 * len(text)


@pytest.mark.parametrize(("unit", "limit"), [("word", 4), ("char", 2)])
def test_unknown_tokens_are_spelled_for_ngrams_and_shown_to_compressors(unit, limit):
    learned, asked = ["to be or not to be", "to see the sea", "be it so"] * 9, ["to bee or not", "the tea is so so"]
    whole, cut = (
        encode_corpus(make_corpus(learned, asked, data, 0), data)
        for data in (DataConfig(unit=unit), DataConfig(unit=unit, max_vocab=limit))
    )
    free = dataclasses.replace(cut, held_out_unknown=cut.held_out_unknown._replace(nats=0.0))
    expected, spelled, unspelled = (baselines(corpus, bos=True) for corpus in (whole, cut, free))
    price = cut.held_out_unknown.nats / np.log(2) / cut.held_out_characters
    assert price > 1
    for name in spelled:
        if name in ("bz2", "xz, after the training texts"):
            assert spelled[name] == expected[name]
        else:
            assert spelled[name] == pytest.approx(unspelled[name] + price)


def small_corpus(held_out):
    texts = texts_of(np.random.default_rng(0), 40)
    return encode_corpus(make_corpus(texts, held_out, DataConfig(), 0), DataConfig())


def test_the_time_of_the_baselines_is_estimated_from_a_part_of_the_texts(monkeypatch):
    """By a fake clock, each token takes a second; ten tokens of either side are measured."""
    module = importlib.import_module("flaxchar.analysis.baselines")
    corpus, measured = small_corpus(["abba", "aab", "bab", "baa"]), []
    clock = fake_clock(monkeypatch, module.__name__)

    def total_bits(vocabulary, train, held_out, bos):
        measured.append((len(train.ids), len(held_out.ids)))
        clock[0] += len(train.ids) + len(held_out.ids)

    monkeypatch.setattr(module, "_PROBED_TOKENS", 10)
    monkeypatch.setattr(module, "_total_bits", total_bits)
    assert baseline_seconds(corpus, True) == len(corpus.train.ids) + len(corpus.held_out.ids)
    ((train, held_out),) = measured
    assert 0 < train <= 10
    assert held_out == 10


def test_the_first_source_may_be_longer_than_all_that_is_read(monkeypatch):
    module = importlib.import_module("flaxchar.analysis.baselines")
    monkeypatch.setattr(module, "MOST_TOKENS", 8)
    monkeypatch.setattr(module, "_PROBED_TOKENS", 8)
    pairs = [Example("abba", source="ab" * 40), Example("bab", source="b")]
    corpus = encode_corpus(make_corpus(pairs, pairs, DataConfig(), 0), DataConfig())
    assert baseline_seconds(corpus, True) > 0
    bits = baselines(corpus, bos=True)
    assert 0 < bits["Kneser-Ney 2-gram"] < bits["uniform"]


def test_without_held_out_texts_the_baselines_take_no_time():
    assert baseline_seconds(small_corpus([]), True) == 0


def test_where_no_held_out_character_is_predicted_there_is_no_baseline():
    corpus = encode_corpus(make_corpus(["rain", "wind"], ["sun"], DataConfig(), 0), DataConfig())
    assert baselines(dataclasses.replace(corpus, held_out_characters=0), bos=True) == {}


def test_labels_and_the_ends_of_sources_are_no_outcomes():
    """They are given, so a uniform model of titles has as many outcomes with labels or sources as without."""
    texts = texts_of(np.random.default_rng(0), 40)
    for name in ("label", "source"):
        learned, asked = ([Example(text, **{name: text[0]}) for text in part] for part in (texts, ["abba", "bab"]))
        corpus = encode_corpus(make_corpus(learned, asked, DataConfig(), 0), DataConfig())
        bits = baselines(corpus, bos=False)
        assert bits["uniform"] == pytest.approx(np.log2(3))  # a, b and <eos>


def test_sources_do_not_count_towards_the_tokens_that_are_learned(monkeypatch):
    module = importlib.import_module("flaxchar.analysis.baselines")
    read = []
    monkeypatch.setattr(module, "_total_bits", lambda vocabulary, train, *_: read.append(train) or {})
    monkeypatch.setattr(module, "MOST_TOKENS", 60)
    # A text has 6 tokens. With a long source it has 6 + 40 + 1, of which 4 · 60 are read.
    for source, expected in (("b", 10), ("baa", 10), ("ba" * 20, 5)):
        learned = [Example("abbabb", source=source)] * 20
        baselines(encode_corpus(make_corpus(learned, learned[:1], DataConfig(), 0), DataConfig()), bos=False)
        assert len(read.pop()) == expected
