"""Forks: a forked process is told why it cannot compute, at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers import ROOT, environment

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# What a forked process does, and its own child, with a model that its parent has used.
PROGRAM = """if True:
    import os, sys, warnings
    warnings.simplefilter("ignore")  # JAX and Python warn of forks
    import flaxchar
    from helpers import untrained_model
    {before}
    for action in (
        lambda: lm.generate("A"), lambda: next(lm.stream("A")), lambda: lm.likeliest("A"), lambda: lm.score(["A"]),
        lambda: lm.classify(["A"]), lambda: lm.compress("A"), lambda: lm.decompress(b""), lambda: flaxchar.load("r"),
        lambda: flaxchar.train(["A"]),
    ):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        try:
            action()
        except Exception as error:
            print(type(error).__name__, error, flush=True)
        os._exit(0)
"""


def run(before: str) -> list[str]:
    """The lines that the forked processes print; a process that waits forever is ended after a while."""
    command = [sys.executable, "-c", PROGRAM.format(before=before)]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(**paths), start_new_session=True
    )
    try:
        return process.communicate(timeout=120)[0].splitlines()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.communicate()


def test_a_process_forked_after_use_is_told_so_by_every_method():
    lines = run("lm = untrained_model(['Anna']); lm.score(['Anna'])")
    assert len(lines) == 9
    assert all(line.startswith("RuntimeError this process was forked after JAX was used") for line in lines)
    assert all('get_context("spawn")' in line for line in lines)


def test_a_process_forked_before_use_computes():
    script = """if True:
        import os, flaxchar
        child = os.fork()
        if not child:
            print(flaxchar.train(["Anna"], steps=1, hidden=4).vocabulary.size, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    """
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), cwd=ROOT, timeout=120
    )
    assert result.stdout == "5\n", result.stderr
