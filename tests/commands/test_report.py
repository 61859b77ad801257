"""``flaxchar report``: writes the page and says what it found; what cannot be is one sentence."""

from __future__ import annotations

import os
import re

import pytest

from flaxchar import InputError
from flaxchar.commands.report import report


def test_the_page_is_written_and_the_findings_are_printed(run, run_here, tmp_path):
    output = tmp_path / "page.html"
    result = run_here("report", str(run), "--output", str(output))
    assert result.returncode == 0, result.stderr
    assert re.search(r"held-out \d\.\d{4} bits/char at step 60", result.stdout)
    assert "memorised:" in result.stdout
    assert f"written: {output} (0." in result.stdout
    page = output.read_text(encoding="utf-8")
    for part in ("How well it learned", "What it writes", "What surprises it", "What it remembers", "Kneser-Ney"):
        assert part in page
    assert page.count("<polyline") >= 4
    assert not (run / "report.html").exists()


def test_bad_calls_are_one_sentence(run, run_here, tmp_path):
    for arguments, sentence in (
        ((str(tmp_path / "none"),), "there is no folder"),
        ((str(run), "--output", str(tmp_path)), "which is a folder"),
        ((str(run), "--output", str(tmp_path / "no" / "page.html")), "there is no folder"),
        ((), "needs a RUN"),
        ((str(run), "--label-field", "class"), "has no field for --label-field"),
    ):
        result = run_here("report", *arguments)
        assert result.returncode == 2, arguments
        assert sentence in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(InputError, match="cannot be written to; name a file in another one with `output`"):
        report([str(run)])
