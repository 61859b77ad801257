"""Whatever a file holds, it is read or refused with an ``InputError``.

For ten minutes: ``FLAXCHAR_FUZZ_SECONDS=600 pytest -m slow -n 0 tests/data/readers/test_fuzz.py``
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from fuzz_readers import NAMES, TABLE, VALID, read_file
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar.data.readers.reading import ReadOptions

SECONDS = float(os.environ.get("FLAXCHAR_FUZZ_SECONDS", "60"))
ENCODINGS = ["utf-8", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "ascii", "shift_jis", "gb18030", "utf-7"]
STRANGE = [
    *(b'"', b'\\"', b"\r", b"\0", b"\x1a", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80"),
    *(b"{", b"[", b",", b"\xe9", b"PK\x03\x04"),
]


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Some bytes of a file changed, cut off, repeated, inserted or removed."""
    data = bytearray(content)
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if at < len(data):
                data[at] ^= rng.randrange(1, 256)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = rng.choice([*STRANGE, rng.randbytes(4)])
            case 3:
                data[at:at] = data[: rng.randrange(600)]
            case 4:
                data[at : at + 4] = bytes(len(data[at : at + 4]))
            case _:
                del data[at : at + rng.randrange(1, 30)]
    return bytes(data)


def try_one(folder: Path, rng: random.Random) -> None:
    """Write a strange file and read it, by itself and beside a table."""
    content = mutate(rng.choice(VALID), rng) if rng.random() < 0.95 else rng.randbytes(rng.randrange(400))
    options = ReadOptions(
        fields=rng.choice([(), (), ("text",), ("1",), ("title", "text")]),
        label_field=rng.choice([None, None, None, "label", "2"]),
        encoding=rng.choice(ENCODINGS) if rng.random() < 0.2 else "utf-8",
        running=rng.random() < 0.3,
        format=rng.choice(["txt", "csv", "tsv", "json", "parquet"]) if rng.random() < 0.2 else None,
    )
    path = folder / rng.choice(NAMES)
    path.write_bytes(content)
    began = time.process_time()
    try:
        read_file(str(path), options)
        if rng.random() < 0.2:
            (folder / "z.csv").write_bytes(TABLE)
            read_file(str(folder), options)
    except Exception as error:
        raise AssertionError(f"{path.name}, {options}: {content!r:.2000}") from error
    assert time.process_time() - began < 20, f"{path.name}, {options} took too long: {content!r:.2000}"
    path.unlink()


@settings(max_examples=300, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_any_file_is_read_or_refused(tmp_path_factory, rng):
    try_one(tmp_path_factory.mktemp("fuzz"), rng)


@pytest.mark.slow
def test_many_files_are_read_or_refused(tmp_path):
    end = time.monotonic() + SECONDS
    seed = random.randrange(1 << 32)
    while time.monotonic() < end:
        try_one(tmp_path, random.Random(seed := seed + 1))
