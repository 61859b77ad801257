"""Shaded texts: the colour of each character, whatever the text and wherever it is printed."""

from __future__ import annotations

import math
import re

import pytest
from helpers import untrained_model

from flaxchar.analysis.score import score_examples
from flaxchar.commands.shading import LEVELS, SampleShader, Shader, clusters, level
from flaxchar.data.examples import Example

NAN = math.nan
SGR = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)


def runs(printed):
    """The pieces of a line with their SGR parameters."""
    pieces = re.split(r"\x1b\[([\d;]*)m", printed)
    style, result = "", []
    for k, piece in enumerate(pieces):
        if k % 2:
            style = "" if piece == "0" else piece
        elif piece:
            result.append((piece, style))
    return result


def test_levels_rise_with_the_bits():
    assert [level(bits) for bits in (0.0, 0.99, 1, 2.5, 4.9, 6, 9.99, 10, 40, math.inf)] == [
        0,
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        6,
        6,
    ]
    assert level(NAN) == 0


def test_each_character_is_shaded_and_alike_neighbours_together(capsys):
    Shader("char").print("abcd", [0.5, 12, 11, 3.5, 2], before=" 1.5  ")
    assert runs(capsys.readouterr().out) == [
        (" 1.5  a", ""),
        ("bc", "38;5;231;48;5;88"),
        ("d", "38;5;16;48;5;215"),
        ("¶", "38;5;16;48;5;222"),
        ("\n", ""),
    ]


def test_marks_share_the_shade_of_their_letter():
    text = "e\u0301x👩\u200d👧"
    assert list(clusters(text, [1, 2, 3, 1, 1, 1])) == [("e\u0301", 3), ("x", 3), ("👩\u200d👧", 3)]
    nothing = pytest.approx(NAN, nan_ok=True)
    pieces = [("e\u0301", 2), ("x", nothing), ("👩\u200d👧", nothing), ("¶", 5.0)]
    assert list(clusters(text, [NAN, 2, NAN, NAN, NAN, NAN, 5.0])) == pieces


def test_words_are_shaded_whole():
    assert list(clusters(["one", " ", "two"], [1, 2, 3, 4])) == [("one", 1), (" ", 2), ("two", 3), ("¶", 4)]


@pytest.mark.parametrize(
    "text", ["שלום עולם", "漢字かな", "👩\u200d👩\u200d👧", "a\u00a0b\u200f", "cafe\u0301", ":smile: [red]a[/red]"]
)
def test_a_text_is_printed_to_the_letter(text, capsys):
    Shader("char").print(text, [4.0 * (k % 2) for k in range(len(text))])
    assert SGR.sub("", capsys.readouterr().out) == f"{text}\n"


def test_control_characters_are_escaped_and_lines_begin_anew_where_asked(capsys):
    text = "a\x1b[2J\u202e\nb\ud83d"
    Shader("char").print(text, [4] * len(text))
    assert SGR.sub("", capsys.readouterr().out) == "a\\x1b[2J\\u202e\\nb\\ud83d\n"
    Shader("char").print(text, [4] * len(text), lines=True)
    assert SGR.sub("", capsys.readouterr().out) == "a\\x1b[2J\\u202e\\n\nb\\ud83d\n"


def test_a_long_line_is_not_broken(capsys):
    Shader("char").print("x " * 500 + "  ", [0.0] * 1002)
    assert capsys.readouterr().out == "x " * 500 + "  \n"


def test_without_colours_other_attributes_rise_too(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    Shader("char").print("abc", [0, 3, 11])
    printed = capsys.readouterr().out
    assert SGR.sub("", printed) == "abc\n"
    assert runs(printed)[:3] == [("a", ""), ("b", "4"), ("c", "1;7")]
    assert "38;5" not in printed


@pytest.mark.parametrize("unit", ["char", "word"])
def test_the_legend_names_every_level(capsys, unit):
    shader = Shader(unit)
    shader.print(["a"], [NAN, 3.0])
    capsys.readouterr()
    shader.print_legend()
    printed = capsys.readouterr().out
    name = {"char": "character", "word": "word"}[unit]
    assert SGR.sub("", printed).startswith(f"bits per {name}:  0–1  1–2 ")
    assert "10+" in printed
    assert "¶ end of the text" in printed
    assert "not predicted" in printed
    assert len({style for _, style in runs(printed)}) == len(LEVELS) + 2
    fresh = Shader(unit)
    fresh.print_legend()
    assert "¶" not in (legend := capsys.readouterr().out)
    assert "not predicted" not in legend


@pytest.mark.parametrize("settings", [{}, {"labels": ("x", "y"), "bos": False}, {"window": 16, "begin_at": "line"}])
def test_a_sample_is_shaded_by_its_own_scores(settings, capsys, monkeypatch):
    lm = untrained_model(["abcd\n", "hello", "abcd hello"], **settings)
    label = settings.get("labels", (None,))[0]
    printed = {}
    monkeypatch.setattr(SampleShader, "print", lambda _, tokens, bits, lines: printed.update(tokens=tokens, bits=bits))
    running = "window" in settings
    shader = SampleShader(lm, 8, label, None)
    shader.print_sample("hello", prompted=False)
    fed = "\n" if running else ""
    (nats,) = score_examples(lm, [Example(fed + "hello", label)], by_token=True).by_token
    assert printed["tokens"] == list("hello")
    assert printed["bits"] == pytest.approx(nats[len(fed) :] / math.log(2))
    assert len(printed["bits"]) == 5 + (not running)
    shader.print_sample("abcdabcd", prompted=True)  # as long as a text may be: it did not end by itself
    assert len(printed["bits"]) == 8
    shader.print_sample("", prompted=False)
    assert printed["tokens"] == []
