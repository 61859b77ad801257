"""Forms of a text: the same words in other characters, such as é in one character or two, or “ instead of ".

A model knows the characters of its training texts. ``fit`` brings a text that a person gives into the form that the
model knows. ``suggestions`` names the known characters that come near an unknown one.
"""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from flaxchar.settings import NormalForm

# Characters that stand for one another; each is replaced by the first of its row that the model knows.
_ALIKE = (
    "'’‘‛′ʼ`´ʹ",
    '"”“„‟″«»',
    "-–—‐‑‒―−",
    " \u00a0\u202f\u2009\u2007\u2002\u2003\u2004\u2005\u2006\u2008\u200a\u205f\u3000\t",
    "\n\u2028\u2029\u0085\r\v\f",
    "·•‧∙・",
    "/⁄∕",
    "ــ",
)
# Sequences that stand for one another, longest first.
_SEQUENCES = (("\r\n", "\n"), ("...", "…"), ("--", "—"))
# Plain quotation marks, and the typographic ones before and after words.
_QUOTES = (('"', "“", "”"), ("'", "‘", "’"))
_BEFORE_A_WORD = r"(?:^|(?<=[\s(\[{—–-]))"
# From a visible ASCII character to its full-width form, as in Chinese and Japanese texts.
_FULL_WIDTH = 0xFEE0
# What is said of the normal forms that are tried.
_TRIED = {"NFC": "in Unicode's composed form (NFC)", "NFD": "in Unicode's decomposed form (NFD)"}
# Words of a character's Unicode name that say nothing of how it looks.
_COMMON_WORDS = frozenset(
    (
        *("LETTER", "SMALL", "CAPITAL", "SIGN", "MARK", "SYMBOL", "DIGIT", "NUMBER", "AND", "CJK", "UNIFIED"),
        *("IDEOGRAPH", "SYLLABLE", "MODIFIER"),
    )
)
_MOST_SUGGESTIONS = 3


class Fitted(NamedTuple):
    """A text in the form that a model knows.

    Attributes:
      text: the text.
      changes: what was changed, a phrase each: "in Unicode's composed form (NFC)", "with ' instead of ’".
    """

    text: str
    changes: tuple[str, ...] = ()


def normalized(text: str, form: NormalForm | None) -> str:
    """A text in a normal form of Unicode; unchanged where ``form`` is None."""
    return text if form is None else unicodedata.normalize(form.upper(), text)  # type: ignore[arg-type]


def fit(text: str, known: Collection[str], count_unknown: Callable[[str], int], replace: bool = True) -> Fitted:
    """The form of a text with the fewest unknown tokens: the text itself where no other form has fewer.

    The forms are the text itself, NFC and NFD.

    Args:
      text: any text.
      known: the characters that the model knows.
      count_unknown: the number of unknown tokens in a text.
      replace: whether unknown characters are also replaced by known ones that stand for the same: typographic and plain
        quotation marks, kinds of dashes and spaces, ends of lines, compatibility characters such as ﬁ and full-width
        letters. Invisible ones are left out. Without it, the result is canonically equivalent to the text: for Unicode
        it is the same text.

    Example::

        fit("“a", 'a"', lambda text: text.count("“"))  # Fitted('"a', changes=("with '"' instead of '“'",))
    """
    best, fewest = Fitted(text), count_unknown(text)
    for form in (None, *_TRIED):
        if not fewest:
            break
        candidate = text if form is None else unicodedata.normalize(form, text)  # type: ignore[arg-type]
        if form is not None and candidate == text:
            continue
        changes = [_TRIED[form]] if form else []
        if replace:
            candidate, replaced = _with_known_characters(candidate, known)
            changes += replaced
        if (count := count_unknown(candidate)) < fewest:
            best, fewest = Fitted(candidate, tuple(changes)), count
    return best


