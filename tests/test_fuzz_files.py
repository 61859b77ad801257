"""Whatever the files of a run and a compressed file hold, they are read or refused with an ``InputError``.

For ten minutes: ``FLAXCHAR_FUZZ_SECONDS=600 pytest -m slow -n 0 tests/test_fuzz_files.py``. ``fuzz_coverage.py`` beside
this file looks for new ways through the readers, guided by coverage; what it found is in ``FOUND``.
"""

from __future__ import annotations

import json
import os
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from forged import EXAMPLES, TEXT, packed
from fuzz_readers import NAMES, read_file
from helpers import PALINDROMES, untrained_model
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxchar import Example, InputError, LanguageModel, Vocabulary
from flaxchar.config import Config
from flaxchar.data.readers.reading import ReadOptions
from flaxchar.data.vocabulary import vocabulary_from_format_1
from flaxchar.json_files import parse_json
from flaxchar.training.record import check_record

CORPUS = Path(__file__).parent / "fixtures" / "fuzz_corpus.zip"
SECONDS = float(os.environ.get("FLAXCHAR_FUZZ_SECONDS", "30"))
RECORD = {
    "format": 2, "config": Config().to_dict(), "texts": {"sha256": "ab", "known": ["x"]}, "steps": 8, "folder": "/r",
    "stretches": [{"steps": 3, "time_budget": None}, {"steps": 8, "time_budget": "2m"}],
}  # fmt: skip
VOCABULARIES = [
    Vocabulary.build(PALINDROMES).to_dict(),
    Vocabulary.build([Example("ab", "x"), Example("ba", "y")], classify=True).to_dict(),
    Vocabulary.build([Example("ab", source="ba")]).to_dict(),
    Vocabulary.build(["aaabbc"], max_size=1).to_dict(),
    Vocabulary.build(["ab cd ab"], unit="word", max_size=2).to_dict(),
]
# Small inputs of each kind that was once no InputError: numbers that no float holds, paths that no system takes, values
# that cannot be in a set, nesting, numbers without end.
FOUND: list[tuple[str, bytes]] = [
    ("record", b'{"format": 2, "steps": 1, "texts": {}, "config": {"model": {"hidden": ' + b"9" * 400 + b"}}}"),
    (
        "record",
        b'{"format": 2, "steps": 1, "texts": {}, "config": {"training": {"learning_rate": ' + b"9" * 400 + b"}}}",
    ),
    ("record", b'{"format": 2, "steps": 1, "texts": {}, "config": {"data": {"data": ["\\u0000"]}}}'),
    ("record", b'{"format": 2, "steps": 1, "texts": {}, "config": {"data": {"data": ["\\ud800"]}}}'),
    (
        "record",
        b'{"format": 2, "steps": 1, "texts": {}, "config": {"training": {"time_budget": "' + b"9" * 400 + b'"}}}',
    ),
    ("record", b"[" * 100_000),
    ("vocabulary", b'{"unit": "char", "has_unknown": false, "tokens": [[]]}'),
    ("vocabulary", b'{"unit": [], "has_unknown": false, "tokens": ["a"]}'),
    ("vocabulary", b'{"unit": "char", "has_unknown": true, "tokens": ["a"], "spelling": {"tokens": []}}'),
    (
        "vocabulary",
        b'{"unit": "word", "has_unknown": true, "tokens": ["a"], "spelling": {"tokens": ["b"], "counts": null}}',
    ),
    ("text", b"\x05\x00"),
    ("text", b"\xff" * 20),
    ("text", b"\x05\x03abc"),
    ("examples", b"\x01\x0a\x00"),
]
STRANGE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 1.5, 10**9, 10**30, -(10**30), 1e300, "", "x", "char", "word", "\ud800", "\0"),
    *([], {}, [[]], ["x"], [None], [1], {"x": 1}, "lstm", "2m", "a" * 5000),
]


def change_value(value: Any, rng: random.Random) -> Any:
    """A JSON value with something in it replaced, repeated, added or left out."""
    if rng.random() < 0.25 or not isinstance(value, dict | list) or not value:
        return rng.choice(STRANGE)
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    key = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    match rng.randrange(5):
        case 0:
            del copy[key]
        case 1 if isinstance(copy, dict):
            copy[rng.choice(["", "x", "labels", "label_ids", "source_end", "spelling", "stretches"])] = rng.choice(
                STRANGE
            )
        case 1:
            copy.insert(key, copy[key])
        case _:
            copy[key] = change_value(copy[key], rng)
    return copy


