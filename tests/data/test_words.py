"""Words end where Unicode's rules say, whatever the script; joined they are the text, whatever it holds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.words import word_pattern

# One example or more for each rule of UAX #29, cut by hand. A bar stands between two words.
CUT_BY_HAND = [
    "don't| |l'eau| |rock'n'roll| |'|quoted|'",  # WB6, WB7
    "3.14| |1,000,000| |a1| |1a| |x_1| |U.S|.| |end|.",  # WB8 to WB13b
    "Mädchen| |über| |größer".replace("ä", "a\u0308").replace("ü", "u\u0308").replace("ö", "o\u0308"),  # WB4
    "हिन्दी| |में| |क्षत्रिय|।",  # vowel signs, viramas, and a danda
    "வணக்கம்| |நண்பர்கள்",
    "می\u200cخواهم| |سَلَام",  # a zero-width non-joiner, and vowel points
    "שָׁלוֹם| |צה\"ל| |ג'",  # WB7a to WB7c
    "ก|า|ร|กี่|น้",  # Thai letters are cut: Unicode leaves Thai words to dictionaries
    "カタカナ|漢|字|ひ|ら",  # WB13
    "👩\u200d🚀|👍🏽|🇩🇪|🇫🇷|❤\ufe0f|1\ufe0f\u20e3|🏴\U000e0067\U000e0062\U000e007f",  # WB3c, WB4, WB15
    "10\u202f000| |km",  # a narrow no-break space joins
    "a| \n\n\t |b|\r\n|c|\u00a0|d",  # white space stays together
    "a|\u2009\u0308|b|\n|\u0308|c",  # a mark belongs to the space before it, but not to a line feed
    "\0|\ud800|\ue000|\U000f0000|\uffff",
]


@pytest.mark.parametrize("line", CUT_BY_HAND, ids=ascii)
def test_words_end_where_the_rules_say(line):
    assert word_pattern("uax29").findall(line.replace("|", "")) == line.split("|")


@given(st.text(st.characters()) | st.text(st.sampled_from(" \n\r\t\u202f\u0308\u200d'.1aאカ👍🇩\ud800\0")))
def test_joined_they_are_the_text(text):
    for rule in ("uax29", "runs"):
        assert "".join(word_pattern(rule).findall(text)) == text


@given(st.text(st.sampled_from("ab1 \n\t!?-(")))
def test_words_of_letters_and_white_space_are_those_of_former_versions(text):
    assert word_pattern("uax29").findall(text) == word_pattern("runs").findall(text)


@given(st.text(st.characters()))
def test_the_rule_of_former_versions_is_kept(text):
    words = word_pattern("runs").findall(text)
    for word, following in zip(words, words[1:], strict=False):
        assert not re.fullmatch(r"\w+|\s+", word + following)
