"""A run that came from somebody else: whatever its settings and its vocabulary hold, it is refused by name."""

from __future__ import annotations

import pytest
from helpers import PALINDROMES, untrained_model
from hostile import attacks, restore

import flaxchar
from flaxchar import InputError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "run"
    untrained_model(PALINDROMES).save(path)
    return path


def refusal(run) -> str:
    """The sentence with which a run is refused; empty if it is loaded."""
    try:
        flaxchar.load(run)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("file", ["config.json", "vocabulary.json"])
def test_hostile_values_are_refused_in_one_sentence_that_names_the_file(saved, file):
    path = saved / file
    content = path.read_bytes()
    for name, spoil in attacks(file).items():
        spoil(path)
        try:
            told = refusal(saved)
        finally:
            restore(path, content)
        assert told, f"{file}: {name} was accepted"
        assert len(told) < 600, name
        assert "\n" not in told, name
        assert file in told or "one of them is damaged" in told, name
    flaxchar.load(saved)
