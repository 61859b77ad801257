"""A signal ends a command with one line and its status, wherever it arrives."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from helpers import ROOT, environment

from flaxchar.commands import signals
from flaxchar.commands.signals import NUMBERS, Interrupted

pytestmark = pytest.mark.usefixtures("handlers")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_raised_and_the_next_one_ends_the_process(number):
    with pytest.raises(Interrupted) as raised, signals.listen():
        signal.raise_signal(number)
    assert raised.value.number == number
    assert {signal.getsignal(each) for each in NUMBERS} == {signal.SIG_DFL}


def test_without_a_signal_everything_is_as_before():
    before = [signal.getsignal(number) for number in NUMBERS]
    with signals.listen():
        assert [signal.getsignal(number) for number in NUMBERS] != before
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_a_signal_that_the_process_was_started_to_ignore_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals.listen():
        signal.raise_signal(signal.SIGHUP)
        signals.next_one_ends_the_process()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_each_signal_has_its_sentence(capsys):
    assert signals.say_interrupted(KeyboardInterrupt()) == 130
    assert signals.say_interrupted(Interrupted(signal.SIGTERM)) == 143
    assert capsys.readouterr().err == "flaxchar: interrupted\nflaxchar: ended by SIGTERM\n"


IMPORTS = """
import sys
from flaxchar.commands import main, signals
with signals.listen():
    print("listening", flush=True)
    import slow_module
"""


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_during_an_import_is_one_line(tmp_path, number):
    (tmp_path / "slow_module.py").write_text(
        "import time\ntry:\n    time.sleep(60)\nexcept BaseException:\n    raise ImportError('half') from None\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTS],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(PYTHONPATH=f"{tmp_path}:{ROOT}"),
    )  # fmt: skip
    assert process.stdout.readline() == "listening\n"
    time.sleep(0.2)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (128 + number, signals.describe(number) + "\n")


# Waits in the import of the command line, until a line comes.
WAITS = """
import sys
class Waits:
    def find_spec(self, name, path=None, target=None):
        if name == "flaxchar.commands.main":
            print("importing", flush=True)
            sys.stdin.readline()
sys.meta_path.insert(0, Waits())
"""
BEGINNINGS = {
    "module": ("-m", "flaxchar", "train"),
    "command": ("-c", "import sys; from flaxchar.__main__ import main; sys.exit(main())", "train"),
    "train.py": (str(ROOT / "train.py"),),
    "sample.py": (str(ROOT / "sample.py"),),
}


def start_waiting(folder, beginning, prefix=()):
    (folder / "sitecustomize.py").write_text(WAITS)
    process = subprocess.Popen(
        [*prefix, sys.executable, *BEGINNINGS[beginning], "--help"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(PYTHONPATH=f"{folder}:{ROOT}"),
    )  # fmt: skip
    assert process.stdout.readline() == "importing\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    return process


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_ctrl_c_before_the_command_listens_ends_it_without_a_traceback(tmp_path, beginning):
    process = start_waiting(tmp_path, beginning)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-signal.SIGINT, "")


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_ctrl_c_that_the_process_was_started_to_ignore_is_ignored_before_it_listens_too(tmp_path, beginning):
    process = start_waiting(tmp_path, beginning, ("sh", "-c", 'trap "" INT; exec "$@"', "sh"))
    out, err = process.communicate("go on\n", timeout=30)
    assert (process.returncode, err) == (0, "")
    assert "usage" in out


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_in_the_first_second_is_one_line_at_most(tmp_path, number):
    for tenths in range(1, 12):
        command = [sys.executable, str(ROOT / "train.py"), "--dataset", "headlines", "--workdir", str(tmp_path / "r")]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        time.sleep(tenths / 10)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode in (128 + number, -number)
        assert err in ("", signals.describe(number) + "\n")
