"""The parser: values that begin with a dash, and complaints about flags."""

from __future__ import annotations

import dataclasses
import re

import pytest

from flaxchar.commands.export import ExportOptions
from flaxchar.commands.import_ import ImportOptions
from flaxchar.commands.options import DebugOptions, parse
from flaxchar.commands.parser import Parser
from flaxchar.config import InputError
from flaxchar.validation import setting


@dataclasses.dataclass(frozen=True)
class Options(DebugOptions):
    """Do something."""

    prompt: tuple[str, ...] = setting((), "Beginnings.", repeated=True)
    label: str | None = setting(None, "A label.")
    data: tuple[str, ...] = setting((), "Files.", metavar="FILE")
    words: tuple[str, ...] = setting(("a",), "Words.", may_be_empty=True)
    head: bool = setting(False, "Something else.", switch=True)
    files: tuple[str, ...] = setting((), "Files.", positional=True)


def parsed(*arguments):
    return parse(Options, "do", arguments).options


@pytest.mark.parametrize("value", ["-The", "-1", "-", "--- ", "-- so", "-h1", "--The end", "---", "-e=1", "\u2014", ""])
def test_a_value_may_begin_with_a_dash(value):
    assert parsed("--label", value, "--head").label == value
    assert parsed("--prompt", value, "--prompt", "b", "--prompt=" + value).prompt == (value, "b", value)


def test_several_values_may_begin_with_a_dash():
    assert parsed("--data", "-a.txt", "b", "-c", "--head").data == ("-a.txt", "b", "-c")
    assert parsed("--words", "-a", "--head").words == ("-a",)
    assert parsed("--words", "--head").words == ()
    assert parsed("a", "--label", "-1", "b").files == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--label --head", "--label needs a value; if --head is the value, write --label=--head"),
        ("--label --data=a", "--label needs a value; if --data=a is the value, write --label=--data=a"),
        ("--label -h", "--label needs a value"),
        ("--label --jsn", "--label needs a value; if --jsn is the value, write --label=--jsn"),
        ("--data --head", "--data needs a value"),
        ("--label", "--label needs a value"),
        ("--hepl", "flaxchar do has no option --hepl; did you mean --help?"),
        ("--labe", "flaxchar do has no option --labe; did you mean --label?"),
        ("-x", "flaxchar do has no option -x; flaxchar do --help lists the options"),
        ("--data a --hed", "did you mean --head?"),
        ("--label -1 -x", "flaxchar do has no option -x"),
    ],
)
def test_a_missing_value_is_told(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parsed(*arguments.split())


def test_a_file_whose_name_begins_with_a_dash_is_told_how_to_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-a.txt").write_text("")
    with pytest.raises(InputError, match=re.escape("no option -a.txt; for the file of that name write ./-a.txt")):
        parsed("-a.txt")


def test_the_usage_shows_the_flag_that_a_command_needs():
    usage = Parser(ExportOptions, [], "export", ()).format_usage()
    assert usage == "usage: flaxchar export RUN --to FORMAT [OPTIONS]\n"


def test_the_help_of_import_says_that_the_run_directory_is_made():
    assert "Run directory to make." in " ".join(Parser(ImportOptions, [], "import", ()).format_help().split())
