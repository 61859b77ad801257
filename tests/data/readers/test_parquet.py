"""Parquet: columns of text of every type, labels and sources, and errors that say what is there."""

from __future__ import annotations

import io

import pytest
from helpers import read_examples, read_found, read_texts

from flaxchar import Example, InputError
from flaxchar.data.readers.parquet import read_parquet
from flaxchar.data.readers.reading import Findings, ReadOptions

pa = pytest.importorskip("pyarrow")
TEXTS = ["a", None, "é\n,😀", ""]


def parquet(columns, **settings) -> bytes:
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **settings)
    return file.getvalue()


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)
def test_text_columns_of_every_type_are_read(write, kind):
    if kind == pa.string_view() and int(pa.__version__.split(".")[0]) < 21:
        pytest.skip("pyarrow writes this type since version 21")
    column = pa.array(TEXTS).cast(kind) if not pa.types.is_dictionary(kind) else pa.array(TEXTS).dictionary_encode()
    path = write("a.parquet", parquet({"id": [1, 2, 3, 4], "text": column}))
    assert read_texts([path]) == ["a", "", "é\n,😀", ""]
    assert read_texts([path], ["text"]) == read_texts([path], ["2"]) == ["a", "", "é\n,😀", ""]


def test_several_columns_are_joined_and_the_only_text_is_found(write):
    path = write("a.parquet", parquet({"n": [1, 2], "body": ["a", "b"]}))
    read, sentences = read_found(path)
    assert ([example.text for example in read], sentences) == (
        ["a", "b"],
        [f"{path}: the texts are those of 'body', the only column that holds text"],
    )
    path = write("b.parquet", parquet({"x": ["a", "b"], "y": ["c", None]}))
    assert read_texts([path], ["y", "x"]) == ["c a", " b"]
    assert read_examples([path], label_field="x") == [Example("c", "a"), Example("", "b")]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([5, 4, None], ["5", "4"]),
        ([4.5, 4.0, None], ["4.5", "4.0"]),
        ([True, False, None], ["True", "False"]),
        (pa.array(["x", "y", None]).dictionary_encode(), ["x", "y"]),
    ],
)
def test_labels_may_be_numbers_and_rows_without_one_are_left_out(write, labels, names):
    path = write("a.parquet", parquet({"text": ["a", "b", "c"], "kind": labels}))
    read, sentences = read_found(path, label_field="kind")
    assert read == [Example("a", names[0]), Example("b", names[1])]
    assert sentences == [f"rows without a label left out: 1, the first in {path}, row 3"]


def test_sources(write):
    path = write("a.parquet", parquet({"text": ["a", "b"], "article": ["x", None]}))
    assert read_examples([path], ["text"], source_field="article") == [Example("a", source="x")]


def test_many_rows_are_read_from_a_stream_as_from_a_file(write):
    content = parquet({"text": [f"text {k}" for k in range(20_000)]}, row_group_size=3000, compression="zstd")
    expected = [f"text {k}" for k in range(20_000)]
    assert read_texts([write("a.parquet", content)]) == expected
    parts = (content[k : k + 1000] for k in range(0, len(content), 1000))
    assert list(read_parquet(parts, "archive.zip/a.parquet", ReadOptions(), Findings())) == expected


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        ({"a": ["x"], "b": ["y"]}, {}, r"`fields`.*'a' \(string\), 'b' \(string\)"),
        ({"n": [1]}, {}, r"`fields`.*'n' \(int64\)"),
        ({"text": ["x"]}, {"fields": ["head"]}, r"no column 'head'; it has 'text' \(string\)"),
        ({"text": [1]}, {}, r"the column 'text' holds int64, which is no text"),
        ({"text": [["x"]]}, {}, r"the column 'text' holds list"),
        ({"text": ["x"], "k": [["x", "y"]]}, {"label_field": "k"}, r"in 'k', \['x', 'y'\] is a list of 2 texts"),
    ],
)
def test_what_cannot_be_read_is_told(write, columns, arguments, message):
    with pytest.raises(InputError, match=message):
        read_examples([write("a.parquet", parquet(columns))], **arguments)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"text", lambda data: b"", lambda data: data[:4]]
)
def test_a_damaged_file_is_told(write, damage):
    with pytest.raises(InputError, match=r"a\.parquet is not a whole Parquet file: "):
        read_texts([write("a.parquet", damage(parquet({"text": ["x"] * 99})))])


def test_damaged_pages_are_told(write):
    content = bytearray(parquet({"text": [f"text {k}" for k in range(9999)]}))
    content[100:20_000] = bytes(19_900)
    with pytest.raises(InputError, match=r"a\.parquet is not a whole Parquet file: "):
        read_texts([write("a.parquet", bytes(content))])


PAIRS = {"id": [1, 2, 3], "translation": [{"en": "hi", "de": "hallo", "more": {"n": 4.5}}, {"en": "no"}, None]}


def test_a_key_within_an_object_is_a_column(write):
    path = write("a.parquet", parquet(PAIRS))
    assert read_texts([path], ["translation.de"]) == ["hallo", "", ""]
    sourced = read_examples([path], ["translation.de"], source_field="translation.en")
    assert sourced == [Example("hallo", source="hi"), Example("", source="no")]
    assert read_examples([path], ["translation.en"], label_field="translation.more.n") == [Example("hi", "4.5")]


def test_bytes_of_utf_8_are_texts(write):
    path = write("a.parquet", parquet({"text": [b"a", None, "é".encode()]}))
    assert read_texts([path], ["text"]) == ["a", "", "é"]
    path = write("b.parquet", parquet({"text": [b"a", b"\xe9"]}))
    with pytest.raises(InputError, match=r"b\.parquet, row 2: 'text' is not UTF-8"):
        read_texts([path])


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            "translation",
            "holds struct<.*>, which is no text; name one of its keys, such as `fields='translation.(en|de)'`",
        ),
        ("translation.fr", "has no column 'translation.fr'; it has 'id' .*, 'translation'"),
        ("id.x", "has no column 'id.x'"),
        ("tokens", "holds list<.*>, which is no text; write each item as a row of its own"),
    ],
)
def test_what_is_no_text_is_told_with_what_to_name(write, field, message):
    path = write("a.parquet", parquet({**PAIRS, "tokens": [["a"]] * 3}))
    with pytest.raises(InputError, match=message):
        read_texts([path], [field])
