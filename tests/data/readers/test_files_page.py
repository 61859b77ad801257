"""docs/files.md says what the readers do now, and which files they refuse."""

from __future__ import annotations

import sys

import pytest
from helpers import ROOT

sys.path.append(str(ROOT / "docs"))
import make_files_page as script

REFUSED = {
    "a bare comma in a text",
    "a row that ends in the column of the text, where it may be cut off",
    "no such column",
    "a list as a label",
    "chat messages",
    "numbers as texts",
    "a broken line",
    "what Python prints",
    "Parquet without such a column",
    "damaged Parquet",
}
RECORDS = [case for section in ("Tables", "JSON", "Parquet") for case in script.SECTIONS[section]]


def test_the_page_is_what_its_script_makes():
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run python docs/make_files_page.py"


def test_no_refusal_shows_a_codec_or_a_guess_at_random():
    for line in script.page().splitlines():
        for word in ("codec", "utf-8-sig", "charmap", "Errno", "Traceback"):
            assert word not in line
        assert "try latin-1" not in line


@pytest.mark.parametrize("section", script.SECTIONS)
def test_every_case_has_a_title_of_its_own(section):
    titles = [case.title for case in script.SECTIONS[section]]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("case", RECORDS, ids=[case.title for case in RECORDS])
def test_records_are_read_or_refused_by_the_name_of_their_file(case):
    outcome = script.outcome(case)
    assert outcome.startswith(f"**refused:** {case.name}") == (case.title in REFUSED)
    assert "<br>**" not in outcome
