"""The union of two vocabularies keeps the order of the texts' own, and every kind of id."""

from __future__ import annotations

import pytest

from flaxchar import Example, Vocabulary
from flaxchar.data.union import with_tokens


def test_known_tokens_follow_those_of_the_texts():
    vocabulary = with_tokens(Vocabulary.build(["banana"]), ["x", "b", "y"])
    assert vocabulary.tokens == ("a", "n", "b", "x", "y")
    assert vocabulary.decode(vocabulary.encode("xbay")) == "xbay"


def test_nothing_new_changes_nothing():
    vocabulary = Vocabulary.build(["banana"])
    assert with_tokens(vocabulary, ["n", "a"]) is vocabulary


@pytest.mark.parametrize("classify", [False, True])
def test_labels_sources_and_the_unknown_token_stay_what_they_are(classify):
    examples = [Example("ab", "good"), Example("ba", "bad")]
    vocabulary = with_tokens(Vocabulary.build(examples, classify=classify), ["x"])
    rebuilt = Vocabulary.build([Example("ab", "good"), Example("bax", "bad")], classify=classify)
    assert vocabulary.to_dict() == rebuilt.to_dict()
    sourced = with_tokens(Vocabulary.build([Example("ab", None, "a")]), ["x"])
    assert sourced.to_dict() == Vocabulary.build([Example("ab", None, "ax")]).to_dict()


def test_a_limit_is_kept_and_the_tokens_of_the_texts_come_first():
    vocabulary = Vocabulary.build(["one two one"], "word", 3)
    assert with_tokens(vocabulary, ["six", "seven"], 4).tokens == (*vocabulary.tokens, "six")
    assert with_tokens(vocabulary, ["six"], 3) is vocabulary
