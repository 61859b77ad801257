"""What several test files share: small texts, small trainings, and commands run as a user runs them."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path

import filelock
import jax
import jaxlib
import numpy as np
import pytest

from flaxchar import (
    CharLM,
    Config,
    Example,
    LanguageModel,
    ModelConfig,
    TextBatches,
    TrainingConfig,
    Vocabulary,
    init_params,
    init_state,
    make_optimizer,
)
from flaxchar.commands import process
from flaxchar.commands.main import main
from flaxchar.data import encoded, texts
from flaxchar.data.examples import Examples
from flaxchar.data.readers import containers, files
from flaxchar.data.readers.reading import Findings, ReadOptions
from flaxchar.kernels import build
from flaxchar.models.charlm import make_model

ROOT = Path(__file__).parent.parent


# What is compiled, kept for the next test and the next command of the same session, in whichever process it runs.
if "FLAXCHAR_TEST_CACHE" not in os.environ:
    _OWNER = tempfile.TemporaryDirectory()
    os.environ["FLAXCHAR_TEST_CACHE"] = _OWNER.name
CACHE = os.environ["FLAXCHAR_TEST_CACHE"]
# Chooses the one of XLA's two code generators for a CPU that compiles in half the time, for the tests' own processes.
# From jaxlib 0.11 on there is only one, and an unknown flag ends the process.
_JAXLIB = tuple(int(part) for part in jaxlib.__version__.split(".")[:2])
QUICK_COMPILER = "--xla_cpu_use_fusion_emitters=false" if _JAXLIB < (0, 11) else ""
# The native kernel of the tests' own processes, in the user's cache.
_KERNEL = None if (_compiler := build._compiler()) is None else build._library_path(_compiler)


def fake_clock(monkeypatch: pytest.MonkeyPatch, module: str, now: float = 0.0) -> list[float]:
    """Give a module a clock of its own: the first element of the list is its time in seconds.

    All other modules keep the real clock. An event loop in another thread that reads a fake time may sleep for hours.
    """
    clock = [now]
    fake = types.SimpleNamespace(**vars(time))
    fake.monotonic = fake.perf_counter = lambda: clock[0]
    monkeypatch.setattr(sys.modules[module], "time", fake)
    return clock


@functools.cache
def _hand_on_kernel() -> None:
    """Give the kernel of this process to the commands of this session: the first would compile it, and say so."""
    if _KERNEL is not None and build.status().startswith("native"):
        folder = Path(CACHE) / "flaxchar" / "native"
        with filelock.FileLock(Path(CACHE) / "kernel.lock"):
            folder.mkdir(parents=True, exist_ok=True)
            for file in _KERNEL.parent.glob(f"{_KERNEL.stem}.*"):
                # Once for all processes of the tests: copying over a library crashes the programs that have loaded it.
                if not (folder / file.name).exists():
                    shutil.copy(file, folder)


def environment(**variables: str) -> dict[str, str]:
    """The environment of a user's command: warnings as Python shows them by default, a cache of its own."""
    _hand_on_kernel()
    flags = os.environ.get("XLA_FLAGS", "").replace(QUICK_COMPILER, "").strip()
    # A crash in native code shows where it was.
    return {**os.environ, "XLA_FLAGS": flags, "XDG_CACHE_HOME": CACHE, "PYTHONFAULTHANDLER": "1", **variables}


def run_command(*arguments: str, stdin: bytes = b"", timeout: float = 300, **variables: str):
    """Run ``python train.py …``, ``python sample.py …`` or ``python -m flaxchar …`` as a user does; text output."""
    name, *rest = arguments
    program = [str(ROOT / name)] if name.endswith(".py") else ["-m", "flaxchar", name]
    result = subprocess.run(
        [sys.executable, *program, *rest],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env=environment(**variables),
        check=False,
    )
    return subprocess.CompletedProcess(result.args, result.returncode, result.stdout.decode(), result.stderr.decode())


def run_here(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of ``flaxchar`` in this process, without a start and with the programs that are compiled here."""
    printed = {name: io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for name in ("stdout", "stderr")}
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in printed.items():
            patch.setattr(sys, name, stream)
        if stdin is not None:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        # The process is left as the tests set it up.
        patch.setattr(process, "set_up", lambda devices=None: None)
        patch.setattr(process, "start_kernel", lambda devices=None: None)
        status = main(arguments)
    return subprocess.CompletedProcess(arguments, status, *(s.buffer.getvalue().decode() for s in printed.values()))


def resident_bytes() -> int:
    """Bytes of memory that this process occupies; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def python(program: str, **variables: str) -> str:
    """What a Python program of its own process prints."""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(**variables), cwd=ROOT)
    assert result.returncode == 0, f"status {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-8000:]}"
    return result.stdout


