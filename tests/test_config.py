"""The settings: durations, and settings that cannot work."""

from __future__ import annotations

import pytest

import flaxchar
from flaxchar import InputError
from flaxchar.config import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1.5h", 5400), ("1m30s", 90)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "1.2.3", "5x", "m"])
def test_what_is_no_duration(text):
    with pytest.raises(InputError, match=r"time.budget"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "hidden.? is 0"),
        ({"dropout": 1.0}, "dropout.? is 1.0"),
        ({"learning_rate": float("nan")}, "learning.rate.? is nan"),
        ({"optimizer": "adagrad"}, "optimizer.? is 'adagrad'; it must be one of adam"),
        ({"time_budget": "soon"}, "time.budget.? is 'soon'"),
        ({"steps": 5, "epochs": 1}, "epochs.? and .*steps"),
        ({"val_fraction": 1.0}, "val.fraction"),
    ],
)
def test_settings_that_cannot_work_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        flaxchar.train(["abba"], **{"steps": 1, **settings} if "epochs" not in settings else settings)


def test_a_setting_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="hiden"):
        flaxchar.train(["abba"], hiden=3)