def change_bytes(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut off, repeated, inserted or removed."""
    data = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] ^= rng.randrange(1, 256)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = rng.choice((b"\0", b"\xff", b"\x80", b'"', b"[", b"{", b"1e400", rng.randbytes(4)))
            case 3:
                data[at:at] = data[: rng.randrange(20)]
            case _:
                del data[at : at + rng.randrange(1, 9)]
    return bytes(data)


def read(kind: str, content: bytes, models: dict[str, LanguageModel]) -> bool:
    """Read some content as what it claims to be, and use it; whether it was taken, or refused with ``InputError``."""
    try:
        if kind == "record":
            config = check_record(parse_json(content, "config.json"), (1, 2))
            assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
        elif kind == "vocabulary":
            values = parse_json(content, "vocabulary.json")
            vocabulary = Vocabulary.from_dict(values)
            assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary
            use(vocabulary)
        elif kind == "format 1":
            use(vocabulary_from_format_1(parse_json(content, "vocabulary.json"), labelled=True, sourced=False))
        else:
            models[kind].decompress(packed(models[kind], content, TEXT if kind == "text" else EXAMPLES))
    except InputError as error:
        refused = str(error)
    else:
        return True
    assert "\n" not in refused
    assert len(refused) < 600
    return False


def read_texts(folder: Path, data: bytes) -> None:
    """Read a file of texts as a command does: the first two bytes choose its name and what the user says about it."""
    name = NAMES[data[0] % len(NAMES)] if data else "a"
    choices = data[1] if len(data) > 1 else 0
    options = ReadOptions(
        fields=[(), ("text",), ("1",), ("title", "text")][choices % 4],
        label_field=[None, "label", "2", None][choices // 4 % 4],
        running=choices // 16 % 2 == 1,
        encoding=["utf-8", "utf-16", "cp1252", "gb18030"][choices // 32 % 4],
    )
    path = folder / name
    path.write_bytes(data[2:])
    read_file(str(path), options)
    path.unlink()


def use(vocabulary: Vocabulary) -> None:
    """All that a vocabulary is asked while a model is loaded and used."""
    ids = vocabulary.encode("Anna ab\n☃", "drop")
    assert all(0 < k < vocabulary.size for k in ids.tolist())
    vocabulary.decode(k for k in ids.tolist() if k != vocabulary.unknown)
    assert set(vocabulary.never_written) < set(range(vocabulary.size))
    if vocabulary.speller is not None:
        vocabulary.speller.nats(["abc"] if vocabulary.unit == "word" else ["z"])


def try_one(models: dict[str, LanguageModel], rng: random.Random) -> None:
    """Change a right file and read it."""
    kind = rng.choice(["record", "record", "vocabulary", "vocabulary", "format 1", "text", "examples"])
    if kind in ("text", "examples"):
        text = "Anna Ωtto\n" * rng.randrange(1, 9)
        right = models[kind].compress(text if kind == "text" else [Example(text, "x")])[25:]
        content = change_bytes(right, rng)
    else:
        value: Any = RECORD if kind == "record" else rng.choice(VOCABULARIES)
        for _ in range(rng.randrange(1, 4)):
            value = change_value(value, rng)
        content = json.dumps(value).encode()
        if rng.random() < 0.2:
            content = change_bytes(content, rng)
    began = time.process_time()
    try:
        read(kind, content, models)
    except Exception as error:
        raise AssertionError(f"{kind}: {content!r:.2000}") from error
    assert time.process_time() - began < 20, f"{kind} took too long: {content!r:.2000}"


@pytest.fixture(scope="module")
def models() -> dict[str, LanguageModel]:
    return {
        "text": untrained_model(PALINDROMES),
        "examples": untrained_model(PALINDROMES, labels=("x", "y"), bos=False),
    }


@pytest.mark.parametrize(("kind", "content"), FOUND, ids=range(len(FOUND)))
def test_what_was_found_stays_mended(models, kind, content):
    assert not read(kind, content, models)


def test_what_the_fuzzer_has_kept_is_read_or_refused(models, tmp_path):
    with zipfile.ZipFile(CORPUS) as kept:
        for name in kept.namelist():
            kind, content = name.split("/")[0], kept.read(name)
            read_texts(tmp_path, content) if kind == "files" else read(kind, content, models)


@settings(max_examples=150, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_any_file_of_a_run_is_read_or_refused(models, rng):
    try_one(models, rng)


@pytest.mark.slow
def test_many_files_of_runs_are_read_or_refused(models):
    end, seed = time.monotonic() + SECONDS, random.randrange(1 << 32)
    while time.monotonic() < end:
        try_one(models, random.Random(seed := seed + 1))
