"""Compressed files and archives are read as the files in them, and damaged ones refused in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zipfile

import pytest
from helpers import read_and_told, read_texts, small_blocks, tarred, zipped, zstd_compress
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import InputError
from flaxchar.data.readers.files import running_share
from flaxchar.data.readers.reading import ReadOptions

COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd_compress}
FILES = (("b/2.txt", b"three\n"), ("a/1.txt", b"one\ntwo\n"), ("c.jsonl", b'{"text": "four"}\n'))


@pytest.fixture
def put(tmp_path):
    def put(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return put


@pytest.mark.parametrize("ending", COMPRESS)
def test_compressed_files_are_read_whatever_their_ending(put, ending):
    content = COMPRESS[ending]("Zoë\nb\n".encode())
    for name in (f"a.txt{ending}", f"A.TXT{ending.upper()}", f"a{ending}"):
        assert read_and_told([put(name, content)]) == (["Zoë", "b"], [])
    for name in ("a", "a.txt"):
        texts, told = read_and_told([put(name, content)])
        assert texts == ["Zoë", "b"]
        assert [sentence.split("/")[-1].split(" as ")[0] for sentence in told] == [f"{name} is unpacked"]
    table = COMPRESS[ending](b"title,n\nx,1\n")
    assert read_texts([put(f"a.csv{ending}", table)], ["title"]) == ["x"]
    assert read_texts([put(f"empty.txt{ending}", b"")]) == []


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_archives_give_their_files_in_order_of_name(put, ending):
    tar = COMPRESS.get(ending, bytes)(tarred(*FILES))
    for name, content in ((f"a.tar{ending}", tar), ("a.bin", tar), ("a.zip", zipped(*FILES)), ("a", zipped(*FILES))):
        assert read_texts([put(name, content)]) == ["one", "two", "three", "four"]


def test_containers_in_containers(put):
    inner = zipped(("a.txt.gz", gzip.compress(b"one\n")), ("b.tar.xz", lzma.compress(tarred(("c.txt", b"two\n")))))
    assert read_texts([put("a.zip", zipped(("z.zip", inner), ("a.txt", b"zero\n")))]) == ["zero", "one", "two"]
    content = b"x"
    for _ in range(9):
        content = gzip.compress(content)
    with pytest.raises(InputError, match="holds more than 6 archives or compressed files in one another"):
        read_texts([put("a.gz", content)])


def test_messages_name_the_file_in_the_archive(put):
    path = put("posts.zip", zipped(("a/b.csv", b"title,n\nx,1\ny\n")))
    with pytest.raises(InputError, match=r"posts.zip: a/b.csv, line 3: the row has 1 column, but the header has 2"):
        read_texts([path], ["n"])
    path = put("posts.tgz", gzip.compress(tarred(("a.txt", b"a\n\xff\n"))))
    with pytest.raises(InputError, match=r"posts.tgz: a.txt, line 2: byte 0xff \(number 3 of the file\)"):
        read_texts([path])


def test_what_is_left_out_of_an_archive_is_told(put):
    path = put("a.zip", zipped(*FILES, ("__MACOSX/._x", b"x"), (".DS_Store", b"x"), ("e.txt", b""), ("README", b"x\n")))
    texts, told = read_and_told([path])
    assert texts == ["one", "two", "three", "four"]
    assert told == [
        f"the archive {path}: left out 2 hidden files (.DS_Store, __MACOSX/._x); 1 empty file (e.txt); "
        "1 plain text file (README), which by name describes the data"
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        *((f"a.txt{end}", compress(bytes(range(99)) * 3)[:-9], "end is missing") for end, compress in COMPRESS.items()),
        *((f"a.txt{end}", b"plain", "by its first bytes; if it is not compressed") for end in COMPRESS),
        ("a.zip", zipped(*FILES)[:-30], "a.zip is not a whole zip file: it is damaged"),
        ("a.zip", b"text", "a.zip is not a whole zip file: it is damaged"),
        ("a.tar", tarred(*FILES)[:1100], "a.tar is not a whole tar file: it is damaged"),
        ("a.tar", tarred(*FILES)[:700] + b"\xff" * 5000, "a.tar is not a whole tar file: it is damaged"),
        ("a.tgz", gzip.compress(tarred(*FILES))[:-20], "a.tgz is not a whole gzip file: its end is missing"),
        ("a.zip", zipped(), "a.zip is an empty archive; it holds no file"),
        ("a.tar", tarred(), "a.tar is an empty archive; it holds no file"),
        ("a.zip", zipped(("a.png", b"\x89PNG\r\n\x1a\n")), "no file that can be read: 1 PNG picture;"),
    ],
)
def test_damaged_and_empty_ones_are_refused(put, name, content, message):
    with pytest.raises(InputError, match=message) as told:
        read_texts([put(name, content)])
    assert "\n" not in str(told.value)


def test_damage_within_an_archive_is_told_of_its_file(put):
    data = bytearray(zipped(("a.txt", b"text " * 100)))
    data[data.index(b"a.txt") + 8] ^= 0xFF
    with pytest.raises(InputError, match=r"a.zip: a.txt is not a whole file of the archive: it is damaged"):
        read_texts([put("a.zip", bytes(data))])


def test_a_password_is_told(put):
    data = bytearray(zipped(("a.txt", b"text")))
    for header, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + at] |= 1  # the flag of encryption
    with pytest.raises(InputError, match=r"a.zip is protected by a password; unpack it"):
        read_texts([put("a.zip", bytes(data))])


def test_links_and_folders_in_a_tar_file_are_no_files(put):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("l.txt", tarfile.SYMTYPE), ("dev.txt", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("./a.txt")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"x\n"))
    assert read_texts([put("a.tar", file.getvalue())]) == ["x"]


def test_memory_does_not_grow_with_what_is_unpacked(put):
    bomb = gzip.compress(b"a line of text\n" * (1 << 22), 9)  # 60 MB in 120 KB
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt.gz", bomb)
    for name, content in (("a.txt.gz", bomb), ("a.zip", archive.getvalue())):
        path = put(name, content)
        tracemalloc.start()
        running_share([path], ReadOptions())  # reads the first block alone
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
        tracemalloc.stop()


@settings(max_examples=30, deadline=None)
@given(lines=st.lists(st.sampled_from(["a", "Zoë", "", "word " * 9]), max_size=30), block=st.integers(1, 50))
@pytest.mark.parametrize("ending", COMPRESS)
def test_compressed_files_are_read_alike_whatever_the_block(tmp_path_factory, lines, block, ending):
    path = tmp_path_factory.mktemp("block") / f"a.txt{ending}"
    path.write_bytes(COMPRESS[ending]("".join(line + "\n" for line in lines).encode()))
    with small_blocks(block):
        assert read_texts([str(path)]) == lines


def test_another_kind_of_archive_is_told_whatever_its_ending(tmp_path):
    for name in ("a.zip", "a.csv.gz", "a.tar"):
        (tmp_path / name).write_bytes(b"7z\xbc\xaf\x27\x1c\0\x04")
        with pytest.raises(InputError, match=f"{name} is a 7z archive; unpack it"):
            read_texts([str(tmp_path / name)])
