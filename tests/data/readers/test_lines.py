"""Lines come out whole, whatever the blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.readers.lines import lines_of


@given(st.lists(st.text(st.sampled_from("ab\n"), max_size=5), max_size=9))
def test_lines_are_those_of_the_whole_text(blocks):
    text = "".join(blocks)
    expected = text.removesuffix("\n").split("\n") if text else []
    assert [line for lines in lines_of(iter(blocks)) for line in lines] == expected
