"""Ids as Keras' Tokenizer(char_level=True, lower=False) numbers them, and exact round trips."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar import InputError, Vocabulary
from flaxchar.data.texts import Texts
from flaxchar.data.vocabulary import _count_characters

texts = st.lists(st.text(alphabet=st.characters(), max_size=30), min_size=1, max_size=8).filter(any)


def test_ids_are_by_falling_frequency_and_ties_by_first_appearance():
    vocabulary = Vocabulary.build(["dab", "bac", "b"])
    assert vocabulary.tokens == ("b", "a", "d", "c")
    assert vocabulary.encode("abcd").tolist() == [2, 1, 4, 3]
    assert (vocabulary.size, vocabulary.eos) == (6, 5)


@given(texts, st.integers(1, 3))
def test_counting_in_chunks_equals_counting_at_once(texts, chunk):
    import flaxchar.data.texts as module

    whole, kept = Counter("".join(texts)), module.STRETCH
    module.STRETCH = chunk
    try:
        counts = _count_characters(Texts.of(texts))
    finally:
        module.STRETCH = kept
    assert counts == whole
    assert list(counts) == list(whole)


@given(texts)
def test_round_trip_over_full_unicode(texts):
    vocabulary = Vocabulary.from_dict(Vocabulary.build(texts).to_dict())
    for text in texts:
        assert vocabulary.decode(vocabulary.encode(text)) == text
    encoded, missing = vocabulary.encode_texts(texts)
    assert not missing
    assert [vocabulary.decode(encoded[k]) for k in range(len(texts))] == texts


@given(texts)
def test_words_round_trip_with_their_white_space(texts):
    vocabulary = Vocabulary.build(texts, unit="word")
    for text in texts:
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_words_beyond_the_limit_become_the_unknown_token():
    vocabulary = Vocabulary.build(["the cat the dog the cat"], unit="word", max_size=3)
    assert vocabulary.tokens == (" ", "the", "cat")
    assert vocabulary.size == 6
    assert vocabulary.encode("the dog").tolist() == [2, 1, vocabulary.unknown]
    assert vocabulary.unknown == vocabulary.eos - 1


def test_unknown_characters_are_named_or_dropped():
    vocabulary = Vocabulary.build(["abc"])
    with pytest.raises(InputError, match=r"'x', 'é'.*--unknown drop"):
        vocabulary.encode("axbé")
    assert vocabulary.decode(vocabulary.encode("axbé", unknown="drop")) == "ab"
    encoded, missing = vocabulary.encode_texts(["ax", "x", "bxc"])
    assert missing == {"x": 3}
    assert encoded.lengths.tolist() == [1, 0, 2]


def test_characters_beyond_the_table_are_unknown():
    vocabulary = Vocabulary.build(["abc"])
    _, missing = vocabulary.encode_texts(["a\U0010ffff"])
    assert missing == {"\U0010ffff": 1}


@pytest.mark.parametrize("k", [0, 4, 5, -1])
def test_padding_and_eos_cannot_be_decoded(k):
    with pytest.raises(ValueError, match="stands for no text"):
        Vocabulary.build(["abc"]).decode(np.array([1, k]))


def test_no_text_is_an_error():
    with pytest.raises(InputError, match="no text"):
        Vocabulary.build(["", ""])
