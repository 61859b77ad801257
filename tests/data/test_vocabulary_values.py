"""A vocabulary's values: each thing that cannot be is named with its key."""

from __future__ import annotations

import copy
import re

import pytest
from helpers import PALINDROMES

from flaxchar import Example, InputError, Vocabulary
from flaxchar.data.vocabulary_values import check_vocabulary

PLAIN = Vocabulary.build(["abc"]).to_dict()
LABELLED = Vocabulary.build([Example("ab", "x"), Example("ba", "y")], classify=True).to_dict()
SPELLED = Vocabulary.build(["aaabbc"], max_size=1).to_dict()
WORDS = Vocabulary.build(["ab cd ab"], unit="word", max_size=2).to_dict()


def test_what_a_vocabulary_writes_is_right():
    built = [Vocabulary.build(PALINDROMES, unit, most) for unit in ("char", "word") for most in (None, 3, 10**6)]
    for values in (PLAIN, LABELLED, SPELLED, WORDS, *(vocabulary.to_dict() for vocabulary in built)):
        check_vocabulary(values)


@pytest.mark.parametrize(
    ("values", "change", "message"),
    [
        (PLAIN, {"tokens": ["a", "a"]}, "'tokens' hold 'a' twice"),
        (PLAIN, {"tokens": ["a", "bc"]}, "'tokens'[1] is 'bc'; it must be one character"),
        (PLAIN, {"tokens": []}, "'tokens' are none"),
        (PLAIN, {"tokens": ["a", None]}, "must be [2], where 'tokens' hold null"),
        (PLAIN, {"unit": "letter"}, "'unit' is 'letter'; it must be one of char, word"),
        (PLAIN, {"has_unknown": 1}, "'has_unknown' is 1; it must be true or false"),
        (PLAIN, {"source_end": True}, "'source_end' is True; it must be a whole number"),
        (PLAIN, {"colour": 1}, "has the key 'colour', which this version of flaxchar does not know"),
        (LABELLED, {"label_ids": [3]}, "'label_ids' are 1, but 'labels' are 2"),
        (LABELLED, {"label_ids": [3, 3]}, "'label_ids' are [3, 3]; they must differ"),
        (LABELLED, {"label_ids": [3, 9]}, "are the ids [3, 5, 9]; they must be [3, 4, 5]"),
        (LABELLED, {"labels": ["x", "x"]}, "'labels' are ['x', 'x']; they must differ"),
        (SPELLED, {"spelling": {"tokens": ["b", "c"], "counts": [2]}}, "a number for each of 'spelling.tokens'"),
        (SPELLED, {"spelling": {"tokens": ["b", "c"]}}, "characters have counts"),
        (SPELLED, {"has_unknown": False}, "'spelling' is of unknown tokens"),
        (WORDS, {"spelling": {"tokens": [""]}}, "'spelling.tokens'[0] is ''; it must be a word"),
        (WORDS, {"word_rule": "spaces"}, "'word_rule' is 'spaces'; it must be one of uax29, runs"),
    ],
)
def test_what_cannot_be_is_named(values, change, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Vocabulary.from_dict(copy.deepcopy(values) | change)
