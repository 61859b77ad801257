"""Tables: columns by name and by number, and errors that say where."""

from __future__ import annotations

import pytest
from helpers import read_examples, read_texts

from flaxchar import InputError
from flaxchar.data.examples import Example


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_by_name_and_by_number(write, end):
    rows = ["id,title,text", '1,"A, b","x ""y"" z"', '2,C,"two\nlines"']
    path = write("a.csv", end.join(rows) + end)
    assert read_texts([path], ["title"]) == ["A, b", "C"]
    assert read_texts([path], ["text", "title"]) == ['x "y" z A, b', "two\nlines C"]
    assert read_texts([path], ["2"]) == ["title", "A, b", "C"]
    assert read_texts([write("a.tsv.gz", "a\tb\nc\td\n")], ["2"]) == ["b", "d"]


def test_a_field_may_be_very_long(write):
    assert read_texts([write("a.csv", "x," + "y" * 300_000)], ["2"]) == ["y" * 300_000]


def test_labels_and_sources_are_columns_too(write):
    path = write("a.csv", "kind,text,long,short\nx,a,b c,d\ny,e,,f\n")
    assert read_examples([path], ["text"], label_field="kind") == [Example("a", "x"), Example("e", "y")]
    sourced = [Example("d a", source="b c"), Example("f e", source="")]
    assert read_examples([path], ["short", "text"], source_field="long") == sourced
    both = read_examples([path], ["2"], label_field="1", source_field="3")
    assert both[1:] == [Example("a", "x", "b c"), Example("e", "y", "")]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("title,text\na,b", {}, r"`fields`.*'title', 'text'"),
        ("title,text\na,b", {"fields": ["head"]}, r"no column 'head'; its header reads 'title', 'text'"),
        ("a,b\nc\n", {"fields": ["2"]}, r"line 2: the row has 1 columns, and no column 2"),
        ("a,b\n", {"fields": ["0"]}, r"counts columns from 1"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(write, content, arguments, message):
    with pytest.raises(InputError, match=message):
        read_texts([write("a.csv", content)], **arguments)
