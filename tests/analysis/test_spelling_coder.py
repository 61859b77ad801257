"""Spelling coder: any string comes back, in as many bits as the speller says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar.analysis.range_coder import Decoder, Encoder
from flaxchar.analysis.spelling_coder import SpellingCoder
from flaxchar.data.spelling import Speller, Spelling

SPELLER = Speller(["heading", "reading", "reader", "read", "a", "Zoë", "\n\n", "\ud800x"])
CODER = SpellingCoder(SPELLER)


@settings(deadline=None)
@given(st.lists(st.text(st.characters()) | st.text(st.sampled_from("hreading")), max_size=5))
def test_any_strings_are_restored(strings):
    encoder = Encoder()
    for string in strings:
        CODER.encode(encoder, string)
    decoder = Decoder(encoder.finish())
    assert [CODER.decode(decoder) for _ in strings] == strings


@given(st.lists(st.characters(), max_size=20))
def test_any_characters_are_restored_without_ends(characters):
    coder, encoder = SpellingCoder(Spelling(("x", "y"), (30, 10)).speller()), Encoder()
    for character in characters:
        coder.encode(encoder, character)
    decoder = Decoder(encoder.finish())
    assert [coder.decode(decoder) for _ in characters] == characters


def test_the_size_is_what_the_speller_says():
    strings = ["header", "reads", "zéro", "a", "adding"] * 200
    encoder = Encoder()
    for string in strings:
        CODER.encode(encoder, string)
    assert 8 * len(encoder.finish()) == pytest.approx(SPELLER.nats(strings).sum() / math.log(2), rel=1e-3)
