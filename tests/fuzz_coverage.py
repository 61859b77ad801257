"""Coverage-guided fuzzing of all readers, by atheris (``pip install atheris``): of runs, compressed files and texts.

It is no test: ``PYTHONPATH=tests python tests/fuzz_coverage.py KIND SECONDS FOLDER``, where KIND is
record, vocabulary, format-1, text, examples or files. It stops at the first input that ends in something else than an
``InputError`` and shows it. Put that into ``FOUND`` of ``test_fuzz_files.py``. FOLDER keeps the inputs that reach new
code; ``fixtures/fuzz_corpus.zip`` has the shortest of them, from which the next run begins.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flaxchar", "json"]):
    from fuzz_readers import NAMES, VALID
    from helpers import PALINDROMES, untrained_model
    from test_fuzz_files import CORPUS, FOUND, RECORD, VOCABULARIES, change_value, read, read_texts

    from flaxchar import Example


class Choices(random.Random):
    """Random choices that the fuzzer makes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._data = atheris.FuzzedDataProvider(data)

    def random(self) -> float:
        return self._data.ConsumeIntInRange(0, 255) / 256

    def getrandbits(self, k: int, /) -> int:
        return self._data.ConsumeIntInRange(0, (1 << k) - 1)


def content_of(kind: str, data: bytes) -> bytes:
    """The content to read: for JSON, every second time a right document that the fuzzer changes value by value."""
    if kind in ("text", "examples", "files") or data[:1] != b"!":
        return data
    choices = Choices(data[1:])
    value = RECORD if kind == "record" else choices.choice(VOCABULARIES)
    for _ in range(choices.randrange(1, 4)):
        value = change_value(value, choices)
    return json.dumps(value).encode()


def make_seeds(kind: str) -> tuple[list[bytes], Callable[[bytes], object]]:
    """Inputs to begin with, and what reads one."""
    seeds = [content for name, content in FOUND if name == kind and len(content) < 10_000]
    with zipfile.ZipFile(CORPUS) as kept:
        seeds += [kept.read(name) for name in kept.namelist() if name.startswith(f"{kind}/")]
    if kind == "files":
        seeds += [bytes([number, 0]) + content for number in range(len(NAMES)) for content in VALID]
        folder = Path(tempfile.mkdtemp())
        return seeds, lambda data: read_texts(folder, data)
    models = {}
    if kind in ("text", "examples"):
        labelled = {"labels": ("x", "y"), "bos": False} if kind == "examples" else {}
        models[kind] = untrained_model(PALINDROMES, **labelled)
        content = "Anna Ωtto\n"
        seeds.append(models[kind].compress(content if kind == "text" else [Example(content, "x")])[25:])
    else:
        values = [RECORD] if kind == "record" else VOCABULARIES
        seeds += [json.dumps(value).encode() for value in values]
        seeds += [b"!" + bytes(range(first, first + 40)) for first in range(0, 200, 10)]
    return seeds, lambda data: read(kind, content_of(kind, data), models)


def main() -> None:
    kind, seconds, corpus = sys.argv[1].replace("-", " "), sys.argv[2], Path(sys.argv[3])
    seeds, reads = make_seeds(kind)
    limits = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=60", "-rss_limit_mb=6000"]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds):
        (corpus / str(number)).write_bytes(content)
    atheris.Setup([sys.argv[0], str(corpus), *limits], reads)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
