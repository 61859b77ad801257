"""Separators, quotation marks and columns of a table, recognised from its rows."""

from __future__ import annotations

import pytest
from helpers import read_found

from flaxchar.data.readers.recognition import recognise


def texts_of(path: str, fields: list[str]) -> tuple[list[str], list[str]]:
    read, sentences = read_found(path, fields)
    return [example.text for example in read], sentences


@pytest.mark.parametrize(("separator", "shown"), [(",", None), (";", "';'"), ("\t", "tabs"), ("|", "'|'")])
@pytest.mark.parametrize("fields", [["text"], ["2"]])
def test_the_separator_is_recognised_and_told(write, separator, shown, fields):
    rows = ["id,text,price", '1,"so, yes; or | no",3.50', '2,"tabs	too",4', "3,one; two,5"]
    path = write("a.csv", "\n".join(rows[:3]).replace(",", separator).replace(f"so{separator}", "so,") + "\n")
    if separator == ",":
        path = write("a.csv", "\n".join(rows))
    read, sentences = texts_of(path, fields)
    assert read[-2 - (separator == ",") :][:2] == ["so, yes; or | no", "tabs\ttoo"]
    assert sentences == ([] if shown is None else [f"{path}: columns are separated by {shown}"])


def test_a_comma_may_be_a_decimal_point(write):
    path = write("a.csv", "1;foo;3,50\n2;bar;4,20\n")
    assert texts_of(path, ["2"]) == (["foo", "bar"], [f"{path}: columns are separated by ';'"])


def test_the_ending_may_be_wrong(write):
    path = write("a.tsv", "id,text\n1,a\n")
    assert texts_of(path, ["text"]) == (["a"], [f"{path}: columns are separated by ','"])


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ('text\nHello, world\nYes\n"So, it is"\n"Well," he said\n', ["text"]),
        ('Hello, world\nYes\n"So, it is"\n"Well," he said\n', ["1"]),
    ],
)
def test_one_column_of_free_text_is_not_cut_at_its_commas(write, content, fields):
    path = write("a.csv", content)
    read, sentences = texts_of(path, fields)
    assert read == ["Hello, world", "Yes", "So, it is", '"Well," he said']
    assert f"{path}: the table has one column, so each ',' in it is text" in sentences


def test_backslashes_before_quotation_marks_are_recognised(write):
    path = write("a.csv", 'id,text,n\n1,"a \\"b, c\\" d",2\n2,"C:\\\\new \\n",3\n')
    told = f'{path}: quotation marks and separators inside fields are written with a backslash, as \\"'
    assert texts_of(path, ["text"]) == (['a "b, c" d', "C:\\new \\n"], [told])
    path = write("b.csv", "id,text,n\n1,a\\, b,2\n2,c,3\n")
    told = f"{path}: quotation marks and separators inside fields are written with a backslash, as \\,"
    assert texts_of(path, ["text"]) == (["a, b", "c"], [told])


def test_quotation_marks_are_text_where_most_do_not_enclose_a_field(write):
    path = write("a.tsv", "id\ttext\n" + "".join(f'{k}\t"Yes," said {k}\n' for k in range(4)) + '5\t"No"\n')
    read, sentences = texts_of(path, ["text"])
    assert read[-2:] == ['"Yes," said 3', '"No"']
    assert sentences == [f"{path}: quotation marks are read as text, because most that begin a field do not end it"]


def test_spaces_after_separators_belong_to_them(write):
    path = write("a.csv", 'id, text, kind\n1, "Hello, you", x\n2, b, y\n')
    assert texts_of(path, ["text"]) == (["Hello, you", "b"], [f"{path}: spaces after the separators are left out"])


def test_the_columns_of_the_wanted_fields_are_found():
    table = recognise(["b,a,c", "1,2,3"], ",", ["a", "b"], "a.csv")
    assert (table.columns, table.header, table.width) == ((1, 0), ["b", "a", "c"], 3)
