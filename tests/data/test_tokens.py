"""Tokens: counted block by block as if at once, and joined they are the text."""

from __future__ import annotations

from collections import Counter

from helpers import small_blocks
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.texts import Texts
from flaxchar.data.tokens import count_tokens, first_characters, tokenize

texts = st.lists(st.text(alphabet=st.characters(), max_size=30), min_size=1, max_size=8)


@given(texts, st.integers(1, 3))
def test_counting_in_blocks_equals_counting_at_once(texts, block):
    whole = Counter("".join(texts))
    with small_blocks(block):
        counts = count_tokens(Texts.of(texts), "char")
    assert counts == whole
    assert list(counts) == list(whole)


@given(texts)
def test_words_are_counted_in_order_and_joined_they_are_the_text(texts):
    for text in texts:
        assert "".join(tokenize(text, "word")) == text
    assert list(count_tokens(Texts.of(texts), "word")) == list(
        dict.fromkeys(word for text in texts for word in tokenize(text, "word"))
    )


@given(texts)
def test_first_tokens_are_those_of_the_texts_that_have_one(texts):
    for unit in ("char", "word"):
        firsts = [len(tokenize(text, unit)[0]) for text in texts if text]
        assert first_characters(Texts.of(texts), unit) == sum(firsts)
    assert first_characters(Texts.of(texts), "char", 1) == any(texts)
