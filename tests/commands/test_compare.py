"""``flaxchar compare``: parsing of the grid, results, failures and continuation."""

from __future__ import annotations

import json
import re
import signal

import pytest
from helpers import run_command

from flaxchar.commands import compare
from flaxchar.commands.compare import GRID, CompareOptions
from flaxchar.commands.main import main
from flaxchar.commands.options import parse
from flaxchar.commands.signals import Interrupted
from flaxchar.data.headlines import generate_headlines


def test_a_setting_of_the_grid_takes_several_values_and_any_other_one():
    given = "--data a.txt b.txt --cell lstm gru --steps 5 --hidden 8 16 8 --no-bos"
    settings = parse(CompareOptions, "compare", given.split(), with_settings=True, several=GRID).settings
    assert settings == {
        "data": ("a.txt", "b.txt"),
        "cell": ("lstm", "gru"),
        "steps": 5,
        "hidden": (8, 16, 8),
        "bos": False,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--hidden wide", "--hidden is 'wide'; it must be a whole number"),
        ("--cell --hidden 8", "--cell needs a value"),
        ("--cell lstm lstn", "--cell is 'lstn'"),
        ("--dropout 0.1 1", "--dropout is 1.0; it must be"),
        ("--preset best", "--preset is 'best'; it must be one of default, classifier, reference"),
    ],
)
def test_bad_values_are_reported_before_anything_is_read_or_created(arguments, message, tmp_path, capsys):
    folder = tmp_path / "grid"
    assert main(["compare", "--data", "missing.txt", "--workdir", str(folder), *arguments.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert not folder.exists()


def test_the_folder_is_created_only_after_the_corpus_is_read(tmp_path, capsys):
    folder = tmp_path / "grid"
    assert main(["compare", "--data", str(tmp_path / "missing.txt"), "--workdir", str(folder), "--cell", "rnn"]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.slow
def test_a_grid_is_trained_reported_and_gone_on_with(tmp_path):
    data = tmp_path / "texts.txt"
    data.write_text("".join(text + "\n" for text in generate_headlines(120, seed=1)))
    folder = tmp_path / "grid"
    common = ("compare", "--data", str(data), "--steps", "8", "--buckets", "1", "--workdir", str(folder))
    result = run_command(*common, "--cell", "gru", "rnn", "--hidden", "4")
    assert result.returncode == 0, result.stderr
    first = json.loads((folder / "compare.json").read_text())
    assert [outcome["settings"] for outcome in first] == [{"cell": cell, "hidden": 4} for cell in ("gru", "rnn")]
    metrics = [json.loads(line) for line in (folder / "cell=rnn_hidden=4" / "metrics.jsonl").read_text().splitlines()]
    held_out = [m["held_out_bits_per_character"] for m in metrics if "held_out_bits_per_character" in m]
    assert first[1]["held_out"] == min(held_out)
    assert [point[2] for point in first[1]["curve"]] == held_out
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")
    rows = re.findall(r"^\| (gru|rnn) \| 4 \|.*\| ([\d.]+) \| [\d.]+ \|$", (folder / "compare.md").read_text(), re.M)
    assert [float(bits) for _, bits in rows] == sorted(float(bits) for _, bits in rows)

    # One more value: what is done is not done again, and one failure does not keep the others from being told.
    (folder / "cell=rnn_hidden=4" / "vocabulary.json").write_text("{")
    longer = run_command(*common, "--steps", "9", "--cell", "gru", "--hidden", "4")  # it could not be compared
    assert "--steps was 8 and is 9" in longer.stdout
    again = run_command(*common, "--cell", "gru", "rnn", "lstm", "--hidden", "4")
    assert again.returncode == 1
    second = json.loads((folder / "compare.json").read_text())
    assert second[0] == first[0]
    assert second[1]["failure"]
    assert second[2]["failure"] is None


def test_what_was_settled_of_the_data_holds_for_every_combination(tmp_path, run_here):
    data = tmp_path / "rows.csv"
    data.write_text("".join(f"{kind},{kind}{k}\n" for k, kind in enumerate("ab" * 30)))
    what = ("--data", str(data), "--fields", "2", "--label-field", "1", "--steps", "2", "--buckets", "1")
    result = run_here("compare", *what, "--hidden", "4", "--workdir", str(tmp_path / "grid"))
    assert result.returncode == 0, result.stderr
    settings = json.loads((tmp_path / "grid" / "hidden=4" / "config.json").read_text())["config"]["data"]
    assert (settings["bos"], settings["window"]) == (False, 0)


def test_a_comparison_that_is_stopped_says_how_to_go_on(tmp_path, texts, run_here, monkeypatch):
    def train(outcome, *_):
        if outcome.settings["hidden"] == 5:
            raise Interrupted(signal.SIGINT)
        return outcome._replace(failure="diverged")

    monkeypatch.setattr(compare, "_train", train)
    result = run_here("compare", "--data", texts, "--hidden", "4", "5", "6", "--steps", "1", "--workdir", str(tmp_path))
    assert result.returncode == 130
    assert result.stdout.endswith("\nstopped in model 2 of 3, hidden=5; the same command goes on with it\n")
    assert result.stderr.endswith("flaxchar: interrupted\n")


def test_failures_alone_do_not_replace_a_report(tmp_path, texts, run_here, monkeypatch):
    (tmp_path / "compare.md").write_text("earlier")
    monkeypatch.setattr(compare, "_train", lambda outcome, *_: outcome._replace(failure="other settings"))
    result = run_here("compare", "--data", texts, "--hidden", "4", "5", "--steps", "1", "--workdir", str(tmp_path))
    assert result.returncode == 1
    assert "other settings" in result.stdout
    assert "written to" not in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["compare.md"]
    assert (tmp_path / "compare.md").read_text() == "earlier"
