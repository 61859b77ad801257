"""Packing: numbers and records come back, and what no encoder writes is refused."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.analysis import packing
from flaxchar.analysis.packing import Damaged, deflate, inflate, read_part, read_varint, varint
from flaxchar.config import InputError


@given(st.integers(0, 2**63 - 1), st.binary(max_size=3))
def test_numbers_come_back(number, before):
    data = before + varint(number) + b"\xff"
    assert read_varint(data, len(before)) == (number, len(data) - 1)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 8, b"\xff" * 9 + b"\x01", b"\x80" * 1000])
def test_numbers_without_end_are_refused(data):
    with pytest.raises(Damaged, match="number"):
        read_varint(data, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.text(st.characters(), max_size=3)).map(list)))
def test_records_come_back(records):
    assert inflate(deflate(records)) == records


def test_records_inflate_to_a_multiple_of_their_size_and_no_further(monkeypatch):
    monkeypatch.setattr(packing, "_FREE", 100)
    few, many = json.dumps(["a" * 1000]), json.dumps(["a" * 100_000])
    assert inflate(zlib.compress(few.encode(), 9)) == ["a" * 1000]
    with pytest.raises(Damaged, match=r"bytes in it inflate to more than"):
        inflate(zlib.compress(many.encode(), 9))
    with pytest.raises(InputError, match="10,000 tokens that the model has never seen"):
        deflate([[0, "x"]] * 10_000)


def test_parts_lie_within_the_data():
    assert read_part(b"abcd", 1, 2) == (b"bc", 3)
    with pytest.raises(Damaged, match="claims 4 bytes where there are 3"):
        read_part(b"abcd", 1, 4)
