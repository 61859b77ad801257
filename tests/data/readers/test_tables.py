"""Tables: columns by name and by number, what files hold besides rows, and errors that say where."""

from __future__ import annotations

import pytest
from helpers import read_examples, read_found, read_texts

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


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["'so it goes'", "'yes'", "'it''s'", "no", "'no'"], True),
        (["'tis", "'so' he said", "'yes'", "no"], False),
        (["'so'", "'yes'"], False),
    ],
)
def test_single_marks_stay_in_the_texts_and_it_is_told(write, cells, told):
    path = write("a.csv", "id,text\n" + "".join(f"1,{cell}\n" for cell in cells))
    texts, sentences = read_found(path, ["text"])
    assert [example.text for example in texts] == cells
    assert any("nearly all texts stand in single quotation marks" in sentence for sentence in sentences) == told


def test_a_field_may_be_very_long(write):
    assert read_texts([write("a.csv", "x," + "y" * 300_000)], ["2"]) == ["y" * 300_000]


def test_labels_and_sources_are_columns_too(write):
    path = write("a.csv", "kind,text,long,short\nx,a,b c,d\ny,e,,f\n")
    assert read_examples([path], ["text"], label_field="kind") == [Example("a", "x"), Example("e", "y")]
    sourced = [Example("d a", source="b c"), Example("f e", source="")]
    assert read_examples([path], ["short", "text"], source_field="long") == sourced
    both = read_examples([path], ["2"], label_field="1", source_field="3")
    assert both[1:] == [Example("a", "x", "b c"), Example("e", "y", "")]


def test_cells_in_columns_without_a_name_are_counted(write):
    rows = 'ham,text,,\nham,My so, much,\nham,"what, now",,\nham,a,b, \n'
    path = write("spam.csv", f"v1,v2,,\n{rows}")
    read, sentences = read_found(path, ["v2"], label_field="v1")
    assert [example.text for example in read] == ["text", "My so", "what, now", "a"]
    assert sentences == [
        f"rows with cells in columns without a name, which are not read: 2, the first in {path}, line 3"
    ]
    assert read_found(write("index.csv", ",text\n0,a\n"), ["text"])[1] == []


def test_a_name_that_several_columns_have_is_told(write):
    path = write("a.csv", "text,n,text\na,1,b\n")
    assert read_found(path, ["text"]) == (
        [Example("a")],
        [f"{path}: 2 columns are named 'text'; the first of them is read"],
    )


def test_a_row_without_a_label_is_left_out_and_counted(write):
    path = write("a.csv", "kind,text\nx,a\n,b\ny,c\n ,d\n")
    read, sentences = read_found(path, ["text"], label_field="kind")
    assert read == [Example("a", "x"), Example("c", "y")]
    assert sentences == [f"rows without a label left out: 2, the first in {path}, line 3"]


ROWS = "".join(f"{k},text {k},x\n" for k in range(6))


def test_joined_tables_have_a_second_header_and_byte_order_mark(write):
    header = '"id","text","kind"\r\n'
    path = write("a.csv", header + ROWS + "\x1a\ufeff" + header + ROWS + "\x1a")
    read, sentences = read_found(path, ["text"])
    assert [example.text for example in read] == [f"text {k}" for k in range(6)] * 2
    where = f"the first in {path}, line"
    assert sentences == [
        f"byte order marks dropped from the middle of files: 1, {where} 8",
        f"end-of-file signs (Ctrl-Z) dropped: 2, {where} 8",
        f"headers in the middle of a table left out: 1, {where} 8",
    ]


def test_a_title_above_the_table_and_a_footer_below_are_no_rows(write):
    path = write("a.csv", f"Exported, on Monday\n\nid,text,kind\n{ROWS}\nTotal 6 rows\n(all)\n")
    read, sentences = read_found(path, ["text"])
    assert [example.text for example in read] == [f"text {k}" for k in range(6)]
    assert sentences == [
        f"{path}: the table begins in line 3; what stands above it is left out",
        f"{path}, line 11: 'Total 6 rows' stands below the table and is left out",
        f"{path}, line 12: '(all)' stands below the table and is left out",
        f"blank rows left out: 1, the first in {path}, line 10",
    ]


def test_excels_line_that_names_the_separator_is_no_row(write):
    read, sentences = read_found(write("a.csv", "sep=;\nid;text\n1;a, b\n"), ["text"])
    assert ([example.text for example in read], sentences) == (["a, b"], [])


@pytest.mark.parametrize("delimiter", ["~", "\\t", "tab"])
def test_the_delimiter_that_the_user_names_is_taken(write, delimiter):
    character = "\t" if delimiter != "~" else "~"
    path = write("a.csv", f"a,b{character}text\n1,2{character}x, y\n")
    assert read_texts([path], ["text"], delimiter=delimiter) == ["x, y"]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("title,text\na,b", {}, r"`fields`.*'title', 'text'"),
        ("title;text\na;b", {}, r"`fields`.*'title', 'text'"),
        ("title,text\na,b", {"fields": ["head"]}, r"no column 'head'; its header reads 'title', 'text'"),
        ("title;text\na;b", {"fields": ["head"]}, r"no column 'head'; its header reads 'title', 'text'"),
        ("a,b\nc\n", {"fields": ["2"]}, r"line 2: the row has 1 column, but other rows have 2 .*`skip_bad_rows=True`"),
        ("a;b\nc;d\n", {"fields": ["3"]}, r"no column 3: most rows have 2 columns, the first one reads 'a', 'b'"),
        ("a,b\n", {"fields": ["0"]}, r"counts columns from 1"),
        ("a,b\n", {"fields": ["a"], "delimiter": "||"}, r"`delimiter` is '\|\|'; it must be one character"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(write, content, arguments, message):
    with pytest.raises(InputError, match=message):
        read_texts([write("a.csv", content)], **arguments)


def test_the_sign_of_a_missing_value_is_an_empty_cell(write):
    path = write("titles.tsv", "id\ttitle\tkind\n1\tRain\tx\n2\t\\N\tx\n3\tSnow\t\\N\n")
    read, sentences = read_found(path, ["title"], label_field="kind")
    assert read == [Example("Rain", "x"), Example("", "x")]
    assert sentences == [
        f"cells with \\N, which stands for a missing value, read as empty: 2, the first in {path}, line 3",
        f"rows without a label left out: 1, the first in {path}, line 4",
    ]


@pytest.mark.parametrize(
    ("name", "above", "rule", "row", "below"),
    [
        ("psql.txt", "", "----+---------+------", " {:2} | line {:2} | a", "(12 rows)\n\n"),
        ("mysql.txt", "+----+---------+------+\n", "+----+---------+------+", "| {:2} | line {:2} | a    |", "+--+\n"),
        ("table.md", "", "|----|:--------|-----:|", "| {:2} | line {:2} | a    |", ""),
    ],
)
def test_tables_that_are_drawn_have_a_rule_and_padded_cells(write, name, above, rule, row, below):
    header = " id |  text   | kind " if name == "psql.txt" else "| id | text    | kind |"
    rows = "\n".join(row.format(k, k) for k in range(12))
    path = write(name, f"{above}{header}\n{rule}\n{rows}\n{below}")
    read, sentences = read_found(path, ["text"], label_field="kind", format="csv")
    assert read == [Example(f"line {k:2}", "a") for k in range(12)]
    assert any("the rule under the header" in sentence for sentence in sentences)
