r"""Regular expressions of Python's ``re`` as automata over the characters of a vocabulary.

Python's own parser reads the pattern, and Python's own matcher decides which characters a part such as ``[^\w-]`` or
``(?i:k)`` matches. So a pattern means exactly what it means to ``re.fullmatch``. The automaton is that of Glushkov
(1961): each such part is a position, and a state is the set of positions that the last character may be at. Parser and
matcher are private modules of Python (``docs/decisions/constraints.md`` says why they are used).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import numpy as np

from flaxchar.config import InputError
from flaxchar.generation.automata import Automaton, check_size, make_automaton

# Positions of a pattern, repetitions written out.
_MOST_POSITIONS = 2_000
_NAME = "`regex`"
_CHARACTERS = (
    _constants.LITERAL,
    _constants.NOT_LITERAL,
    _constants.ANY,
    _constants.IN,
)
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
_BEGINNINGS = (_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING)
_ENDS = (_constants.AT_END, _constants.AT_END_STRING)


class _Part(NamedTuple):
    """A part of a pattern: the positions at which its matches begin and end, as bits, and whether it matches ""."""

    first: int
    last: int
    empty: bool


_NOTHING = _Part(0, 0, True)


def regex_automaton(pattern: str, alphabet: Sequence[str]) -> Automaton:
    """The automaton of the texts over ``alphabet`` that ``re.fullmatch`` finds to match a pattern.

    Raises:
      InputError: it is no regular expression, has something that no automaton can follow (a back reference, a look
        ahead or behind, a boundary), or needs more than 10,000 states.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about nested sets, whose meaning Python may change
        try:
            re.compile(pattern)
            parsed = _parser.parse(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise InputError(f"{_NAME} is {pattern!r:.60}, which is no regular expression: {error}") from None
        builder = _Positions(parsed.state, alphabet)
        try:
            whole = builder.sequence(list(parsed), top=True)
        except RecursionError:
            raise InputError(f"{_NAME} is nested too deeply") from None
    return builder.determinize(whole)


class _Positions:
    """The positions of a pattern, their characters, and which position may follow which."""

    def __init__(self, state: Any, alphabet: Sequence[str]) -> None:
        self._state, self._alphabet = state, alphabet
        self._flags: list[tuple[int, int]] = []  # flags added and removed by the groups around
        self._matching: dict[str, int] = {}
        self._characters: list[int] = []  # for each position, the characters of the alphabet as bits
        self._follow: list[int] = []  # for each position, the positions that may follow it, as bits

    def sequence(self, nodes: list, top: bool = False) -> _Part:
        """Parts one after another. At the ``top``, ``^`` may stand first and ``$`` last, where they say nothing."""
        if top:
            while nodes and nodes[0][0] is _constants.AT and nodes[0][1] in _BEGINNINGS:
                nodes = nodes[1:]
            while nodes and nodes[-1][0] is _constants.AT and nodes[-1][1] in _ENDS:
                nodes = nodes[:-1]
        whole = _NOTHING
        for number, (op, value) in enumerate(nodes):
            whole = self._joined(whole, self._part(op, value, top and len(nodes) == 1 and number == 0))
        return whole

    def determinize(self, whole: _Part) -> Automaton:
        """The subset construction, over sets of characters that no position tells apart."""
        kinds: dict[tuple[bool, ...], int] = {}
        kind_of = [
            kinds.setdefault(tuple(bool(characters >> k & 1) for characters in self._characters), len(kinds))
            for k in range(len(self._alphabet))
        ]
        at = [sum(1 << p for p, is_in in enumerate(kind) if is_in) for kind in kinds]  # the positions of each kind
        # A state is the positions that the last character may have been at; the start is before all of them.
        start = 1 << len(self._follow)
        follow = [*self._follow, whole.first]
        numbers, states, rows = {start: 0}, [start], []
        for state in states:  # grows
            following, rest = 0, state
            while rest:
                following |= follow[(rest & -rest).bit_length() - 1]
                rest &= rest - 1
            row = []
            for positions in at:
                target = following & positions
                if target and target not in numbers:
                    numbers[target] = len(states)
                    states.append(target)
                row.append(numbers[target] if target else -1)
            rows.append(row)
            check_size(len(states), _NAME)
        table = np.array(rows, np.int32).reshape(len(states), len(kinds))[:, kind_of]
        last = whole.last | (start if whole.empty else 0)
        return make_automaton(table, [bool(state & last) for state in states])

    def _part(self, op: Any, value: Any, top: bool) -> _Part:
        if op in _CHARACTERS:
            return self._position((op, value))
        if op is _constants.SUBPATTERN:
            _, added, removed, nodes = value
            self._flags.append((added, removed))
            part = self.sequence(list(nodes), top)
            self._flags.pop()
            return part
        if op is _constants.BRANCH:
            parts = [self.sequence(list(branch), top) for branch in value[1]]
            first, last = 0, 0
            for part in parts:
                first, last = first | part.first, last | part.last
            return _Part(first, last, any(part.empty for part in parts))
        if op in _REPEATS:
            return self._repeated(*value)
        what = {
            _constants.GROUPREF: "a back reference",
            _constants.GROUPREF_EXISTS: "a condition on a group",
            _constants.ASSERT: "a look ahead or behind",
            _constants.ASSERT_NOT: "a look ahead or behind",
            _constants.AT: "a boundary, or ^ or $ in its middle",
            _constants.FAILURE: "a part that never matches",
        }.get(op, "a possessive or atomic part")
        raise InputError(f"{_NAME} holds {what}, which no automaton can follow; write the pattern without it")

    def _repeated(self, least: int, most: Any, nodes: Any) -> _Part:
        unbounded = most is _constants.MAXREPEAT
        copies = max(1, least) if unbounded else most
        whole = _NOTHING
        for number in range(copies):
            part = self.sequence(list(nodes))
            if unbounded and number == copies - 1:
                self._link(part.last, part.first)
            whole = self._joined(whole, part._replace(empty=part.empty or number >= least))
            if not part.first:  # matches only the empty text, however often
                break
        return whole

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._link(one.last, other.first)
        first = one.first | (other.first if one.empty else 0)
        last = other.last | (one.last if other.empty else 0)
        return _Part(first, last, one.empty and other.empty)

    def _link(self, last: int, first: int) -> None:
        while last:
            self._follow[(last & -last).bit_length() - 1] |= first
            last &= last - 1

    def _position(self, node: tuple) -> _Part:
        if len(self._follow) == _MOST_POSITIONS:
            raise InputError(
                f"{_NAME} has more than {_MOST_POSITIONS:,} characters with its repetitions written out; shorten it"
            )
        self._characters.append(self._matched(node))
        self._follow.append(0)
        bit = 1 << (len(self._follow) - 1)
        return _Part(bit, bit, False)

    def _matched(self, node: tuple) -> int:
        """The characters of the alphabet that a part matches, as bits, by Python's own matcher."""
        key = f"{self._flags} {node}"
        if key not in self._matching:
            pattern = _parser.SubPattern(self._state, [node])
            for added, removed in reversed(self._flags):
                group = (_constants.SUBPATTERN, (None, added, removed, pattern))
                pattern = _parser.SubPattern(self._state, [group])
            matches = _compiler.compile(pattern).fullmatch
            self._matching[key] = sum(1 << k for k, letter in enumerate(self._alphabet) if matches(letter))
        return self._matching[key]
