"""The values of a ``vocabulary.json``, checked before use: somebody else may have written it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from flaxchar.config import InputError
from flaxchar.data.words import WordRule
from flaxchar.settings import MOST_TOKENS, Unit
from flaxchar.validation import shown

_KNOWN = ("unit", "has_unknown", "tokens", "labels", "label_ids", "source_end", "word_rule", "spelling")
_MOST_COUNT = 1 << 53  # the counts are added up in double precision


def check_vocabulary(values: Any, nameless: bool = True) -> None:
    """Check what ``Vocabulary.to_dict`` gave, or what claims to be that.

    Every id must have one meaning: the tokens differ, and those that stand for no text are just the labels and the end
    of a source.

    Args:
      values: the values.
      nameless: whether labels and the end of a source stand as None among the tokens; otherwise, in format 1, they are
        characters.

    Raises:
      InputError: they are something else; the message names the key.
    """
    for problem in _problems(values, nameless):
        raise InputError(f"the vocabulary's {problem}")


def _problems(values: Any, nameless: bool) -> Iterator[str]:
    if not isinstance(values, dict):
        yield f"content is {shown(values)}; it must be an object"
    if unknown := sorted(values.keys() - set(_KNOWN)):
        yield f"content has the key {shown(unknown[0])}, which this version of flaxchar does not know"
    for key in ("unit", "has_unknown", "tokens"):
        if key not in values:
            yield f"key {key!r} is missing"
    yield from _choice("unit", values["unit"], get_args(Unit))
    yield from _choice("word_rule", values.get("word_rule", "runs"), get_args(WordRule))
    if not isinstance(values["has_unknown"], bool):
        yield f"'has_unknown' is {shown(values['has_unknown'])}; it must be true or false"
    yield from _token_problems("tokens", values["tokens"], values["unit"])
    if not values["tokens"]:
        yield "'tokens' are none; there must be one or more"
    yield from _special_problems(values, nameless)
    if "spelling" in values:
        yield from _spelling_problems(values["spelling"], values["unit"], values["has_unknown"])


def _choice(key: str, value: Any, allowed: tuple[str, ...]) -> Iterator[str]:
    if not (isinstance(value, str) and value in allowed):
        yield f"{key!r} is {shown(value)}; it must be one of {', '.join(allowed)}"


def _token_problems(key: str, tokens: Any, unit: Unit, may_be_none: bool = True) -> Iterator[str]:
    """Problems of a list of characters or words, all different."""
    if not isinstance(tokens, list):
        yield f"{key!r} is {shown(tokens)}; it must be a list"
    if len(tokens) > MOST_TOKENS:
        yield f"{key!r} are {len(tokens):,}; they must be at most {MOST_TOKENS:,}"
    for number, token in enumerate(tokens):
        fits = isinstance(token, str) and (len(token) == 1 if unit == "char" else len(token) > 0)
        if not (fits or (token is None and may_be_none)):
            what = "one character" if unit == "char" else "a word"
            yield f"{key!r}[{number}] is {shown(token)}; it must be {what}"
    texts = [token for token in tokens if token is not None]
    if len(set(texts)) != len(texts):
        seen: set[str] = set()
        twice = next(token for token in texts if token in seen or seen.add(token))  # type: ignore[func-returns-value]
        yield f"{key!r} hold {shown(twice)} twice"


def _special_problems(values: dict[str, Any], nameless: bool) -> Iterator[str]:
    """Problems of the ids that stand for no text: labels and the end of a source."""
    labels, ids, end = values.get("labels", []), values.get("label_ids", []), values.get("source_end")
    for key, value, kind, what in (("labels", labels, str, "strings"), ("label_ids", ids, int, "whole numbers")):
        if not (isinstance(value, list) and all(type(item) is kind for item in value)):
            yield f"{key!r} is {shown(value)}; it must be a list of {what}"
        if len(set(value)) != len(value):
            yield f"{key!r} are {shown(value)}; they must differ"
    if end is not None and type(end) is not int:
        yield f"'source_end' is {shown(end)}; it must be a whole number"
    if not nameless:
        return
    if len(labels) != len(ids):
        yield f"'label_ids' are {len(ids):,}, but 'labels' are {len(labels):,}; there must be as many"
    special = sorted([*ids, *([] if end is None else [end])])
    expected = [number for number, token in enumerate(values["tokens"], start=1) if token is None]
    if special != expected:
        yield (
            f"'label_ids' and 'source_end' are the ids {shown(special)}; they must be {shown(expected)}, "
            "where 'tokens' hold null"
        )


def _spelling_problems(spelling: Any, unit: Unit, has_unknown: bool) -> Iterator[str]:
    if not has_unknown:
        yield "'spelling' is of unknown tokens, but 'has_unknown' is false"
    if not isinstance(spelling, dict) or not {"tokens"} <= spelling.keys() <= {"tokens", "counts"}:
        yield f"'spelling' is {shown(spelling)}; it must be an object of 'tokens' and, for characters, 'counts'"
    yield from _token_problems("spelling.tokens", spelling["tokens"], unit, may_be_none=False)
    counts = spelling.get("counts")
    if ("counts" in spelling) != (unit == "char"):
        yield f"'spelling.counts' is {shown(counts)}; characters have counts, and words have none"
    if "counts" not in spelling:
        return
    if not (isinstance(counts, list) and len(counts) == len(spelling["tokens"])):
        yield f"'spelling.counts' is {shown(counts)}; it must be a list of a number for each of 'spelling.tokens'"
    for number, count in enumerate(counts):
        if type(count) is not int or not 1 <= count <= _MOST_COUNT:
            yield f"'spelling.counts'[{number}] is {shown(count)}; it must be a whole number, 1 or more"
