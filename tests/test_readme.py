"""What the README promises: its Python runs, its commands are understood, and the public names are there."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import shlex
import types
from pathlib import Path

import pytest
from helpers import ROOT

from flaxchar.commands.classify import ClassifyOptions
from flaxchar.commands.compare import GRID, CompareOptions
from flaxchar.commands.compress import CompressOptions, DecompressOptions
from flaxchar.commands.export import ExportOptions
from flaxchar.commands.flags import SETTINGS
from flaxchar.commands.import_ import ImportOptions
from flaxchar.commands.main import SUMMARIES
from flaxchar.commands.novelty import NoveltyOptions
from flaxchar.commands.options import parse
from flaxchar.commands.report import ReportOptions
from flaxchar.commands.sample import SampleOptions
from flaxchar.commands.score import ScoreOptions
from flaxchar.commands.serve import ServeOptions
from flaxchar.commands.train import TrainOptions
from flaxchar.config import Config

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_python_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(re.sub(r"steps=\d+", "steps=20", block), "README.md", "exec"), {})  # as well with fewer steps
    assert "nan" not in capsys.readouterr().out


KINDS = {
    "train": (TrainOptions, True, ()),
    "sample": (SampleOptions, False, ()),
    "report": (ReportOptions, False, ()),
    "score": (ScoreOptions, False, ()),
    "classify": (ClassifyOptions, False, ()),
    "compress": (CompressOptions, False, ()),
    "decompress": (DecompressOptions, False, ()),
    "compare": (CompareOptions, True, GRID),
    "export": (ExportOptions, False, ()),
    "import": (ImportOptions, False, ()),
    "novelty": (NoveltyOptions, False, ()),
    "serve": (ServeOptions, False, ()),
}
COMMAND = re.compile(r"(?:python3? (\w+)\.py|flaxchar (\w+))(?= |$)(.*)")


def command_lines() -> list[tuple[str, str]]:
    """Every flaxchar command in the README's code blocks, with its arguments."""
    lines = [line for block in re.findall(r"```\w*\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    parts = [part for line in lines for part in re.split(r" && |; | \| ", line.removeprefix("$ "))]
    matches = [match for part in parts if (match := COMMAND.match(part.strip()))]
    return [(match[1] or match[2], match[3]) for match in matches]


@pytest.mark.parametrize(("name", "arguments"), command_lines())
def test_the_readmes_commands_are_understood(name, arguments):
    kind, with_settings, several = KINDS[name]
    words = [word for word in shlex.split(arguments, comments=True) if word not in ("...", "…")]
    parsed = parse(kind, name, words, with_settings, several)
    Config().replace(**{name: value for name, value in parsed.settings.items() if name not in several}).validate()


def test_every_command_is_in_the_readme():
    assert {name for name, _ in command_lines()} == set(SUMMARIES) == set(KINDS)


def test_the_readmes_other_flags_exist():
    """Flags in the text, between the code blocks."""
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    flags = {flag.removeprefix("--").replace("-", "_") for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    known = {field.name for kind, *_ in KINDS.values() for field in dataclasses.fields(kind)} | SETTINGS
    no_forms = {f"no_{name}" for name, value in Config().by_name().items() if isinstance(value, bool)}
    assert flags - known - no_forms - {"help", "target_field"} == set()


@pytest.mark.parametrize("front", ["flaxchar", "flaxchar.data", "flaxchar.data.readers", "flaxchar.training"])
def test_every_public_name_is_there_for_python_and_for_type_checkers(front):
    package = importlib.import_module(front)
    source = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text(encoding="ascii"))
    imports = [node for node in ast.walk(source) if isinstance(node, ast.ImportFrom)]
    for_type_checkers = [name.name for node in imports if node.level == 1 for name in node.names]
    assert sorted(package.__all__) == sorted(for_type_checkers)
    for name in package.__all__:
        assert not isinstance(getattr(package, name), types.ModuleType)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="trane"):
        package.trane  # noqa: B018
