"""What several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
AG_NEWS = ROOT.parent / "shared" / "data" / "ag_news" / "test.csv"


@pytest.fixture
def ag_news() -> Path:
    """The path of the AG News test file, which lies beside some checkouts."""
    if not AG_NEWS.exists():
        pytest.skip(f"needs the AG News test file at {AG_NEWS}")
    return AG_NEWS


def environment(**variables: str) -> dict[str, str]:
    """The environment for a command of a user's, with no data set of theirs in sight."""
    return {**os.environ, "PYTHONWARNINGS": "ignore", **variables}


def run_command(*arguments: str, stdin: bytes = b"", timeout: float = 300, **variables: str):
    """Run ``python train.py …`` or ``python sample.py …`` as a user does; text output."""
    result = subprocess.run(
        [sys.executable, str(ROOT / arguments[0]), *arguments[1:]],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env=environment(**variables),
    )
    return subprocess.CompletedProcess(
        result.args, result.returncode, result.stdout.decode(), result.stderr.decode()
    )
