"""Reading files: every format, line ending and encoding, and errors that say where."""

from __future__ import annotations

import codecs
import errno
import gzip
import os
import threading
from pathlib import Path

import pytest
from helpers import read_found, read_texts, small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

import flaxchar
from flaxchar import Config, InputError
from flaxchar.data.corpus import load_corpus, settle
from flaxchar.data.readers.files import running_share
from flaxchar.data.readers.reading import ReadOptions


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.log", "A.TXT"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_plain_text_is_a_text_a_line(write, name, end, mark):
    path = write(name, mark + end.join(["Zoë", "", " b ", "c\u2028d\x0ce"]).encode())
    assert read_texts([path]) == ["Zoë", "", " b ", "c\u2028d\x0ce"]
    assert read_texts([write(name, f"a{end}b{end}")]) == ["a", "b"]


def test_running_text_is_one_text_a_file(write):
    assert read_texts([write("a.txt", "a\r\n\r\nb\r\n")], running=True) == ["a\n\nb\n"]


def test_linked_folders_are_read_once_and_links_to_nothing_are_told(write, tmp_path):
    folder = tmp_path / "all"
    for name in ("all/a.txt", "other/b.txt"):
        (tmp_path / name).parent.mkdir()
        write(name, name)
    (folder / "linked").symlink_to(tmp_path / "other")
    (folder / "loop").symlink_to(folder)
    (folder / "c.txt").symlink_to("nowhere.txt")
    read, sentences = read_found(str(folder))
    assert [example.text for example in read] == ["all/a.txt", "other/b.txt"]
    assert sentences == [f"{folder}/c.txt is left out: it is a link to a file that does not exist"]


def test_a_folder_gives_its_files_in_order_of_name(write, tmp_path):
    write("d/b.txt", "2\n")
    write("d/a.txt.gz", "1\n")
    write("d/sub/c.jsonl", '{"text": "3"}\n')
    write("d/.hidden.txt", "no\n")
    write("d/picture.png", b"\x89PNG\x00")
    assert read_texts([str(tmp_path / "d")]) == ["1", "2", "3"]


@settings(max_examples=30)
@given(texts=st.lists(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]))))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32-le"])
def test_any_text_is_read_as_it_was_written(tmp_path_factory, texts, encoding):
    path = tmp_path_factory.mktemp("any") / "a.txt"
    path.write_bytes("".join(text + "\n" for text in texts).encode(encoding))
    assert read_texts([str(path)], encoding=encoding) == [text.replace("\ufeff", "") for text in texts]


@settings(max_examples=100, deadline=None)
@given(
    content=st.lists(st.sampled_from(["a", "é", "\n", "\r\n", "\r", "😀", "word"]), max_size=40).map("".join),
    block=st.integers(1, 9),
    running=st.booleans(),
)
def test_files_are_read_alike_whatever_the_block(tmp_path_factory, content, block, running):
    path = tmp_path_factory.mktemp("block") / "a.txt"
    path.write_bytes(content.encode())

    def read() -> list[str]:
        return [text for text in read_texts([str(path)], running=running) if text or not running]

    whole = read()
    with small_blocks(block):
        assert read() == whole
    lines = content.replace("\r\n", "\n").replace("\r", "\n")
    expected = [lines] * bool(lines) if running else lines.removesuffix("\n").split("\n") if lines else []
    assert whole == expected


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("a.txt", "a\nb\nZo\xeb".encode("latin-1"), {}, r"a.txt, line 3: byte 0xeb \(number 7.*`encoding=\"cp1252\"`"),
        ("a.txt", "a\r\nZo\xeb\r\n".encode("latin-1"), {}, r"a.txt, line 2: byte 0xeb \(number 6 "),
        ("a.txt", b"a\r\n\r\xeb", {}, r"a.txt, line 3: byte 0xeb \(number 5 "),
        ("a.txt", "a", {"encoding": "klingon"}, r"`encoding` is 'klingon'; there is no encoding"),
        ("a.txt", "a", {"fields": ["1"]}, r"plain text, which has no fields"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(write, name, content, arguments, message):
    with pytest.raises(InputError, match=message):
        read_texts([write(name, content)], **arguments)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "must not be empty|the name of a file is empty"),
        ("https://example.org/a.txt", r"https://example\.org/a\.txt is an address on the web; download"),
    ],
)
def test_names_of_no_file_are_told(name, message):
    with pytest.raises(InputError, match=message):
        read_texts([name])
    with pytest.raises(InputError, match=message):
        flaxchar.train(None, data=name)


