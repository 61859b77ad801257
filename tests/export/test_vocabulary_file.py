"""The vocabulary of an imported model: the forms that are read, and what is refused."""

from __future__ import annotations

import json

import pytest
from exports import told

from flaxchar import Vocabulary
from flaxchar.export.vocabulary_file import read_vocabulary

EXPECTED = Vocabulary(("e", "t", '"'))


@pytest.mark.parametrize(
    "values",
    [
        ["e", "t", '"'],
        {"t": 2, "e": 1, '"': 3},
        EXPECTED.to_dict(),
        {"version": 1, "vocabulary": EXPECTED.to_dict()},
    ],
)
def test_every_form_is_read(values, tmp_path):
    (tmp_path / "v.json").write_text(json.dumps(values))
    assert read_vocabulary(tmp_path / "v.json") == (EXPECTED, None)


def test_a_character_may_be_named_like_a_key(tmp_path):
    (tmp_path / "v.json").write_text('{"v": 1, "o": 2}')
    assert read_vocabulary(tmp_path / "v.json")[0].tokens == ("v", "o")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cannot be read"),
        ("3", "the vocabulary's content is 3"),
        ("[]", "'tokens' are none"),
        ('["ab"]', "it must be one character"),
        ('["a", "a"]', "hold 'a' twice"),
        ("[null]", "must be"),
        ('{"a": 0, "b": 1}', "the id of 'a' is 0, and no character has the id 1"),
        ('{"a": 1, "b": 3}', "the id of 'b' is 3, and no character has the id 2"),
        ('{"a": 1, "b": 1}', "the id of 'b' is 1"),
        ('{"a": "1"}', "must be a whole number"),
        ('{"a": true}', "must be a whole number"),
        ('{"tokens": ["a"]}', "key 'unit' is missing"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_other_files_are_refused(text, expected, tmp_path):
    path = tmp_path / "v.json"
    path.write_text(text)
    sentence = told(read_vocabulary, path)
    assert expected in sentence
    assert "v.json" in sentence
