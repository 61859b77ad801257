"""What an exported file says about its model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from exports import random_model, told
from helpers import PALINDROMES

from flaxchar.export.metadata import beginnings, describe_model, in_words, read_description
from flaxchar.generation.generate import lead_in
from flaxchar.generation.prompt import encode_prompt


@pytest.mark.parametrize(
    "settings",
    [{}, {"labels": ("good", "bad")}, {"sources": True}, {"unit": "word", "max_vocab": 4}, {"cell": "minlstm"}],
    ids=str,
)
def test_settings_and_vocabulary_are_read_back(settings):
    lm = random_model(PALINDROMES, **settings)
    config, vocabulary = read_description(describe_model(lm), "a.safetensors")
    assert config == lm.config
    assert vocabulary == lm.vocabulary


def test_paths_of_the_users_files_stay_at_home():
    lm = random_model(PALINDROMES, data=("/home/anna/diary.txt",), format="txt", init_from="/home/anna/runs/a")
    assert "anna" not in describe_model(lm)
    read_description(describe_model(lm), "a.safetensors")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cannot be read"),
        ("[1]", "has the version [1]"),
        ('{"version": 2}', "has the version 2; it must be 1"),
        ('{"version": 1, "config": {"model": {"hidden": -1}}}', "`hidden` is -1"),
        ('{"version": 1, "config": {"colour": {}}}', "colour"),
        ('{"version": 1}', "the vocabulary's key 'unit' is missing"),
        ('{"version": 1, "vocabulary": {"unit": "word", "has_unknown": false, "tokens": ["a"]}}', "contradicts itself"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_description_that_cannot_be_is_refused(text, expected):
    sentence = told(read_description, text, "a.safetensors")
    assert expected in sentence
    assert "a.safetensors" in sentence


@pytest.mark.parametrize(
    "settings",
    [{}, {"bos": False}, {"labels": ("good", "bad"), "bos": False}, {"window": 8, "begin_at": "line"}],
    ids=str,
)
def test_a_text_begins_with_the_ids_that_generate_feeds(settings):
    lm = random_model([*PALINDROMES, "\n"], **settings)
    for label, ids in beginnings(lm).items():
        for prompt, expected in (("", ids.begin), ("An", (*ids.start, *lm.vocabulary.encode("An")))):
            fed = encode_prompt(lm, prompt, label=label or None).ids
            fed = lead_in(fed, lm.vocabulary.eos, lm.config.data.bos)
            np.testing.assert_array_equal(fed, expected)


def test_a_model_is_named_in_a_line():
    lm = random_model(PALINDROMES, layers=2, embedding=5, cell="mingru")
    assert in_words(lm) == "minGRU, 2 layers of 12 units, an embedding of 5, 20 ids"
    assert json.loads(describe_model(lm))["version"] == 1