def test_a_delimiter_that_is_none_is_told_for_any_file(write):
    with pytest.raises(InputError, match="`delimiter` is ';;'; it must be one character"):
        read_texts([write("a.txt", "a\n")], delimiter=";;")


def test_missing_and_broken_files(write, tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_texts([str(tmp_path / "no.txt")])
    broken = tmp_path / "a.txt.gz"
    broken.write_bytes(gzip.compress(b"hello" * 100)[:-12])
    with pytest.raises(InputError, match="not a whole gzip file"):
        read_texts([str(broken)])
    broken.write_bytes(b"hello")
    with pytest.raises(InputError, match="not a whole gzip file"):
        read_texts([str(broken)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"the folder .*empty holds no file that can be read: it is empty"):
        read_texts([str(tmp_path / "empty")])


PROSE = "    It was late.\n\nNobody had come,\nand nobody\nwould.\n" * 30


@pytest.mark.parametrize(
    ("name", "content", "running"),
    [
        ("book.txt", PROSE, True),
        ("code.txt", "def f(x):\n    return x\n\n" * 20, True),
        ("one_line.txt", "word " * 1000, True),
        ("names.txt", "".join(f"name {k}\n" for k in range(200)), False),
        ("names_and_an_empty_line.txt", "".join(f"name {k}\n" for k in range(200)) + "\n", False),
        ("few.txt", "a\n\nb\n", False),
        ("empty.txt", "", False),
    ],
)
def test_the_look_of_a_file_tells_running_text_from_lists(write, name, content, running):
    config, notice = settle(Config().replace(data=(write(name, content),)))
    assert config.data.running == running
    assert (notice is not None) == running
    assert config.data.window is not None  # so that a run that goes on need not look again


def test_a_pipe_is_read_once(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    writer = threading.Thread(target=Path(pipe).write_text, args=(PROSE,), daemon=True)
    writer.start()
    corpus, config = load_corpus(settle(Config().replace(data=(pipe,)))[0])
    writer.join()
    assert (len(corpus.train) + len(corpus.held_out), config.data.window) == (120, 0)
    assert corpus.name == pipe


def test_tables_standard_input_and_what_the_user_says_are_not_looked_at(write):
    table = Config().replace(data=(write("a.csv", PROSE),), fields=("1",))
    for config in (table, Config().replace(data=("-",)), Config().replace(data=(write("b.txt", PROSE),), window=0)):
        assert settle(config)[0].data.window == 0
    assert settle(Config().replace(data=(write("b.txt", PROSE),), window=10))[0].data.window == 10


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "id,{}\n1,a\n"), ("a.dat", "id,{}\n1,a\n"), ("a.jsonl", '{{"id": 1, "{}": "a"}}\n')]
)
def test_columns_and_keys_are_found_in_any_normal_form(write, name, content):
    path = write(name, content.format("gro\u0308\u00dfe"))
    assert read_texts([path], ["gr\u00f6\u00dfe"]) == ["a"]


def test_paragraphs_indented_by_ideographic_spaces_are_running_text(write):
    path = write("novel.txt", "\u3000\u3000春天来了。\n" * 30)
    assert running_share([path], ReadOptions()) == 1


def test_a_folder_that_cannot_be_read_is_not_called_empty(tmp_path, monkeypatch):
    def closed(folder):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_texts([str(tmp_path)])
