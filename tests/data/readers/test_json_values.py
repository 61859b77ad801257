"""JSON values: one a line, over several lines, one after another, and errors that name the line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import InputError
from flaxchar.data.readers.json_values import JsonValues
from flaxchar.data.readers.reading import Findings


def values_of(text: str, block: int = 1 << 20, skip_bad: bool = False) -> tuple[list, list[str]]:
    findings = Findings()
    blocks = (text[k : k + block] for k in range(0, len(text), block))
    return list(JsonValues(blocks, "a.json", skip_bad, findings)), findings.sentences()


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(ANY, max_size=5),
    st.sampled_from([None, 0, 2]),
    st.sampled_from(["\n", "\n\n", " \n\ufeff"]),
    st.integers(1, 30),
)
def test_values_are_read_whatever_their_layout(values, indent, between, block):
    text = between.join(json.dumps(value, indent=indent) for value in values)
    assert [value for _, value in values_of(text, block)[0]] == values


def test_each_value_has_the_number_of_its_line():
    text = '{"a":\n1}\n\n{"a": 2} {"a": 3}\n{\n"a": 4}'
    assert values_of(text)[0] == [(1, {"a": 1}), (4, {"a": 2}), (4, {"a": 3}), (5, {"a": 4})]


def test_lines_are_read_one_at_a_time():
    taken = []

    def blocks():
        for k in range(100):
            taken.append(k)
            yield f'"{k}"\n'

    values = iter(JsonValues(blocks(), "a.jsonl", False, Findings()))
    assert next(values) == (1, "0")
    assert len(taken) == 1


def test_a_large_document_is_not_parsed_anew_for_each_of_its_lines():
    # 20,000 lines: parsed again for each of them, they would take minutes.
    items = [f"text {k}" for k in range(20_000)]
    assert values_of(json.dumps(items, indent=1), 1 << 12)[0] == [(1, items)]


def test_marks_of_joined_files_are_left_out_and_counted():
    values, sentences = values_of('"a"\n\x1a\ufeff"b"\n\x1a')
    assert [value for _, value in values] == ["a", "b"]
    assert sentences == ["lines with a byte order mark or the like: 2, the first in a.json, line 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a" 2}\n', "a.json, line 2: not JSON: Expecting ':' delimiter at character 6, which reads '2}'"),
        ('"a"\n"b\n', "a.json, line 2: not JSON: Unterminated string starting at character 1, which reads '\"b'"),
        ('{"a": 1}\n{"a": \n', "a.json, line 2: not JSON: it ends before the value does"),
        ('[\n{"a": 1},\n{"a": 2\n', "a.json, line 3: not JSON: it ends before the value does"),
        ('[\n{"a": 1}\n{"a": 2}\n]', "a.json, line 3: not JSON: Expecting ',' delimiter at character 1"),
        ("Dear all\n" * 9, "a.json, line 1: not JSON: Expecting value at character 1, which reads 'Dear all'"),
        ("[" * 100_000, "a.json, line 1: lists or objects are nested too deeply"),
    ],
)
def test_what_is_not_json_is_told_with_its_line(text, message):
    with pytest.raises(InputError) as error:
        values_of(text)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("// titles\n[]", "; JSON has no comments: take them out"),
        ('{"a": 1} # one\n', "; JSON has no comments: take them out"),
        ('{"a": 1},\n{"a": 2},\n', "which reads ','; take away this comma"),
        ('["a",\n]', "; take away th"),  # Python 3.13 points to the comma, older ones to the bracket
        ("{'a': 1}\n", "; JSON has double quotation marks: in Python, json.dumps writes them"),
        ("[None]\n", "; JSON has null, true and false: in Python, json.dumps writes them"),
    ],
)
def test_frequent_faults_are_told_with_what_to_do(text, advice):
    with pytest.raises(InputError, match="not JSON") as error:
        values_of(text)
    assert advice in str(error.value)


def test_lines_that_are_not_json_are_left_out_where_the_user_wants_it():
    values, sentences = values_of('"a"\n{"b\n"c"\n', skip_bad=True)
    assert values == [(1, "a"), (3, "c")]
    assert sentences == ["lines left out because they are not JSON: 1, the first in a.json, line 2"]


def test_a_number_of_very_many_digits_harms_nobody():
    assert values_of(f'{{"id": {"9" * 5000}, "text": "a"}}')[0][0][1]["text"] == "a"
