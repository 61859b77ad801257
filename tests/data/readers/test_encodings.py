"""Files are decoded by their byte order mark or as the user says; what is dropped or replaced is counted."""

from __future__ import annotations

import codecs

import pytest
from helpers import read_and_told, read_found, read_texts, small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import Example, InputError
from flaxchar.data.readers.encodings import find_codec, is_binary


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"])
@pytest.mark.parametrize("said", ["utf-8", "utf-16", "cp1252"])
def test_a_byte_order_mark_decides(write, encoding, said):
    text = "Zoë was here\nb\n" if encoding in ("utf-8-sig", "utf-16", "utf-32") else "\ufeffZoë was here\nb\n"
    path = write("a.txt", text.encode(encoding))
    texts, told = read_and_told([path], encoding=said)
    assert texts == ["Zoë was here", "b"]
    family = encoding.removesuffix("-sig")[:6].rstrip("-")
    assert told == [f"{path} is read as {family.upper()}, by its byte order mark"] * (said != family)


def test_utf_16_without_a_mark(write):
    path = write("a.txt", "Zoë was here\n".encode("utf-16-be"))
    with pytest.raises(InputError, match='is not UTF-8; it looks like UTF-16-BE: add `encoding="utf-16-be"`'):
        read_texts([path])
    assert read_texts([path], encoding="utf-16-be") == ["Zoë was here"]
    assert read_and_told([path], encoding="utf-16") == (
        ["Zoë was here"],
        [f"{path} has no byte order mark and is read as UTF-16-BE"],
    )


@pytest.mark.parametrize(
    ("content", "said", "message"),
    [
        (
            "Zoë\nétait là\n".encode("cp1252"),
            "utf-8",
            r'line 1: byte 0xeb \(number 3.*looks like cp1252: add `encoding="cp1252"`',
        ),
        (
            "plain\n" * 40_000 + "Wczoraj poszedłem do sklepu, żeby kupić chleb\n",
            "utf-8",
            r'line 40001: .*add `encoding="cp1250"`',
        ),
        ("Привет, мир\n".encode("koi8_r"), "utf-8", r'add `encoding="koi8-r"`'),
        ("Zoë\n".encode(), "ascii", r"byte 0xc3 .* is not ascii; it looks like UTF-8: leave out `encoding`"),
        (
            "Größe und Maß, schön\n".encode() * 3 + b"caf\xe9\n",
            "utf-8",
            r"line 4: .*though the text around it is; mend",
        ),
        ("ok 😀".encode()[:-1], "utf-8", "line 1: the file ends within a character of UTF-8; it is cut short"),
        (
            "größe".encode("utf-16")[:-1],
            "utf-8",
            "line 1: the file ends within a character of UTF-16-LE; it is cut short",
        ),
        ("名前\n".encode("iso2022_jp"), "utf-8", "looks like ISO-2022-JP: add `encoding=.iso2022-jp.`"),
        ("Größe und Maß".encode()[:-1], "utf-8", "line 1: the file ends within a character of UTF-8; it is cut short"),
        (
            b"abc" + bytes(range(128, 160)) + bytes(range(9)) * 4,
            "utf-8",
            r"line 1: holds bytes that are no text; the fir",
        ),
        (b"\x01\0\0\0\x02\0\0\0\x03\0\0\0" * 9, "utf-8", r"line 1: holds bytes that are no text; the first is 0x00"),
    ],
)
def test_what_is_not_in_the_encoding_is_named_with_the_way_out(write, content, said, message):
    path = write("a.txt", content if isinstance(content, bytes) else content.encode("cp1250"))
    with pytest.raises(InputError, match=message) as told:
        read_texts([path], encoding=said)
    assert "sig" not in str(told.value)
    assert "charmap" not in str(told.value)


@pytest.mark.parametrize("encoding", ["base64", "rot13", "hex", "zip", "idna", "undefined"])
def test_codecs_that_are_no_encodings_of_texts_are_refused(write, encoding):
    with pytest.raises(InputError, match=f"`encoding` is '{encoding}', which is no encoding of text files"):
        read_texts([write("a.txt", "a")], encoding=encoding)