def _with_known_characters(text: str, known: Collection[str]) -> tuple[str, list[str]]:
    """The text with known characters in the place of unknown ones, as far as they stand for the same."""
    changes = []
    for written, other in _SEQUENCES:
        if written in text and not _knows(known, written) and _knows(known, other):
            text = text.replace(written, other)
            changes.append(f"with {other!r} instead of {written!r}")
    for plain, opening, closing in _QUOTES:
        if plain in text and plain not in known and _knows(known, opening + closing):
            text = re.sub(_BEFORE_A_WORD + plain, opening, text).replace(plain, closing)
            changes.append(f"with {opening + closing!r} instead of {plain!r}")
    for character in dict.fromkeys(text):
        if character in known:
            continue
        same = next((same for same in _equivalents(character) if _knows(known, same)), None)
        if same is not None:
            text = text.replace(character, same)
            changes.append(f"with {same!r} instead of {shown(character)}" if same else f"without {shown(character)}")
    return text, changes


def _knows(known: Collection[str], characters: str) -> bool:
    return all(character in known for character in characters)


def _equivalents(character: str) -> Iterator[str]:
    """What may stand for a character, the most usual first; the empty string for one that is invisible."""
    yield from (other for row in _ALIKE if character in row for other in row if other != character)
    if (plain := unicodedata.normalize("NFKC", character)) != character:
        yield plain
    if "!" <= character <= "~":
        yield chr(ord(character) + _FULL_WIDTH)
    if unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f":
        yield ""


def suggestions(missing: Iterable[str], known: Collection[str]) -> str:
    """A clause about the known tokens that come nearest to unknown ones: ``did you mean 'e'?``; empty if none does.

    Args:
      missing: unknown characters or words.
      known: the characters or words that the model knows.
    """
    missing = list(missing)
    pairs = ((token, _nearest(token, known)) for token in missing[:10])
    near = [(token, other) for token, other in pairs if other is not None][:_MOST_SUGGESTIONS]
    if not near:
        return ""
    if len(missing) == 1:
        return f"did you mean {near[0][1]!r}?"
    return "did you mean " + ", ".join(f"{other!r} for {shown(token)}" for token, other in near) + "?"


def shown(token: str) -> str:
    """A character as an error message shows it: in quotes, or by number and name where quotes would not show it."""
    if len(token) == 1 and (token.isspace() or unicodedata.category(token)[0] in "MC") and ord(token) > 0x7F:
        name = unicodedata.name(token, "").lower()
        return f"U+{ord(token):04X}" + (f" ({name})" if name else "")
    return repr(token)


def _nearest(token: str, known: Collection[str]) -> str | None:
    """The known token that comes nearest to an unknown one, or None."""
    if len(token) != 1:
        by_case = {other.casefold(): other for other in known}
        near = difflib.get_close_matches(token.casefold(), by_case, 1, cutoff=0.8)
        return by_case[near[0]] if near else None
    base = _base(token)
    for other in (_other_case(token), *_equivalents(token), base, _other_case(base)):
        if other not in ("", token) and _knows(known, other):
            return other
    words = _name_words(token)
    characters = [other for other in known if len(other) == 1]
    nearest = max(characters, key=lambda other: _resemblance(words, _name_words(other)), default=None)
    return nearest if nearest is not None and _resemblance(words, _name_words(nearest))[0] >= 0.5 else None


def _base(character: str) -> str:
    """The character without its accents: é → e."""
    return unicodedata.normalize("NFKD", character)[0]


def _other_case(character: str) -> str:
    """A letter in the other case; itself where the two cases are not one to one, as with ß and SS."""
    other = character.swapcase()
    return other if other.swapcase() == character and len(other) == 1 else character


@functools.cache
def _name_words(character: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words of a character's name that tell it from others, without additions such as WITH STROKE; and all words.

    ``ł`` is LATIN SMALL LETTER L WITH STROKE: {L}.
    """
    words = unicodedata.name(character, "").partition(" WITH ")[0].split()
    return frozenset(words[1:] or words) - _COMMON_WORDS, frozenset(words)


def _resemblance(
    words: tuple[frozenset[str], frozenset[str]], other: tuple[frozenset[str], frozenset[str]]
) -> tuple[float, float]:
    """The shares of common words: among those that tell characters apart, then among all."""
    shares = [len(a & b) / max(1, len(a | b)) for a, b in zip(words, other, strict=True)]
    return shares[0], shares[1]
