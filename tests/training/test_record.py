"""The record of a run: read as it was written, and refused by file and key (tests/test_hostile_files.py has more)."""

from __future__ import annotations

import json
import re

import pytest

from flaxchar import Config, InputError
from flaxchar.training.run_record import read_record

RECORD = {"format": 2, "config": Config().to_dict(), "texts": {}, "steps": 8}


def read(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(RECORD | changes))
    return read_record(path.parent)


def test_a_record_is_read_with_its_settings(tmp_path):
    stretches = [{"steps": 3, "time_budget": None}, {"steps": 8, "time_budget": "2m"}]
    record = read(tmp_path, stretches=stretches, later="kept")
    assert Config.from_dict(record["config"]) == Config()
    assert (record["stretches"], record["later"]) == (stretches, "kept")


def test_sections_that_an_older_version_did_not_write_are_filled_in(tmp_path):
    record = read(tmp_path, config={"model": {"hidden": 9}})
    assert Config.from_dict(record["config"]) == Config.from_dict({"model": {"hidden": 9}})
    assert record["config"]["data"]["unit"] == "char"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "config.json was not written by this version of flaxchar"),
        ({"format": True}, "config.json was not written by this version"),
        ({"steps": -1}, "config.json cannot be used: 'steps' is -1; it must be a whole number, at least 0"),
        ({"config": {"model": {"hidden": 10**9}}}, "cannot be used: 'hidden' is 1000000000; it must be a whole number"),
        ({"config": {"model": {"colour": 1}}}, "the settings hold colour, which this version"),
        ({"config": {"model": []}}, "section model is []; it must be an object"),
        ({"stretches": [{"steps": 5, "time_budget": None}]}, "'steps' is 8, but 'stretches' end at 5"),
        ({"stretches": [{"steps": 8, "time_budget": "soon"}]}, "'time_budget' is 'soon'"),
        ({"texts": {"known": [3]}}, "'texts.known' is [3]; it must be a list of strings"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read(tmp_path, **changes)
