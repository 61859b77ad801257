"""Settings as data: types, ranges and the words for them."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest

from flaxchar.validation import describe, expected, problems, setting


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
    (problem,) = problems(dataclasses.replace(Settings(), **{name: value}))
    assert problem.startswith(f"`{name}` is {value!r}; it must be {must_be}")


def test_problems_come_in_the_order_of_the_fields():
    assert [problem.split("`")[1] for problem in problems(Settings(count=0, share=2, kind="z"))] == [
        "count", "share", "kind",
    ]  # fmt: skip


def test_numbers_without_a_range_need_no_words_for_it():
    assert expected(float, describe(dataclasses.fields(Settings)[4])) == "a finite number"
