"""Whatever holds texts in Python becomes examples, or the first item that is no text is named."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from flaxchar import Example, InputError
from flaxchar.data.from_python import examples_from, file_settings
from flaxchar.data.readers.reading import Findings

EXPECTED = [Example("up", "good"), Example("down", "bad")]


class ArrowColumn:
    """What pyarrow's columns offer: scalars when iterated over, Python objects by ``to_pylist``."""

    def __iter__(self):
        return iter([object(), object()])

    def to_pylist(self):
        return ["up", "down"]


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (EXPECTED, None),
        ([("up", "good"), ("down", "bad")], None),
        (["up", "down"], ["good", "bad"]),
        ((text for text in ("up", "down")), (label for label in ("good", "bad"))),
        (ArrowColumn(), ("good", "bad")),
    ],
)
def test_records_pairs_parallel_sequences_and_columns_are_the_same(texts, labels):
    assert list(examples_from(texts, labels)) == EXPECTED


def test_labels_that_are_numbers_or_truth_values_become_strings():
    labels = [1, True, "x", 4.5, np.int64(3), np.bool_(False), np.float32(0.1)]
    read = [example.label for example in examples_from(["a"] * 7, labels)]
    assert read == ["1", "True", "x", "4.5", "3", "False", "0.1"]


def test_texts_whose_label_is_missing_are_left_out_and_counted():
    findings = Findings()
    read = list(examples_from(["a", "b", "c"], ["x", None, float("nan")], findings=findings))
    assert read == [Example("a", "x")]
    assert findings.sentences() == ["texts without a label left out: 2, the first in `labels`[1]"]


def test_sources_go_with_their_texts():
    assert list(examples_from(["a"], sources=["b"])) == [Example("a", source="b")]
    assert list(examples_from([Example("a", "x")], sources=["b"])) == [Example("a", "x", "b")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Anna",), r"`texts` is one str; pass a list of texts.*pathlib.Path\("),
        ((b"Anna",), "`texts` is one bytes"),
        ((["a", None],), r"`texts`\[1\] is None; each item must be a text"),
        ((["a", float("nan")],), r"`texts`\[1\] is nan"),
        (([3],), r"`texts`\[0\] is 3"),
        ((["a"], [["x", "y"]]), r"`texts`\[0\]: its label \['x', 'y'\] is a list of 2 texts"),
        ((["a"], None, [1]), r"`texts`\[0\] has the source 1; it must be a str"),
        (([("a", "b", "c")],), r"`texts`\[0\] is \('a', 'b', 'c'\)"),
        ((["a", "b"], ["x"]), "`texts` has more items than `labels`, which has 1"),
        ((["a"], ["x", "y"]), "`labels` has 2 items, but `texts` has 1"),
        (([Example(None)],), r"`texts`\[0\] has the text None"),
    ],
)
def test_the_first_item_that_is_no_text_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        list(examples_from(*arguments))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((None,), "`texts` is None; it must be"),
        ((["a"], 3), "`labels` is 3"),
        ((np.array("a"),), r"`texts` is array\('a'"),
        ((["a", "b"], "xy"), "`labels` is one str; pass a list with an item for each text"),
        (({"text": ["a"], "kind": ["x"]},), r"`texts` is a dict with the keys 'text', 'kind'; pass its values"),
        ((pa.table({"text": ["a"], "kind": ["x"]}),), r"`texts` is a table with the columns 'text', 'kind'; pass one"),
        ((SimpleNamespace(columns=["text"], __iter__=None),), "`texts` is a table with the columns 'text'"),
        ((io.StringIO("a\nb\n"),), "`texts` is an open file; pass its path"),
    ],
)
def test_what_is_no_sequence_is_named(columns, message):
    with pytest.raises(InputError, match=message):
        list(examples_from(*columns))


def test_a_file_is_named_by_a_path(tmp_path):
    path = tmp_path / "a.txt"
    expected = {"steps": 3, "data": (str(path),)}
    assert file_settings(path, None, None, None, {"steps": 3}) == expected
    assert file_settings([path], None, None, None, {"steps": 3}) == expected
    assert file_settings(None, None, None, None, {"steps": 3, "data": str(path)}) == expected
    assert file_settings(None, None, None, path, {"data": [path, path], "fields": "text"}) == {
        "data": (str(path),) * 2,
        "val_data": (str(path),),
        "fields": ("text",),
    }
    assert file_settings(["a"], None, None, None, {}) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (None, None, None, None, {}),
            r'`texts` is None; pass texts, a file as pathlib.Path\("texts.txt"\), or `data=',
        ),
        ((Path("a"), None, None, None, {"data": "b"}), "`texts` and `data` each say"),
        ((Path("a"), ["x"], None, None, {}), "`labels` goes with texts; of a file, name the field with `label_field`"),
        ((Path("a"), None, None, ["x"], {}), "`held_out` must be files too"),
    ],
)
def test_files_and_texts_are_not_mixed(arguments, message):
    with pytest.raises(InputError, match=message):
        file_settings(*arguments)


@pytest.mark.parametrize("texts", ["pandas", "pyarrow"])
def test_gaps_in_columns_are_named(texts):
    column = pytest.importorskip(texts)
    column = column.Series(["a", None]) if texts == "pandas" else column.array(["a", None])
    with pytest.raises(InputError, match=r"`texts`\[1\] is (None|nan); each item must be a text"):
        list(examples_from(column))
