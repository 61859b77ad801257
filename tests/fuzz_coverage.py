"""Coverage-guided fuzzing of the readers of runs and of compressed files, by atheris (``pip install atheris``).

It is no test: ``PYTHONPATH=tests python tests/fuzz_coverage.py KIND SECONDS``, where KIND is record, vocabulary,
format-1, text or examples. It stops at the first input that ends in something else than an ``InputError`` and shows it.
Put that into ``FOUND`` of ``test_fuzz_files.py``.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flaxchar", "json"]):
    from helpers import PALINDROMES, untrained_model
    from test_fuzz_files import FOUND, RECORD, VOCABULARIES, change_value, read

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
    if kind in ("text", "examples") or data[:1] != b"!":
        return data
    choices = Choices(data[1:])
    value = RECORD if kind == "record" else choices.choice(VOCABULARIES)
    for _ in range(choices.randrange(1, 4)):
        value = change_value(value, choices)
    return json.dumps(value).encode()


def main() -> None:
    kind, seconds = sys.argv[1].replace("-", " "), sys.argv[2]
    models, seeds = {}, [content for name, content in FOUND if name == kind and len(content) < 10_000]
    if kind == "record":
        seeds.append(json.dumps(RECORD).encode())
    elif kind in ("vocabulary", "format 1"):
        seeds += [json.dumps(values).encode() for values in VOCABULARIES]
    else:
        labelled = {"labels": ("x", "y"), "bos": False} if kind == "examples" else {}
        models[kind] = untrained_model(PALINDROMES, **labelled)
        content = "Anna Ωtto\n"
        seeds.append(models[kind].compress(content if kind == "text" else [Example(content, "x")])[25:])
    if kind not in models:
        seeds += [b"!" + bytes(range(first, first + 40)) for first in range(0, 200, 10)]
    limits = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=60", "-rss_limit_mb=6000"]
    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(seeds):
            (Path(corpus) / str(number)).write_bytes(content)
        atheris.Setup([sys.argv[0], corpus, *limits], lambda data: read(kind, content_of(kind, data), models))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
