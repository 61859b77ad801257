"""Constraints on written text: forbidden characters, a regular expression, an acrostic, a text to stop at.

All become one table: the state after each token, for each state. The decode loop and the beam search carry a state for
each text and draw only tokens that the table allows, so each text that is written meets all constraints. A constraint
that no text can meet is an error before the first character is drawn.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple, TypedDict

import numpy as np
from jaxtyping import Int

from flaxchar.config import InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation import automata
from flaxchar.generation.arguments import check
from flaxchar.generation.automata import Automaton
from flaxchar.generation.prompt import Prompt
from flaxchar.generation.regex_automaton import regex_automaton

# Rows of the smallest table.
_LEAST_ROWS = 64


class TextConstraints(TypedDict, total=False):
    """The arguments that constrain written texts; all are optional.

    Keys:
      forbid: characters that no text holds.
      regex: a pattern of Python's ``re`` that each text matches as a whole, the prompt included.
      acrostic: a word that the first letters of the lines spell, in lower or upper case. A model that writes several
        lines writes one text of as many lines as the word has letters. Another model writes a text for each letter, and
        the texts are joined by line feeds.
      stop: a text ends as soon as it holds this after the prompt. The text keeps it.
    """

    forbid: str | None
    regex: str | None
    acrostic: str | None
    stop: str | None


class Constraint(NamedTuple):
    """Constraints on text, as a table over the tokens of a vocabulary.

    Attributes:
      next: the state after each token, int32 ``[states, vocab]``; -1 where the token is not allowed. ``<eos>`` is
        allowed where a text may end, and does not change the state.
      needed: the fewest tokens after which a text may end, for each state, int32 ``[states]``.
      starts: the states after the prompt: text number ``i`` begins in ``starts[i % len(starts)]``, int32 ``[starts]``.
    """

    next: Int[np.ndarray, "states vocab"]
    needed: Int[np.ndarray, " states"]
    starts: Int[np.ndarray, " starts"]


def make_constraint(vocabulary: Vocabulary, prompt: Prompt, constraints: TextConstraints) -> Constraint | None:
    """The table of some constraints, for texts that continue a prompt; None for no constraint.

    Raises:
      InputError: an argument has the wrong type, or no text of the prompt's ``size`` that begins with the prompt and
        consists of the vocabulary's tokens meets the constraints.
      TypeError: there is no constraint of that name.
    """
    for name, value in constraints.items():
        if name not in TextConstraints.__annotations__:
            raise TypeError(
                f"there is no argument {name!r}; the constraints are {', '.join(TextConstraints.__annotations__)}, and "
                "help(flaxchar.LanguageModel.generate) shows the other arguments"
            )
        if value is not None:
            check(name, value, str)
        if value == "" and name in ("acrostic", "stop"):
            raise InputError(f"`{name}` is ''; it must have at least one character")
    alphabet = sorted(set("".join(token or "" for token in vocabulary.tokens)))
    parts = dict(_automata(alphabet, prompt, constraints))
    if not parts:
        return None
    # Each constraint by itself first, so that a message can name the one that no text meets.
    combined = {f"`{name}`": automaton for name, automaton in parts.items()}
    if len(parts) > 1:
        names = " and ".join(combined)
        combined[names] = automata.product(list(parts.values()), names)
    for name, automaton in combined.items():
        constraint = _over_tokens(automaton, alphabet, vocabulary, name)
        _check_possible(constraint, prompt, "character" if vocabulary.unit == "char" else "word", name)
    return constraint


def _automata(alphabet: list[str], prompt: Prompt, constraints: TextConstraints) -> Iterator[tuple[str, Automaton]]:
    """The automata of the constraints, begun after the prompt, and their names."""
    forbid, acrostic, stop = constraints.get("forbid"), constraints.get("acrostic"), constraints.get("stop")
    if forbid:
        if not set(alphabet).difference(forbid):
            raise InputError("`forbid` excludes every character that the model knows")
        yield "forbid", _after(automata.without(forbid, alphabet), prompt, alphabet, "`forbid`")
    if (pattern := constraints.get("regex")) is not None:
        yield "regex", _after(regex_automaton(pattern, alphabet), prompt, alphabet, "`regex`")
    if acrostic is not None:
        # A letter and its accent may be two characters; a line begins with both.
        letters = [_spellings(letter, acrostic, alphabet) for letter in unicodedata.normalize("NFC", acrostic)]
        if "\n" in alphabet:
            yield "acrostic", _after(automata.lines(letters, alphabet), prompt, alphabet, "`acrostic`")
        elif prompt.text:
            raise InputError(
                "`acrostic` and `prompt` exclude each other: the model writes texts of one line, and each line of the "
                "acrostic is a text with a first letter of its own"
            )
        else:
            yield "acrostic", automata.initials(letters, alphabet)
    if stop is not None:
        if missing := "".join(sorted(set(stop).difference(alphabet))):
            raise InputError(f"`stop` holds {missing!r}, which the model never writes")
        automaton = automata.until(stop, alphabet)
        yield "stop", automata.skipping(automaton, "\n", alphabet) if prompt.begins and "\n" in alphabet else automaton


def _spellings(letter: str, acrostic: str, alphabet: list[str]) -> list[str]:
    """The characters of a vocabulary that spell a letter of an acrostic."""
    if letter.isspace():
        raise InputError(f"`acrostic` is {acrostic!r:.60}; it must be a word, without spaces")
    spellings = [known for known in (letter, letter.lower(), letter.upper()) if known in alphabet]
    if not spellings:
        raise InputError(f"`acrostic` holds {letter!r}, with which the model cannot begin a line: it does not know it")
    return spellings


def _after(automaton: Automaton, prompt: Prompt, alphabet: list[str], name: str) -> Automaton:
    """The automaton after the text of a prompt, or after line feeds that are written before a text and not shown."""
    if prompt.begins and "\n" in alphabet:
        return automata.skipping(automaton, "\n", alphabet)
    (state,) = automaton.starts
    column = {letter: k for k, letter in enumerate(alphabet)}
    for letter in prompt.text:
        # A character that the vocabulary does not hold is in the prompt of a model with an unknown token.
        state = int(automaton.next[state, column[letter]]) if letter in column else -1
        if state < 0:
            raise InputError(f"no text that begins with the prompt {prompt.text!r:.60} meets {name}")
    return automaton._replace(starts=(state,))


def _over_tokens(automaton: Automaton, alphabet: list[str], vocabulary: Vocabulary, name: str) -> Constraint:
    """The table of an automaton over tokens, from its table over characters."""
    states = len(automaton.next)
    automata.check_size(states, name, vocabulary.size)
    column = {letter: k for k, letter in enumerate(alphabet)}
    table = np.full((states + 1, vocabulary.size), -1, np.int32)  # the last row is that of state -1
    characters = np.concatenate([automaton.next, np.full((1, len(alphabet)), -1, np.int32)])
    for number, token in enumerate(vocabulary.tokens, start=1):
        if token and number not in vocabulary.never_written:
            state = np.arange(states + 1)
            for letter in token:
                state = characters[state, column[letter]]
            table[:, number] = state
    table = table[:-1]
    table[automaton.over] = -1
    needed = automata.steps_to_an_end(table, automaton.ends)
    table[(table >= 0) & (needed[table] < 0)] = -1  # from there no text ends
    table[:, vocabulary.eos] = np.where(automaton.ends, np.arange(states), -1)
    # JAX compiles the decode loop for each number of rows, so there are few such numbers.
    padding = max(_LEAST_ROWS, 1 << states.bit_length()) - states
    table = np.pad(table, ((0, padding), (0, 0)), constant_values=-1)
    return Constraint(table, np.pad(needed, (0, padding)), np.array(automaton.starts, np.int32))


def _check_possible(constraint: Constraint, prompt: Prompt, unit: str, name: str) -> None:
    """Raise ``InputError`` where no text within the size meets a constraint."""
    needed, room = constraint.needed[constraint.starts], prompt.size - len(prompt.ids)
    begun = f" that begins with {prompt.text!r:.60}" if prompt.text else ""
    if (needed < 0).any():
        raise InputError(f"no text{begun} of the {unit}s that the model knows meets {name}")
    if needed.max() > room:
        after, more = (" after the prompt", " more") if prompt.text else ("", "")
        raise InputError(
            f"the shortest text{begun} that meets {name} takes {needed.max():,}{more} {unit}s; `size` leaves room for "
            f"{room:,}{after}"
        )
