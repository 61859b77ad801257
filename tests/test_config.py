"""The settings of a run: copies, JSON, differences, and combinations that cannot work."""

from __future__ import annotations

import json

import pytest

import flaxchar
from flaxchar.config import Config, InputError, parse_duration


def test_replace_finds_the_section_of_each_setting():
    config = Config().replace(hidden=8, steps=5, data=["a.txt"], window=0)
    assert (config.model.hidden, config.training.steps) == (8, 5)
    assert (config.data.data, config.data.window) == (("a.txt",), 0)
    with pytest.raises(TypeError, match="no such setting: hiden, stepps"):
        Config().replace(stepps=1, hiden=2, hidden=3)


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
