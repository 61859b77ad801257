"""Output: in any encoding, JSON that is valid in any, and warnings as sentences."""

from __future__ import annotations

import io
import json
import re
import sys
import warnings
import zipfile
from types import SimpleNamespace

import pytest
from helpers import SMALL, run_command

import flaxchar
from flaxchar import FormWarning
from flaxchar.commands.output import announce_stdin, decoded, escape_unencodable, form_warnings, print_json, printable

TEXT = "Zoë “x” \U0001f600 \ud83d \udc80"


@pytest.fixture
def stdout(monkeypatch):
    """Replace stdout by a stream of an encoding, and return what is written to it as bytes."""

    def replace(encoding: str) -> io.BytesIO:
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, write_through=True))
        return written

    return replace


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
def test_any_text_can_be_printed_and_json_stays_valid(stdout, encoding):
    written = stdout(encoding)
    escape_unencodable()
    print_json({"text": TEXT})
    print(TEXT)
    first, second = written.getvalue().splitlines()
    assert json.loads(first.decode(encoding)) == {"text": TEXT}
    assert second.decode(encoding) == TEXT.encode(encoding, "backslashreplace").decode(encoding)


def test_a_stream_that_is_no_file_stays_as_it_is(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    escape_unencodable()
    print_json({"text": "é"})
    assert capsys.readouterr().out == '{"text": "é"}\n'


def test_form_warnings_are_sentences_on_stderr_each_told_once(capsys):
    def warn():
        with form_warnings():
            for message in ("taken in NFC", "taken in NFC", "taken in NFD"):
                warnings.warn(message, FormWarning, stacklevel=1)
            warnings.warn("another", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="another"):
        warn()
    assert capsys.readouterr().err == "taken in NFC.\ntaken in NFD.\n"


def test_names_in_files_neither_end_a_line_nor_command_the_terminal(tmp_path, run_here):
    assert printable("Zoë\u200d 😀 \xa0") == "Zoë\u200d 😀 \xa0"
    for name in ("a\x1b[31m\nflaxchar: done.csv", "b\r\x9b2J.csv"):
        path = tmp_path / name
        path.write_text("x,y\n1,2\n")
        result = run_here("train", "--data", str(path), "--fields", "text", "--workdir", str(tmp_path / "run"))
        assert result.returncode == 2
        assert result.stderr.rstrip("\n").isprintable()


def test_a_terminal_that_is_read_is_announced(monkeypatch, capsys):
    for at_terminal, names, told in (
        (True, ["-"], "reading standard input; Ctrl-D ends it\n"),
        (True, ["a"], ""),
        (False, ["-"], ""),
    ):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda at_terminal=at_terminal: at_terminal))
        announce_stdin(names)
        assert capsys.readouterr().err == told


def test_arguments_are_utf8_in_any_locale():
    assert decoded("Zoe") == "Zoe"
    assert decoded("Zoë") == "Zoë"
    assert decoded(b"\xff".decode("utf-8", "surrogateescape")) == "\udcff"  # as it came


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow),
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_commands_print_in_ascii_what_a_model_of_anything_writes(tmp_path, variables):
    lm = flaxchar.train([TEXT] * 40, steps=3, hidden=4, buckets=1)
    lm.save(tmp_path / "run")
    file = tmp_path / "texts.txt"
    file.write_text("Zoë “x” \U0001f600\n" * 40, encoding="utf-8")
    run = ("--workdir", str(tmp_path / "run"))
    sample = run_command("sample.py", *run, "--json", "--prompt", "Zoe\u0308", **variables)
    assert sample.returncode == 0, sample.stderr
    assert sample.stdout.isascii()
    assert all(json.loads(line)["text"].startswith("Zoë") for line in sample.stdout.splitlines())
    assert sample.stderr == "the prompt was taken in Unicode's composed form (NFC), as the model knows it.\n"
    trained = ("--data", str(file), "--workdir", str(tmp_path / "new"), "--steps", "2", "--sample-prompts", "Zoë")
    train = run_command("train.py", *trained, *SMALL, **variables)
    assert train.returncode == 0, train.stderr
    assert "  greedy  | Zo\\xeb" in train.stdout


def test_what_train_and_report_print_never_obeys_a_name(tmp_path, run_here, monkeypatch):
    """The names of a zip file's members and of a run may hold escape sequences and line breaks."""
    lines = [f"{word} {number}" for word in ("rain", "wind", "snow") for number in range(20)]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        for name in ("d/e\n.txt", "d/c\x1b]0;hi\x07.txt"):
            file.writestr(name, ("\ufeff" + "\n".join(lines)).encode("utf-16-le"))
        file.writestr("d/x\x1b.bin", b"\0\1\2")
    run = tmp_path / "w\x1b[3\nm"
    trained = run_here("train", "--data", str(tmp_path / "z.zip"), "--workdir", str(run), "--steps", "1", *SMALL)
    monkeypatch.setattr("flaxchar.insight.report.make_report", lambda path, label_field: None)
    monkeypatch.setattr("flaxchar.insight.page.render", lambda made: "page")
    monkeypatch.setattr("flaxchar.insight.findings.findings", lambda made: ["a finding"])
    reported = run_here("report", str(run))
    for result, parts in (
        (trained, (r"d/e\n.txt", r"d/c\x1b]0;hi\x07.txt", r"d/x\x1b.bin", r"(" + str(tmp_path) + r"/w\x1b[3\nm)")),
        (reported, (r"w\x1b[3\nm/report.html",)),
    ):
        assert result.returncode == 0, result.stderr
        printed = result.stdout + result.stderr
        assert [part for part in parts if part not in printed] == []
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", printed)
        assert not re.search(r"^(\.txt|m\b)", printed, re.M)
