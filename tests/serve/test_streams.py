"""One text: what is read of what was drawn, and what is refused before it begins."""

from __future__ import annotations

import pytest
from helpers import PALINDROMES, untrained_model

import flaxchar
from flaxchar.generation.prompt import encode_prompt
from flaxchar.generation.sampling import Sampling
from flaxchar.serve import streams
from flaxchar.serve.streams import Drawn, Stream


def test_a_source_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(streams, "MOST_SOURCE", 5)
    lm = untrained_model(PALINDROMES, sources=True)
    with pytest.raises(flaxchar.InputError, match="`source` has 6 tokens"):
        Stream(lm, encode_prompt(lm, source="Hannah"), Sampling(), 0, print)


def test_line_feeds_before_running_text_begins_are_no_part_of_it(runs):
    lm = flaxchar.load(runs["running"])
    stream = Stream(lm, encode_prompt(lm), Sampling(), 0, print)
    names = ["", *lm.vocabulary.tokens, ""]
    feed, letter = names.index("\n"), names.index("b")
    taken = [stream.take(Drawn(token, 0.5, [letter], [0.5]), names) for token in (feed, letter, feed)]
    assert [token and token.text for token in taken] == [None, "b", "\n"]
    assert stream.drawn == 3
