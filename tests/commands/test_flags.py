"""Messages that name Python parameters, shown as flags."""

from __future__ import annotations

import dataclasses

import pytest

from flaxchar.commands.classify import ClassifyOptions
from flaxchar.commands.compare import CompareOptions
from flaxchar.commands.compress import CompressOptions
from flaxchar.commands.flags import SETTINGS, as_flags
from flaxchar.commands.novelty import NoveltyOptions
from flaxchar.commands.sample import SampleOptions
from flaxchar.commands.score import ScoreOptions
from flaxchar.commands.train import TrainOptions
from flaxchar.validation import describe


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("raise `max_length`", "raise --max-length"),
        ('with `unknown="drop"`', "with --unknown drop"),
        ("`bos=False`, `window=256`", "--no-bos, --window 256"),
        ("`fresh=True`", "--fresh"),
        ('`data=["my file.csv", "b.csv"]`', "--data 'my file.csv' b.csv"),
        ("`coordinator=HOST:PORT`", "--coordinator HOST:PORT"),
        ("`beams` is 0", "--beam is 0"),
        ("`held_out`", "--val-data"),
        ("leave out `labels` and `sources`", "leave out --label-field and --source-field"),
        ("`headlines` and `my text=1` stay", "`headlines` and `my text=1` stay"),
    ],
)
def test_parameters_become_flags(message, shown):
    assert as_flags(message) == shown


def test_every_option_of_every_command_can_be_named():
    kinds = (
        ClassifyOptions,
        CompareOptions,
        CompressOptions,
        NoveltyOptions,
        SampleOptions,
        ScoreOptions,
        TrainOptions,
    )
    names = {
        field.name for kind in kinds for field in dataclasses.fields(kind) if not describe(field).positional
    } | SETTINGS
    assert {name for name in names if not as_flags(f"`{name}`").startswith("--")} == set()
