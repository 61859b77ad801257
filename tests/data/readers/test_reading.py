"""What is told of the files that were read."""

from __future__ import annotations

from flaxchar.data.readers.reading import Findings, ReadOptions, find_name, listed, shown


def test_a_sentence_is_told_once_and_cases_are_counted_with_the_first_place():
    findings = Findings()
    for line in (7, 9):
        findings.note("a.csv: columns are separated by ';'")
        findings.count("{} rows were left out", f"a.csv, line {line}", times=line)
    findings.count("{} labels were null", "b.csv, line 1")
    assert findings.sentences() == [
        "a.csv: columns are separated by ';'",
        "16 rows were left out, the first in a.csv, line 7",
        "1 labels were null, the first in b.csv, line 1",
    ]


def test_each_file_is_a_place_of_its_own():
    findings = Findings()
    findings.begin("a.txt", "line")
    first = findings.place
    findings.begin("a.txt", "line")
    assert findings.place == first
    assert findings.place is not first


def test_long_lists_of_names_are_shortened():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more file"
    assert listed([f"{k}.txt" for k in range(1300)]) == "0.txt, 1.txt, 2.txt and 1,297 more files"
    assert [shown("-"), shown("a")] == ["standard input", "a"]


def test_named_fields_ask_for_records():
    assert not ReadOptions().records
    assert ReadOptions(("a",)).records
    assert ReadOptions(source_field="a").records


def test_names_are_found_exactly_first_and_in_any_normal_form():
    names = [" text", "gro\u0308\u00dfe", "text"]
    assert [find_name(name, names) for name in ("text", " text", "gr\u00f6\u00dfe", "gro\u0308\u00dfe", "x")] == [
        2,
        0,
        1,
        1,
        None,
    ]
