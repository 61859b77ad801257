"""Forged compressed files: right in their header and their checksums, and wrong in what they claim."""

from __future__ import annotations

import functools
import json
import random
import zlib

from flaxchar import Example, LanguageModel
from flaxchar.analysis.compression import fingerprint
from flaxchar.analysis.packing import varint

TEXT, EXAMPLES = 1, 2
CLAIMS = (1, 2, 1000, 10**5, 10**7, 10**9, 10**12, 2**62)


def packed(lm: LanguageModel, body: bytes, kind: int = TEXT, content: bytes = b"") -> bytes:
    """A file with a body, its checksum right; that of the content is of ``content``."""
    checksums = zlib.crc32(content).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big")
    return b"flaxchar" + bytes([kind]) + fingerprint(lm) + checksums + body


def deflated(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 9)


@functools.cache
def bomb() -> bytes:
    """200 MiB of white space in a list, deflated to 200 KB."""
    deflater = zlib.compressobj(9)
    parts = [deflater.compress(b"[")] + [deflater.compress(bytes([32]) * (1 << 20)) for _ in range(200)]
    return b"".join([*parts, deflater.compress(b"]"), deflater.flush()])


def text_body(count: int | bytes, exceptions: bytes, coded: bytes, size: int | None = None) -> bytes:
    number = count if isinstance(count, bytes) else varint(count)
    return number + varint(len(exceptions) if size is None else size) + exceptions + coded


def forged_texts(lm: LanguageModel) -> dict[str, bytes]:
    """Forged files of a text, by name."""
    rng = random.Random(1)
    zeros, ones, noise = bytes(40), b"\xff" * 40, rng.randbytes(40)
    lists = {
        "no JSON": "[[0,", "a number": "3", "an object": "{}", "NaN": "[[NaN, 'a']]", "nested": "[" * 100_000,
        "a negative gap": '[[-1, "x"]]', "a gap of 10^30": f'[[{10**30}, "x"]]', "a gap that is true": '[[true, "x"]]',
        "a gap that is a fraction": '[[0.5, "x"]]', "no token": "[[0]]", "a token that is a number": "[[0, 3]]",
        "an empty token": '[[0, ""]]', "three": '[[0, "x", 1]]', "null": "null", "a string": '"' + "x" * 100 + '"',
        "a number of 5,000 digits": "[[" + "9" * 5000 + ', "x"]]',
    }  # fmt: skip
    return {
        **{
            f"{claim:,} tokens in {name}": text_body(claim, b"", coded)
            for claim in CLAIMS
            for name, coded in (("nothing", b""), ("zeros", zeros), ("ones", ones), ("noise", noise))
            if claim > 40 or coded
        },
        "a number of 10^30": text_body(varint(10**30), b"", noise),
        "a number without end": text_body(b"\xff" * 100_000, b"", noise),
        "nothing": b"",
        "half a number": b"\x80",
        "no second number": varint(5),
        "exceptions longer than the file": text_body(5, b"", noise, size=1000),
        "exceptions of 2^62 bytes": text_body(5, b"", noise, size=2**62),
        "exceptions that are not deflated": text_body(5, b"abc", noise),
        "half of the exceptions": text_body(5, deflated('[[0, "x"]]')[:-6], noise),
        "exceptions and more": text_body(5, deflated('[[0, "x"]]') + b"more", noise),
        "exceptions of 200 MB": text_body(5, bomb(), noise),
        "exceptions without tokens": text_body(0, deflated('[[7, "x"]]'), b""),
        "code without tokens": text_body(0, b"", noise),
        "code after the tokens": text_body(1, b"", noise * 100),
        **{f"exceptions: {name}": text_body(5, deflated(text), noise) for name, text in lists.items()},
    }


def forged_examples(lm: LanguageModel) -> dict[str, bytes]:
    """Forged files of examples, by name; ``lm`` is trained with labels or sources."""
    noise = random.Random(2).randbytes(40)
    right = [[lm.vocabulary.labels[0] if lm.vocabulary.labels else None, None if lm.vocabulary.labels else "a"]]

    def body(count: int, fields: str, exceptions: bytes = b"", coded: bytes = noise) -> bytes:
        data = deflated(fields)
        return varint(count) + varint(len(data)) + varint(len(exceptions)) + data + exceptions + coded

    return {
        **{f"{claim:,} examples with one label": body(claim, json.dumps(right)) for claim in CLAIMS if claim > 1},
        "an example in noise": body(1, json.dumps(right)),
        "an example in zeros": body(1, json.dumps(right), coded=bytes(40)),
        "an example in nothing": body(1, json.dumps(right), coded=b""),
        "no example, and code": body(0, "[]"),
        "an unknown label": body(1, '[["nobody", null]]'),
        "a label that is a number": body(1, "[[3, null]]"),
        "neither label nor source": body(1, "[[null, null]]"),
        "both": body(1, '[["x", "a"]]'),
        "fields that are no pair": body(1, '[["x"]]'),
        "fields that are no list": body(1, '{"a": 1}'),
        "a source of 10^8 characters": body(1, json.dumps([[None, "a" * 10**8]])),
        "sources of 10^6 characters in 64 rows": body(64, json.dumps([[None, "a" * 10**6]] * 64)),
        "exceptions after the end": body(1, json.dumps(right), deflated(f'[[{10**9}, "x"]]')),
    }


def damaged(lm: LanguageModel, count: int, seed: int = 3) -> list[bytes]:
    """Right files with bytes changed, cut off or added, the checksum of the body made right again."""
    rng = random.Random(seed)
    conditional = bool(lm.vocabulary.labels) or lm.vocabulary.source_end is not None
    text = "abc hello, world Zoë ☃\n" * 30
    label, source = (lm.vocabulary.labels or (None,))[0], None if lm.vocabulary.labels else "cab"
    right = lm.compress([Example(text, label, source)] * 3 if conditional else text)
    result = []
    for _ in range(count):
        body = bytearray(right[25:])
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(min(len(body), rng.choice((4, 40, 10**6))))
            match rng.randrange(4):
                case 0:
                    body[at] ^= rng.randrange(1, 256)
                case 1:
                    del body[at + 1 :]
                case 2:
                    body[at:at] = rng.randbytes(rng.randrange(1, 9))
                case _:
                    body[at] = rng.choice((0, 0x7F, 0x80, 0xFF))
        result.append(packed(lm, bytes(body), right[8]) if bytes(body) != right[25:] else b"")
    return [file for file in result if file]
