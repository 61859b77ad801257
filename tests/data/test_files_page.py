"""docs/files.md says what the readers do now."""

from __future__ import annotations

import importlib.util

import pytest
from helpers import ROOT

_SPEC = importlib.util.spec_from_file_location("make_files_page", ROOT / "docs" / "make_files_page.py")
script = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(script)


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
