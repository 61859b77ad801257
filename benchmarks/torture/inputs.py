"""Attacks by input: hostile settings and vocabularies, forged compressed files, bad command lines, bad library calls.

``python benchmarks/torture/inputs.py`` runs all attacks and prints a row each. The attacks are the tables of the tests;
``--damaged 1000`` says how many damaged compressed files are tried for each kind of model.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rows import Row

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bad_calls import method_calls, training_calls  # noqa: E402
from bad_commands import BadCommand, command_lines, file_command_lines, write_files  # noqa: E402
from forged import EXAMPLES, TEXT, damaged, forged_examples, forged_texts, packed  # noqa: E402
from helpers import PALINDROMES, untrained_model  # noqa: E402
from hostile import attacks as hostile_files  # noqa: E402
from hostile import restore  # noqa: E402

import flaxchar  # noqa: E402
from flaxchar.commands import process  # noqa: E402
from flaxchar.commands.main import main as command  # noqa: E402

# An attack that takes longer counts as one that hangs.
SECONDS = 20
MODELS: dict[str, dict] = {
    "text": {},
    "running text": {"window": 16},
    "words": {"unit": "word", "max_vocab": 4},
    "labels": {"labels": ("x", "y"), "bos": False},
    "sources": {"sources": True, "bos": False},
}


def refused(call: Callable[[], object], error: type[Exception] = flaxchar.InputError) -> bool:
    """Whether a call raises the documented exception, with one line, in time."""
    began = time.monotonic()
    try:
        call()
    except error as told:
        return "\n" not in str(told) and time.monotonic() - began < SECONDS
    except Exception as other:
        print(f"  {type(other).__name__}: {other!s:.200}", file=sys.stderr)
    return False


def row(attack: str, outcomes: list[bool]) -> Row:
    return Row(attack, sum(outcomes), 0, len(outcomes) - sum(outcomes))


def hostile(folder: Path) -> Iterator[Row]:
    """Settings and vocabularies of somebody else."""
    run = folder / "hostile"
    untrained_model(PALINDROMES).save(run)
    for file, what in (("config.json", "settings"), ("vocabulary.json", "vocabulary")):
        path, outcomes = run / file, []
        content = path.read_bytes()
        for spoil in hostile_files(file).values():
            spoil(path)
            outcomes.append(refused(lambda: flaxchar.load(run)))
            restore(path, content)
        yield row(f"hostile {what}", outcomes)


def refuses(lm: flaxchar.LanguageModel, file: bytes) -> bool:
    """Whether a compressed file is refused."""
    return refused(lambda: lm.decompress(file))


def forged(count: int) -> Iterator[Row]:
    """Compressed files that claim what cannot be, and damaged ones whose checksum was made right again."""
    claims, damages = [], []
    for settings in MODELS.values():
        lm = untrained_model(["abc abd\n", "hello, world"], **settings)
        conditional = bool(lm.vocabulary.labels) or lm.vocabulary.source_end is not None
        kind, bodies = (EXAMPLES, forged_examples(lm)) if conditional else (TEXT, forged_texts(lm))
        refuses_it = functools.partial(refuses, lm)
        claims += [refuses_it(packed(lm, body, kind)) for body in bodies.values()]
        damages += map(refuses_it, damaged(lm, count))
    yield row("forged compressed files", claims)
    yield row("damaged compressed files, checksum right", damages)


def command_refused(case: BadCommand, folder: Path) -> bool:
    """Whether a command line ends with status 2 and one sentence that names what is wrong, and makes nothing."""
    before, printed, told = sorted(folder.rglob("*")), io.StringIO(), io.StringIO()
    began = time.monotonic()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            status = command(case.arguments)
    except Exception as error:
        print(f"  {case.arguments}: {type(error).__name__}", file=sys.stderr)
        return False
    sentence = told.getvalue()
    right = (
        status == 2
        and sentence.startswith("flaxchar: ")
        and sentence.count("\n") == 1
        and case.told in sentence
        and (case.reads or not printed.getvalue())
        and sorted(folder.rglob("*")) == before
        and time.monotonic() - began < SECONDS
    )
    if not right:
        print(f"  {[argument[:60] for argument in case.arguments]}: {status}, {sentence:.200}", file=sys.stderr)
    return right


def commands(folder: Path) -> Iterator[Row]:
    process.set_up = process.start_kernel = lambda devices=None: None
    here, files = folder / "here", folder / "files"
    here.mkdir()
    files.mkdir()
    os.chdir(here)
    texts = write_files(files)
    untrained_model(PALINDROMES).save(folder / "run")
    cases = [*command_lines(), *file_command_lines(folder / "run", texts, files)]
    yield row("bad command lines", [command_refused(case, folder) for case in cases])


def calls() -> Iterator[Row]:
    lm = untrained_model(PALINDROMES)
    cases = [*method_calls(), *training_calls()]
    yield row("bad library calls", [refused(lambda case=case: case.call(lm), case.error) for case in cases])


def attacks(damaged_files: int = 200) -> Iterator[Row]:
    """All attacks by input, a row each."""
    back = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        yield from hostile(Path(name))
        yield from forged(damaged_files)
        yield from calls()
        try:
            yield from commands(Path(name))
        finally:
            os.chdir(back)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damaged", type=int, default=200, help="damaged compressed files for each of five models")
    for result in attacks(parser.parse_args().damaged):
        print(result, flush=True)
