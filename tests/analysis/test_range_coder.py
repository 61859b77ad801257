"""The range coder gives back any symbols, at the price that their intervals say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar.analysis.packing import Damaged
from flaxchar.analysis.range_coder import Decoder, Encoder

TOTAL = 1 << 24


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_coder_gives_back_any_symbols_at_their_price(data):
    intervals = data.draw(st.lists(st.tuples(st.integers(0, TOTAL - 1), st.integers(1, TOTAL)), max_size=60))
    intervals = [(start, min(size, TOTAL - start)) for start, size in intervals]
    encoder = Encoder()
    for start, size in intervals:
        encoder.encode(start, size)
    coded = encoder.finish()
    decoder = Decoder(coded)
    for start, size in intervals:
        assert start <= decoder.target() < start + size
        decoder.take(start, size)
    bits = sum(math.log2(TOTAL / size) for _, size in intervals)
    assert 8 * len(coded) <= bits + 8 + 1e-4 * len(intervals) + 8


def test_carries_reach_through_what_is_written():
    encoder = Encoder()
    intervals = [(TOTAL - 1, 1)] * 40 + [(TOTAL // 2, TOTAL // 2)] + [(TOTAL - 1, 1)] * 3
    for start, size in intervals:
        encoder.encode(start, size)
    decoder = Decoder(encoder.finish())
    for start, size in intervals:
        assert start <= decoder.target() < start + size
        decoder.take(start, size)


def test_a_decoder_ends_with_its_data():
    encoder = Encoder()
    for _ in range(100):
        encoder.encode(5, 1 << 20)
    data = encoder.finish()
    decoder = Decoder(data)
    for _ in range(100):
        decoder.take(5, 1 << 20)
    decoder.finish()
    with pytest.raises(Damaged):
        list(map(decoder.take, [5] * 100, [1 << 20] * 100))
    with pytest.raises(Damaged, match="goes on after"):
        Decoder(bytes(9)).finish()
    with pytest.raises(Damaged, match="stands for nothing"):
        Decoder(b"\xff" * 8).take(0, 1 << 23)
