"""Where running text begins, and what is fed before a text that is written without a prompt."""

from __future__ import annotations

import pytest
from helpers import untrained_model

from flaxchar import DataConfig, Vocabulary
from flaxchar.data.starts import before_a_text, settle_beginning, where_texts_begin
from flaxchar.data.texts import Texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo\n\nthree\nfour\n\nfive\n" * 30, "paragraph"),
        ("one\n\n\ntwo\n\n\n" * 30, "paragraph"),
        ("one\n    two\n" * 100, "line"),
        ("one\n" * 100 + "\n" + "one\n" * 100, "line"),  # a chapter, not a paragraph
        ("one and only one " * 100, "anywhere"),
    ],
)
def test_blank_lines_separate_paragraphs_where_they_are_usual(text, expected):
    assert where_texts_begin(Texts.of([text])) == expected


def test_only_running_text_has_a_beginning_and_the_users_own_choice_stays():
    running = DataConfig(window=8)
    assert settle_beginning(running, "paragraph").begin_at == "paragraph"
    assert settle_beginning(DataConfig(window=0), "paragraph").begin_at is None
    assert settle_beginning(DataConfig(window=8, begin_at="line"), "paragraph").begin_at == "line"


@pytest.mark.parametrize("unit", ["char", "word"])
def test_what_is_fed_is_the_blank_line_or_the_line_feed(unit):
    vocabulary = Vocabulary.build(["a b\nc\n\nd\n\ne"], unit)
    for begin_at, text in (("paragraph", "\n\n"), ("line", "\n"), ("anywhere", ""), (None, "")):
        ids = before_a_text(DataConfig(window=8, begin_at=begin_at, unit=unit), vocabulary)
        assert vocabulary.decode(ids) == text
    assert not len(before_a_text(DataConfig(begin_at="paragraph"), vocabulary))


def test_a_model_that_knows_no_line_feed_is_fed_nothing():
    vocabulary = Vocabulary.build(["ab"], "word", 1)
    assert not len(before_a_text(DataConfig(window=8, begin_at="line"), vocabulary))


def test_every_way_to_write_begins_alike_and_hides_what_was_fed():
    lm = untrained_model(["ab\n\nba\n\n"], window=8, begin_at="paragraph")
    texts = lm.generate(num_samples=20, temperature=1.0, size=40)
    shown_after = lm.generate("\n\n", num_samples=20, temperature=1.0, size=42)
    assert texts == [text.lstrip("\n") for text in shown_after]
    assert any(text[2:].startswith("\n") for text in shown_after)  # so that something was hidden
    for sample in range(8):
        assert "".join(lm.stream(sample=sample, temperature=1.0, size=40)) == texts[sample]
    assert lm.likeliest(beams=2, size=20) == lm.likeliest("\n\n", beams=2, size=22).lstrip("\n")
    old = untrained_model(["ab\n\nba\n\n"], window=8)  # saved before there was such a setting
    assert old.generate(temperature=0) != lm.generate(temperature=0)
