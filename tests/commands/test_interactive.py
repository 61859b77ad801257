"""``sample --interactive``: in a terminal by prompt_toolkit, else line by line."""

from __future__ import annotations

import builtins
import io
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from helpers import ROOT, environment, untrained_model

from flaxchar import InputError
from flaxchar.commands import interactive, signals
from flaxchar.commands.dialogue import Dialogue
from flaxchar.commands.writing import SampleOptions

pytest.importorskip("prompt_toolkit")
UP, CTRL_C, CTRL_D = "\x1b[A", "\x03", "\x04"


@pytest.fixture(scope="module")
def lm():
    return untrained_model(["the cat sat on the mat", "a dog ate 12 figs"])


def in_a_terminal(lm, typed, monkeypatch, capsys):
    """What is printed where a user types."""
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text(typed)
        interactive.interact(lm, SampleOptions(size=20))
    greeting, *lines = capsys.readouterr().out.splitlines()
    assert greeting.startswith("Write how a text begins.")
    return lines


def test_a_user_writes_in_a_terminal(lm, monkeypatch, capsys):
    lines = in_a_terminal(lm, f"the \r\r/temperature 0\r/top-p 7\rthe \r{CTRL_D}", monkeypatch, capsys)
    first, second = lm.generate("the ", num_samples=2, size=20)
    greedy = lm.generate("the ", temperature=0, size=20)[0]
    assert lines[:3] == [first, second, "temperature 0 · size 20"]
    assert lines[3:] == ["! /top-p is 7.0; it must be a finite number, above 0 and at most 1", greedy]


def test_earlier_lines_come_back(lm, monkeypatch, capsys):
    lines = in_a_terminal(lm, f"the \r{UP}\r/quit\r", monkeypatch, capsys)
    assert lines == lm.generate("the ", num_samples=2, size=20)


def test_commands_are_completed(lm):
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    completer = interactive.make_session(Dialogue(lm, SampleOptions())).completer
    for typed, completed in (("/tem", ["/temperature"]), ("/top", ["/top-k", "/top-p"]), ("the /t", [])):
        assert [found.text for found in completer.get_completions(Document(typed), CompleteEvent())] == completed


def test_ctrl_c_clears_the_line(lm, monkeypatch, capsys):
    assert in_a_terminal(lm, f"the{CTRL_C}/settings\r{CTRL_D}", monkeypatch, capsys) == ["temperature 0.8 · size 20"]


def test_ctrl_c_ends_a_text_and_not_the_program(lm, monkeypatch, capsys):
    real = Dialogue.answer

    def answer(self, line):
        for number, piece in enumerate(real(self, line)):
            yield piece
            if line == "the " and number == 0:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Dialogue, "answer", answer)
    before = signal.getsignal(signal.SIGINT)
    lines = in_a_terminal(lm, f"the \rthe \r/settings\r{CTRL_D}", monkeypatch, capsys)
    assert lines == ["the  …", "the  …", "temperature 0.8 · size 20"]
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_other_signals_end_the_program_with_one_line(lm, tmp_path, terminal, number):
    lm.save(tmp_path / "r")
    ours, theirs = pty.openpty() if terminal else os.pipe()[::-1]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "sample.py"), "--workdir", str(tmp_path / "r"), "--size", "5", "--interactive"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1"),
    )  # fmt: skip
    os.close(theirs)
    try:
        os.write(ours, b"the\r" if terminal else b"the\n")
        while "the" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(0.5)  # it asks for the next line
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert (process.returncode, err.splitlines()[-1:]) == (128 + number, [signals.describe(number)])


def test_other_input_is_read_line_by_line(lm, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("the \n/size 7\n\n"))
    interactive.interact(lm, SampleOptions(size=20))
    short = lm.generate("the ", num_samples=2, size=7)[1]
    assert capsys.readouterr().out.splitlines() == [lm.generate("the ", size=20)[0], "temperature 0.8 · size 7", short]


def test_without_prompt_toolkit_one_sentence_says_what_to_install(lm, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name.startswith("prompt_toolkit"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"needs prompt_toolkit; install it with pip install -e '\.\[interactive\]'"):
        interactive.make_session(Dialogue(lm, SampleOptions()))
