"""Where the records of a JSON file lie: on lines, in lists, in columns and within objects."""

from __future__ import annotations

import json

import pytest
from helpers import read_examples, read_texts

from flaxchar import InputError
from flaxchar.data.examples import Example

RECORDS = [{"id": k, "text": f"text {k}", "topic": "ab"[k % 2], "user": {"name": f"u{k}"}} for k in range(3)]
TEXTS = ["text 0", "text 1", "text 2"]
COLUMNS = {key: [record[key] for record in RECORDS] for key in ("id", "text", "topic")}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson", "a.jl"])
@pytest.mark.parametrize(
    "document",
    [
        RECORDS,
        COLUMNS,
        {key: dict(enumerate(column)) for key, column in COLUMNS.items()},  # pandas, orient="columns"
        {"columns": list(COLUMNS), "index": [0, 1, 2], "data": list(map(list, zip(*COLUMNS.values(), strict=True)))},
        {str(record["id"]): record for record in RECORDS},  # pandas, orient="index"
        {"schema": {"fields": [{"name": "id"}]}, "data": RECORDS},  # pandas, orient="table"
        {"version": "1.0", "errors": ["none"], "rows": RECORDS},
    ],
    ids=["list", "columns", "pandas columns", "split", "by id", "table", "one list of records among others"],
)
def test_documents_of_every_layout_are_read(write, name, indent, document):
    path = write(name, json.dumps(document, indent=indent))
    assert read_texts([path]) == TEXTS
    assert read_texts([path], ["text"]) == TEXTS
    expected = [Example(record["text"], record["topic"]) for record in RECORDS]
    assert read_examples([path], ["text"], label_field="topic") == expected
    assert read_examples([path], label_field="topic") == expected


@pytest.mark.parametrize("document", [TEXTS, {"lines": TEXTS}, {"about": "these", "lines": TEXTS}])
def test_lists_of_strings_are_texts(write, document):
    assert read_texts([write("a.json", json.dumps(document, indent=1))]) == TEXTS


def test_several_records_without_commas_and_one_record_alone(write):
    path = write("a.json", "\n".join(json.dumps(record, indent=2) for record in RECORDS))
    assert read_texts([path]) == TEXTS
    assert read_texts([write("a.json", json.dumps(RECORDS[0], indent=2))]) == TEXTS[:1]


CONVERSATION = {
    "participants": [{"name": "Ann"}, {"name": "Bob"}],
    "messages": [{"sender_name": "Ann", "photos": 1}, *[{"sender_name": "Bob", "content": "Hi"}] * 2],
    "title": "Two",
}
IN_MESSAGES = r"'sender_name', 'content', 'photos' \(in the objects of 'messages'\) or 'title'"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, rf"there is no 'text'; say with `fields` which key holds the text: {IN_MESSAGES}, or read all"),
        ({"fields": ["messages"]}, rf"'messages' is a list of 3 objects, .* `fields` which .*: {IN_MESSAGES}$"),
        ({"fields": ["participants"]}, rf"'participants' is a list of 2 objects, .* `fields` which .*: {IN_MESSAGES}$"),
        ({"fields": ["content"], "label_field": "who"}, rf"there is no 'who'; the keys are {IN_MESSAGES}$"),
        ({"fields": ["content", "title"]}, rf"no object has all of 'content', 'title'; say .*: {IN_MESSAGES}$"),
    ],
)
def test_a_document_of_several_lists_tells_the_keys_of_the_longest_that_work(write, arguments, message):
    path = write("message_1.json", json.dumps(CONVERSATION))
    with pytest.raises(InputError, match=message):
        read_texts([path], **arguments)
    assert read_texts([path], ["content"], skip_bad_rows=True) == ["Hi", "Hi"]
    assert read_texts([path], ["title"]) == ["Two"]


def test_a_document_of_several_lists_that_fit_is_refused_with_their_names(write):
    path = write("parts.json", json.dumps({"train": [{"text": "a"}], "test": [{"text": "b"}], "info": [{"n": 1}]}))
    with pytest.raises(InputError, match=r"the lists 'train', 'test' all have 'text'; write the ones to read"):
        read_texts([path])


@pytest.mark.parametrize(
    "document",
    [
        {"status": "ok", "result": {"items": [{"text": "a"}, {"text": "b"}]}},
        {"responseHeader": {"q": "x"}, "response": {"docs": [{"text": "a"}, {"text": "b"}]}},
        {"people": [{"name": "A"}], "messages": [{"text": "a"}, {"text": "b"}], "words": []},
    ],
)
def test_the_list_of_records_may_lie_within_objects(write, document):
    assert read_texts([write("a.json", json.dumps(document))]) == ["a", "b"]


def test_the_first_records_of_a_list_may_be_of_another_kind(write):
    document = {"people": [{"name": "A"}], "messages": [{"photos": []}, {"text": "a"}]}
    assert read_texts([write("a.json", json.dumps(document))], ["text"], skip_bad_rows=True) == ["a"]
