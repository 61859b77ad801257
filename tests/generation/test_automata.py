"""Automata over characters: each accepts the texts that a plain search of the text finds, and no other."""

from __future__ import annotations

import itertools

import pytest

from flaxchar import InputError
from flaxchar.generation import automata

ALPHABET = ["\n", "a", "b", "c"]
TEXTS = ["".join(letters) for length in range(6) for letters in itertools.product(ALPHABET, repeat=length)]


def accepts(automaton, text, number=0):
    """Whether an automaton accepts text number ``number``, which goes on after no state that is over."""
    state = automaton.starts[number % len(automaton.starts)]
    for letter in text:
        if automaton.over[state]:
            return False
        state = automaton.next[state, ALPHABET.index(letter)]
        if state < 0:
            return False
    return bool(automaton.ends[state])


def test_forbidden_characters():
    automaton = automata.without("ac", ALPHABET)
    assert [text for text in TEXTS if accepts(automaton, text)] == [text for text in TEXTS if not set(text) & set("ac")]


@pytest.mark.parametrize("stop", ["a", "ab", "aa", "aab", "abab", "aba"])
def test_a_text_ends_where_it_first_holds_the_stop(stop):
    automaton = automata.until(stop, ALPHABET)
    assert [text for text in TEXTS if accepts(automaton, text)] == [text for text in TEXTS if stop not in text[:-1]]


def test_the_lines_of_an_acrostic():
    automaton = automata.lines(["a", "bc"], ALPHABET)
    for text in TEXTS:
        rows = text.removesuffix("\n").split("\n")
        fits = len(rows) == 2 and rows[0][:1] == "a" and rows[1][:1] in ("b", "c")
        assert accepts(automaton, text) == fits, text


def test_each_text_of_an_acrostic_begins_with_its_letter():
    automaton = automata.initials(["a", "bc"], ALPHABET)
    for number, letters in enumerate(["a", "bc", "a"]):
        for text in TEXTS:
            assert accepts(automaton, text, number) == (text[:1] != "" and text[:1] in letters)


def test_line_feeds_before_a_text_are_skipped():
    inner = automata.initials(["a"], ALPHABET)
    automaton = automata.skipping(inner, "\n", ALPHABET)
    for text in TEXTS:
        assert accepts(automaton, text) == accepts(inner, text.lstrip("\n"))


def test_a_product_accepts_what_all_its_automata_accept():
    parts = [automata.without("c", ALPHABET), automata.until("ab", ALPHABET), automata.initials(["a", "b"], ALPHABET)]
    automaton = automata.product(parts, "them")
    for number in (0, 1):
        for text in TEXTS:
            assert accepts(automaton, text, number) == all(accepts(part, text, number) for part in parts)


def test_a_product_that_is_too_large_is_an_error(monkeypatch):
    monkeypatch.setattr(automata, "MOST_STATES", 10)
    parts = [automata.until("a" * 5, ALPHABET), automata.until("b" * 5, ALPHABET), automata.until("c" * 5, ALPHABET)]
    with pytest.raises(InputError, match="the automaton of `stop` has more than 10 states"):
        automata.product(parts, "`stop`")


def test_the_steps_to_an_end():
    automaton = automata.lines(["a", "b"], ALPHABET)
    assert automata.steps_to_an_end(automaton.next, automaton.ends).tolist() == [3, 2, 1, 0, 0]
    assert automata.steps_to_an_end(automaton.next, automaton.ends & False).tolist() == [-1] * 5
