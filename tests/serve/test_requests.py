"""The body of a request is checked by the rules of settings, and refused in one sentence that names the field."""

from __future__ import annotations

import dataclasses
import json

import pytest

from flaxchar import InputError
from flaxchar.serve.requests import (
    LONGEST,
    MOST_WRITTEN,
    ClassifyBody,
    GenerateBody,
    ScoreBody,
    read_body,
    schema,
)

BAD = [
    (GenerateBody, {"temperature": -1}, "`temperature` is -1"),
    (GenerateBody, {"temperature": "hot"}, "`temperature` is 'hot'"),
    (GenerateBody, {"temperature": None}, "`temperature` is None"),
    (GenerateBody, {"temperature": True}, "`temperature` is True"),
    (GenerateBody, {"top_k": 1.5}, "`top_k` is 1.5"),
    (GenerateBody, {"top_k": 10**30}, "`top_k` is"),
    (GenerateBody, {"top_p": 0}, "`top_p` is 0"),
    (GenerateBody, {"top_p": 1.1}, "`top_p` is 1.1"),
    (GenerateBody, {"min_p": -0.1}, "`min_p` is -0.1"),
    (GenerateBody, {"size": 0}, "`size` is 0"),
    (GenerateBody, {"size": MOST_WRITTEN + 1}, "`size` is 4001"),
    (GenerateBody, {"seed": -1}, "`seed` is -1"),
    (GenerateBody, {"seed": 2**32}, "`seed` is"),
    (GenerateBody, {"prompt": 7}, "`prompt` is 7"),
    (GenerateBody, {"prompt": ["a"]}, "`prompt` is ['a']"),
    (GenerateBody, {"prompt": "a" * (LONGEST["prompt"] + 1)}, "`prompt` has 4,001 characters"),
    (GenerateBody, {"unknown": "ignore"}, "`unknown` is 'ignore'"),
    (GenerateBody, {"label": {}}, "`label` is {}"),
    (GenerateBody, {"promt": "a"}, "the request has no field 'promt'"),
    (GenerateBody, {"__class__": 1}, "the request has no field '__class__'"),
    (ScoreBody, {"text": None}, "`text` is None"),
    (ScoreBody, {"units": 3}, "`units` is 3"),
    (ScoreBody, {"units": [[0]]}, "`units` is [[0]]"),
    (ScoreBody, {"units": [[0, -1]]}, "`units` is"),
    (ScoreBody, {"units": [[0, True]]}, "`units` is"),
    (ScoreBody, {"units": [["0", 1]]}, "`units` is"),
    (ScoreBody, {"units": [[0, 1]] * 17}, "`units` is"),
    (ScoreBody, {"layer": -1}, "`layer` is -1"),
    (ClassifyBody, {"text": "a" * 5000}, "`text` has 5,000 characters"),
]


@pytest.mark.parametrize(("kind", "values", "told"), BAD)
def test_a_bad_value_is_named(kind, values, told):
    with pytest.raises(InputError) as caught:
        read_body(kind, json.dumps(values).encode())
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"3", b"null", b'{"temperature": NaN}', b"\xff", b"[" * 60_000, b'{"a":' * 20_000]
)
def test_what_is_no_json_object_is_refused(data):
    with pytest.raises(InputError, match="the body of the request"):
        read_body(GenerateBody, data)


def test_what_is_left_out_has_its_default():
    assert read_body(GenerateBody, b"{}") == GenerateBody()
    body = read_body(ScoreBody, b'{"text": "a", "units": [[0, 3], [1, 2]], "layer": 1}')
    assert body == ScoreBody(text="a", units=((0, 3), (1, 2)), layer=1)


def test_the_schema_names_every_field_with_its_range():
    for kind in (GenerateBody, ScoreBody, ClassifyBody):
        described = schema(kind)["properties"]
        assert list(described) == [field.name for field in dataclasses.fields(kind)]
        assert all(field["description"] for field in described.values())
    described = schema(GenerateBody)["properties"]
    assert described["top_p"] | {"description": ""} == {
        "description": "", "type": "number", "default": 1.0, "exclusiveMinimum": 0, "maximum": 1,
    }  # fmt: skip
    assert described["unknown"]["enum"] == ["error", "drop"]