# Flags of a training that takes a moment.
SMALL = ("--hidden", "8", "--batch-size", "8")
# Texts of random ids, for the tests of the model alone: 0 pads, and the last id is <eos>.
VOCAB, EOS = 11, 10
_RNG = np.random.default_rng(0)
TEXTS = [_RNG.integers(1, EOS, length).astype(np.int32) for length in (3, 9, 1, 6, 14)]

PALINDROMES = ["Anna", "Otto", "Hannah", "Bob", "Eve", "Ada", "Lil", "Viv", "Aviva", "Elle"]


def small_training(training: TrainingConfig, model: ModelConfig | None = None):
    """A small model, its optimiser, batches of four of the palindromes, and the state before the first step."""
    vocabulary = Vocabulary.build(PALINDROMES)
    batches = TextBatches(vocabulary.encode_texts(PALINDROMES)[0], 4, vocabulary.eos)
    lm = CharLM(vocabulary.size, model or ModelConfig(hidden=8, dropout=0))
    optimizer = make_optimizer(training)
    return lm, optimizer, batches, init_state(lm, optimizer, batches.rows, jax.random.key(1))


def untrained_model(texts, seed=0, labels=(), sources=False, **settings) -> LanguageModel:
    """A model of fresh parameters, its logits scaled up so that its predictions differ from uniform ones."""
    config, vocabulary = config_and_vocabulary(texts, labels, sources, **settings)
    params = init_params(make_model(vocabulary, config.model), jax.random.key(seed))
    params["logits"]["kernel"] = params["logits"]["kernel"] * 8
    return LanguageModel(params, vocabulary, config)


def config_and_vocabulary(texts, labels=(), sources=False, **settings) -> tuple[Config, Vocabulary]:
    """The settings of a small model of some texts, and its vocabulary."""
    config = Config().replace(**{"hidden": 12, **settings})
    count = max(len(texts), len(labels))
    examples = [
        Example(
            texts[k % len(texts)],
            labels[k % len(labels)] if labels else None,
            texts[k % len(texts)] if sources and not labels else None,
        )
        for k in range(count)
    ]
    vocabulary = Vocabulary.build(
        examples, config.data.unit, config.data.max_vocab, classify=config.model.head == "classifier"
    )
    return config, vocabulary


@contextlib.contextmanager
def small_blocks(block: int, large: int = 40) -> Iterator[None]:
    """Blocks of a few characters, and files for data of more than ``large`` bytes."""
    modules = (texts, containers, encoded)
    kept = [(module.BLOCK, getattr(module, "LARGE", None)) for module in modules]
    for module in modules:
        module.BLOCK, module.LARGE = block, large
    try:
        yield
    finally:
        for module, (characters, size) in zip(modules, kept, strict=True):
            module.BLOCK, module.LARGE = characters, size


def read_texts(names, fields=(), findings=None, **settings) -> list[str]:
    """All the texts of ``files.read_files`` at once, those whole that come in parts."""
    read: list[str] = []
    whole = True
    for chunk in files.read_files(names, ReadOptions(tuple(fields), **settings), findings):
        if not whole:
            read[-1] += chunk.texts[0]
        read += chunk.texts if whole else chunk.texts[1:]
        whole = chunk.complete
    assert whole
    return read


def read_and_told(names, fields=(), **settings) -> tuple[list[str], list[str]]:
    """All the texts of files, and what the readers tell of them."""
    findings = Findings()
    return read_texts(names, fields, findings, **settings), findings.sentences()


def read_examples(names, fields=(), **settings) -> list[Example]:
    """All the examples of ``files.read_files`` at once."""
    return list(Examples.from_chunks(files.read_files(names, ReadOptions(tuple(fields), **settings))))


def zstd_compress(data: bytes) -> bytes:
    """Some bytes as a zstd file."""
    try:
        from compression import zstd
    except ImportError:  # Python before 3.14
        from backports import zstd
    return zstd.compress(data)


def zipped(*members: tuple[str, bytes]) -> bytes:
    """A zip file of files, each a name and its content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def tarred(*members: tuple[str, bytes]) -> bytes:
    """A tar file of files, each a name and its content."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def read_found(name, fields=(), **settings) -> tuple[list[Example], list[str]]:
    """The examples of one file, and the sentences about what its reader found."""
    findings = Findings()
    examples = Examples.from_chunks(files.read_files([name], ReadOptions(tuple(fields), **settings), findings))
    return list(examples), findings.sentences()
