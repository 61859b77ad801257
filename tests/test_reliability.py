"""docs/reliability.md names tests that exist, and quotes the attacks' table as it was measured."""

from __future__ import annotations

import re

from helpers import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()
MEASURED = (ROOT / "benchmarks" / "results" / "torture.md").read_text()


def test_each_promise_names_a_test_that_exists():
    named = set(re.findall(r"`(tests/[\w/.]+)`", PAGE))
    assert len(named) > 20
    assert not [path for path in named if not (ROOT / path).exists()]
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"`(test_\w+\.py)`", PAGE)) <= there


def test_the_table_is_the_measured_one_and_nothing_was_lost():
    rows = [line for line in MEASURED.splitlines() if line.startswith("|")]
    assert len(rows) > 20
    assert "\n".join(rows) in PAGE
    assert all(line.endswith("| 0 |") for line in rows[2:])
