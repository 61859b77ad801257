"""Dialects: what the parser of each does with separators, quotation marks and backslashes."""

from __future__ import annotations

import csv

import pytest

from flaxchar import InputError
from flaxchar.data.readers.dialects import Dialect, separator_of, split_line, with_bare_marks


@pytest.mark.parametrize(
    ("dialect", "line", "cells"),
    [
        (Dialect(","), 'a,"b ""c"", d",5" e', ["a", 'b "c", d', '5" e']),
        (Dialect(None), "a, b;\tc", ["a, b;\tc"]),
        (Dialect(None), '"a ""b"""', ['a "b"']),
        (Dialect(";", "backslash"), 'a\\;b;"c \\"d\\" ""e""; C:\\new \\\\"', ["a;b", 'c "d" "e"; C:\\new \\']),
        (Dialect("\t", "none"), '"a"\t"b', ['"a"', '"b']),
        (Dialect(",", spaces=True), 'a,  "b, c"', ["a", "b, c"]),
    ],
)
def test_a_line_is_parsed_in_its_dialect(dialect, line, cells):
    assert next(dialect.parse(["before", line], 1)) == cells


def test_a_mark_that_ends_no_field_is_an_error():
    for line in ('"a" b', '"a'):
        with pytest.raises(csv.Error):
            next(Dialect(",").parse([line], 0))


def test_splitting_a_line_keeps_marks_that_enclose_no_field():
    assert split_line('a,"b, ""c""",d "e" f,"g" h,"i,', ",") == ["a", 'b, "c"', 'd "e" f', '"g" h', '"i', ""]
    assert split_line("", ",") == [""]


@pytest.mark.parametrize(
    ("delimiter", "separator"), [(";", ";"), ("\t", "\t"), ("\\t", "\t"), ("tab", "\t"), ("space", " "), ("^A", "\x01")]
)
def test_the_user_names_a_separator_by_itself_or_in_words(delimiter, separator):
    assert separator_of(delimiter) == separator


@pytest.mark.parametrize("delimiter", ["", "||", '"', "\n", "\\", "comma"])
def test_what_cannot_separate_columns_is_refused(delimiter):
    with pytest.raises(InputError, match=r"`delimiter` is .*; it must be one character"):
        separator_of(delimiter)


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ('"9","said "hi" there","x"', 3, [["9", 'said "hi" there', "x"]]),
        ('1,"a "b", c",', 3, [["1", 'a "b", c', ""]]),
        ('1,"a ""b"", c",x', 3, [["1", 'a "b", c', "x"]]),
        ('1,"a\n"b", c",x', 3, [["1", 'a\n"b", c', "x"]]),
        ('1,"a,x', 3, []),
        ('"a","b","c"', 2, [['a","b', "c"], ["a", 'b","c']]),
        ('"a",b', 3, []),
        ('"",' * 200, 201, []),  # too many marks to try
    ],
)
def test_rows_with_bare_marks_are_read_in_all_ways(text, columns, rows):
    assert sorted(with_bare_marks(text, ",", columns)) == sorted(rows)
