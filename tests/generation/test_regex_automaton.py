"""The automaton of a regular expression accepts exactly what ``re.fullmatch`` matches."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import InputError
from flaxchar.generation.regex_automaton import regex_automaton

# Cases that the engines of other languages read otherwise: é and ٣ are \w, ٣ is \d, K (Kelvin) is k in any case.
ALPHABET = ["\n", " ", "-", "0", "A", "\u212a", "a", "b", "k", "é", "٣", "\u0301"]


def accepts(automaton, text):
    state = 0
    for letter in text:
        state = automaton.next[state, ALPHABET.index(letter)]
        if state < 0:
            return False
    return bool(automaton.ends[state])


def check(pattern, alphabet=ALPHABET, longest=3):
    automaton, matches = regex_automaton(pattern, ALPHABET), re.compile(pattern).fullmatch
    for length in range(longest + 1):
        for letters in itertools.product(alphabet, repeat=length):
            text = "".join(letters)
            assert accepts(automaton, text) == bool(matches(text)), text


@pytest.mark.parametrize(
    "pattern",
    [
        "", "a", ".", "(?s).*", r"\w+\d?", r"\W", r"\s\S", r"[^\w]|[a-b]k", "[^ab]{2}", "(?i:k)a", "(?i)É|a",
        "(?i:[a-k])(?-i:b)", "(?a:\\w)+", "(ab|a)*k?", "(a|b)*a(a|b)", "a{2,3}?b{,2}", "(|a)+b", "(a*)*b",
        "((a?){2}b)*", "^ab$", r"\Aab\Z", "(^a|b$)", "^a|^b", "(?P<name>a)b", "(?:a|)(?:|b)",
        "[a\n]-", "(?x) a  b # ab",
    ],
)  # fmt: skip
def test_a_pattern_means_what_it_means_to_python(pattern):
    check(pattern)


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "[^a]", ".", r"\w", ""]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: "".join(f"(?:{part})" for part in parts)),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0}", "{,1}?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(PATTERNS)
def test_any_pattern_means_what_it_means_to_python(pattern):
    check(pattern, ["a", "b", "\n"], 4)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(", "is no regular expression: missing )"),
        ("a**", "is no regular expression: multiple repeat"),
        (r"(a)\1", "a back reference"),
        ("(a)?(?(1)b)", "a condition on a group"),
        ("(?=a)b", "a look ahead or behind"),
        ("(?<!a)b", "a look ahead or behind"),
        (r"\ba", "a boundary"),
        ("a^b", "a boundary"),
        ("(^a)*", "a boundary"),
        ("a*+b", "a possessive or atomic part"),
        ("[ab]*a[ab]{16}", "more than 10,000 states"),
        ("a{2001}", "more than 2,000 characters"),
        ("((((a{50}){50}){50}){50}){50}", "more than 2,000 characters"),
        ("(" * 3000 + "a" + ")" * 3000, "no regular expression"),
        ("a{99999999999999999999}", "no regular expression"),
    ],
)
def test_what_no_automaton_can_follow_is_one_sentence_at_once(pattern, told):
    start = time.process_time()
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        regex_automaton(pattern, ALPHABET)
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 5


def test_repetitions_of_nothing_are_no_endless_loop():
    assert len(regex_automaton("(a{0}){99999999}", ALPHABET).next) == 1


def test_a_pattern_that_has_a_meaning_now_is_taken_without_a_warning():
    check("[[a]b")  # Python warns of a possible nested set
