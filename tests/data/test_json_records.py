"""JSON lines: texts, labels and sources of any characters, and errors that say where."""

from __future__ import annotations

import json

import pytest
from helpers import read_examples, read_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import InputError
from flaxchar.data.examples import Example
from flaxchar.data.json_lines import read_json_lines
from flaxchar.data.reading import Findings, ReadOptions


def test_json_lines(write):
    lines = [{"text": "a", "n": 1}, {"text": None}, {"text": "é"}]
    path = write("a.jsonl.gz", "\n".join(map(json.dumps, lines)) + "\n\n")
    assert read_texts([path]) == ["a", "", "é"]
    assert read_texts([write("b.jsonl", '"a"\n"b"\n')]) == ["a", "b"]
    assert read_texts([write("c.jsonl", '{"a": "x", "b": "y"}')], ["b", "a"]) == ["y x"]


def test_a_label_may_be_a_number(write):
    path = write("a.jsonl", '{"text": "a", "stars": 5}\n{"text": "b", "stars": "5"}\n')
    assert read_examples([path], label_field="stars") == [Example("a", "5"), Example("b", "5")]


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Example, ANY, ANY, ANY), max_size=6))
def test_examples_of_any_characters_are_read_as_they_were_written(examples):
    lines = [json.dumps(example._asdict()) for example in examples]
    options = ReadOptions(label_field="label", source_field="source")
    assert list(read_json_lines(iter([lines]), "a.jsonl", options, Findings())) == examples


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ('{"text": "a"}\n{', {}, r"a.jsonl, line 2: not JSON"),
        ('{"txt": "a"}', {}, r"line 1: there is no 'text'.*'txt'"),
        ('{"text": 3}', {}, r"'text' is 3, which is no text"),
        ("[1]", {}, r"expected an object"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(write, content, arguments, message):
    with pytest.raises(InputError, match=message):
        read_texts([write("a.jsonl", content)], **arguments)
