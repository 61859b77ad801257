"""Settings as data: types, ranges and the words for them."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Literal

import pytest

from flaxchar.validation import counted, describe, expected, problem, problems, setting, shown


@dataclasses.dataclass(frozen=True)
class Settings:
    count: int = setting(1, "How many.", least=1, most=10)
    steps: int | None = setting(None, "How long.", least=1)
    share: float = setting(0.5, "How much.", least=0, below=1)
    rate: float = setting(0.1, "How fast.", above=0)
    name: str = setting("a", "Called.")
    names: tuple[str, ...] = setting((), "All called.")
    on: bool = setting(False, "Whether.")
    kind: Literal["x", "y"] = setting("x", "Which.")


def test_good_values_have_no_problems():
    assert list(problems(Settings(10, 5, 0, 1, "b", ("c",), True, "y"))) == []
    assert list(problems(Settings())) == []


@pytest.mark.parametrize(
    ("name", "value", "must_be"),
    [
        ("count", 0, "a whole number, at least 1 and at most 10"),
        ("count", 11, "a whole number, at least 1 and at most 10"),
        ("count", "3", "a whole number"),
        ("count", 3.0, "a whole number"),
        ("count", True, "a whole number"),
        ("count", None, "a whole number"),
        ("steps", 10**10, "a whole number, at least 1 and at most 1,000,000,000"),
        ("share", 1, "a finite number, at least 0 and less than 1"),
        ("share", -0.1, "a finite number"),
        ("share", False, "a finite number"),
        ("rate", 0, "a finite number, above 0"),
        ("rate", float("nan"), "a finite number"),
        ("rate", float("inf"), "a finite number"),
        ("name", 3, "a string"),
        ("names", "abc", "a tuple of strings"),
        ("names", (1,), "a tuple of strings"),
        ("on", 1, "True or False"),
        ("kind", "z", "one of x, y"),
        ("kind", ["x"], "one of x, y"),
    ],
)
def test_a_problem_names_the_setting_its_value_and_what_it_must_be(name, value, must_be):
    (told,) = problems(dataclasses.replace(Settings(), **{name: value}))
    assert told.startswith(f"`{name}` is {value!r}; it must be {must_be}")


def test_problems_come_in_the_order_of_the_fields():
    assert [told.split("`")[1] for told in problems(Settings(count=0, share=2, kind="z"))] == [
        "count", "share", "kind",
    ]  # fmt: skip


def test_numbers_without_a_range_need_no_words_for_it():
    assert expected(float, describe(dataclasses.fields(Settings)[4])) == "a finite number"


@pytest.mark.parametrize(
    "value",
    [10**400, -(10**400), 1e400, 10**5000, Fraction(10**400), [10**5000]],
    ids=lambda value: type(value).__name__,
)
def test_numbers_beyond_every_float_are_refused_and_can_be_shown(value):
    for kind in (int, float):
        told = problem("rate", value, kind, least=0)
        assert told.startswith("`rate` is ")
        assert len(told) < 200
    assert len(list(problems(dataclasses.replace(Settings(), count=value, rate=value)))) == 2


def test_a_value_is_shown_on_one_line_however_long_it_is():
    class Rude:
        def __repr__(self):
            raise ValueError

    assert shown("a") == "'a'"
    assert shown("a" * 10**6) == "'" + "a" * 59 + "…"
    assert shown(list(range(10**5))).startswith("[0, 1, 2")
    assert shown(2 * 10**70) == "10^70 or more"
    assert shown(-2 * 10**70) == "-10^70 or more"
    assert shown(Rude()) == "an object of type Rude"
    assert "\n" not in shown({"a": 1, "b\n": "c\n"})


def test_nouns_are_counted():
    assert (counted(0, "text"), counted(1, "text"), counted(2000, "text")) == ("0 texts", "1 text", "2,000 texts")
