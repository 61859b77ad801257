"""``flaxchar score``: one number per text and one for all."""

from __future__ import annotations

import json
import re

import pytest
from helpers import run_command

import flaxchar
from flaxchar.data.headlines import generate_headlines


def test_score_prints_each_text_and_all(run):
    path = run
    result = run_command("score", "--workdir", str(path), "--rank", stdin=b"Today\n^^^^^^^^\n")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "bits/char of all 2 texts" in lines[-1]
    values = [float(line.split()[0]) for line in lines[:2]]
    assert values == sorted(values, reverse=True)
    lm = flaxchar.load(path)
    expected = {text: lm.score([text], unknown="drop")[0] for text in ("Today", "^^^^^^^^")}
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


def test_the_share_of_unknown_words_and_the_price_of_their_spelling_are_told(tmp_path, run_here):
    file, path = tmp_path / "texts.txt", tmp_path / "run"
    file.write_text("\n".join(generate_headlines(60, seed=2)))
    train = ("--unit", "word", "--max-vocab", "20", "--steps", "5", "--hidden", "8", "--workdir", str(path))
    trained = run_command("train.py", "--data", str(file), *train)
    assert trained.returncode == 0, trained.stderr
    best = re.search(r"held-out ([\d.]+) bits/char .*\n +([\d.]+)% of the held-out words are unknown; "
                     r"spelling them takes ([\d.]+) of the ([\d.]+) bits/char", trained.stdout)  # fmt: skip
    assert best is not None, trained.stdout
    assert float(best[4]) == pytest.approx(float(best[1]), abs=0.006)
    assert 0 < float(best[3]) < float(best[4])
    *_, last = run_here("score", str(file), "--workdir", str(path)).stdout.splitlines()
    assert re.search(r"; [\d.]+% of the words are unknown; spelling them takes [\d.]+ of the [\d.]+ bits/char$", last)
    *_, total = run_here("score", str(file), "--json", "--workdir", str(path)).stdout.splitlines()
    assert json.loads(total)["unknown"] > 100
    values = json.loads((path / "vocabulary.json").read_text())
    del values["spelling"], values["word_rule"]
    (path / "vocabulary.json").write_text(json.dumps(values))  # as older versions wrote it
    *_, last = run_here("score", str(file), "--workdir", str(path)).stdout.splitlines()
    assert last.endswith("are unknown, and their spelling is not counted: an older version trained the model")


def test_running_text_is_scored_as_lm_score_does(tmp_path, run_here):
    text = "".join(f"{headline}\n\n  {headline[::-1]}\n" for headline in generate_headlines(30, seed=2))
    file = tmp_path / "book.txt"
    file.write_text(text)
    path = tmp_path / "run"
    train = ("--window", "16", "--steps", "10", "--hidden", "8", "--batch-size", "4", "--workdir", str(path))
    assert run_command("train.py", "--data", str(file), *train).returncode == 0
    result = run_here("score", str(file), "--json", "--workdir", str(path))
    assert result.returncode == 0, result.stderr
    *lines, total = map(json.loads, result.stdout.splitlines())
    assert total["characters"] == len(text)
    assert [record["text"] for record in lines] == text.removesuffix("\n").split("\n")
    lm = flaxchar.load(path)
    assert total["bits_per_character"] == pytest.approx(lm.score([text])[0], rel=1e-6)
    each = lm.score([line + "\n" for line in text.removesuffix("\n").split("\n")])
    assert [record["bits_per_character"] for record in lines] == pytest.approx(each, rel=1e-6)
