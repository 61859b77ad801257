"""``flaxchar classify``: accuracy, confusion matrix and calibration."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import flaxchar
from flaxchar.analysis.classify import Classification, judge
from flaxchar.commands.classify import _report

NAMES = ("low", "high")
PROBABILITIES = np.array([[0.95, 0.05], [0.85, 0.15], [0.35, 0.65], [0.65, 0.35]])


def test_accuracy_confusion_and_calibration():
    lines = _report(judge(Classification(NAMES, PROBABILITIES), ["low", "high", "high", "high"]), NAMES)
    assert lines[0] == "accuracy 50.0% on 4 texts"
    rows = [line.split() for line in lines]
    assert rows[3] == ["low", "high"]
    assert rows[4:6] == [["low", "1", "0"], ["high", "2", "1"]]
    # Bins: 0.65 twice (one right), 0.85 (wrong), 0.95 (right): 2/4 · 0.15 + 1/4 · 0.85 + 1/4 · 0.05
    assert "expected calibration error: 0.300" in lines[-1]
    assert ["65.0%", "50.0%", "(2", "texts)"] in rows


ROWS = [(("low", "high")[k % 2], ("abab", "yzzy")[k % 2] + "x" * (k % 3)) for k in range(60)]


@pytest.fixture(scope="module")
def labelled(run_here, tmp_path_factory):
    """The folder of a run with labels, and the table it learned from."""
    folder = tmp_path_factory.mktemp("labels")
    table = folder / "rows.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("kind", "text"), *ROWS])
    learn = (
        "--fields",
        "text",
        "--label-field",
        "kind",
        "--steps",
        "60",
        "--val-fraction",
        "0",
        "--hidden",
        "8",
        "--buckets",
        "1",
    )
    result = run_here("train", "--data", str(table), *learn, "--workdir", str(folder / "run"))
    assert result.returncode == 0, result.stderr
    return str(folder / "run"), str(table)


def test_an_unknown_label_is_named(labelled, run_here, tmp_path):
    table = tmp_path / "rows.csv"
    table.write_text("kind,text\nmiddle,ab\n")
    result = run_here("classify", str(table), "--fields", "text", "--label-field", "kind", "--workdir", labelled[0])
    assert (result.returncode, result.stdout) == (2, "")
    assert "'middle' is no label of the model" in result.stderr


def test_texts_are_scored_given_their_labels_or_under_the_mixture(labelled, run_here):
    run, table = labelled
    lm = flaxchar.load(run)
    given = run_here("score", table, "--fields", "text", "--label-field", "kind", "--json", "--workdir", run)
    scored = [json.loads(line)["bits_per_character"] for line in given.stdout.splitlines()[:-1]]
    expected = lm.score([text for _, text in ROWS], labels=[kind for kind, _ in ROWS])
    assert scored == pytest.approx(expected, rel=1e-5)
    mixture = run_here("score", table, "--fields", "text", "--json", "--workdir", run)
    scored = [json.loads(line)["bits_per_character"] for line in mixture.stdout.splitlines()[:-1]]
    assert scored == pytest.approx(lm.score([text for _, text in ROWS]), rel=1e-5)


def test_a_labelled_table_is_compressed_and_restored_as_json_lines(labelled, run_here, tmp_path):
    run, table = labelled
    output = tmp_path / "rows.jsonl.flaxchar"
    what = ("--fields", "text", "--label-field", "kind", "--output", str(output), "--workdir", run)
    result = run_here("compress", table, *what)
    assert result.returncode == 0, result.stderr
    result = run_here("decompress", str(output), "--workdir", run)
    assert result.returncode == 0, result.stderr
    restored = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert restored == [{"text": text, "label": kind} for kind, text in ROWS]


def test_a_grid_is_written_for_a_label(labelled, run_here):
    result = run_here("sample", "--grid", "--label", "low", "--prompt", "a", "--prompt", "b", "--workdir", labelled[0])
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line[0] for line in lines] == ["-", "a", "b"] * 5
    refused = run_here("sample", "--grid", "--workdir", labelled[0])
    assert refused.returncode == 2
    assert "--label: 'low', 'high'" in refused.stderr


def test_novelty_writes_for_every_label_or_one(labelled, run_here):
    for arguments, count in (((), 8), (("--label", "low"), 4)):
        result = run_here("novelty", "--num-samples", "4", *arguments, "--workdir", labelled[0])
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(f"{count} samples compared with {len(ROWS)} training texts")


def test_json_names_the_true_label_in_the_spelling_of_the_model(labelled, run_here, tmp_path):
    table = tmp_path / "rows.csv"
    table.write_text("kind,text\nlow ,abab\n,ab\nhigh,yzzy\nmiddle,ab\n")
    what = ("--fields", "text", "--json", "--workdir", labelled[0])
    result = run_here("classify", str(table), "--label-field", "kind", *what)
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["true_label"] for line in result.stdout.splitlines()] == ["low", "high", "middle"]
    assert result.stderr == f"rows without a label left out: 1, the first in {table}, line 3.\n"
    assert "true_label" not in json.loads(run_here("classify", str(table), *what).stdout.splitlines()[0])


def test_truth_values_are_found_as_json_and_as_python_print_them(run_here, tmp_path):
    rows = [json.dumps({"spam": k % 2 == 0, "text": ("abab", "yzzy")[k % 2]}) for k in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    settings = {"steps": 60, "hidden": 8, "buckets": 1, "val_fraction": 0}
    lm = flaxchar.train(["abab", "yzzy"] * 20, labels=[True, False] * 20, **settings)
    lm.save(tmp_path / "run")
    run = ("--workdir", str(tmp_path / "run"))
    written = [run_here("sample", "--label", name, "--seed", "1", *run).stdout for name in ("True", "true")]
    assert written[0] == written[1] != ""
    result = run_here("classify", str(tmp_path / "rows.jsonl"), "--label-field", "spam", *run)
    assert result.stdout.startswith("accuracy 100.0% on 40 texts"), result.stderr
