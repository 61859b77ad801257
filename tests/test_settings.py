"""The settings: one name each, valid defaults, and values that cannot work are named."""

from __future__ import annotations

import dataclasses
import re

import pytest

from flaxchar.config import Config, InputError
from flaxchar.settings import DataConfig, ModelConfig, TrainingConfig


def test_settings_have_one_name_each():
    sections = (DataConfig, ModelConfig, TrainingConfig)
    assert len(Config().by_name()) == sum(len(dataclasses.fields(section)) for section in sections)


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
