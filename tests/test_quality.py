"""What a model learns in a fixed number of steps: slow, and counted in steps so that no machine is too slow to pass."""

from __future__ import annotations

import csv
import re

import pytest
from helpers import run_command

from flaxchar.data import headlines

pytestmark = pytest.mark.slow


def best(result) -> float:
    assert result.returncode == 0, result.stderr
    return float(re.search(r"best checkpoint: .*held-out ([\d.]+) bits/char", result.stdout).group(1))


def test_the_embedded_corpus_is_learned_to_within_2_percent_of_its_entropy(tmp_path):
    """Fewer steps than a default run takes on two cores."""
    result = run_command("train.py", "--dataset", "headlines", "--steps", "1500", "--workdir", str(tmp_path / "r"))
    floor = headlines.bits_per_character()
    assert floor < best(result) < 1.02 * floor


def test_ag_news_titles_to_2_45(ag_news, tmp_path):
    """Fewer steps than a default run takes on two cores."""
    arguments = ("--data", str(ag_news), "--fields", "2", "--steps", "1500", "--workdir", str(tmp_path / "r"))
    assert best(run_command("train.py", *arguments)) <= 2.45


def test_the_reference_preset_reaches_3_30_where_the_notebook_reaches_3_40(ag_news, tmp_path):
    with ag_news.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    for name, part in (("train.csv", rows[:7000]), ("test.csv", rows[7000:])):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(part)
    result = run_command(
        "train.py", "--preset", "reference", "--data", str(tmp_path / "train.csv"), "--fields", "2",
        "--val-data", str(tmp_path / "test.csv"), "--workdir", str(tmp_path / "r"),
    )  # fmt: skip
    assert best(result) <= 3.30
