"""The options of ``sample`` as arguments of ``LanguageModel``."""

from __future__ import annotations

import inspect

import pytest
from helpers import untrained_model

from flaxchar import InputError, LanguageModel
from flaxchar.commands.writing import ARGUMENTS, SampleOptions, asked, drawing
from flaxchar.generation.constraints import TextConstraints


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_each_argument_of_the_library_is_an_option(method):
    parameters = inspect.signature(getattr(LanguageModel, method)).parameters
    own = {*parameters, *TextConstraints.__annotations__} - {"self", "prompt", "num_samples", "sample", "constraints"}
    assert own == set(ARGUMENTS)


def test_an_option_is_handed_on_under_its_name():
    options = SampleOptions(temperature=0.3, min_p=0.1, regex="a", label="x")
    assert drawing(options)["temperature"] == 0.3
    assert drawing(options)["min_p"] == 0.1
    assert asked(options)["regex"] == "a"
    assert asked(options)["label"] == "x"
    assert "blend" not in drawing(options)


def test_the_other_model_of_a_blend_is_a_run_and_a_share(tmp_path):
    other = untrained_model(["ab"])
    other.save(tmp_path / "a:b")
    model, share = asked(SampleOptions(blend=f"{tmp_path}/a:b:0.25"))["blend"]
    assert share == 0.25
    assert model.vocabulary == other.vocabulary


@pytest.mark.parametrize("value", ["", "runs", "runs:", "runs:x", ":0.3", "runs:1.5", "runs:-1", "runs:nan"])
def test_a_blend_that_is_something_else_is_an_error(value):
    with pytest.raises(InputError, match="it must be a run directory and a share of 0 to 1"):
        asked(SampleOptions(blend=value))