def test_every_name_of_an_encoding_is_known():
    assert [find_codec(name) for name in ("UTF8", "utf-8-sig", "latin1", "CP1252")] == [
        *("utf-8", "utf-8", "iso8859-1", "cp1252")
    ]
    for name in ("klingon", "", "a\0b", "ä"):
        with pytest.raises(InputError, match="there is no encoding of that name"):
            find_codec(name)


def test_marks_zero_bytes_and_ends_of_files_are_dropped_and_counted(write):
    mark = codecs.BOM_UTF8
    path = write("a.txt", mark + b"a\n" + mark + b"b\0\n\0\0c\n\x1a\x1a")
    assert read_and_told([path]) == (
        ["a", "b", "c"],
        [
            f"byte order marks dropped from the middle of files: 1, the first in {path}, line 2",
            f"zero bytes dropped: 3, the first in {path}, line 2",
            f"end-of-file signs (Ctrl-Z) dropped: 1, the first in {path}, line 4",
        ],
    )


def test_lists_that_end_with_zero_bytes(write):
    path = write("a.txt", b"one name\0another name\0")
    assert read_and_told([path]) == (
        ["one name", "another name"],
        [f"{path}: zero bytes are read as the ends of lines"],
    )


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 22])
@pytest.mark.parametrize(
    ("content", "texts", "lone"),
    [
        (b"a\xed\xa0\xbd\xed\xb8\x80b\nc", ["a😀b", "c"], 0),  # both halves, as some programs write them
        (b"a\n\xed\xa0\xbdb\xed\xb8\x80", ["a", "\ufffdb\ufffd"], 2),
        ("\ufeffa\ud800b\n".encode("utf-16-le", "surrogatepass"), ["a\ufffdb"], 1),
    ],
)
def test_halves_of_surrogate_pairs_are_joined_or_replaced(write, content, texts, lone, block):
    path = write("a.txt", content)
    with small_blocks(block):
        read, told = read_and_told([path])
    assert read == texts
    line = 2 if b"\n\xed" in content else 1
    sentence = f"halves of surrogate pairs replaced by U+FFFD: {lone}, the first in {path}, line {line}"
    assert (sentence in told) == (lone > 0)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\xff", b"\0", b"\xc3\xab", b"\x1a", b"\xed\xa0\xbd"])), st.integers(1, 5)
)
def test_decisions_do_not_depend_on_the_block(tmp_path_factory, pieces, block):
    path = tmp_path_factory.mktemp("block") / "a.txt"
    path.write_bytes(b"".join(pieces))

    def read():
        try:
            texts, told = read_and_told([str(path)])
            return texts, sorted(told)
        except InputError as error:
            return str(error).split(": ")[0]  # the file and line; a guess may need what follows

    whole = read()
    with small_blocks(block):
        assert read() == whole


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_texts_are_not_binary(text):
    assert not is_binary(text.encode())


def test_utf_8_read_in_another_encoding_is_told(write):
    path = write("a.txt", "grün\n".encode())
    read, sentences = read_found(path, encoding="latin-1")
    assert [example.text for example in read] == ["grÃ¼n"]
    told = "is read as latin-1, as `encoding` says, but looks like UTF-8; if texts look wrong, leave out `encoding`"
    assert sentences == [f"{path} {told}"]
    assert read_found(write("b.txt", "grün\n".encode("latin-1")), encoding="latin-1")[1] == []


def test_quotation_marks_of_windows_in_latin_1_are_told(write):
    path = write("a.txt", b"so\nIt\x92s \x93new\x94\n")
    told = (
        'control characters that are signs such as ’ and € in cp1252, which `encoding="cp1252"` reads: 3, the first in'
    )
    assert read_found(path, encoding="latin-1")[1] == [f"{told} {path}, line 2"]
    assert read_found(path, encoding="cp1252") == ([Example("so"), Example("It’s “new”")], [])
