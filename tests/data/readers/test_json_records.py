"""Records in JSON: files of every layout, texts and labels of any characters, and errors that say where."""

from __future__ import annotations

import json

import pytest
from helpers import read_examples, read_found, read_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import InputError
from flaxchar.data.examples import Example
from flaxchar.data.readers.encodings import encoded_once
from flaxchar.data.readers.json_records import read_json
from flaxchar.data.readers.reading import Findings, ReadOptions

RECORDS = [{"id": k, "text": f"text {k}", "topic": "ab"[k % 2], "user": {"name": f"u{k}"}} for k in range(3)]
TEXTS = ["text 0", "text 1", "text 2"]
COLUMNS = {key: [record[key] for record in RECORDS] for key in ("id", "text", "topic")}


def test_json_lines(write):
    lines = [{"text": "a", "n": 1}, {"text": None}, {"text": "é"}]
    path = write("a.jsonl.gz", "\n".join(map(json.dumps, lines)) + "\n\n")
    assert read_texts([path]) == ["a", "", "é"]
    assert read_texts([write("b.jsonl", '"a"\n"b"\n')]) == ["a", "b"]
    assert read_texts([write("c.jsonl", '{"a": "x", "b": "y"}')], ["b", "a"]) == ["y x"]


def test_a_field_may_lie_within_another(write):
    path = write("a.jsonl", "\n".join(map(json.dumps, RECORDS)))
    assert read_texts([path], ["user.name"]) == ["u0", "u1", "u2"]
    assert read_texts([write("b.jsonl", '{"a.b": "x", "a": {"b": "y"}}')], ["a.b"]) == ["x"]


def test_the_only_key_that_holds_strings_is_the_text(write):
    path = write("a.jsonl", '{"n": 1, "body": "a", "kind": "x"}\n{"n": 2, "body": "b", "kind": "y"}\n')
    read, sentences = read_found(path, label_field="kind")
    assert read == [Example("a", "x"), Example("b", "y")]
    assert sentences == [f"{path}: the texts are those of 'body', the only key that holds strings"]


def test_labels_are_numbers_and_truth_values_as_python_prints_them(write):
    labels = [5, "5", 4.5, 4.0, True, False, -1]
    path = write("a.jsonl", "\n".join(json.dumps({"text": "a", "stars": label}) for label in labels))
    read = [example.label for example in read_examples([path], label_field="stars")]
    assert read == ["5", "5", "4.5", "4.0", "True", "False", "-1"]


@pytest.mark.parametrize(("field", "name"), [("label_field", "label"), ("source_field", "source")])
def test_records_without_a_label_or_a_source_are_left_out_and_counted(write, field, name):
    path = write("a.jsonl", '{"text": "a", "x": "y"}\n{"text": "b", "x": null}\n{"text": "c", "x": NaN}\n')
    read, sentences = read_found(path, **{field: "x"})
    assert read == [Example("a", **{name: "y"})]
    assert sentences == [f"records without a {name} left out: 2, the first in {path}, line 2"]


def test_texts_in_parts_are_joined_and_counted(write):
    parts = [{"type": "bold", "text": "See"}, " this ", {"type": "link", "text": "\ud83d", "href": "x"}, ""]
    chat = {"name": "x", "messages": [{"id": 1, "text": "a"}, {"id": 2, "text": parts}, {"id": 3, "text": ""}]}
    path = write("result.json", json.dumps(chat, indent=1))
    read, sentences = read_found(path)
    assert [example.text for example in read] == ["a", "See this \ufffd", ""]
    assert sentences[0] == f"texts in parts, such as a link between words, joined: 1, the first in {path}, item 2"


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda text: encoded_once(text) == text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Example, ANY, ANY, ANY), max_size=6))
def test_examples_of_any_characters_are_read_as_they_were_written(examples):
    lines = "".join(json.dumps(example._asdict()) + "\n" for example in examples)
    options = ReadOptions(label_field="label", source_field="source")
    assert list(read_json(iter([lines]), "a.jsonl", options, Findings())) == examples


def encoded_again(text):
    return text.encode().decode("latin-1")


def test_texts_that_were_encoded_twice_are_decoded_twice_and_told(write):
    texts = ["Zoë", "naïve – 😀", "plain", *["Ü"] * 30]
    lines = [{"text": encoded_again(text), "from": encoded_again("Łukasz")} for text in texts]
    lines.insert(5, {"text": encoded_again("cut short Ü")[:-1], "from": "Ann"})
    path = write("a.jsonl", "\n".join(map(json.dumps, lines)))
    read, sentences = read_found(path, label_field="from")
    assert [example.text for example in read if example.label == "Łukasz"] == texts
    assert read[5] == Example("cut short Ã", "Ann")
    assert sentences == [f"{path}: texts that were encoded twice, as Facebook and Instagram do it, are decoded twice"]
    assert read_texts([path]) == [example.text for example in read]


