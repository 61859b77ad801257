"""``flaxchar score``: one number per text and one for all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import flaxchar
from flaxchar.data.headlines import generate_headlines


def test_score_prints_each_text_and_all(run, run_here):
    path = run
    result = run_here("score", "--workdir", str(path), "--rank", stdin=b"Today\n^^^^^^^^\n")
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


def test_score_in_json_numbers_the_lines_of_the_file(run, run_here):
    result = run_here("score", "--workdir", str(run), "--json", stdin=b"Today\n\nIraq\n")
    assert result.returncode == 0, result.stderr
    *lines, total = map(json.loads, result.stdout.splitlines())
    assert [(record["line"], record["text"]) for record in lines] == [(1, "Today"), (3, "Iraq")]
    assert total["texts"] == 2
    assert sum(record["bits"] for record in lines) == pytest.approx(total["bits"])


def test_the_share_of_unknown_words_and_the_price_of_their_spelling_are_told(tmp_path, run_here):
    file, path = tmp_path / "texts.txt", tmp_path / "run"
    file.write_text("\n".join(generate_headlines(60, seed=2)))
    train = ("--unit", "word", "--max-vocab", "20", "--steps", "5", "--hidden", "8", "--workdir", str(path))
    trained = run_here("train", "--data", str(file), *train)
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
    (path / "vocabulary.json").write_text(json.dumps(values))
    record = json.loads((path / "config.json").read_text())
    del record["checksums"], record["sha256"]
    (path / "config.json").write_text(json.dumps(record))  # as older versions wrote both
    *_, last = run_here("score", str(file), "--workdir", str(path)).stdout.splitlines()
    assert last.endswith("are unknown, and their spelling is not counted: an older version trained the model")


def test_running_text_is_scored_as_lm_score_does(tmp_path, run_here):
    text = "".join(f"{headline}\n\n  {headline[::-1]}\n" for headline in generate_headlines(30, seed=2))
    file = tmp_path / "book.txt"
    file.write_text(text)
    path = tmp_path / "run"
    train = ("--window", "16", "--steps", "10", "--hidden", "8", "--batch-size", "4", "--workdir", str(path))
    assert run_here("train", "--data", str(file), *train).returncode == 0
    result = run_here("score", str(file), "--json", "--workdir", str(path))
    assert result.returncode == 0, result.stderr
    *lines, total = map(json.loads, result.stdout.splitlines())
    assert total["characters"] == len(text)
    assert [record["text"] for record in lines] == text.removesuffix("\n").split("\n")
    lm = flaxchar.load(path)
    assert total["bits_per_character"] == pytest.approx(lm.score([text])[0], rel=1e-6)
    each = lm.score([line + "\n" for line in text.removesuffix("\n").split("\n")])
    assert [record["bits_per_character"] for record in lines] == pytest.approx(each, rel=1e-6)


def scored(result):
    assert result.returncode == 0, result.stderr
    return [
        {name: record[name] for name in ("file", "line", "row", "record", "text") if name in record}
        for record in map(json.loads, result.stdout.splitlines()[:-1])
    ]


def test_places_are_lines_of_each_file_rows_of_tables_and_records(run, run_here, tmp_path):
    for name, content in {
        "a.txt": "Iraq\n\nToday\n",
        "b.txt": "\nRain",
        "c.csv": "n,t\n1,Iraq\n\n2,\n3,Today\n",
        "d.jsonl": '{"t": "Iraq"}\n\n{"t": "Rain"}\n',
    }.items():
        (tmp_path / name).write_text(content)
    options = ("--json", "--workdir", str(run))
    plain = scored(run_here("score", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), *options))
    assert [(Path(place["file"]).name, place["line"], place["text"]) for place in plain] == [
        ("a.txt", 1, "Iraq"),
        ("a.txt", 3, "Today"),
        ("b.txt", 2, "Rain"),
    ]
    table = scored(run_here("score", str(tmp_path / "c.csv"), "--fields", "t", *options))
    assert table == [{"row": 1, "text": "Iraq"}, {"row": 3, "text": "Today"}]
    records = scored(run_here("score", str(tmp_path / "d.jsonl"), "--fields", "t", *options))
    assert records == [{"record": 1, "text": "Iraq"}, {"record": 2, "text": "Rain"}]


def test_one_text_is_counted_as_one(run, run_here, tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("Iraq^\n")
    result = run_here("score", str(file), "--workdir", str(run))
    assert result.stdout.splitlines()[-1].endswith(
        "bits/char of 1 text, 5 characters including ends of texts; left out 1 character that the model has never "
        "seen: '^'"
    )


def test_coloured_texts_are_those_without_colour(run, run_here, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    file = tmp_path / "a.txt"
    file.write_text("Iraq^ wins\n" + "Today " * 40 + "\n")
    plain = run_here("score", str(file), "--rank", "--workdir", str(run)).stdout.splitlines()
    result = run_here("score", str(file), "--rank", "--color", "--workdir", str(run))
    assert result.returncode == 0, result.stderr
    *texts, legend, total = re.sub(r"\x1b\[[\d;]*m", "", result.stdout).splitlines()
    assert total == plain[-1]
    assert legend.startswith("bits per character:  0–1 ")
    assert [text[:30] for text in texts] == [(line + "¶")[:30] for line in plain[:-1]]  # those are cut off, these not
    assert "Today " * 40 + "¶" in [text[9:] for text in texts]
    assert result.stdout.count("\x1b[38;5;") > 10


def test_colours_and_json_exclude_each_other(run, run_here):
    result = run_here("score", "--color", "--json", "--workdir", str(run))
    assert (result.returncode, result.stderr) == (2, "flaxchar: --color and --json exclude each other; leave one out\n")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    path = tmp_path_factory.mktemp("running") / "run"
    flaxchar.train(["abab\n" * 9], window=8, bos=False, steps=2, hidden=8, batch_size=2, workdir=path)
    return path


def test_a_text_in_which_nothing_is_predicted_has_no_bits(running, run_here, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("\na")
    scored, begin, total = run_here("score", str(file), "--workdir", str(running), "--rank").stdout.splitlines()
    assert begin == "no bits  "
    assert scored.endswith("  a")
    assert total == f"{scored.split()[0]:>7}  bits/char of all 2 texts, 1 character"
    first, *_ = run_here("score", str(file), "--workdir", str(running), "--json").stdout.splitlines()
    assert json.loads(first) == {"bits_per_character": None, "bits": 0.0, "line": 1, "text": ""}


@pytest.mark.parametrize("text", ["a", "zz"])
def test_where_nothing_is_predicted_at_all_there_is_no_score(running, run_here, tmp_path, text):
    file = tmp_path / "text.txt"
    file.write_text(text)
    result = run_here("score", str(file), "--workdir", str(running))
    assert result.stdout.startswith(f"no bits  {text}\nno bits  bits/char of 1 text, 0 characters")
    assert result.stderr == ""
    *_, total = run_here("score", str(file), "--workdir", str(running), "--json").stdout.splitlines()
    assert json.loads(total)["bits_per_character"] is None
