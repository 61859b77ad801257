"""What the README promises: its Python runs, its flags exist, and the public names are there."""

from __future__ import annotations

import re

import pytest
from helpers import ROOT, run_command

import flaxchar
from flaxchar.commands.main import SUMMARIES

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_python_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert "nan" not in capsys.readouterr().out


def test_the_readmes_flags_exist():
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - {"--help", "--debug"}
    known = "".join(run_command(f"{name}.py", "--help").stdout for name in ("train", "sample"))
    known += "".join(run_command(name, "--help").stdout for name in SUMMARIES)
    assert {flag for flag in flags if flag not in known} == set()


def test_every_public_name_is_there_for_python_and_for_type_checkers():
    source = (ROOT / "flaxchar" / "__init__.py").read_text(encoding="utf-8")
    for_type_checkers = set(
        re.findall(r"\w+", " ".join(re.findall(r"^    from flaxchar\.[\w.]+ import (.*)$", source, re.M)))
    )
    assert set(flaxchar.__all__) == for_type_checkers
    for name in flaxchar.__all__:
        assert getattr(flaxchar, name) is not None
    assert set(flaxchar.__all__) <= set(dir(flaxchar))
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        flaxchar.trane  # noqa: B018
