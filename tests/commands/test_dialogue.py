"""The dialogue of ``sample --interactive``: texts, live settings, undo, and complaints that change nothing."""

from __future__ import annotations

import pytest
from helpers import untrained_model

from flaxchar import InputError
from flaxchar.commands.dialogue import ACTIONS, COMMANDS, Dialogue, Quit, explain
from flaxchar.commands.writing import SampleOptions

TEXTS = ["the cat sat on the mat", "a dog ate 12 figs", "/s on/off -- no", "it's\ntwo"]


@pytest.fixture(scope="module")
def lm():
    return untrained_model(TEXTS)


@pytest.fixture
def dialogue(lm):
    return Dialogue(lm, SampleOptions(size=20))


def answers(dialogue, *lines):
    """The last answer."""
    for line in lines:
        text = "".join(dialogue.answer(line))
        assert text.endswith("\n")
    return text[:-1]


def test_a_line_is_how_a_text_begins_and_an_empty_one_asks_for_another(lm, dialogue):
    expected = lm.generate("the ", num_samples=3, size=20)
    assert [answers(dialogue, line) for line in ("the ", "", "the ")] == expected
    assert answers(dialogue, "a") == lm.generate("a", size=20)[0]
    assert answers(dialogue, "the ") == expected[0]


def test_an_empty_line_at_first_writes_without_a_beginning(lm, dialogue):
    assert [answers(dialogue, ""), answers(dialogue, "")] == lm.generate(num_samples=2, size=20)


def test_two_slashes_begin_a_text_with_one(lm, dialogue):
    assert answers(dialogue, "//s") == lm.generate("/s", size=20)[0]


def test_settings_are_live(lm, dialogue):
    assert answers(dialogue, "/temperature 0.3") == "temperature 0.3 · size 20"
    assert answers(dialogue, "/top_k 3") == "temperature 0.3 · size 20 · top-k 3"
    assert answers(dialogue, "/Forbid ae") == "temperature 0.3 · size 20 · top-k 3 · forbid ae"
    assert answers(dialogue, "o") == lm.generate("o", temperature=0.3, top_k=3, size=20, forbid="ae")[0]
    assert answers(dialogue, "/forbid", "/temperature", "/settings") == "temperature 0.8 · size 20 · top-k 3"


@pytest.mark.parametrize(
    ("typed", "value"),
    [("o n", "o n"), ("' o'", " o"), ('"o\\u006e"', "on"), ("'", "'"), ("'a'd'", "'a'd'"), (r"'\n'", "\n")],
)
def test_quotes_keep_spaces_and_escapes(dialogue, typed, value):
    answers(dialogue, f"/stop {typed}")
    assert dialogue._moments[-1].options.stop == value
    assert "\n" not in dialogue.status


def test_undo_takes_back_texts_and_settings_one_by_one(lm, dialogue):
    first, second = answers(dialogue, "the "), answers(dialogue, "")
    answers(dialogue, "/temperature 0")
    assert answers(dialogue, "/undo") == "took back temperature 0; temperature 0.8 · size 20"
    assert answers(dialogue, "/undo") == "took back the text after 'the '; temperature 0.8 · size 20"
    assert answers(dialogue, "") == second
    assert answers(dialogue, "/undo", "/undo", "the ") == first
    answers(dialogue, "/undo")
    with pytest.raises(InputError, match="there is nothing to take back"):
        answers(dialogue, "/undo")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/temperatur 3", "there is no command /temperatur; /help lists them"),
        ("/temperature hot", "/temperature is 'hot'; it must be a finite number, at least 0"),
        ("/top-p 7", "/top-p is 7.0; it must be a finite number, above 0 and at most 1"),
        ("/size 0", "/size is 0; it must be a whole number"),
        ("/unknown maybe", "/unknown is 'maybe'; it must be"),
        ("/regex [", "/regex is '[', which is no regular expression"),
        ("/acrostic Ω", "/acrostic"),
        ("/blend nix", "/blend is 'nix'; it must be a run directory and a share of 0 to 1: runs/other:0.3"),
        ("/blend /nix/nix:0.3", "there is no folder /nix/nix; train a model in it first, with --workdir"),
        ("Ω", "'Ω' holds a character that the model has never seen: 'Ω'; leave it out, by hand or with /unknown drop"),
    ],
)
def test_a_line_that_cannot_be_used_changes_nothing(dialogue, line, told):
    before = answers(dialogue, "/settings")
    with pytest.raises(InputError) as caught:
        answers(dialogue, line)
    assert explain(caught.value).startswith(told)
    assert answers(dialogue, "/settings") == before
    with pytest.raises(InputError, match="nothing to take back"):
        answers(dialogue, "/undo")


def test_help_lists_all_commands(dialogue):
    shown = answers(dialogue, "/help")
    for command in (*COMMANDS, *ACTIONS):
        assert f"\n  {command} " in shown


def test_quit_leaves(dialogue):
    with pytest.raises(Quit):
        answers(dialogue, "/quit")