def test_texts_that_were_encoded_twice_may_follow_after_many_in_ascii(write):
    """An English chat has no character beyond ASCII for long, and then ’ or a name."""
    texts = [*["ok"] * 150, "that’s it", *["ok"] * 900, "déjà vu"]
    messages = [{"content": encoded_again(text)} for text in texts]
    path = write("message_1.json", json.dumps({"participants": [{"name": "Ann"}], "messages": messages}))
    read, sentences = read_found(path, fields=("content",))
    assert [example.text for example in read] == texts
    assert sentences == [f"{path}: texts that were encoded twice, as Facebook and Instagram do it, are decoded twice"]


@pytest.mark.parametrize(
    "texts",
    [
        [encoded_again("é"), "é", "groß«", "ascii"],
        [*map(encoded_again, ("é", "à", "ñ", "so’s")), "é"],
        ["In latin-1 you may see Ã© instead of an e with an accent", "plain"],
        ["1200 Å² in all", "nothing else", "80 Å³ of 90 Å³"],
        ["NESCAFÉ®", "ROSÉ®", "tea"],
        ["LIBERTÉ\xa0: ouverture", "ÉGALITÉ\xa0!"],
        [*["plain"] * 2000, *["60 Å²", "70 Å²", "80 Å²"] * 100],
    ],
)
def test_texts_that_only_look_as_if_they_were_encoded_twice_stay(write, texts):
    read, sentences = read_found(write("a.json", json.dumps(texts)))
    assert [example.text for example in read] == texts
    assert not sentences


def test_parts_of_texts_that_were_encoded_twice_are_decoded_twice(write):
    parts = ["see ", {"type": "link", "text": encoded_again("Zoë’s")}]
    assert read_texts([write("a.json", json.dumps([{"text": parts}]))]) == ["see Zoë’s"]


def test_halves_of_surrogate_pairs_become_replacement_characters_and_are_counted(write):
    record = '{"text": "\\ud83d\\ude00 a\\ude00\\ude00", "kind": "\\ud83d"}\n'
    path = write("a.jsonl", '{"text": "\\u00e9", "kind": "x"}\n' + record)
    read, sentences = read_found(path, label_field="kind")
    assert read == [Example("é", "x"), Example("😀 a\ufffd\ufffd", "\ufffd")]
    assert sentences == [f"halves of surrogate pairs (such as \\ud83d) read as U+FFFD: 3, the first in {path}, line 2"]


def test_records_that_do_not_fit_are_left_out_where_the_user_wants_it(write):
    path = write("a.jsonl", '{"text": "a"}\n{"txt": "b"}\n{"text": 3}\n{"text": "c"}\n[1]\n')
    read, sentences = read_found(path, skip_bad_rows=True)
    assert [example.text for example in read] == ["a", "c"]
    assert sentences == [f"records left out because they lack a text or a field: 3, the first in {path}, line 2"]


CHAT = '{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}\n'


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ('{"text": "a"}\n{', {}, r"a.jsonl, line 2: not JSON"),
        ('{"txt": "a", "title": "b"}', {}, r"line 1: there is no 'text'.*'txt', 'title'.*, or read all.*`format="),
        ('{"user": {"name": "b"}, "n": 2}', {}, r"there is no 'text'.*'user.name', 'n'"),
        ("{}", {}, r"line 1: the object is empty, so there is no 'text'"),
        ("null", {}, r"line 1: expected an object with a text.*, but it is null"),
        ('{"text": [{"text": "a"}, {"text": "b"}]}\n{"text": []}', {}, r"'text' is a list of 2 objects"),
        ('{"text": 3}', {}, r"'text' is 3, which is no text but a number"),
        ("[1]", {}, r"item 1: expected an object"),
        ('[{"text": "a"}, {"text": false}]', {}, r"a.jsonl, item 2: 'text' is False"),
        ('{"text": ["a"]}\n{"text": ["b"]}\n', {}, r"line 1: 'text' is a list of 1 text, .*jq -c '\.text\[\]'"),
        (CHAT * 2, {"fields": ["messages"]}, r"'messages' is a list of 2 objects.*'role', 'content'.*`fields`"),
        (CHAT * 2, {}, r"'messages' is a list of 2 objects"),
        (CHAT.replace("{", '{"id": "1", ', 1) * 2, {}, r"no 'text'; say with `fields` which of 'id', 'messages'"),
        ('{"a": "x"}\n{"b": "y"}', {"fields": ["a"]}, r"line 2: there is no 'a'.*leave out .* `skip_bad_rows=True`"),
        ('{"text": {"en": "a"}}\n', {}, r"'text' is an object with the keys 'en'.*`fields='text.en'`"),
        ('{"text": "a", "x": ["b", "c"]}', {"label_field": "x"}, r"in 'x', \['b', 'c'\] is a list of 2 texts"),
        ('{"text": "a"}', {"label_field": "x"}, r"there is no 'x'; the keys are 'text'"),
        ('{"text": ["a", "b"], "x": [1]}', {"label_field": "x"}, r"the columns have different lengths: 2, 1"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(write, content, arguments, message):
    with pytest.raises(InputError, match=message):
        read_texts([write("a.jsonl", content)], **arguments)
