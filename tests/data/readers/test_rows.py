"""Rows of a table: quotation marks that do not close, and rows with another number of columns."""

from __future__ import annotations

import pytest
from helpers import read_found, small_blocks

from flaxchar import InputError
from flaxchar.data.readers import rows

ROWS = "".join(f"{k},text {k},x\n" for k in range(20))
UNCLOSED = "quotation marks that begin a field and do not end it, read as text: 1, the first in {}, line {}"


def texts_of(path: str, **settings) -> tuple[list[str], list[str]]:
    read, sentences = read_found(path, ["text"], **settings)
    return [example.text for example in read], sentences


@pytest.mark.parametrize(
    "later",
    ["", '30,"so ""it"" is, yes",y\n', '30,a 5" disk,y\n', '30,"two\nlines",y\n', '30,"",y\n', '30,"x","y"\n'],
)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_quotation_mark_that_never_closes_is_text_and_swallows_no_row(write, name, later):
    content = f'id,text,kind\n{ROWS}21,"open,x\n{ROWS}{later}{ROWS}'
    if name == "a.tsv":
        content = content.replace(",", "\t")
    path = write(name, content)
    read, sentences = texts_of(path)
    assert (len(read), read[20], read[21]) == (61 + bool(later), '"open', "text 0")
    assert UNCLOSED.format(path, 22) in sentences


def test_marks_within_a_field_are_text(write):
    path = write("a.csv", 'id,text\n1,5" disk\n2,a "b" c\n3,"a" b\n4,"5"" disk"\n')
    assert texts_of(path) == (['5" disk', 'a "b" c', '"a" b', '5" disk'], [UNCLOSED.format(path, 4)])


BARE = "rows with bare quotation marks inside a field in quotation marks, read as text: {}, the first in {}, line {}"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ('"He said "hi" to me"', 'He said "hi" to me'),
        ('"He said "hi", and left"', 'He said "hi", and left'),
        ('""Hi", he said"', '"Hi", he said'),
        ('"a 5" disk, and more"', 'a 5" disk, and more'),
        ('"one\ntwo "three", four\nfive"', 'one\ntwo "three", four\nfive'),
    ],
)
@pytest.mark.parametrize("others", [ROWS, ""])
def test_bare_marks_inside_a_field_in_marks_are_text(write, field, text, others):
    path = write("a.csv", f"id,text,kind\n{others}{f'21,{field},x' + chr(10)}{others}")
    for block in (1, 1 << 20):
        with small_blocks(block):
            read, sentences = texts_of(path)
        assert (len(read), text in read) == (2 * len(others.splitlines()) + 1, True)
        assert sentences == [BARE.format(1, path, 2 + len(others.splitlines()))]


def test_bare_marks_in_a_table_with_all_fields_in_marks_are_text(write):
    rows = "".join(f'"{k}","row {k}","x"\n' for k in range(5))
    path = write("a.csv", f'"id","text","kind"\n{rows}"5","said "hi" there","x"\n"6","a 5" disk","x"\n{rows}')
    read, sentences = texts_of(path)
    assert (len(read), read[5:7], sentences) == (12, ['said "hi" there', 'a 5" disk'], [BARE.format(2, path, 7)])


def test_a_whole_table_of_bare_marks_is_read(write):
    for text in ('so "he"\nsaid, {}', 'so "he", {}'):
        rows = [text.format(k) for k in range(9)]
        path = write("a.csv", "id,text,day\n" + "".join(f'{k},"{row}",x\n' for k, row in enumerate(rows)))
        assert texts_of(path) == (rows, [BARE.format(9, path, 2)])


@pytest.mark.parametrize("row", ['21,"Yes" and "No",x', '21,"open,x', '21,"a" b,x'])
def test_marks_that_do_not_enclose_the_whole_field_are_kept(write, row):
    path = write("a.csv", f"id,text,kind\n{ROWS}{row}\n{ROWS}")
    assert texts_of(path)[0][20] == row.split(",")[1]


def test_a_row_that_can_be_read_in_two_ways_is_refused(write):
    path = write("a.csv", f'id,text,kind\n{ROWS}21,"a "b", c","d"," e "f" g"\n')
    with pytest.raises(InputError, match="line 22: the row has"):
        texts_of(path)


def test_a_row_goes_on_over_as_many_lines_and_blocks_as_its_field(write, monkeypatch):
    path = write("a.csv", 'text,id\n"one\n\ntwo\n",1\n"open,2\nthree,3\n')
    for block in (1, 3, 7, 1 << 20):
        with small_blocks(block):
            assert texts_of(path)[0] == ["one\n\ntwo\n", '"open', "three"]
    monkeypatch.setattr(rows, "LONGEST_FIELD", 3)
    with small_blocks(3):
        assert len(texts_of(path, skip_bad_rows=True)[0]) > 1  # the longest field bounds what is held in memory


def test_lines_of_a_quoted_field_may_look_like_rows(write):
    # A program that quotes every field has quoted this one on purpose.
    path = write("a.csv", '"id","text"\n"1","roses, red\nviolets, blue\nso, true"\n')
    assert texts_of(path) == (["roses, red\nviolets, blue\nso, true"], [])


def test_escapes_that_come_late_are_read_and_counted(write):
    path = write("a.csv", "id,text,kind\n" + ROWS * 150 + '9,"He said \\"hi\\", then C:\\new",x\n')
    read, sentences = texts_of(path)
    assert read[-1] == 'He said "hi", then C:\\new'
    assert sentences == [
        f"rows with a quotation mark or separator after a backslash, which is text: 1, the first in {path}, line 3002"
    ]


@pytest.mark.parametrize(
    ("row", "columns"), [("21,Hello, world,x", "4 columns"), ("21,cut", "2 columns"), ("21", "1 column")]
)
def test_a_row_that_does_not_fit_is_an_error_or_left_out_and_counted(write, row, columns):
    path = write("a.csv", f"id,text,kind\n{ROWS}{row}\n{ROWS}")
    with pytest.raises(InputError, match=rf"a.csv, line 22: the row has {columns}, but the header has 3 .*{row}"):
        texts_of(path)
    read, sentences = texts_of(path, skip_bad_rows=True)
    assert len(read) == 40
    left_out = "rows left out because their number of columns differs: 1"
    assert sentences == [f"{left_out}, the first in {path}, line 22, which reads {row!r}"]


def test_a_short_row_is_read_if_its_text_is_whole_and_no_half_of_a_broken_row(write):
    # The text of line 3 may go on in line 4; that of line 6 is not the last cell of its row.
    path = write("a.csv", "id,text,kind,note\n1,a,x,n\n2,bro\nken,x,n\n3,c,x,n\n4,d,x\n5,e,x,n\n")
    with pytest.raises(InputError, match=r"line 3: the row has 2 columns.*a line break without quotation marks"):
        texts_of(path)
    read, sentences = texts_of(path, skip_bad_rows=True)
    assert read == ["a", "c", "d", "e"]
    assert sentences == [
        f"rows left out because their number of columns differs: 2, the first in {path}, line 3, which reads '2,bro'",
        f"rows with fewer columns than others, but with those that are read: 1, the first in {path}, line 6",
    ]


def test_empty_cells_at_the_end_of_a_row_do_no_harm(write):
    assert texts_of(write("a.csv", "id,text\n1,a,,\n2,b,\n3,c\n")) == (["a", "b", "c"], [])
