"""Parsing: what the user set, values, complaints, and the help."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

import pytest

from flaxchar.commands.options import ModelOptions, parse, with_absolute_paths
from flaxchar.commands.score import ScoreOptions
from flaxchar.commands.train import TrainOptions
from flaxchar.config import Config, InputError
from flaxchar.validation import setting


@dataclasses.dataclass(frozen=True)
class Options(ModelOptions):
    """Do something."""

    count: int | None = setting(None, "How many.", least=1)
    prompt: tuple[str, ...] = setting((), "Beginnings.", repeated=True)
    mode: Literal["fast", "slow"] = setting("fast", "How.")
    quiet: bool = setting(False, "Say nothing.", switch=True)


def settings_of(arguments: str) -> dict:
    return parse(TrainOptions, "train", arguments.split(), with_settings=True).settings


def test_options_have_their_types_and_defaults():
    options = parse(Options, "do", ["--count", "3", "--prompt", "a b", "--prompt=-c", "--quiet"]).options
    assert options == Options(count=3, prompt=("a b", "-c"), quiet=True)
    assert parse(Options, "do", ["--count", "None"]).options == Options()


def test_only_what_the_user_set_is_a_setting_even_if_it_equals_the_default():
    assert settings_of("") == {}
    assert settings_of("--hidden 256 --workdir r --fresh") == {"hidden": Config().model.hidden}


def test_settings_of_each_type():
    given = (
        "--bos --no-residual --clip-norm none --learning-rate 1e-3 --data a b --target-field 2 3 --cell gru --steps 5"
    )
    assert settings_of(given) == {
        "bos": True, "residual": False, "clip_norm": None, "learning_rate": 1e-3, "data": ("a", "b"),
        "fields": ("2", "3"), "cell": "gru", "steps": 5,
    }  # fmt: skip
    assert settings_of("--sample-prompts") == {"sample_prompts": ()}


def test_files_may_stand_before_and_after_options():
    options = parse(ScoreOptions, "score", ["a.txt", "--rank", "b.txt", "--workdir", "r"]).options
    assert (options.files, options.rank, options.workdir) == (("a.txt", "b.txt"), True, "r")
    assert parse(ScoreOptions, "score", []).options.files == ("-",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--count", "--count needs a value"),
        ("--count x", "`count` is 'x'; it must be a whole number, at least 1"),
        ("--count 0", "`count` is 0"),
        ("--mode quick", "`mode` is 'quick'; it must be one of fast, slow"),
        ("--quiet=yes", "--quiet takes no value"),
        ("--no-quiet", "flaxchar do has no option --no-quiet; did you mean --quiet?"),
        ("--promt a", "did you mean --prompt?"),
        ("--cou 3", "did you mean --count?"),
        ("--zzz", "flaxchar do has no option --zzz; flaxchar do --help lists the options"),
        ("-q", "flaxchar do has no option -q"),
        ("file", "'file' belongs to no option"),
    ],
)
def test_complaints_name_the_flag_and_the_way_out(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse(Options, "do", arguments.split())


def test_a_setting_out_of_its_range_is_refused_before_anything_else_happens():
    with pytest.raises(InputError, match=r"`dropout` is 1\.0; it must be a finite number, at least 0 and less than 1"):
        settings_of("--dropout 1")


def test_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    others = ("-", "/b", "", "https://example.org/c")
    assert with_absolute_paths({"data": ("a", *others), "hidden": 8}) == {
        "data": (str(tmp_path / "a"), *others),
        "hidden": 8,
    }


def help_of_train(capsys, monkeypatch) -> dict[str, str]:
    """The help of each flag of train, on one line."""
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as exit:
        parse(TrainOptions, "train", ["--data", "x", "--help"], with_settings=True)
    assert exit.value.code == 0
    text = capsys.readouterr().out
    entries = re.split(r"\n  (?=-)", text)[1:]
    return {entry.split()[0].rstrip(","): " ".join(entry.split()) for entry in entries}


def test_help_shows_the_defaults_that_will_be_used(capsys, monkeypatch):
    shown = help_of_train(capsys, monkeypatch)
    assert "default: 256)" in shown["--hidden"]
    assert "default: on)" in shown["--bos"]
    assert "default: cosine)" in shown["--schedule"]
    assert "chosen by the corpus: 0.5 under 200,000 characters, 0.2 under 1,000,000" in shown["--dropout"]
    assert "chosen by the corpus: adamw under 200,000 characters, else muon" in shown["--optimizer"]
    assert "default" not in shown["--patience"]


def test_help_has_headings_for_people(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        parse(TrainOptions, "train", ["--help"], with_settings=True)
    text = capsys.readouterr().out
    headings = re.findall(r"^(\w.*):$", text, re.M)
    assert headings == ["Run", "This machine, or several", "Texts", "Network", "Training", "How long", "Help"]
    assert "`" not in text


def test_what_was_given_is_told_even_if_it_equals_the_default():
    assert parse(Options, "do", ["--mode", "fast", "--quiet"]).given == {"mode", "quiet"}


def test_values_are_utf8_in_any_locale_and_paths_stay(monkeypatch):
    escaped = "Zoë".encode().decode("ascii", "surrogateescape")
    monkeypatch.setattr("os.fsencode", lambda text: text.encode("ascii", "surrogateescape"))
    options = parse(ScoreOptions, "score", ["--label-field", escaped, escaped]).options
    assert (options.label_field, options.files) == ("Zoë", (escaped,))
    with pytest.raises(InputError, match=r"`workdir` is .* locale cannot decode; set PYTHONUTF8=1"):
        parse(ScoreOptions, "score", ["--workdir", escaped])
