"""Prompts: what is fed before the first drawn token, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import untrained_model

from flaxchar import InputError
from flaxchar.generation.prompt import encode_prompt


def trained(labels=(), sources=False, **settings):
    return untrained_model(["Anna", "Otto"], labels=labels, sources=sources, **settings)


def test_a_label_or_a_source_is_fed_before_the_prompt_and_not_counted_in_its_size():
    model = trained(labels=("low", "high"))
    prompt = encode_prompt(model, "An", size=5, label="high")
    assert prompt.ids.tolist() == [model.vocabulary.label_ids[1], *model.vocabulary.encode("An")]
    assert (prompt.text, prompt.size) == ("An", 6)
    model = trained(sources=True)
    prompt = encode_prompt(model, "An", size=5, source="Otto")
    expected = [*model.vocabulary.encode("Otto"), model.vocabulary.source_end, *model.vocabulary.encode("An")]
    assert prompt.ids.tolist() == expected
    assert prompt.size == 10
    assert prompt.ids.dtype == np.int32


def test_unknown_characters_are_left_out_of_prompt_and_source_where_that_is_asked_for():
    model = trained(sources=True)
    prompt = encode_prompt(model, "Anß", unknown="drop", source="Oxtto")
    assert prompt.text == "An"
    assert prompt.ids.tolist() == encode_prompt(model, "An", source="Otto").ids.tolist()


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ({}, {"size": 0}, "`size` is 0"),
        ({}, {"unknown": "x"}, "`unknown` is 'x'"),
        ({}, {"text": "Anna", "size": 3}, "has 4 tokens; `size` is 3"),
        ({}, {"text": "Zoë"}, "'Z', 'o', 'ë'|'Z', 'ë'"),
        ({}, {"label": "low"}, "label"),
        ({}, {"source": "Otto"}, "source"),
        ({"labels": ("low", "high")}, {}, "'low', 'high'"),
        ({"labels": ("low", "high")}, {"label": "middle"}, "'middle'"),
        ({"sources": True}, {}, "`source`"),
        ({"labels": ("low", "high"), "head": "classifier"}, {}, "cannot write"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(model, arguments, message):
    with pytest.raises(InputError, match=message):
        encode_prompt(trained(**model), **arguments)
