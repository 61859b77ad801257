"""The settings of a run: copies, JSON, differences, and combinations that cannot work."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

import flaxchar
from flaxchar.config import Config, DataConfig, InputError, ModelConfig, TrainingConfig, parse_duration


def test_replace_finds_the_section_of_each_setting():
    config = Config().replace(hidden=8, steps=5, data=["a.txt"], window=0)
    assert (config.model.hidden, config.training.steps) == (8, 5)
    assert (config.data.data, config.data.window) == (("a.txt",), 0)
    with pytest.raises(TypeError, match="no such setting: hiden, stepps"):
        Config().replace(stepps=1, hiden=2, hidden=3)


def test_settings_have_one_name_each():
    sections = (DataConfig, ModelConfig, TrainingConfig)
    assert len(Config().by_name()) == sum(len(dataclasses.fields(section)) for section in sections)


def test_json_and_back():
    config = Config().replace(data=("a", "b"), sample_prompts=(), clip_norm=None, ema=0.9)
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(InputError, match=r"hold color, which this version of flaxchar does not know"):
        Config.from_dict({"model": {"color": "red"}})


def test_differences_name_both_values():
    assert Config().differences(Config().replace(hidden=8, seed=1)) == [("hidden", 256, 8), ("seed", 0, 1)]


def test_without_length_leaves_all_else():
    config = Config().replace(epochs=3, hidden=8)
    assert config.without_length() == Config().replace(hidden=8)


def test_the_defaults_are_valid():
    Config().validate()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": "128"}, "`hidden` is '128'; it must be a whole number"),
        ({"hidden": True}, "`hidden` is True"),
        ({"hidden": 10**9}, "`hidden` is 1000000000; it must be a whole number, at least 1 and at most 65,536"),
        ({"steps": 10**12}, "`steps`"),
        ({"seed": -1}, "`seed` is -1"),
        ({"fields": "title"}, "`fields` is 'title'; it must be a tuple of strings"),
        ({"optimizer": "adagrad"}, "`optimizer` is 'adagrad'; it must be one of adam"),
        ({"clip_norm": 0.0}, "`clip_norm` is 0.0"),
        ({"epochs": 1, "steps": 2}, "`epochs` and `steps` each say how long to train"),
        ({"time_budget": "soon"}, "`time_budget` is 'soon'"),
        ({"dataset": "headlines", "data": ("a",)}, "`dataset` and `data` each say what to train on"),
        ({"val_data": ("a",)}, "`val_data` goes with `data`"),
        ({"label_field": "a", "source_field": "b"}, "`label_field` and `source_field` exclude each other"),
        ({"source_field": "b", "window": 8}, "`source_field` and `window` exclude each other"),
        ({"label_field": "a", "dataset": "headlines"}, "`label_field` needs a table"),
        ({"source_field": "a", "dataset": "headlines"}, "`source_field` needs a table"),
        ({"head": "classifier"}, '`head="classifier"` needs `label_field`'),
        ({"input_dropout": 0.1, "embedding": 0}, "`input_dropout` is the dropout rate of the embedding"),
        ({"recurrent_dropout": 0.1, "cell": "mingru"}, '`recurrent_dropout` cannot work with `cell="mingru"`'),
    ],
)
def test_settings_that_cannot_work_are_named(settings, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Config().replace(**settings).validate()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1.5h", 5400), ("1m30s", 90)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "1.2.3", "5x", "m"])
def test_what_is_no_duration(text):
    with pytest.raises(InputError, match="`time_budget` is"):
        parse_duration(text)


def test_a_setting_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="hiden"):
        flaxchar.train(["abba"], hiden=3)
