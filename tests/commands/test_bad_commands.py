"""Bad command lines: each is one sentence on stderr that names the flag or the file, status 2, and nothing is made."""

from __future__ import annotations

import time

import pytest
from bad_commands import BadCommand, command_lines, file_command_lines, write_files
from helpers import PALINDROMES, untrained_model


def problems(case: BadCommand, result, seconds: float) -> list[str]:
    """What is wrong about the answer to a bad command line."""
    told = result.stderr
    one_line = told.startswith("flaxchar: ") and told.count("\n") == 1
    wrong = {
        f"status {result.returncode}": result.returncode != 2,
        "no sentence": not one_line,
        "printed": bool(result.stdout) and not case.reads,
        f"does not name {case.told:.40}": case.told not in told,
        "too long": len(told) > 600,
        "slow": seconds > 20,
    }
    return [name for name, is_wrong in wrong.items() if is_wrong]


@pytest.fixture
def check(run_here, tmp_path, monkeypatch):
    """Run a bad command line and fail if its answer is wrong, or a file has been made or removed."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(cases) -> int:
        before, count, failures = sorted(tmp_path.rglob("*")), 0, []
        for case in cases:
            began = time.process_time()
            result = run_here(*case.arguments)
            if wrong := problems(case, result, time.process_time() - began):
                failures.append(([argument[:60] for argument in case.arguments], wrong, result.stderr[:300]))
            assert sorted(tmp_path.rglob("*")) == before, case.arguments
            count += 1
        assert not failures
        return count

    return run


def test_every_option_of_every_command_refuses_what_it_cannot_be(check):
    assert check(command_lines()) > 1000


def test_files_and_models_that_cannot_be_used_are_named(check, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    texts = write_files(files)
    untrained_model(PALINDROMES).save(tmp_path / "run")
    assert check(file_command_lines(tmp_path / "run", texts, files)) > 200
