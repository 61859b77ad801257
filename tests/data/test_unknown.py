"""Unknown tokens: counted where they are predicted, spelled at the price of the speller, and told in one sentence."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import Example, Vocabulary
from flaxchar.data.texts import Texts
from flaxchar.data.unknown import NONE_UNKNOWN, UnknownTokens, find_unknown

LEARNED = ["the cat sat on the mat", "the dog sat", "the bat"]


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.build(LEARNED, "word", max_size=4)  # " ", "the", "sat", "cat"


def test_each_unknown_word_pays_its_spelling(vocabulary):
    texts = ["the dog sat", "a cat", "", "rat rat"]
    found, nats = find_unknown(vocabulary, Texts.of(texts), bos=True)
    assert found.tokens == ("dog", "a", "rat", "rat")
    assert (found.unknown, found.words) == (4, 7)
    dog, a, rat = vocabulary.speller.nats(["dog", "a", "rat"])
    assert nats == pytest.approx([dog, a, 0, 2 * rat])
    assert found.nats == pytest.approx(nats.sum())


@pytest.mark.parametrize("running", [False, True])
def test_a_word_that_is_given_pays_nothing(vocabulary, running):
    texts = ["", "dog sat", "rat"]
    found, nats = find_unknown(vocabulary, Texts.of(texts), bos=False, running=running)
    assert found.tokens == ("dog", "rat")
    assert found.unknown == running
    assert nats[1] == 0
    assert (nats[2] > 0) == running


def test_after_a_label_or_a_source_the_first_word_is_predicted():
    for examples in ([Example(text, "x") for text in LEARNED], [Example(text, source="a") for text in LEARNED]):
        found, nats = find_unknown(Vocabulary.build(examples, "word", 4), Texts.of(["dog"]), bos=False)
        assert found.unknown == 1
        assert nats[0] > 0
    classifier = Vocabulary.build([Example(text, "x") for text in LEARNED], "word", 4, classify=True)
    assert find_unknown(classifier, Texts.of(["dog"]), bos=False)[0] == NONE_UNKNOWN


@settings(deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab c\n"), max_size=9), min_size=1, max_size=5).filter(any),
    st.sampled_from(["char", "word"]),
    st.booleans(),
    st.booleans(),
)
def test_the_predicted_characters_are_those_of_the_vocabulary(texts, unit, bos, running):
    vocabulary = Vocabulary.build(["ab ab", "b"], unit, 2)
    found, _ = find_unknown(vocabulary, Texts.of(texts), bos, running)
    expected = vocabulary.predicted_characters(texts, bos, running)
    # Running text is closed by one <eos> in all, which `predicted_characters` counts for each of its pieces.
    assert found.characters == expected - running * len(texts)


def test_characters_outside_the_vocabulary_pay_too():
    vocabulary = Vocabulary.build(["aaab", "bx"], max_size=2)
    found, nats = find_unknown(vocabulary, Texts.of(["axé"]), bos=True)
    assert (found.tokens, found.words, found.unknown) == (("x", "é"), 3, 2)
    assert nats[0] == pytest.approx(vocabulary.speller.nats(["x", "é"]).sum())


def test_reading_stops_at_the_limit(vocabulary):
    found, _ = find_unknown(vocabulary, Texts.of(["dog rat", "pig cow"]), bos=True, most=4)
    assert found.tokens == ("dog", "rat", "pig")


def test_without_an_unknown_token_nothing_is_looked_for():
    assert find_unknown(Vocabulary.build(["ab"]), Texts.of(["abc"]), bos=True)[0] is NONE_UNKNOWN


def test_one_sentence_tells_the_share_and_the_price(vocabulary):
    found = UnknownTokens(("x",) * 31, 1000, 31, 5000, 5000 * 0.21 * math.log(2))
    assert found.describe("held-out ", "word", 2.41) == (
        "3.1% of the held-out words are unknown; spelling them takes 0.21 of the 2.41 bits/char"
    )
    assert NONE_UNKNOWN.describe("", "word", 2.41) == ""
    old = dataclasses.replace(vocabulary, spelling=None)
    found, nats = find_unknown(old, Texts.of(["the dog sat"]), bos=True)
    assert not nats.any()
    assert found.describe("", "word", 2.41) == (
        "33.3% of the words are unknown, and their spelling is not counted: an older version trained the model"
    )
