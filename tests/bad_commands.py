"""Bad command lines: for every option of every command, and combinations and files that cannot be."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_origin

from flaxchar.commands.classify import ClassifyOptions
from flaxchar.commands.compare import GRID, CompareOptions
from flaxchar.commands.compress import CompressOptions, DecompressOptions
from flaxchar.commands.export import ExportOptions
from flaxchar.commands.flags import flag
from flaxchar.commands.import_ import ImportOptions
from flaxchar.commands.novelty import NoveltyOptions
from flaxchar.commands.report import ReportOptions
from flaxchar.commands.sample import SampleOptions
from flaxchar.commands.score import ScoreOptions
from flaxchar.commands.serve import ServeOptions
from flaxchar.commands.train import TrainOptions
from flaxchar.settings import DataConfig, ModelConfig, TrainingConfig
from flaxchar.validation import MOST, Setting, describe, types_of

COMMANDS: dict[str, type] = {
    "train": TrainOptions, "sample": SampleOptions, "score": ScoreOptions, "classify": ClassifyOptions,
    "compress": CompressOptions, "decompress": DecompressOptions, "compare": CompareOptions, "novelty": NoveltyOptions,
    "export": ExportOptions, "import": ImportOptions,
    "report": ReportOptions,
    "serve": ServeOptions,
}  # fmt: skip
WITH_SETTINGS = ("train", "compare")
# No number, or none that a computer holds.
NO_INT = ("x", "", " ", "1.5", "nan", "1e3", "0x10", "9" * 20, "9" * 5000, "-" + "9" * 30)
NO_FLOAT = ("x", "", "nan", "inf", "-inf", "1e400", "1,5", "9" * 400, "9" * 5000)
NO_CHOICE = ("x", "", "none", "LSTM", "é")


class BadCommand(NamedTuple):
    """A command line and what the complaint about it names."""

    arguments: tuple[str, ...]
    told: str
    reads: bool = False  # whether the texts are read and reported before


def options_of(command: str) -> Iterator[tuple[dataclasses.Field, Any, bool]]:
    """The options of a command, each with its type and whether it may be ``none``."""
    sections = (DataConfig, ModelConfig, TrainingConfig) if command in WITH_SETTINGS else ()
    for section in (COMMANDS[command], *sections):
        types = types_of(section)
        yield from ((field, *types[field.name]) for field in dataclasses.fields(section))


def bad_values(kind: Any, declared: Setting) -> Iterator[str]:
    """Values that an option cannot have."""
    if get_origin(kind) is Literal:
        yield from NO_CHOICE
    if kind in (int, float):
        yield from NO_INT if kind is int else NO_FLOAT
        for limit, beyond in ((declared.least, -1), (declared.above, 0), (declared.most, 1), (declared.below, 0)):
            if limit is not None:
                yield str(limit + beyond * (1 if kind is int else max(1, abs(limit))))
        if kind is int and declared.most is None:
            yield str(MOST + 1)


def command_lines() -> Iterator[BadCommand]:
    """Command lines that are refused before anything is read: every option with every kind of bad value, and none."""
    for command in COMMANDS:
        file = ("a.txt",) if command in ("compress", "decompress", "export", "import", "report") else ()
        for field, kind, _ in options_of(command):
            declared = describe(field)
            if declared.positional:
                continue
            name = flag(field.name)
            for value in bad_values(kind, declared):
                yield BadCommand((command, *file, f"{name}={value}"), name)
            if command in WITH_SETTINGS and field.name in GRID and command == "compare":
                yield BadCommand((command, name, "1", "x"), name)
            if kind is bool:
                yield BadCommand((command, *file, f"{name}=yes"), f"{name} takes no value")
            elif not declared.may_be_empty:
                yield BadCommand((command, *file, name), f"{name} needs a value")
                yield BadCommand((command, *file, name, "--json"), f"{name} needs a value")
            yield BadCommand((command, *file, f"{name}x"), f"has no option {name}x")
        yield BadCommand((command, *file, "--unknown-flag"), "has no option --unknown-flag")
        yield BadCommand((command, *file, "-z"), "has no option -z")
    for name in ("bake", "", "trian", "TRAIN", "--train", "-x", "é", "a" * 1000, "../train", "train "):
        yield BadCommand((name,), "no command")
    for one, other in itertools.combinations(("--steps=1", "--epochs=1", "--time-budget=1m"), 2):
        yield BadCommand(("train", "--data=a.txt", one, other), "each say how long to train")
    for budget in ("", "0", "-1s", "1x", "1.2.3s", "9" * 400, "1d", "h", "inf", "nan", "1e9", "9000h"):
        yield BadCommand(("train", f"--time-budget={budget}"), "--time-budget is")


def file_command_lines(run: Path, texts: Path, folder: Path) -> Iterator[BadCommand]:
    """Command lines about files and models: refused when these are looked at.

    Args:
      run: a run of a language model without labels or sources.
      texts: a file of texts.
      folder: an empty folder.
    """
    model, long, nothing = f"--workdir={run}", "a" * 300, str(folder / "nothing")
    new = f"--workdir={folder / 'new'}"
    data = f"--data={texts}"
    unnamed = ("serve",)  # names its runs without a flag; tests/commands/test_serve.py
    empty, binary, table, lines = (folder / name for name in ("empty.txt", "binary", "table.csv", "lines.jsonl"))
    for value in (long, "b/" * 3000, "a\0b", "\ud800", "", nothing, str(texts), str(folder)):
        yield BadCommand(("report", value), value if value in (nothing, str(texts), str(folder)) else "")
    for arguments, told in (
        ((f"--output={folder}",), "--output"),
        ((f"--output={nothing}/a.html",), "--output"),
        ((f"--output={long}",), "--output"),
        (("--output=",), "--output"),
        (("--label-field=nobody",), "--label-field"),
        (("--label-field=",), "--label-field"),
    ):
        yield BadCommand(("report", str(run), *arguments), told)
    for command in [name for name in COMMANDS if name not in ("export", "import", "report", *unnamed)]:
        file = (str(texts),) if command in ("score", "classify", "compress") else ()
        file = (str(folder / "some.flaxchar"),) if command == "decompress" else file
        given = (data,) if command in WITH_SETTINGS else ()
        yield BadCommand((command, *file, *given, f"--workdir={long}"), "--workdir")
        yield BadCommand((command, *file, *given, f"--workdir={'b/' * 3000}"), "--workdir")
        yield BadCommand((command, *file, *given, "--workdir=a\0b"), "--workdir")
        yield BadCommand((command, *file, *given, "--workdir=\ud800"), "--workdir")
        yield BadCommand((command, *file, *given, "--workdir="), "--workdir")
        yield BadCommand((command, *file, *given, f"--workdir={texts}"), str(texts))
        if not given:
            yield BadCommand((command, *file, f"--workdir={nothing}"), "nothing")
    for command in WITH_SETTINGS:
        for arguments, told in (
            ((f"--data={nothing}",), "nothing"),
            ((f"--data={long}",), "--data"),
            (("--data=a\0b",), "--data"),
            (("--data=",), "--data"),
            ((f"--data={empty}",), ""),
            ((f"--data={binary}",), "binary"),
            ((f"--data={folder / 'none'}",), "none"),
            ((data, f"--val-data={nothing}"), "nothing"),
            ((f"--val-data={texts}",), "--val-data"),
            ((data, "--dataset=headlines"), "--dataset and --data"),
            (("--dataset=no_such_set",), "no_such_set"),
            (("--dataset=",), "--dataset"),
            ((data, "--encoding=base64"), "--encoding is 'base64'"),
            ((data, "--encoding=rot13"), "--encoding is 'rot13'"),
            ((data, "--encoding=idna"), "--encoding is 'idna'"),
            ((data, "--encoding=no-such"), "--encoding is 'no-such'"),
            ((data, "--encoding="), "--encoding"),
            ((data, "--encoding=a\0b"), "--encoding"),
            ((data, "--encoding=" + "a" * 300), "--encoding"),
            ((f"--data={table}", "--delimiter=ab"), "--delimiter"),
            ((f"--data={table}", "--delimiter="), "--delimiter"),
            ((f"--data={table}", "--fields=nobody"), "nobody"),
            ((f"--data={table}", "--fields=99"), "99"),
            ((f"--data={table}", "--fields=0"), "0"),
            ((f"--data={table}", "--label-field=nobody", "--fields=title"), "nobody"),
            ((f"--data={table}", "--label-field=1", "--source-field=2"), "exclude each other"),
            ((f"--data={table}", "--label-field=1", "--window=8"), "exclude each other"),
            ((f"--data={lines}", "--fields=nobody"), "nobody"),
            ((f"--data={texts}", "--format=parquet"), ""),
            ((f"--data={texts}", "--format=json"), ""),
            (("--format=json",), "--format"),
            ((data, "--head=classifier"), "--label-field"),
            ((data, "--input-dropout=0.1", "--embedding=0"), "--input-dropout"),
            ((data, "--recurrent-dropout=0.1", "--cell=mingru"), "--recurrent-dropout"),
            ((data, "--max-length=1"), ""),
            ((data, "--hidden=65536", "--layers=1000"), "TB"),
            ((data, f"--init-from={nothing}"), "nothing" if command == "train" else "--init-from"),
            ((data, f"--init-from={long}"), "--init-from"),
            ((data, "--init-from="), "--init-from"),
            ((data, "--devices=99"), "--devices"),
        ):
            yield BadCommand((command, *arguments, new), told)
    for arguments, told in (
        (("--model-shards=2",), "--model-shards"),
        (("--coordinator=localhost:1",), "all three"),
        (("--processes=2",), "all three"),
        (("--process-id=0",), "all three"),
        (("names.txt",), "belongs to no option"),
    ):
        yield BadCommand(("train", data, *arguments, new), told)
    for arguments, told in (
        (("--size=1000000000",), "--size"),
        (("--num-samples=1000000000",), "--num-samples"),
        (("--num-samples=1000000", "--size=1000000"), "--num-samples"),
        (("--num-samples=-1", "--stream"), "--num-samples is -1"),
        (("--num-samples=" + "9" * 14,), "--num-samples"),
        (("--size=" + "9" * 14,), "--size"),
        (("--beam=1000000000",), "--beam"),
        (("--seed=-1",), "--seed is -1"),
        (("--prompt=Ω",), "Ω"),
        (("--prompt=" + "a" * 1000,), "--size"),
        (("--label=x",), "label"),
        (("--source=x",), "source"),
        (("--stream", "--json"), "exclude each other"),
        (("--stream", "--grid"), "exclude each other"),
        (("--stream", "--novel"), "exclude each other"),
        (("--grid", "--novel"), "exclude each other"),
        (("--grid", "--temperature=1"), "exclude each other"),
        (("--grid", "--num-samples=1"), "exclude each other"),
        (("--beam=2", "--stream"), "exclude each other"),
        (("--beam=2", "--temperature=1"), "exclude each other"),
        (("--beam=2", "--seed=1"), "exclude each other"),
        (("--novel",), "only that program has"),
        (("a",), "belongs to no option"),
    ):
        yield BadCommand(("sample", *arguments, model), told)
    for command in ("score", "classify"):
        for arguments, told in (
            ((nothing,), "nothing"),
            ((long,), long[:20]),
            (("",), ""),
            ((str(binary),), "binary"),
            ((str(texts), "--encoding=base64"), "--encoding"),
            ((str(texts), "--label-field=x"), ""),
            ((str(table), "--fields=nobody"), "nobody"),
            ((str(texts), "--format=parquet"), ""),
        ):
            yield BadCommand((command, *arguments, model), told)
    yield BadCommand(("classify", str(texts), model), "labels")
    yield BadCommand(("novelty", model), "only that program has")
    for command in ("compress", "decompress"):
        for arguments, told in (
            ((), "FILE"),
            ((nothing, f"--output={folder / 'out'}"), "nothing"),
            ((str(folder), f"--output={folder / 'out'}"), ""),
            ((long, f"--output={folder / 'out'}"), long[:20]),
            ((str(texts), f"--output={texts}"), "exists already"),
            ((str(texts), f"--output={folder}/no/out"), "there is no folder"),
            ((str(texts), f"--output={folder}/{long}"), "--output"),
            ((str(texts), "--output="), "--output"),
            ((str(texts), "--output=a\0b"), "--output"),
            (("/dev/zero", f"--output={folder / 'out'}"), "/dev/zero"),
            ((str(texts), str(texts)), "belongs to no option"),
        ):
            yield BadCommand((command, *arguments, model), told)
    for arguments, told in (
        ((), "RUN"),
        ((str(run),), "--to says in which format"),
        ((nothing, "--to=html"), "nothing"),
        ((str(texts), "--to=html"), str(texts)),
        ((long, "--to=html"), long[:20]),
        (("a\0b", "--to=html"), "NUL"),
        (("", "--to=html"), "must not be empty"),
        ((str(run), "--to=html", f"--output={texts}"), "exists already"),
        ((str(run), "--to=html", f"--output={folder}/no/out"), "there is no folder"),
        ((str(run), "--to=html", f"--output={long}"), "--output"),
        ((str(run), str(run), "--to=html"), "belongs to no option"),
    ):
        yield BadCommand(("export", *arguments), told)
    for arguments, told in (
        ((new,), "FILE"),
        ((nothing, new), "nothing"),
        ((str(folder), new), "is a folder; name the file in it"),
        (("/dev/zero", new), "/dev/zero"),
        ((str(texts), new), "another ending"),
        ((str(folder / "some.h5"), new), "no HDF5 file"),
        ((str(folder / "some.keras"), new), "no HDF5 file"),
        ((str(folder / "some.safetensors"), new), "no safetensors file"),
        ((str(folder / "some.h5"), f"--vocabulary={nothing}", new), "nothing"),
        ((str(folder / "some.h5"), f"--vocabulary={texts}", new), "cannot be read"),
        ((str(folder / "some.h5"), "--vocabulary=", new), "--vocabulary"),
        ((str(folder / "some.h5"), model), "already holds a run"),
        ((str(folder / "some.h5"), f"--workdir={texts}"), str(texts)),
        ((str(folder / "some.h5"), f"--workdir={long}"), "--workdir"),
    ):
        yield BadCommand(("import", *arguments), told)
    yield BadCommand(("decompress", str(texts), model), "does not end in .flaxchar")
    yield BadCommand(
        ("decompress", str(texts), f"--output={folder / 'out'}", model), "was not made by flaxchar compress"
    )
    yield BadCommand(("compress", str(texts), "--label-field=x", f"--output={folder / 'out'}", model), "")
    yield BadCommand(("compare", data, "--preset=fast", new), "--preset")
    yield BadCommand(("compare", data, "--hidden", "8", "x", new), "--hidden")
    yield BadCommand(("compare", data, "--val-fraction=0", new), "nothing is held out")
    yield BadCommand(("compare", data, f"--workdir={texts}/a", "--steps=1"), str(texts))
    yield BadCommand(("train", data, f"--workdir={texts}/a", "--steps=1"), str(texts), reads=True)
    yield BadCommand(("train", data, "--sample-prompts", "Ω", new), "Ω", reads=True)


def write_files(folder: Path) -> Path:
    """The files that ``file_command_lines`` speaks of; the file of texts."""
    names = ("Anna", "Otto", "Hannah", "Bob", "Eve", "Ada")
    (folder / "texts.txt").write_text("".join(f"{a} {b} {c}\n" for a in names for b in names for c in names))
    (folder / "some.flaxchar").write_bytes(b"flaxchar" + bytes(40))
    for ending in ("h5", "keras", "safetensors"):
        (folder / f"some.{ending}").write_bytes(bytes(40))
    (folder / "empty.txt").write_text("")
    (folder / "binary").write_bytes(bytes(range(256)) * 4)
    (folder / "table.csv").write_text("title,kind\n" + "Anna,a\nOtto,b\n" * 20)
    (folder / "lines.jsonl").write_text('{"text": "Anna"}\n' * 20)
    (folder / "none").mkdir()
    return folder / "texts.txt"
