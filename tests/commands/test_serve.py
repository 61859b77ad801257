"""``flaxchar serve``: the address is printed, Ctrl-C ends it with one line, and bad usage is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
from helpers import PALINDROMES, environment, untrained_model

pytest.importorskip("uvicorn", reason="needs the extra serve")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "names"
    untrained_model(PALINDROMES).save(path)
    return path


def test_the_address_is_printed_and_a_signal_ends_the_command_with_one_line(served):
    command = [sys.executable, "-m", "flaxchar", "serve", str(served)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        line = process.stdout.readline()
        assert line.startswith(f"flaxchar serves {served} at http://127.0.0.1:"), process.stderr.read()
        address = line.split(" at ")[1].split(" (")[0]
        with urllib.request.urlopen(f"{address}runs", timeout=60) as response:
            assert [run["name"] for run in json.load(response)["runs"]] == ["names"]
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, told) == (130, "", "flaxchar: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "0"], "--port is 0"),
        (["--port", "65536"], "--port is 65536"),
        (["--port", "x"], "--port is 'x'"),
        (["--host", ""], "--host is ''"),
        (["--host", "no such host"], "--host is 'no such host'"),
        (["--host", "192.0.2.1"], "--host cannot be used: 192.0.2.1"),
        (["--temperature", "1"], "has no option --temperature"),
    ],
)
def test_bad_usage_is_told(served, run_here, arguments, told):
    result = run_here("serve", str(served), *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_without_a_run_is_told(served, run_here, tmp_path):
    result = run_here("serve", str(served), str(tmp_path))
    assert result.returncode == 2
    assert "holds no run" in result.stderr
    result = run_here("serve", str(served.parent / "name"))
    assert "did you mean" in result.stderr


def test_a_missing_extra_is_told(served, run_here, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "uvicorn" else found(name, *rest)
    )
    result = run_here("serve", str(served))
    assert result.returncode == 2
    assert (
        result.stderr == "flaxchar: serve needs uvicorn; install it with pip install -e '.[serve]' in the folder "
        "of flaxchar's clone\n"
    )


def test_another_address_than_loopback_is_told_with_its_token(served, run_here, monkeypatch):
    from flaxchar.serve.server import PageServer

    monkeypatch.setattr(PageServer, "run_until_stopped", lambda server: server.close())
    result = run_here("serve", str(served), "--host", "0.0.0.0")
    assert result.returncode == 0
    assert "/?token=" in result.stdout
    assert "it is not encrypted" in result.stderr
