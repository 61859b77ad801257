"""The right answers to the questions, from the text that was read before each position."""

from __future__ import annotations

import numpy as np
import pytest

from flaxchar.insight.questions import QUESTIONS
from flaxchar.insight.trace import END, Trace

BY_NAME = {question.name: question for question in QUESTIONS}


def trace_of(tokens, given="", hidden=1):
    count = len(tokens)
    return Trace(list(tokens), np.zeros(count), [[]] * count, np.zeros((1, count, hidden), np.float32), {}, given)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Inside quotation marks?", 'a "b" c', "0001100"),
        ("Inside quotation marks?", "„x“ “y”", "0110011"),
        ("Inside quotation marks?", 'a"b\nc', "00110"),
        ("Inside brackets?", "a(b[c]d)e", "001111110"),
        ("Inside brackets?", "))(a", "0001"),
        ("Has it just read a digit?", "a1 23", "00101"),
        ("Position in the word", "ab cd'e", "0120120"),
        ("Position in the line", "ab\ncd", "01201"),
        ("Next: a capital letter?", "aBÉ c", "01100"),
        ("Next: the end of the word?", "ab c.", "00101"),
    ],
)
def test_answers(name, text, expected):
    assert BY_NAME[name].answers(trace_of(text)).tolist() == [float(k) for k in expected]


def test_the_end_of_the_text_is_asked_for_where_it_is_predicted():
    assert BY_NAME["Next: the end of the text?"].answers(trace_of(["a", "b", END])).tolist() == [0, 0, 1]
    assert BY_NAME["Next: the end of the word?"].answers(trace_of(["a", END])).tolist() == [0, 1]


def test_words_and_what_is_given_count_with_all_their_characters():
    trace = trace_of(["(b", " c"], given="ab ")
    assert BY_NAME["Position in the line"].answers(trace).tolist() == [3, 5]
    assert BY_NAME["Inside brackets?"].answers(trace).tolist() == [0, 1]
