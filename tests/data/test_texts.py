"""Texts that need not fit in memory: whatever the block, they are what was put in."""

from __future__ import annotations

import numpy as np
from helpers import small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar.data.texts import Texts

ANY = st.lists(st.text(st.characters(), max_size=12), max_size=12)


@settings(max_examples=200, deadline=None)
@given(given_texts=ANY, block=st.integers(1, 9))
def test_texts_are_what_was_put_in(given_texts, block):
    with small_blocks(block):
        kept = Texts.of(given_texts)
        assert list(kept) == given_texts
        assert len(kept) == len(given_texts)
        assert kept.lengths.tolist() == list(map(len, given_texts))
        assert "".join(kept.blocks()) == "".join(given_texts)
        points = np.concatenate([np.empty(0, np.uint32), *kept.code_points()])
        assert points.tolist() == [ord(c) for text in given_texts for c in text]


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(st.tuples(st.lists(st.text("aé\n"), min_size=1, max_size=3), st.booleans()), max_size=6))
def test_a_text_may_be_put_in_piece_by_piece(pieces):
    kept, expected, goes_on = Texts(), [], False
    with small_blocks(3):
        for some, complete in pieces:
            kept.add(some, complete)
            if goes_on:
                expected[-1] += some[0]
            expected += some[goes_on:]
            goes_on = not complete
        assert list(kept) == expected


@settings(max_examples=200, deadline=None)
@given(data=st.data(), block=st.integers(1, 9))
def test_a_split_cuts_each_text_where_it_is_told(data, block):
    given_texts = data.draw(ANY)
    first = np.array([data.draw(st.integers(0, len(text))) for text in given_texts], np.int64)
    with small_blocks(block):
        one, other = Texts.of(given_texts).split(first)
        assert list(one) == [text[:k] for text, k in zip(given_texts, first, strict=True) if k]
        assert list(other) == [text[k:] for text, k in zip(given_texts, first, strict=True) if k < len(text)]


def test_the_digest_tells_where_texts_end_and_not_how_they_were_stored():
    digest = Texts.of(["ab", "c"]).digest()
    with small_blocks(1):
        assert Texts.of(["ab", "c"]).digest() == digest
    assert Texts.of(["a", "bc"]).digest() != digest
    assert Texts.of(["ab", "d"]).digest() != digest


@settings(max_examples=200, deadline=None)
@given(data=st.data(), block=st.integers(1, 9))
def test_a_partition_keeps_every_text_whole_and_the_empty_ones_too(data, block):
    given_texts = data.draw(ANY)
    chosen = np.array([data.draw(st.booleans()) for _ in given_texts], bool)
    with small_blocks(block):
        one, other = Texts.of(given_texts).partition(chosen)
        assert list(one) == [text for text, k in zip(given_texts, chosen, strict=True) if not k]
        assert list(other) == [text for text, k in zip(given_texts, chosen, strict=True) if k]
