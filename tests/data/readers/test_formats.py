"""The format is what the user says, else what the ending says, else what the content looks like."""

from __future__ import annotations

import json

import pytest
from helpers import read_and_told, read_texts

from flaxchar import InputError
from flaxchar.data.readers.formats import by_content, by_ending, is_archive
from flaxchar.data.readers.reading import ReadOptions


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("a.txt a.text a.md a.log a.py a.tex A.TXT a.txt.gz", "plain"),
        ("a.csv a.tsv a.psv a.csv.zst", "table"),
        ("a.json a.jsonl a.ndjson a.jl a.json.bz2", "json"),
        ("a.parquet", "parquet"),
    ],
)
def test_endings(names, kind):
    assert {by_ending(name).kind for name in names.split()} == {kind}


def test_endings_that_tell_nothing():
    assert [by_ending(name) for name in ("a", "a.dat", "a.gz", ".txt", "a.html")] == [None] * 5
    assert is_archive("a.tar.gz")
    assert is_archive("a.TGZ")
    assert not is_archive("a.gz")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "plain"),
        (b'{"text": "a"}\n{"text": "b"}\n', "json"),
        (b'\xef\xbb\xbf\n  {\n "text":\n', "json"),
        ('[{"text": "ä"}]'.encode("utf-16"), "json"),
        (b'["a",\n "b"]', "json"),
        (b'[\n  "one text', "plain"),
        (b"[Verse 1]\nLa la la\n", "plain"),
        (b"[1] A footnote.\n", "plain"),
        (b"{curly} words", "plain"),
        (b'"A sentence in quotation marks."\n', "plain"),
        (b"title,text\na,b\n", "plain"),
        (b"PAR1\x15\x04", "parquet"),
    ],
)
def test_content(head, kind):
    assert by_content(head, ReadOptions()).kind == kind


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_with_fields_a_first_line_that_has_them_is_a_header(write, delimiter):
    table = delimiter.join(["title", "text"]) + "\n" + delimiter.join(["a", "b"]) + "\n"
    for name in ("a", "a.txt", "a.dat"):
        path = write(name, table)
        assert delimiter == ";" or read_texts([path], ["text"]) == ["b"]  # the reader of tables looks at ";" itself
    assert by_content(table.encode(), ReadOptions(("2",))).delimiter == delimiter
    assert by_content(table.encode(), ReadOptions(("3",))).kind == "plain"
    assert by_content(table.encode(), ReadOptions(("text",), label_field="kind")).kind == "plain"


def test_what_the_content_decides_is_told(write):
    path = write("a.dat", '{"text": "x"}\n')
    assert read_and_told([path]) == (["x"], [f"{path} is read as JSON, which its content looks like"])
    assert read_and_told([write("a.txt", "x\n")]) == (["x"], [])


def test_the_user_decides(write):
    path = write("a.csv", '{"text": "x"}\n')
    assert read_texts([path], format="json") == ["x"]
    assert read_texts([path], format="txt") == ['{"text": "x"}']
    assert read_texts([write("a.json", "t\tu\n1\t2\n")], ["u"], format="tsv") == ["2"]


def test_a_program_in_julia_is_no_json(write):
    assert read_texts([write("a.jl", "f(x) = [x]\n")]) == ["f(x) = [x]"]
    assert read_texts([write("a.jl", '{"text": "x"}\n')]) == ["x"]


def test_plain_text_has_no_fields(write):
    with pytest.raises(InputError, match=r"a.txt is plain text, which has no fields; leave out `fields`, or say"):
        read_texts([write("a.txt", "a,b\n")], ["text"])


@pytest.mark.parametrize(
    "variable", ["\n\n  window.YTD.tweets.part0 = ", "window.YTD.tweets.part0\n= ", "\nwindow.YTD.tweets.part0 =\n\n"]
)
def test_line_breaks_may_stand_around_the_variable_of_twitters_archive(write, variable):
    tweets = json.dumps([{"tweet": {"full_text": "Rain"}}], indent=1)
    assert read_texts([write("tweets.js", variable + tweets)], ["tweet.full_text"]) == ["Rain"]
    broken = write("tweets.js", f"{variable}{tweets[:-1]},]")
    with pytest.raises(InputError, match=rf"line {len((variable + tweets).splitlines())}: not JSON"):
        read_texts([broken], ["tweet.full_text"])


def test_a_file_of_twitters_archive_is_json_though_it_is_a_program(write):
    tweets = [{"tweet": {"id": str(k), "full_text": f"Rain {k} window.YTD.tweets.part0 = x"}} for k in range(3)]
    content = f"window.YTD.tweets.part0 = {json.dumps(tweets, indent=2)}\n"
    path = write("tweets.js", content)
    read, sentences = read_and_told([path], ["tweet.full_text"])
    assert read == [tweet["tweet"]["full_text"] for tweet in tweets]
    assert sentences == [f"{path} is read as JSON, which its content looks like"]
    with pytest.raises(InputError, match=r"'tweet' is an object with the keys 'id', 'full_text'"):
        read_texts([path])
    assert read_texts([write("program.js", f"// of {content}")])[0].startswith("// of window.YTD")
