"""Finite automata over characters: which characters may follow, and where a text may end.

Each constraint on written text becomes an ``Automaton``; ``product`` joins several. ``regex_automaton.py`` makes that
of a regular expression, and ``constraints.py`` turns an automaton over characters into a table over a model's tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from flaxchar.config import InputError

# The most states of an automaton, and the most entries of its table, one for each state and token.
MOST_STATES, MOST_ENTRIES = 10_000, 1 << 24


class Automaton(NamedTuple):
    """A deterministic automaton over an alphabet of characters.

    Attributes:
      next: the state after each character, int32 ``[states, alphabet]``; -1 where the character is not allowed.
      ends: whether a text may end in a state, bool ``[states]``.
      over: whether the text must end in a state, bool ``[states]``. Only the rest of a token that reached the state may
        still follow.
      starts: text number ``i`` begins in state ``starts[i % len(starts)]``.
    """

    next: Int[np.ndarray, "states alphabet"]
    ends: Bool[np.ndarray, " states"]
    over: Bool[np.ndarray, " states"]
    starts: tuple[int, ...] = (0,)


def make_automaton(
    next_states: np.ndarray, ends: Sequence[bool], over: Sequence[int] = (), starts: tuple[int, ...] = (0,)
) -> Automaton:
    """An automaton from its table; ``over`` lists the states in which the text must end."""
    return Automaton(
        np.asarray(next_states, np.int32), np.asarray(ends, bool), np.isin(np.arange(len(ends)), over), starts
    )


def without(characters: str, alphabet: Sequence[str]) -> Automaton:
    """Texts that hold none of some characters: one state."""
    return make_automaton(np.array([[-1 if letter in characters else 0 for letter in alphabet]]), [True])


def until(stop: str, alphabet: Sequence[str]) -> Automaton:
    """Texts that end as soon as they hold ``stop``, or before: the automaton of Knuth, Morris and Pratt (1977).

    State ``k`` says that the text ends with the first ``k`` characters of ``stop``, and with no more of it.
    """
    column = {letter: k for k, letter in enumerate(alphabet)}
    table = np.zeros((len(stop) + 1, len(alphabet)), np.int32)
    fallback = 0  # the state of stop[1:k]
    for k, letter in enumerate(stop):
        table[k] = table[fallback]
        if k:
            fallback = int(table[fallback, column[letter]])
        table[k, column[letter]] = k + 1
    table[-1] = len(stop)
    return make_automaton(table, [True] * len(table), over=[len(stop)])


def initials(letters: Sequence[Sequence[str]], alphabet: Sequence[str]) -> Automaton:
    """Texts of which number ``i`` begins with one of the characters ``letters[i % len(letters)]``."""
    inside = len(letters)
    table = np.full((inside + 1, len(alphabet)), -1, np.int32)
    for k, choices in enumerate(letters):
        table[k] = [inside if letter in choices else -1 for letter in alphabet]
    table[inside] = inside
    return make_automaton(table, [False] * inside + [True], starts=tuple(range(inside)))


def lines(letters: Sequence[Sequence[str]], alphabet: Sequence[str]) -> Automaton:
    """Texts of ``len(letters)`` lines, of which line ``k`` begins with one of the characters ``letters[k]``."""
    feed = alphabet.index("\n")
    table = np.full((2 * len(letters) + 1, len(alphabet)), -1, np.int32)
    for k, choices in enumerate(letters):  # state 2 k begins line k, state 2 k + 1 is in it
        table[2 * k] = [2 * k + 1 if letter in choices else -1 for letter in alphabet]
        table[2 * k + 1] = 2 * k + 1
        table[2 * k + 1, feed] = 2 * k + 2
    last = 2 * len(letters)
    return make_automaton(table, [state >= last - 1 for state in range(last + 1)], over=[last])


def skipping(automaton: Automaton, letter: str, alphabet: Sequence[str]) -> Automaton:
    """The same automaton for texts before which any number of one character may stand."""
    (start,) = automaton.starts
    new = len(automaton.next)
    table = np.concatenate([automaton.next, automaton.next[start : start + 1]])
    table[new, alphabet.index(letter)] = new
    ends = np.append(automaton.ends, automaton.ends[start])
    return Automaton(table, ends, np.append(automaton.over, automaton.over[start]), (new,))


def product(automata: Sequence[Automaton], name: str) -> Automaton:
    """The automaton of the texts that all automata accept; its states are those that can be reached.

    Raises:
      InputError: it is too large; the message names the constraints ``name``.
    """
    if len(automata) == 1:
        return automata[0]
    number = max(len(automaton.starts) for automaton in automata)
    starts = [tuple(a.starts[i % len(a.starts)] for a in automata) for i in range(number)]
    numbers = {state: k for k, state in enumerate(dict.fromkeys(starts))}
    rows: list[list[int]] = []
    states = list(numbers)
    for state in states:  # grows
        following = np.stack([a.next[k] for a, k in zip(automata, state, strict=True)])  # [automata, alphabet]
        allowed = np.all(following >= 0, 0)
        row = []
        for target, is_allowed in zip(map(tuple, following.T.tolist()), allowed.tolist(), strict=True):
            if is_allowed and target not in numbers:
                numbers[target] = len(states)
                states.append(target)
            row.append(numbers[target] if is_allowed else -1)
        rows.append(row)
        check_size(len(states), name)
    each = list(zip(*states, strict=True))
    ends = np.all([a.ends[list(column)] for a, column in zip(automata, each, strict=True)], 0)
    over = np.any([a.over[list(column)] for a, column in zip(automata, each, strict=True)], 0)
    return Automaton(np.array(rows, np.int32), ends, over, tuple(numbers[state] for state in starts))


def check_size(states: int, name: str, tokens: int = 1) -> None:
    """Raise ``InputError`` if an automaton of so many states over so many tokens is too large."""
    if states > MOST_STATES or states * tokens > MOST_ENTRIES:
        most = min(MOST_STATES, MOST_ENTRIES // tokens)
        raise InputError(f"the automaton of {name} has more than {most:,} states; make the pattern simpler")


def steps_to_an_end(table: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The fewest characters or tokens from each state to one where a text may end, int32 ``[states]``; -1 for none."""
    before: list[list[int]] = [[] for _ in table]
    for state, row in enumerate(table):
        for target in np.unique(row[row >= 0]).tolist():
            before[target].append(state)
    steps = np.full(len(table), -1, np.int32)
    frontier = np.flatnonzero(ends).tolist()
    for distance in itertools.count():
        frontier = [state for state in dict.fromkeys(frontier) if steps[state] < 0]
        if not frontier:
            return steps
        steps[frontier] = distance
        frontier = [earlier for state in frontier for earlier in before[state]]
    raise AssertionError
