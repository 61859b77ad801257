"""Spelling: a probability for every string, that of Kneser-Ney by the book, and reproducible."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar.data import spelling
from flaxchar.data.spelling import CODE_POINTS, ORDER, Speller, Spelling

WORDS = ["heading", "reading", "reader", "read", "a", "ab", "Zoë", "सुबह", "\n\n", "\ud800x", "\0"]
strings = st.text(st.characters(), max_size=12) | st.text(st.sampled_from("headingrZë"), max_size=12)
spellers = st.builds(
    Speller,
    st.lists(st.text(st.sampled_from("abcë\ud800"), min_size=1, max_size=6), min_size=1, max_size=8, unique=True),
    order=st.integers(1, 5),
)


def step_nats(speller, string):
    """The cost of a string, one symbol after another."""
    total = 0.0
    for place in range(len(string) + speller.ends):
        symbol = speller.symbol(string[place]) if place < len(string) else speller.end
        total -= math.log(speller.probabilities(string[:place])[symbol])
        total += math.log(CODE_POINTS) if symbol == speller.escape else 0
    return total


@settings(deadline=None)
@given(spellers, strings)
def test_the_probabilities_of_each_step_add_up_to_one_and_multiply_to_that_of_the_string(speller, string):
    for place in range(len(string) + 1):
        probabilities = speller.probabilities(string[:place])
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)
        assert (probabilities[: speller.escape + 1] > 0).all()
    assert speller.nats([string, "a", string])[[0, 2]] == pytest.approx(step_nats(speller, string), rel=1e-9)


def test_all_strings_of_known_characters_together_have_a_probability_below_one():
    speller = Speller(["ab", "b", "ba", "aab"], order=3)
    strings = ["".join(letters) for n in range(13) for letters in itertools.product("ab", repeat=n)]
    total = np.exp(-speller.nats(strings)).sum()
    assert 0.9 < total < 1


def by_the_book(words, order):
    """Kneser-Ney over dictionaries; ``^`` begins a word, ``$`` ends it, ``?`` is the escape."""
    grams = {n: Counter() for n in range(1, order + 1)}
    for word in words:
        padded = "^" * (order - 1) + word + "$"
        for t in range(order - 1, len(padded)):
            for n in range(1, order + 1):
                grams[n][padded[t - n + 1 : t + 1]] += 1
    counts = {order: grams[order]}
    for n in range(1, order):
        counts[n] = Counter(gram[1:] for gram in grams[n + 1])

    def probability(context, symbol, n=order):
        if n == 0:
            return float(symbol == "?")
        context = context[len(context) - n + 1 :]
        tallies = list(counts[n].values())
        d = (tallies.count(1) + 1) / (tallies.count(1) + 2 * tallies.count(2) + 2)
        after = {gram[-1]: count for gram, count in counts[n].items() if gram[:-1] == context}
        shorter = probability(context, symbol, n - 1)
        if not after:
            return shorter
        return (max(after.get(symbol, 0) - d, 0) + d * len(after) * shorter) / sum(after.values())

    return probability


@pytest.mark.parametrize("order", [1, 2, 4])
def test_it_is_kneser_ney_by_the_book(order):
    words = ["heading", "reading", "reader", "read", "dear", "ear"]
    speller, probability = Speller(words, order=order), by_the_book(words, order)
    for before in ("", "r", "rea", "readin", "q", "xx", "dq", "dea"):
        expected = [probability("^" * order + before, symbol) for symbol in [*speller.characters, "$", "?"]]
        np.testing.assert_allclose(speller.probabilities(before), expected, rtol=1e-12)


def test_words_like_the_training_words_cost_less():
    speller = Speller(WORDS)
    header, strange = speller.nats(["header", "qjxwvk"])
    assert header < 0.3 * strange


def test_unknown_characters_cost_what_their_frequency_says():
    spelled = Spelling.of(["x", "y"], {"x": 30, "y": 10}, "char")
    speller = spelled.speller()
    x, y, other = np.exp(-speller.nats(["x", "y", "é"]))
    assert 0.7 < x < 0.75
    assert x > 2 * y
    assert x + y + other * CODE_POINTS == pytest.approx(1)
    assert Spelling.of([], {}, "char").speller().nats(["é"])[0] == pytest.approx(math.log(CODE_POINTS))


def test_no_more_words_are_kept_than_the_limit_and_they_are_spaced_evenly(monkeypatch):
    monkeypatch.setattr(spelling, "MOST_WORDS", 10)
    words = [f"w{k}" for k in range(25)]
    kept = Spelling.of(words, {}, "word").tokens
    assert kept == tuple(words[::3])
    assert Spelling.of(words[:10], {}, "word").tokens == tuple(words[:10])


def test_it_is_kept_as_json():
    for kept in (Spelling(("a", "bc")), Spelling(("a", "é"), (3, 1)), Spelling((), ())):
        assert Spelling.from_dict(json.loads(json.dumps(kept.to_dict()))) == kept


def test_the_order_of_words_is_six():
    assert Spelling(("heading",)).speller(["reading"]).order == ORDER == 6
