"""Texts to train on and a small trained run, for the tests of all commands."""

from __future__ import annotations

import signal

import pytest
from helpers import SMALL

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
def run(run_here, tmp_path_factory, texts):
    """The folder of a small trained run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    result = run_here("train", "--data", texts, "--workdir", str(path), "--steps", "60", *SMALL)
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture
def handlers():
    """Python's own signal handlers, also where the tests were started to ignore signals (``nohup``)."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    for number in NUMBERS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield {number: signal.getsignal(number) for number in NUMBERS}
    for number, handler in before.items():
        signal.signal(number, handler)
