"""Texts to train on and a small trained run, for the tests of all commands."""

from __future__ import annotations

import signal
import subprocess

import pytest
from helpers import SMALL, run_command

from flaxchar.commands import process
from flaxchar.commands.main import main
from flaxchar.commands.signals import NUMBERS
from flaxchar.data.headlines import generate_headlines


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "headlines.txt"
    # Of few lengths, so that there are few shapes to compile.
    of_three_lengths = [text for text in generate_headlines(8000, seed=9) if len(text) in (40, 45, 50)]
    path.write_text("".join(text + "\n" for text in of_three_lengths[:400]))
    return str(path)


@pytest.fixture(scope="session")
def run(tmp_path_factory, texts):
    """The folder of a small trained run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    result = run_command("train.py", "--data", texts, "--workdir", str(path), "--steps", "60", *SMALL)
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Run a command in this process, which takes no start; the process itself is left as the tests set it up."""
    monkeypatch.setattr(process, "set_up", lambda devices=None: None)
    monkeypatch.setattr(process, "start_kernel", lambda devices=None: None)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        status = main(arguments)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, printed.out, printed.err)

    return run


@pytest.fixture
def handlers():
    """Python's own signal handlers, also where the tests were started to ignore signals (``nohup``)."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    for number in NUMBERS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield {number: signal.getsignal(number) for number in NUMBERS}
    for number, handler in before.items():
        signal.signal(number, handler)
