"""The embedded grammar: proven unambiguous, its entropy exact, its headlines as promised."""

from __future__ import annotations

import math
import random
from collections import defaultdict, deque

import numpy as np
import pytest

from flaxchar.data import headlines
from flaxchar.data.headlines import HEADLINE, Choice, one_of


class Automaton:
    """A nondeterministic automaton with one path from start to end for each derivation of a grammar."""

    def __init__(self, part):
        self.silent = defaultdict(list)  # state → states reached without a character
        self.reading = defaultdict(list)  # state → (character, state)
        self.states = 0
        self.start, self.end = self.new(), self.new()
        self.add(part, self.start, self.end)

    def new(self):
        self.states += 1
        return self.states - 1

    def add(self, part, start, end):
        if isinstance(part, str):
            for character in part:
                following = self.new()
                self.reading[start].append((character, following))
                start = following
            self.silent[start].append(end)
        elif isinstance(part, tuple):
            for each in part:
                middle = self.new()
                self.add(each, start, middle)
                start = middle
            self.silent[start].append(end)
        else:
            assert isinstance(part, Choice)
            for each in part.parts:
                self.add(each, start, end)

    def silent_ways(self, state):
        """State → number of silent paths to it from ``state``."""
        ways = defaultdict(int)

        def walk(at):
            ways[at] += 1
            for following in self.silent[at]:
                walk(following)

        walk(state)
        return ways


def is_ambiguous(part):
    """Whether some string has two derivations.

    Two different paths that read the same string part at some state and then stay apart or meet again. So the pairs of
    states reachable together by one string are followed, with the mark of having been apart; a string has two
    derivations exactly when a marked pair can be at the end, both of them. Two silent paths between the same states are
    a way of being apart, too.
    """
    automaton = Automaton(part)
    # After reading a character (or at the start) → what can be read next: (character, state after), with the number of
    # silent ways; and the number of silent ways to the end.
    ways = {}

    def closure(state):
        if state not in ways:
            reached = automaton.silent_ways(state)
            moves = defaultdict(list)
            for at, number in reached.items():
                for character, following in automaton.reading[at]:
                    moves[character].append((following, number))
            ways[state] = moves, reached.get(automaton.end, 0)
        return ways[state]

    seen, queue = set(), deque([(automaton.start, automaton.start, False)])
    while queue:
        one, other, apart = item = queue.popleft()
        if item in seen:
            continue
        seen.add(item)
        (one_moves, one_ends), (other_moves, other_ends) = closure(one), closure(other)
        if one_ends and other_ends and (apart or one_ends > 1):
            return True
        for character in one_moves.keys() & other_moves.keys():
            for first, ways_of_first in one_moves[character]:
                for second, _ in other_moves[character]:
                    queue.append((first, second, apart or first != second or ways_of_first > 1))
    return False


@pytest.mark.parametrize(
    ("part", "ambiguous"),
    [
        (one_of((1, "a"), (1, "b")), False),
        (one_of((1, "a"), (1, "a")), True),
        ((one_of((1, "a"), (1, "ab")), one_of((1, "c"), (1, "bc"))), True),
        ((one_of((1, "a"), (1, "ab")), one_of((1, "c"), (1, "d"))), False),
        ((one_of((1, "a"), (1, "")), one_of((1, "a"), (1, ""))), True),
        (one_of((1, ""), (1, "")), True),
        ((one_of((1, ""), (1, "")), "a"), True),
    ],
)
def test_the_ambiguity_check_itself(part, ambiguous):
    assert is_ambiguous(part) == ambiguous


def test_no_headline_has_two_derivations():
    assert not is_ambiguous(HEADLINE)


def enumerate_strings(part):
    """Every derivation of a small grammar as (string, probability)."""
    if isinstance(part, str):
        return [(part, 1.0)]
    if isinstance(part, tuple):
        found = [("", 1.0)]
        for each in part:
            found = [(a + b, p * q) for a, p in found for b, q in enumerate_strings(each)]
        return found
    weighted = zip(part.parts, part.probabilities, strict=True)
    return [(text, p * q) for each, p in weighted for text, q in enumerate_strings(each)]


def test_entropy_length_and_count_of_a_small_grammar_by_enumeration():
    grammar = (one_of((3, "x"), (1, ("yy", one_of((1, "1"), (2, "22"))))), one_of((1, ""), (4, " z")))
    strings = enumerate_strings(grammar)
    assert headlines.count_strings(grammar) == len({text for text, _ in strings})
    assert math.isclose(headlines.entropy(grammar), -sum(p * math.log2(p) for _, p in strings))
    assert math.isclose(headlines.mean_length(grammar), sum(p * len(text) for text, p in strings))
    for text, probability in strings:
        assert math.isclose(headlines.log2_prob(text, grammar), math.log2(probability))
    assert headlines.log2_prob("xz", grammar) == -math.inf


def test_the_exact_entropy_equals_the_mean_over_a_large_sample():
    sample = headlines.generate_headlines(20_000, seed=11)
    bits = np.array([-headlines.log2_prob(text) for text in sample])
    lengths = np.array([len(text) + 1 for text in sample])
    exact = headlines.entropy(HEADLINE)
    assert abs(bits.mean() - exact) < 4 * bits.std() / math.sqrt(len(sample))
    assert math.isclose(bits.sum() / lengths.sum(), headlines.bits_per_character(), rel_tol=0.01)


def test_headlines_are_many_and_varied():
    assert headlines.count_strings(HEADLINE) > 10**10
    sample = headlines.generate_headlines(5_000, seed=12)
    text = "\n".join(sample)
    for opening in ("Today ", "On Sunday ", "Moscow, ", "President "):
        assert any(headline.startswith(opening) for headline in sample), opening
    assert " (AP)\n" in text
    for kind in (str.isupper, str.islower, str.isdigit, lambda c: c in ".,:$-()"):
        assert any(map(kind, text))


def test_a_seed_gives_the_same_headlines():
    assert headlines.generate_headlines(50, seed=3) == headlines.generate_headlines(50, seed=3)
    assert headlines.generate_headlines(50, seed=3) != headlines.generate_headlines(50, seed=4)


def test_what_is_no_headline_has_no_probability():
    assert headlines.log2_prob("Little red riding hood") == -math.inf
    assert headlines.log2_prob(headlines.sample(HEADLINE, random.Random(0)) + "x") == -math.inf
