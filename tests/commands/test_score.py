"""``flaxchar score``: one number per text and one for all."""

from __future__ import annotations

import json

import pytest
from helpers import run_command

import flaxchar
from flaxchar.analysis.score import score


def test_score_prints_each_text_and_all(run):
    path = run
    result = run_command("score", "--workdir", str(path), "--rank", stdin=b"Today\n^^^^^^^^\n")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "bits/char of all 2 texts" in lines[-1]
    values = [float(line.split()[0]) for line in lines[:2]]
    assert values == sorted(values, reverse=True)
    lm = flaxchar.load(path)
    expected = {text: score(lm, [text]).bits_per_character for text in ("Today", "^^^^^^^^")}
    assert [line.split()[1] for line in lines[:2]] == sorted(expected, key=lambda text: -expected[text])
    assert values == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-3)
    assert "left out 8 characters that the model has never seen: '^'" in lines[-1]


def test_score_in_json_numbers_the_lines_of_the_file(run):
    result = run_command("score", "--workdir", str(run), "--json", stdin=b"Today\n\nIraq\n")
    assert result.returncode == 0, result.stderr
    *lines, total = map(json.loads, result.stdout.splitlines())
    assert [(record["line"], record["text"]) for record in lines] == [(1, "Today"), (3, "Iraq")]
    assert total["texts"] == 2
    assert sum(record["bits"] for record in lines) == pytest.approx(total["bits"])
