"""``flaxchar export``: a file or a folder beside the run, and one sentence where that cannot be."""

from __future__ import annotations

import sys

import pytest
from exports import random_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "names"
    random_model(embedding=5).save(path)
    return path


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ("safetensors", "names.safetensors"),
        ("torch", "names-torch"),
        ("keras", "names-keras"),
        ("html", "names.html"),
        ("onnx", "names.onnx"),
    ],
)
def test_an_export_is_named_after_its_run(to, name, run, run_here):
    result = run_here("export", str(run), "--to", to)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{run.with_name(name)}: ")
    assert run.with_name(name).exists()
    again = run_here("export", str(run), "--to", to)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert f"{name} exists already" in again.stderr


def test_the_output_can_be_named(run, run_here, tmp_path):
    result = run_here("export", str(run), "--to", "torch", "--output", str(tmp_path / "mine"))
    assert result.stdout.endswith("kB: model.py, model.safetensors\n")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["model.py", "model.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--to", "pickle"), "--to is 'pickle'; it must be one of safetensors, torch, keras, html, onnx"),
        ((), "--to says in which format"),
        (("--to", "html", "--output", ""), "--output"),
        (("--to", "html", "--output", "no/such/a.html"), "there is no folder no/such"),
    ],
)
def test_bad_arguments_are_told(arguments, told, run, run_here):
    result = run_here("export", str(run), *arguments)
    assert result.returncode == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_without_a_run_is_told(run_here, tmp_path):
    result = run_here("export", str(tmp_path), "--to", "html")
    assert result.returncode == 2
    assert "holds no run" in result.stderr


def test_what_a_format_cannot_express_is_told_with_a_way_out(run_here, tmp_path):
    random_model(cell="mingru").save(tmp_path / "run")
    result = run_here("export", str(tmp_path / "run"), "--to", "torch")
    assert result.returncode == 2
    assert result.stderr == (
        "flaxchar: PyTorch has no layer for the cell mingru, which html and onnx can express; --to safetensors takes "
        "every model\n"
    )


def test_a_missing_library_is_told(run, run_here, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = run_here("export", str(run), "--to", "onnx", "--output", str(tmp_path / "a.onnx"))
    assert result.returncode == 2
    assert (
        result.stderr == "flaxchar: this needs onnx; install it with pip install -e '.[export]' in the folder "
        "of flaxchar's clone\n"
    )
    assert list(tmp_path.iterdir()) == []
