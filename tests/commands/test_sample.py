"""``flaxchar sample``: texts, streams, JSON, the grid."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

import flaxchar
from flaxchar.data.corpus import Corpus
from flaxchar.data.examples import Examples


def test_sample_prints_texts(run, run_here):
    arguments = ("--workdir", str(run), "--temperature", "0.3", "--top-k", "5", "--top-p", "0.9", "--size", "40")
    prompts = ("--prompt", "Today ", "--prompt", "On Sunday ", "--num-samples", "3", "--seed", "7")
    result = run_here("sample", *arguments, *prompts)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.startswith(("Today ", "On Sunday ")[k // 3]) for k, line in enumerate(lines)] == [True] * 6
    assert max(map(len, lines)) <= 40
    lm = flaxchar.load(run)
    assert lines[:3] == lm.generate("Today ", temperature=0.3, top_k=5, top_p=0.9, size=40, num_samples=3, seed=7)


def test_sample_streams_the_same_texts(run, run_here):
    arguments = ("sample", "--workdir", str(run), "--num-samples", "2", "--prompt", "Today ")
    assert run_here(*arguments, "--stream").stdout == run_here(*arguments).stdout


def test_sample_prints_json(run, run_here):
    result = run_here("sample", "--workdir", str(run), "--json", "--num-samples", "2")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["sample"] for record in records] == [0, 1]
    assert set(records[0]) == {"prompt", "temperature", "seed", "sample", "text"}


def test_the_grid_is_the_references_table(run, run_here):
    result = run_here("sample", "--workdir", str(run), "--grid")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[::6] == [f"--- Temperature = {t}" for t in (0.3, 0.8, 1.0, 1.3, 1.8)]
    assert len(lines) == 30
    for block in range(5):
        for line, prompt in zip(
            lines[6 * block + 1 : 6 * block + 6], ("Today ", "On Sunday ", "Moscow, "), strict=False
        ):
            assert line.startswith(prompt)
            assert len(line) <= 300


def test_the_grid_takes_prompts_of_ones_own(run, run_here):
    result = run_here("sample", "--workdir", str(run), "--grid", "--prompt", "Iraq ", "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["temperature"] for record in records] == [0.3, 0.8, 1.0, 1.3, 1.8]
    assert all(record["text"].startswith("Iraq ") for record in records)


def known_texts(monkeypatch, texts):
    """Let the model have been trained on some texts."""
    corpus = Corpus("texts", Examples.of(texts), Examples.of([]))
    monkeypatch.setattr("flaxchar.data.corpus.read_again", lambda config: corpus)


def test_novel_samples_are_the_first_that_are_not_training_texts(run, run_here, monkeypatch):
    plain = run_here("sample", "--workdir", str(run), "--num-samples", "6").stdout.splitlines()
    known_texts(monkeypatch, [plain[0], plain[2]])
    novel = run_here("sample", "--workdir", str(run), "--num-samples", "3", "--novel").stdout.splitlines()
    assert novel == [plain[1], plain[3], plain[4]]


def test_a_model_that_only_copies_is_reported(run, run_here, monkeypatch):
    known = run_here("sample", "--workdir", str(run), "--num-samples", "128").stdout.splitlines()
    known_texts(monkeypatch, known)
    result = run_here("sample", "--workdir", str(run), "--num-samples", "2", "--novel")
    assert result.stdout == ""
    assert "only 0 of 128 samples are not training texts" in result.stderr


def test_a_grid_that_is_refused_prints_nothing(run, run_here):
    result = run_here("sample", "--workdir", str(run), "--grid", "--prompt", "Today ", "--prompt", "Ω")
    assert (result.returncode, result.stdout) == (2, "")
    assert "'Ω'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--grid", "--temperature", "0.8"), "--grid and --temperature exclude each other; leave one out"),
        (("--grid", "--num-samples", "3"), "--grid and --num-samples exclude"),
        (("--beam", "4", "--temperature", "1"), "--beam and --temperature exclude"),
        (("--beam", "4", "--top-k", "0"), "--beam and --top-k exclude"),
        (("--beam", "4", "--num-samples", "1"), "--beam and --num-samples exclude"),
        (("--beam", "4", "--seed", "1"), "--beam and --seed exclude"),
        (("--color", "--json"), "--color and --json exclude"),
        (("--color", "--stream"), "--color and --stream exclude"),
        (("--beam", "4", "--repetition-penalty", "2"), "--beam and --repetition-penalty exclude"),
        (("--grid", "--acrostic", "ab"), "--grid and --acrostic exclude"),
        (("--interactive", "--json"), "--interactive and --json exclude"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(run_here, arguments, told):
    result = run_here("sample", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert told in result.stderr


def test_a_prompt_may_begin_with_a_dash_and_be_in_another_form(run, run_here):
    result = run_here(
        "sample", "--workdir", str(run), "--prompt", "\u2014The", "--prompt", "-The", "--num-samples", "1"
    )
    assert result.returncode == 0, result.stderr
    assert [line[:4] for line in result.stdout.splitlines()] == ["-The", "-The"]
    assert result.stderr == "the prompt was taken with '-' instead of '—', as the model knows it.\n"


@pytest.mark.parametrize("flags", [("--num-samples", "2"), ("--grid", "--prompt", "Iraq "), ("--beam", "2")])
def test_coloured_samples_are_those_without_colour(run, run_here, flags, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    flags = ("--workdir", str(run), "--size", "40", *flags)
    plain = run_here("sample", *flags)
    result = run_here("sample", "--color", *flags)
    assert result.returncode == 0, result.stderr
    assert "\x1b[38;5;" in result.stdout
    *texts, legend = re.sub(r"\x1b\[[\d;]*m", "", result.stdout).splitlines()
    assert [text.removesuffix("¶") for text in texts] == plain.stdout.splitlines()
    assert legend.startswith("bits per character: ")


def test_sample_writes_under_constraints(run, run_here):
    arguments = ("--workdir", str(run), "--num-samples", "2", "--size", "60")
    asked = ("--regex", "[A-Z][a-z ]{5,20}", "--forbid", "t", "--blend", f"{run}:0.5", "--min-p", "0.05")
    for line in run_here("sample", *arguments, *asked).stdout.splitlines():
        assert re.fullmatch("[A-Z][a-su-z ]{5,20}", line)
    poem = run_here("sample", *arguments[:2], "--acrostic", "SAM", "--num-samples", "1", "--stop", "s ").stdout
    assert [line[:1].upper() for line in poem.splitlines()] == ["S", "A", "M"]
    beam = run_here("sample", "--workdir", str(run), "--beam", "2", "--regex", "[a-c]{3}").stdout
    assert re.fullmatch("[a-c]{3}\n", beam)


def test_what_no_text_can_meet_is_one_sentence(run, run_here):
    result = run_here("sample", "--workdir", str(run), "--regex", "a{30}", "--size", "20")
    assert (result.returncode, result.stdout) == (2, "")
    told = "flaxchar: the shortest text that meets --regex takes 30 characters; --size leaves room for 20\n"
    assert result.stderr == told


def test_sample_is_interactive(run, run_here, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("Today \n/temperature 0\n\n"))
    lines = run_here("sample", "--workdir", str(run), "--interactive", "--size", "40").stdout.splitlines()
    assert lines[1] == "temperature 0 · size 40"
    assert lines[2] == flaxchar.load(run).generate("Today ", temperature=0, size=40)[0]


def test_an_empty_line_stands_between_texts_of_several_lines_and_not_after_the_last(run, run_here):
    poems = run_here("sample", "--workdir", str(run), "--acrostic", "SAM", "--num-samples", "2").stdout
    first, second = poems.split("\n\n")
    assert [line[0].upper() for line in first.split("\n")] == ["S", "A", "M"]
    assert [line[0].upper() for line in second.removesuffix("\n").split("\n")] == ["S", "A", "M"]
