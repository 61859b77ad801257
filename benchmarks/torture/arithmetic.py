"""Attacks on numbers and on the cache: divergence, damaged libraries, damaged ids, damaged programs, very long texts.

``python benchmarks/torture/arithmetic.py`` runs all attacks and prints a row each; ``--attacks`` names some of them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rows import Row

ROOT = Path(__file__).resolve().parents[2]
RATES = ("1e3", "1e6", "1e12", "1e30")
OPTIMIZERS = ("adam", "adamw", "lion", "muon", "rmsprop", "sgd")
# Scores a text of so many characters, and prints by how many kilobytes the process grew beyond a short text.
SCORES = """
import resource, sys
import flaxchar
lm = flaxchar.load(sys.argv[1])
lm.score(["abcd" * 500])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(bits,) = lm.score(["abcd" * (int(sys.argv[2]) // 4)])
print(bits, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
# Encodes a file, which counts as large, and prints a hash of the ids and whether they were encoded before.
ENCODES = """
import hashlib, sys
import flaxchar
from flaxchar.data import cache
cache.LARGE = 1000
corpus, _ = cache.load_encoded(flaxchar.Config().replace(data=(sys.argv[1],)))
ids = b"".join(part.tobytes() for texts in (corpus.train, corpus.held_out) for part in (texts.ids, texts.offsets))
print(hashlib.sha256(ids).hexdigest(), any("encoded before" in line for line in corpus.report))
"""
_DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "short": lambda content, rng: content[: rng.randrange(len(content))],
    "empty": lambda content, rng: b"",
    "random": lambda content, rng: rng.randbytes(len(content)),
    "foreign": lambda content, rng: Path(sys.executable).read_bytes(),
    "one bit": lambda content, rng: _flipped(content, rng),  # noqa: PLW0108 - defined below
}


def _flipped(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


class Bench:
    """A folder to attack in, with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rng = folder, random.Random(0)
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        self.cache = folder / "cache" / "flaxchar"

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=self.environment, cwd=self.folder, check=False
        )

    def train(self, name: str, *settings: str) -> subprocess.CompletedProcess[str]:
        small = ("--dataset", "headlines", "--hidden", "8", "--batch-size", "8", "--steps", "60")
        path = str(self.folder / name)
        return self.python("-m", "flaxchar", "train", *small, "--workdir", path, *settings)

    @property
    def library(self) -> Path:
        (library,) = (self.cache / "native").glob("*.so")
        return library


def _is_json(path: Path) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            json.loads(line, parse_constant=refuse)
    except ValueError:
        return False
    return True


def divergence(bench: Bench) -> Iterator[Row]:
    """Enormous learning rates: status 1 and a sentence, or a finite result; every line of the metrics is JSON."""
    stopped = survived = lost = 0
    cases = [(name, rate, ()) for name in OPTIMIZERS for rate in RATES]
    cases += [("adam", "1e30", ("--dtype", "bfloat16")), ("muon", "1e6", ("--window", "32"))]
    for number, (optimizer, rate, more) in enumerate(cases):
        name = f"diverging{number}"
        result = bench.train(name, "--optimizer", optimizer, "--learning-rate", rate, *more)
        told = result.returncode == 1 and "training has diverged" in result.stderr and "Traceback" not in result.stderr
        best = [line for line in result.stdout.splitlines() if line.startswith("best checkpoint")]
        finite = result.returncode == 0 and best and math.isfinite(float(best[0].split("held-out ")[1].split()[0]))
        if not (told or finite) or not _is_json(bench.folder / name / "metrics.jsonl"):
            lost += 1
        elif told:
            stopped += 1
        else:
            survived += 1
    yield Row("divergence (learning rates of 1e3 to 1e30)", stopped, survived, lost)


def library(bench: Bench) -> Iterator[Row]:
    """The kernel's library damaged in the cache: built anew, never loaded."""
    status = ("-c", "from flaxchar.kernels import build; print(build.status())")
    expected = bench.python(*status).stdout
    path, good = bench.library, bench.library.read_bytes()
    rebuilt = lost = 0
    for damage in _DAMAGES.values():
        path.write_bytes(damage(good, bench.rng))
        result = bench.python(*status)
        if result.returncode == 0 and result.stdout == expected and path.read_bytes() == good:
            rebuilt += 1
        else:
            lost += 1
        path.write_bytes(good)
    yield Row("kernel's library damaged in the cache", rebuilt, 0, lost)


def ids(bench: Bench, count: int = 20) -> Iterator[Row]:
    """The kept ids of a corpus damaged: encoded anew, to the same ids."""
    texts = bench.folder / "texts.txt"
    texts.write_text("".join(f"line {k * k}\n" for k in range(500)))
    expected = bench.python("-c", ENCODES, str(texts)).stdout.split()[0]
    (kept,) = (bench.cache / "corpora").iterdir()
    detected = lost = 0
    for _ in range(count):
        path = bench.rng.choice(sorted(kept.iterdir()))
        damage = bench.rng.choice(list(_DAMAGES.values()))
        path.write_bytes(damage(path.read_bytes(), bench.rng))
        result = bench.python("-c", ENCODES, str(texts))
        again = bench.python("-c", ENCODES, str(texts))
        mended = result.stdout.split() == [expected, "False"] and again.stdout.split() == [expected, "True"]
        detected, lost = detected + mended, lost + (not mended)
    yield Row("kept ids of a corpus damaged in the cache", detected, 0, lost)


def programs(bench: Bench, count: int = 5) -> Iterator[Row]:
    """All compiled programs of JAX damaged: compiled anew, without a word."""
    assert bench.train("programs").returncode == 0
    expected = bench.train("programs-again").stdout
    detected = lost = 0
    for number in range(count):
        damage = list(_DAMAGES.values())[number % len(_DAMAGES)]
        for path in (bench.cache / "compiled").rglob("*-cache"):
            path.write_bytes(damage(path.read_bytes(), bench.rng))
        result = bench.train(f"programs{number}")
        metrics = [
            [json.loads(line).get("loss") for line in (bench.folder / name / "metrics.jsonl").read_text().splitlines()]
            for name in ("programs", f"programs{number}")
        ]
        fine = result.returncode == 0 and metrics[0] == metrics[1] and not result.stderr and bool(expected)
        detected, lost = detected + fine, lost + (not fine)
    yield Row("compiled programs damaged in the cache", detected, 0, lost)


def folders(bench: Bench) -> Iterator[Row]:
    """Caches that cannot be used: a file, below a file, relative, read-only, open to everybody."""
    (bench.folder / "file").write_text("")
    (bench.folder / "open").mkdir()
    (bench.folder / "open" / "flaxchar").mkdir()
    (bench.folder / "open" / "flaxchar").chmod(0o777)
    survived = lost = 0
    places = ("file", "file/below", "/proc/flaxchar", "open")
    kept = dict(bench.environment)
    for number, place in enumerate(places):
        bench.environment = {**kept, "XDG_CACHE_HOME": str(bench.folder / place)}
        result = bench.train(f"folders{number}")
        private = place != "open" or (bench.folder / "open" / "flaxchar").stat().st_mode & 0o777 == 0o700
        fine = result.returncode == 0 and "Traceback" not in result.stderr and private
        survived, lost = survived + fine, lost + (not fine)
    bench.environment = kept
    yield Row("cache folders that cannot be used, or are open to others", 0, survived, lost)


def long_texts(bench: Bench) -> Iterator[Row]:
    """One text of up to a million characters is scored, in less than 300 MB beyond a short one."""
    texts = bench.folder / "abcd.txt"
    texts.write_text("abcdabcd\nabcd\n" * 50)
    path = str(bench.folder / "long")
    arguments = ("--data", str(texts), "--hidden", "32", "--steps", "20", "--workdir", path)
    assert bench.python("-m", "flaxchar", "train", *arguments).returncode == 0
    survived = lost = 0
    lengths = (300_000, 1_000_000)
    for length in lengths:
        result = bench.python("-c", SCORES, path, str(length))
        bits, kilobytes = map(float, result.stdout.split() or ("nan", "nan"))
        fine = math.isfinite(bits) and kilobytes < 300_000
        survived, lost = survived + fine, lost + (not fine)
    yield Row("one text of 300,000 and of 1,000,000 characters scored", 0, survived, lost)


ATTACKS = {attack.__name__: attack for attack in (divergence, library, ids, programs, folders, long_texts)}


def attacks(names: tuple[str, ...] = tuple(ATTACKS)) -> Iterator[Row]:
    """Run the attacks of these names."""
    for name in names:
        folder = Path(tempfile.mkdtemp())
        try:
            yield from ATTACKS[name](Bench(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Print a row for each attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    for row in attacks(tuple(parser.parse_args().attacks)):
        print(row, flush=True)


if __name__ == "__main__":
    main()
