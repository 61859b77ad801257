"""The index against searching by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar.analysis import novelty
from flaxchar.analysis.novelty import TextIndex, measure_novelty

LETTERS = st.text("abé", max_size=12)


def longest_by_hand(sample, texts):
    pieces = (sample[i:j] for i in range(len(sample)) for j in range(i + 1, len(sample) + 1))
    return max((len(piece) for piece in pieces if any(piece in text for text in texts)), default=0)


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(LETTERS, max_size=6), sample=LETTERS)
def test_the_longest_match_is_the_longest_there_is(texts, sample):
    match = TextIndex(texts).longest_match(sample)
    assert match.length == longest_by_hand(sample, texts)
    piece = sample[match.start : match.start + match.length]
    assert not piece or any(piece in text for text in texts)
    assert match.is_copy == (sample in texts)


def test_matches_are_measured_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(novelty, "LONGEST_MATCH", 4)
    assert TextIndex(["abababababab"]).longest_match("xbababababx").length == 4


def test_copies_duplicates_and_shares_are_counted():
    index = TextIndex(["the cat sat", "a dog ran"])
    result = measure_novelty(["the cat sat", "a dog sat", "a dog sat", "zzzz"], index)
    assert (result.samples, result.copies, result.duplicates) == (4, 1, 1)
    assert [match.length for match in result.matches] == [11, 6, 6, 0]
    np.testing.assert_allclose(result.shares, [1, 6 / 9, 6 / 9, 0])
